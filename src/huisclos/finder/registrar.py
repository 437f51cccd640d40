"""Taking instances into the index: duplicates, alternatives, what is held, and what people decide of it.

Everything here happens between two awaits: nothing else changes the index while one instance is
judged. Doubts are written before the rows they are about, so that none can be lost alone.
"""

from __future__ import annotations

import msgspec

from huisclos.archive.finder_ports import Restored
from huisclos.archive.nouns import (
    FINAL,
    Choice,
    Cut,
    DoubtKind,
    Outcome,
    Quarantined,
    Side,
    Standing,
    StoredObject,
)
from huisclos.dicom.heading import Heading
from huisclos.errors import BadQuery, Conflict, NotFound
from huisclos.finder.doubts import DoubtBook, KeptDoubt, new_doubt
from huisclos.finder.judgement import (
    Person,
    Verdict,
    contradict,
    judge,
    person_of,
    side_of_heading,
    side_of_sender,
    side_of_study,
)
from huisclos.finder.records import InstanceRecord, StudyRecord, instance_of
from huisclos.finder.shelf import Shelf, Study


class Registrar:
    """Judges arriving instances, and carries out decisions."""

    def __init__(self, shelf: Shelf, doubts: DoubtBook) -> None:
        self._shelf = shelf
        self._doubts = doubts

    def register(self, stored: StoredObject) -> Outcome:
        """Take one instance. Raises `StudyNotFound`, and `Conflict` if its study lies elsewhere.

        On `Conflict` the caller asks `place` and brings the object there.
        """
        study = self._study_for(stored)
        verdict = judge(stored, self._shelf.rows.same_uid(stored.heading.instance_uid))
        known = verdict.against is not None and verdict.against.instance_id == stored.instance_id
        if verdict.outcome is Outcome.DUPLICATE or known:
            return verdict.outcome
        self._doubt_content(study, stored, verdict)
        self._doubt_person(study, stored)
        beside = (
            verdict.against.instance_id if verdict.against and verdict.outcome is Outcome.ALTERNATIVE else ""
        )
        self._take(study, stored, instance_of(stored, verdict.standing, beside=beside))
        return verdict.outcome

    def restore(self, one: Restored) -> None:
        """Take back what a reindex found, as its manifest says it stood."""
        if one.standing is None:
            self.register(one.stored)
            return
        study = self._study_for(one.stored)
        same = self._shelf.rows.same_uid(one.stored.heading.instance_uid)
        if all(other.instance_id != one.stored.instance_id for other in same):
            beside = next((other.instance_id for other in same if other.standing is Standing.PRIMARY), "")
            alternative = one.standing is Standing.ALTERNATIVE
            record = instance_of(one.stored, one.standing, beside=beside if alternative else "")
            self._take(study, one.stored, record, attested=study.version > 0)

    def _study_for(self, stored: StoredObject) -> Study:
        study = self._shelf.by_id(stored.study_id)
        if study.uid != stored.heading.study_uid:
            raise Conflict("an instance lies in the folder of another study")
        return study

    def _take(
        self, study: Study, stored: StoredObject, record: InstanceRecord, *, attested: bool = False
    ) -> None:
        series = study.admit(stored.heading)
        self._shelf.rows.put_instance(record)
        if record.standing is Standing.PRIMARY:
            study.count(series, 1)
            if not series.cover and record.rows:
                series.cover = record.instance_uid
        study.record.received_at = max(study.record.received_at, stored.received_at)
        # what a manifest says already must not make a shorter one of a study half restored
        self._shelf.touch(study, series.series_uid, stale=not attested)

    # doubts

    def _doubt_content(self, study: Study, stored: StoredObject, verdict: Verdict) -> None:
        if verdict.doubt is None:
            return
        right = side_of_heading(stored.heading, stored)
        study_ids: tuple[str, ...] = (study.study_id,)
        left = right
        if verdict.against is not None:
            other = self._shelf.by_id(verdict.against.study_id)
            series = other.series.get(verdict.against.series_uid)
            left = side_of_study(other.record, verdict.against, series)
            study_ids = tuple(dict.fromkeys((other.study_id, study.study_id)))
            if self._known_the_other_way(verdict.doubt, verdict.against, stored):
                return
        doubt = new_doubt(verdict.doubt, left, right, stored.received_at)
        first = verdict.against.instance_id if verdict.against else ""
        self._doubts.note(KeptDoubt(doubt, stored.instance_id, study_ids, first, stored.instance_id))

    def _known_the_other_way(self, kind: DoubtKind, against: InstanceRecord, stored: StoredObject) -> bool:
        """Whether the two are doubted already, the other way round: a rebuild takes them as they lie."""
        known = self._doubts.find(kind, against.instance_id)
        return known is not None and known.first == stored.instance_id

    def _doubt_person(self, study: Study, stored: StoredObject) -> None:
        """Same patient id, other person: in this study, or, for the first instance of one, in any other."""
        heading = stored.heading
        new = not study.record.patient_id and not study.record.instances
        memory = self._shelf.memory
        rows = memory.same_patient_id(_said(heading)) if new else []
        for other in (*(memory.study(row) for row in rows), *(() if new else (study.record,))):
            self._doubt_pair(other, heading, stored, study)

    def _doubt_pair(self, other: StudyRecord, heading: Heading, stored: StoredObject, study: Study) -> None:
        one, two = person_of(other), person_of(heading)
        within = other.study_uid == study.uid
        if one == two or not (contradict(one, two) or (within and _other_id(other, heading))):
            return
        there = study if within else self._shelf.by_uid(other.study_uid)
        ids = tuple(dict.fromkeys(found.study_id for found in (there, study) if found is not None))
        doubt = new_doubt(
            DoubtKind.SAME_ID_OTHER_PERSON,
            side_of_study(other),
            side_of_heading(heading, stored),
            stored.received_at,
        )
        self._doubts.note(KeptDoubt(doubt, _pair(one, two), ids, second=stored.instance_id))

    def same_person(self, row: int) -> list[int]:
        """Rows of the studies in which something answers, of the person that this row's study is about."""
        memory = self._shelf.memory
        mine = memory.study(row)
        found = []
        for other in memory.same_patient_id(mine):
            theirs = memory.study(other)
            if memory.instances_in(other) and (
                not contradict(person_of(mine), person_of(theirs)) or self._said_same(row, other)
            ):
                found.append(other)
        return found

    def _said_same(self, row: int, other: int) -> bool:
        """Whether a person decided that two studies with one patient id are of one patient."""
        memory = self._shelf.memory
        ids = {memory.study_id(row), memory.study_id(other)}
        key = _pair(person_of(memory.study(row)), person_of(memory.study(other)))
        return any(
            kept.doubt.decided is Choice.SAME_PERSON and (kept.key == key or ids <= set(kept.study_ids))
            for kept in self._doubts.of_kind(DoubtKind.SAME_ID_OTHER_PERSON)
        )

    # decisions

    def decide(self, doubt_id: str, choice: Choice | None, by: str, at: float) -> KeptDoubt:
        """Settle a doubt, or undo with None.

        Raises `NotFound`, `BadQuery` for a choice not offered, `Conflict` for what cannot be taken back.
        """
        kept = self._doubts.get(doubt_id)
        if kept.doubt.decided in FINAL:
            raise Conflict("this decision cannot be taken back here")
        if choice is not None and choice not in kept.doubt.choices:
            raise BadQuery("this doubt does not offer that choice")
        settled = self._doubts.settle(doubt_id, choice, by, at)
        self.carry_out(settled)
        return settled

    def carry_out_all(self) -> None:
        """Make all instances stand as was decided, or as they stood while they wait: after a rebuild."""
        for kept in self._doubts.all():
            self.carry_out(kept)

    def carry_out(self, kept: KeptDoubt) -> None:
        """Make instances stand as was decided. Idempotent."""
        choice = kept.doubt.decided
        if kept.doubt.kind is DoubtKind.SAME_UID_OTHER_CONTENT:
            uid = kept.doubt.right.sop_instance_uid
            if choice is Choice.KEEP_SECOND:
                self._stand(uid, kept.second, kept.first)
            elif self._is_primary(uid, kept.second):
                self._stand(uid, kept.first, kept.second)
        elif kept.doubt.kind is DoubtKind.NOT_LOOKED_INSIDE:
            uid = kept.doubt.right.sop_instance_uid
            same = self._shelf.rows.same_uid(uid)
            taken = any(one.standing is Standing.PRIMARY and one.instance_id != kept.second for one in same)
            accepted = choice is Choice.ACCEPT and not taken
            self._stand(uid, kept.second if accepted else "", "" if accepted else kept.second)
        elif kept.doubt.kind is DoubtKind.UNATTESTED:
            uid = kept.doubt.left.sop_instance_uid
            if choice is Choice.SET_APART:
                self._stand(uid, "", kept.key)
            elif not any(one.standing is Standing.PRIMARY for one in self._shelf.rows.same_uid(uid)):
                self._stand(uid, kept.key, "")

    # what the house finds out by itself

    def quarantined(self, waiting: tuple[Quarantined, ...]) -> None:
        """See `Upkeep`."""
        by_id = {one.source.id: one for one in waiting}
        for kept in self._doubts.of_kind(DoubtKind.QUARANTINE):
            if kept.key not in by_id and kept.doubt.decided not in FINAL:
                self._doubts.drop(kept)
        for source_id, one in by_id.items():
            side = side_of_sender(one)
            known = self._doubts.find(DoubtKind.QUARANTINE, source_id)
            if known is None:
                doubt = new_doubt(DoubtKind.QUARANTINE, side, Side(), one.since)
                self._doubts.note(KeptDoubt(doubt, source_id))
            elif known.doubt.left != side and known.doubt.decided not in FINAL:
                doubt = msgspec.structs.replace(known.doubt, left=side)
                if side.full_since and not known.doubt.left.full_since:
                    # left to wait while it could go on sending: that is not so any more
                    doubt = msgspec.structs.replace(doubt, decided=None, decided_by="", decided_at=0.0)
                self._doubts.replace(msgspec.structs.replace(known, doubt=doubt))

    def rivals(self, most: int) -> list[tuple[str, InstanceRecord, InstanceRecord]]:
        """Doubt id and both instances of open doubts about other content that were never compared."""
        found: list[tuple[str, InstanceRecord, InstanceRecord]] = []
        for kept in self._doubts.of_kind(DoubtKind.SAME_UID_OTHER_CONTENT):
            if kept.compared or kept.doubt.decided is not None or len(found) >= most:
                continue
            same = self._shelf.rows.same_uid(kept.doubt.right.sop_instance_uid)
            by_id = {one.instance_id: one for one in same}
            if kept.first in by_id and kept.second in by_id:
                found.append((kept.doubt.id, by_id[kept.first], by_id[kept.second]))
        return found

    def compared(self, doubt_id: str, cut: Cut, at: float) -> bool:
        """See `Upkeep`. What a person chose meanwhile stays, for this pair and for a third copy."""
        try:
            kept = self._doubts.get(doubt_id)
        except NotFound:
            return False
        doubt = msgspec.structs.replace(kept.doubt, cut=cut)
        self._doubts.replace(msgspec.structs.replace(kept, doubt=doubt, compared=True))
        uid = doubt.right.sop_instance_uid
        displaced = cut is Cut.FIRST and not self._is_primary(uid, kept.first)
        if cut is Cut.NEITHER or doubt.decided is not None or displaced:
            return False
        choice = Choice.KEEP_SECOND if cut is Cut.FIRST else Choice.KEEP_FIRST
        self.carry_out(self._doubts.settle(doubt_id, choice, "", at))
        return True

    def _is_primary(self, instance_uid: str, instance_id: str) -> bool:
        same = self._shelf.rows.same_uid(instance_uid)
        return any(one.instance_id == instance_id and one.standing is Standing.PRIMARY for one in same)

    def _stand(self, instance_uid: str, winner: str, loser: str) -> None:
        """`winner` answers; `loser`, and what stands beside it, is held."""
        same = {one.instance_id: one for one in self._shelf.rows.same_uid(instance_uid)}
        chosen = same.get(winner)
        if winner and chosen is None:
            return
        for one in same.values():
            if one.instance_id == loser or (loser and one.beside == loser):
                self._restand(one, Standing.HELD)
        if chosen is None:
            return
        for one in same.values():
            if one.beside == winner:
                self._restand(one, Standing.ALTERNATIVE)
            elif one.standing is Standing.PRIMARY and one.instance_id not in (winner, loser):
                # a third copy won an earlier decision
                self._restand(one, Standing.HELD)
        self._restand(chosen, Standing.PRIMARY)

    def _restand(self, record: InstanceRecord, standing: Standing) -> None:
        if record.standing is standing:
            return
        study = self._shelf.by_id(record.study_id)
        series = study.series[record.series_uid]
        was_primary, is_primary = record.standing is Standing.PRIMARY, standing is Standing.PRIMARY
        if is_primary and record.heading is not None:
            study.rename_if_alone(record.heading)
        self._shelf.rows.put_instance(msgspec.structs.replace(record, standing=standing))
        if was_primary != is_primary:
            study.count(series, 1 if is_primary else -1)
        if not is_primary and series.cover == record.instance_uid and not series.instances:
            series.cover = ""
        elif is_primary and not series.cover and record.rows:
            series.cover = record.instance_uid
        self._shelf.touch(study, series.series_uid)


def _pair(one: Person, two: Person) -> str:
    """Two persons, to know their doubt again."""
    return "\1".join(sorted((one.key, two.key)))


def _said(heading: Heading) -> StudyRecord:
    return StudyRecord(
        heading.study_uid, patient_id=heading.patient_id, patient_id_issuer=heading.patient_id_issuer
    )


def _other_id(study: StudyRecord, heading: Heading) -> bool:
    """One study says two patient ids: a mix-up at the console, and nobody to be merged silently."""
    return bool(study.patient_id and heading.patient_id and study.patient_id != heading.patient_id)
