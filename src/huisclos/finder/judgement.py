"""What to make of an instance that arrives beside others with its SOP Instance UID, and of people. Pure."""

from __future__ import annotations

from msgspec import Struct

from huisclos.archive.nouns import DoubtKind, Outcome, Quarantined, Side, Standing, StoredObject
from huisclos.dicom.heading import Heading
from huisclos.dicom.matching import fold
from huisclos.finder.records import InstanceRecord, SeriesRecord, StudyRecord


class Verdict(Struct, frozen=True):
    """How an arriving instance stands."""

    outcome: Outcome
    against: InstanceRecord | None = None
    """The one it stands beside, or against."""
    doubt: DoubtKind | None = None

    @property
    def standing(self) -> Standing:
        """The standing of a new row; duplicates get none."""
        return {Outcome.ALTERNATIVE: Standing.ALTERNATIVE, Outcome.HELD: Standing.HELD}.get(
            self.outcome, Standing.PRIMARY
        )


OUTCOME = {
    Standing.PRIMARY: Outcome.STORED,
    Standing.ALTERNATIVE: Outcome.ALTERNATIVE,
    Standing.HELD: Outcome.HELD,
}


def judge(stored: StoredObject, same: list[InstanceRecord]) -> Verdict:
    """Judge `stored` against every instance with its SOP Instance UID, in any study.

    The same data set is a duplicate. Another transfer syntax may hold the same image: an
    alternative, unless study or shape tell otherwise. Anything else is other content under
    one UID, which PS3.5 section 9 does not allow: held until a person decides.
    """
    known = next((one for one in same if one.instance_id == stored.instance_id), None)
    if known is not None:
        return Verdict(OUTCOME[known.standing], known)
    for one in same:
        if one.digest == stored.digest and one.transfer_syntax == stored.transfer_syntax:
            return Verdict(Outcome.DUPLICATE, one)
    if not stored.looked_inside:
        return Verdict(Outcome.HELD, None, DoubtKind.NOT_LOOKED_INSIDE)
    if not same:
        return Verdict(Outcome.STORED)
    primary = next((one for one in same if one.standing is Standing.PRIMARY), None)
    against = primary or same[0]
    syntaxes = {one.transfer_syntax for one in same}
    if stored.transfer_syntax in syntaxes or not _may_be_same(stored, against):
        return Verdict(Outcome.HELD, against, DoubtKind.SAME_UID_OTHER_CONTENT)
    return Verdict(Outcome.ALTERNATIVE, primary) if primary else Verdict(Outcome.STORED)


def _may_be_same(stored: StoredObject, other: InstanceRecord) -> bool:
    heading = stored.heading
    if stored.study_id != other.study_id or heading.series_uid != other.series_uid:
        return False
    shapes = (
        (heading.rows, other.rows),
        (heading.columns, other.columns),
        (heading.number_of_frames or 1, other.number_of_frames or 1),
    )
    return all(mine is None or theirs is None or mine == theirs for mine, theirs in shapes)


class Person(Struct, frozen=True):
    """Who a heading or a study says the patient is."""

    patient_id: str
    issuer: str
    name: str
    """Folded, so that only another name is another."""
    birth_date: str
    sex: str

    @property
    def key(self) -> str:
        """One text for this person, to know a pair again."""
        parts = (self.patient_id, self.issuer, self.name, self.birth_date, self.sex)
        return "\0".join(parts)


def person_of(said: Heading | StudyRecord) -> Person:
    """The person in a heading or a study's record."""
    return Person(
        said.patient_id,
        said.patient_id_issuer,
        " ".join(sorted(fold(said.patient_name.partition("=")[0]).split())),
        said.patient_birth_date,
        said.patient_sex,
    )


def contradict(one: Person, other: Person) -> bool:
    """Whether two that share an id cannot be one person: another name, birth date or sex, where both say."""
    pairs = ((one.name, other.name), (one.birth_date, other.birth_date), (one.sex, other.sex))
    return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def side_of_heading(heading: Heading, stored: StoredObject) -> Side:
    """An arriving instance, for a card."""
    return Side(
        study_uid=heading.study_uid,
        sop_instance_uid=heading.instance_uid,
        patient_name=heading.patient_name,
        patient_id=heading.patient_id,
        birth_date=heading.patient_birth_date,
        sex=heading.patient_sex,
        study_date=heading.study_date,
        description=heading.series_description or heading.study_description,
        modality=heading.modality,
        source=stored.source.label,
        received_at=stored.received_at,
    )


def side_of_study(
    study: StudyRecord, instance: InstanceRecord | None = None, series: SeriesRecord | None = None
) -> Side:
    """A study, or one instance of it with its series, for a card."""
    return Side(
        study_uid=study.study_uid,
        sop_instance_uid=instance.instance_uid if instance else "",
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        birth_date=study.patient_birth_date,
        sex=study.patient_sex,
        study_date=study.study_date,
        description=(series.series_description if series else "") or study.study_description,
        modality=series.modality if series else "\\".join(study.modalities),
        source=instance.source.label if instance else "",
        received_at=instance.received_at if instance else study.received_at,
    )


def side_of_sender(waiting: Quarantined) -> Side:
    """A sender who is not approved, and what waits of it, for a card."""
    return Side(
        source=waiting.source.label,
        source_id=waiting.source.id,
        address=waiting.source.address,
        instances=waiting.instances,
        octets=waiting.octets,
        received_at=waiting.since,
        full_since=waiting.full_since,
    )
