"""The studies at hand: those that are being received, written, opened; and how the others get there.

A study's row says OPEN while objects may be in its folder that no row knows: it is made so,
durably, before `place` answers, and before a manifest is written. It is SETTLED again an hour after the
last `place`; a finder that ends in order leaves it RESTED. At start only the folders of studies that
are not SETTLED have to be looked through; and only those left OPEN get a new manifest, so that
whatever else lies where a manifest should is seen, and not written over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from huisclos import clock
from huisclos.archive.finder_ports import RestoredStudy, StudyKeys
from huisclos.archive.index_ports import Settling
from huisclos.archive.layout import new_id
from huisclos.archive.nouns import Placement
from huisclos.dicom.heading import Heading
from huisclos.errors import Conflict, StudyNotFound
from huisclos.finder.keys import keys_of
from huisclos.finder.memory import Loaded, MemoryIndex
from huisclos.finder.records import (
    SealedStudy,
    SeriesRecord,
    StudyRecord,
    decode_study,
    encode,
    fill,
    pack_series,
    series_of,
    study_of,
    unpack_series,
)
from huisclos.finder.rows import KeptStudy, RowKeeper
from huisclos.finder.text import study_text

UNDER_WAY: Final = 3600.0
"""Seconds after `place` within which an object may still be committed to the study's folder."""
_LOOK_AGAIN: Final = 0.05
AT_HAND: Final = 2_000
"""Studies kept at hand that nothing is to be done for."""
TIDY: Final = 10.0
"""Seconds between two looks at every study at hand: a hundred thousand after an hour of import."""

Steady = Callable[[], float]


class Study:
    """A study at hand. What it says is shared with the memory, which is told of each change."""

    __slots__ = (
        "changed_at", "changes", "digest", "lock", "placed_at", "recipient", "record", "row", "series",
        "series_changed", "stale", "state", "study_id", "text", "version",
    )  # fmt: skip

    def __init__(self, kept: KeptStudy, record: StudyRecord, series: list[SeriesRecord], row: int) -> None:
        self.study_id = kept.study_id
        self.recipient = kept.sealed.recipient
        self.version = kept.version
        self.digest = kept.manifest_digest
        self.state = kept.state
        self.text = kept.sealed.text
        self.record = record
        self.series = {one.series_uid: one for one in series}
        self.row = row
        self.stale = False
        """Whether the manifest on disk lacks something."""
        self.changes = 0
        self.changed_at = self.placed_at = float("-inf")
        self.series_changed: dict[str, float] = {}
        self.lock = asyncio.Lock()
        """Held while the manifest or the state is being written."""

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return self.record.study_uid

    def kept(self) -> KeptStudy:
        """Its row; OPEN as long as its manifest lacks something, whatever it was before."""
        described = all(one.described for one in self.series.values() if one.instances)
        sealed = SealedStudy(
            self.recipient,
            encode(self.record),
            pack_series(list(self.series.values())),
            self.text,
            keys_of(self.record, described=described),
        )
        state = Settling.OPEN if self.stale else self.state
        return KeptStudy(self.study_id, self.version, self.digest, state, sealed)

    def admit(self, heading: Heading, series_id: str = "") -> SeriesRecord:
        """Learn what an instance says of the study, and the series it belongs to."""
        if not self.record.patient_name and not self.record.patient_id and not self.record.instances:
            self._rename(heading)
        elif fill(self.record, heading):
            self.text = study_text(self.record)
        series = self.series.get(heading.series_uid)
        if series is None:
            series = self.series[heading.series_uid] = series_of(heading, series_id or new_id())
        else:
            fill(series, heading)
        return series

    def _rename(self, heading: Heading) -> None:
        said = study_of(heading)
        said.received_at = self.record.received_at
        said.instances, said.series, said.modalities = (
            self.record.instances,
            self.record.series,
            self.record.modalities,
        )
        self.record = said
        self.text = study_text(said)

    def rename_if_alone(self, heading: Heading) -> None:
        """Say what the only instance that answers says."""
        if self.record.instances <= 1:
            self._rename(heading)

    def count(self, series: SeriesRecord, change: int) -> None:
        """One instance more, or less, answers."""
        series.instances += change
        series.described = False
        self.recount()

    def recount(self) -> None:
        """Sum up the series."""
        living = [one for one in self.series.values() if one.instances]
        self.record.instances = sum(one.instances for one in living)
        self.record.series = len(living)
        self.record.modalities = tuple(sorted({one.modality for one in living if one.modality}))


class Shelf:
    """Studies by id and UID, at hand or not."""

    def __init__(
        self, memory: MemoryIndex, rows: RowKeeper, keys: StudyKeys, steady: Steady = clock.steady
    ) -> None:
        self.memory = memory
        self.rows = rows
        self.steady = steady
        self.unsettled: set[str] = set()
        """Ids of studies whose folders nobody has looked through since they were OPEN at a start, of the
        finder or of a face."""
        self._known_else: set[str] = set()
        """Those of them that came to be doubted later, and not since the finder's own start."""
        self.undescribed: set[str] = set()
        """Ids of studies with a series whose metadata is to be written."""
        self._keys = keys
        self._studies: dict[str, Study] = {}
        self._dirty: dict[str, Study] = {}
        self._stale: dict[str, Study] = {}
        """Those whose manifest lacks something, and some that were such."""
        self._tidy_at = steady() + TIDY
        self._placing: dict[str, asyncio.Task[Study]] = {}

    def load(self) -> None:
        """Take every study from the index. Raises `Tampered`, `Unreadable`, `Unreachable`."""
        open_rows: list[tuple[int, KeptStudy]] = []

        def loaded() -> Iterator[Loaded]:
            for row, kept in enumerate(self.rows.studies()):
                if kept.state is not Settling.SETTLED:
                    open_rows.append((row, kept))
                if not kept.sealed.keys.described:
                    self.undescribed.add(kept.study_id)
                yield Loaded(kept.study_id, kept.sealed)

        self.memory.load(loaded())
        for row, kept in open_rows:
            study = self._take(kept, row)
            self.unsettled.add(study.study_id)
            study.placed_at = self.steady()
            if kept.state is Settling.OPEN:
                # a manifest with the next version may have been written just before the end: leave it behind
                study.version += 1
                self.touch(study)

    # finding

    def by_uid(self, study_uid: str) -> Study | None:
        """A study by its UID, taken at hand."""
        row = self.memory.row_of_uid(study_uid)
        if row is None:
            return None
        study_id = self.memory.study_id(row)
        at_hand = self._studies.pop(study_id, None)
        if at_hand is None:
            kept = self.rows.study(study_uid)
            if kept is None:
                return None
            return self._take(kept, row)
        self._studies[study_id] = at_hand
        return at_hand

    def by_id(self, study_id: str) -> Study:
        """A study by its id, taken at hand. Raises `StudyNotFound`."""
        at_hand = self._studies.get(study_id)
        if at_hand is not None:
            return at_hand
        row = self.memory.row_of_id(study_id)
        study = None if row is None else self.by_uid(self.memory.study(row).study_uid)
        if study is None:
            raise StudyNotFound("the index has no such study")
        return study

    def _take(self, kept: KeptStudy, row: int) -> Study:
        study = Study(kept, decode_study(kept.sealed.study), unpack_series(kept.sealed.series), row)
        self._studies[kept.study_id] = study
        return study

    # changing

    def touch(self, study: Study, *series_uids: str, stale: bool = True) -> None:
        """`study` was changed; unless told otherwise, in a way its manifest has to say."""
        now = self.steady()
        study.changed_at = now
        if stale:
            study.changes += 1
            study.stale = True
            self._stale[study.study_id] = study
        for series_uid in series_uids:
            study.series_changed[series_uid] = now
            self.undescribed.add(study.study_id)
        self.memory.put(study.row, study.study_id, study.record, list(study.series.values()), study.text)
        self._dirty[study.study_id] = study

    def mark(self, study: Study) -> None:
        """`study`'s row is to be written again."""
        self._dirty[study.study_id] = study

    async def commit(self) -> None:
        """Write every row that waits. Raises `Unreachable`; then they go on waiting."""
        taken: dict[str, Study] = {}

        def chosen() -> list[tuple[str, KeptStudy]]:
            taken.update(self._dirty)
            self._dirty.clear()
            return [(study.uid, study.kept()) for study in taken.values()]

        done = False
        try:
            await self.rows.commit(chosen)
            done = True
        finally:
            if not done:
                self._dirty = taken | self._dirty

    def tidy(self) -> None:
        """Now and then: settle what is old, and let go of what was settled."""
        if self.steady() >= self._tidy_at:
            self._tidy_at = self.steady() + TIDY
            self._put_away()
            self.settle_old()

    def _put_away(self) -> None:
        """Let go of studies nothing is to be done for, the longest untouched first."""
        for study in list(self._studies.values())[: len(self._studies) - AT_HAND]:
            idle = study.state is Settling.SETTLED and not study.stale and not study.lock.locked()
            if idle and study.study_id not in self._dirty:
                del self._studies[study.study_id]

    # placing

    async def place(self, study_uid: str) -> Placement:
        """The study for a UID, made now if it is new; OPEN, durably, when this returns."""
        study = self.by_uid(study_uid)
        if study is None:
            # shielded: whoever asked first may go away, others wait for the same study
            making = self._placing.get(study_uid)
            if making is None:
                making = self._placing[study_uid] = asyncio.create_task(self._make(study_uid))
                making.add_done_callback(lambda _: self._placing.pop(study_uid, None))
            study = await asyncio.shield(making)
        study.placed_at = self.steady()
        if study.state is not Settling.OPEN:
            async with study.lock:
                await self.open(study)
        return Placement(study.study_id, study.recipient)

    async def open(self, study: Study) -> None:
        """Make a study OPEN, durably; its lock is held. Raises `Unreachable`."""
        before = study.state
        if before is Settling.OPEN:
            return
        study.state = Settling.OPEN
        done = False
        try:
            await self.rows.write_study(study.uid, study.kept())
            done = True
        finally:
            if not done:
                study.state = before

    async def _make(self, study_uid: str) -> Study:
        placement = await self._keys.new_study()
        return await self._keep(placement, study_uid)

    async def _keep(
        self, placement: Placement, study_uid: str, *, version: int = 0, digest: bytes = b""
    ) -> Study:
        record = StudyRecord(study_uid)
        sealed = SealedStudy(placement.recipient, encode(record), pack_series([]), "", keys_of(record))
        kept = KeptStudy(placement.study_id, version, digest, Settling.OPEN, sealed)
        try:
            await self.rows.write_study(study_uid, kept)
        except Conflict:
            # another node of the same archive was first
            there = self.rows.study(study_uid)
            if there is None:
                raise
            kept, record = there, decode_study(there.sealed.study)
        series = unpack_series(kept.sealed.series)
        row = self.memory.put(None, kept.study_id, record, series, kept.sealed.text)
        study = Study(kept, record, series, row)
        self._studies[kept.study_id] = study
        return study

    async def restore(self, found: RestoredStudy) -> Study:
        """Take back a study found by a reindex. Raises `Conflict` if its UID is another study's."""
        study = self.by_uid(found.study_uid)
        if study is None:
            placement = Placement(found.study_id, found.recipient)
            study = await self._keep(
                placement, found.study_uid, version=found.version, digest=found.manifest_digest
            )
        if study.study_id != found.study_id:
            raise Conflict("two studies in the store have one Study Instance UID")
        for series_uid, series_id in found.series_ids:
            study.series.setdefault(series_uid, SeriesRecord(series_id, series_uid))
        study.placed_at = self.steady() - UNDER_WAY
        return study

    async def looked_through(self, study_id: str, patience: float) -> None:
        """Wait until the study's folder was looked through: it may hold what no row knows.

        A study that is opened right after a crash is thus whole. No longer than `patience` seconds:
        what cannot be looked through does not take away what is known.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while study_id in self.unsettled:  # noqa: ASYNC110 - the end of it is one of many at once
                    await asyncio.sleep(_LOOK_AGAIN)

    def doubt_open(self) -> None:
        """The folders of all studies that something may be on its way to are to be looked through."""
        self.doubt({one.study_id for one in self._studies.values() if one.state is not Settling.SETTLED})

    def doubt(self, study_ids: set[str]) -> None:
        """These folders hold, or may hold, what no row knows: they are to be looked through."""
        self._known_else = (self._known_else & self.unsettled) | (study_ids - self.unsettled)
        self.unsettled |= study_ids

    def settle_old(self) -> None:
        """SETTLED from the next commit on: what nothing can be on its way to any more."""
        now = self.steady()
        for study in self._studies.values():
            if (
                study.state is not Settling.SETTLED
                and not study.stale
                and now - study.placed_at >= UNDER_WAY
                and study.study_id not in self.unsettled
                and not study.lock.locked()
            ):
                study.state = Settling.SETTLED
                self._dirty[study.study_id] = study

    def rest(self) -> None:
        """RESTED from the next commit on: what is OPEN, and whose manifest lacks nothing."""
        for study in self._studies.values():
            if study.state is Settling.OPEN and not study.stale and not study.lock.locked():
                study.state = Settling.RESTED
                self._dirty[study.study_id] = study

    def stale(self, quiet_for: float = 0.0) -> list[Study]:
        """Studies whose manifest is to be written and that have not changed for some seconds.

        Not those whose folders are still to be looked through since the start: more will change. One that
        only a face's end put in doubt has had its rows from the start: what they say is written.
        """
        now = self.steady()
        self._stale = {study_id: one for study_id, one in self._stale.items() if one.stale}
        return [
            one
            for one in self._stale.values()
            if now - one.changed_at >= quiet_for
            and (one.study_id not in self.unsettled or one.study_id in self._known_else)
        ]

    def at_hand(self) -> list[Study]:
        """The studies at hand, in no order."""
        return list(self._studies.values())

    def knows(self, study_id: str) -> bool:
        """Whether there is such a study."""
        return self.memory.row_of_id(study_id) is not None

    def clear(self, mark: bytes) -> None:
        """Forget every study, here and on disk; `mark` is the index's checkpoint from now on."""
        self.memory = MemoryIndex()
        self._studies.clear()
        self._dirty.clear()
        self._stale.clear()
        self.unsettled.clear()
        self._known_else.clear()
        self.undescribed.clear()
        self.rows.clear(mark)
