"""What the archive is made of: instances, studies, batches, queries and their answers.

Frozen structs, so that they cross channels and lie in sealed records as they are.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from huisclos.access.nouns import Source
from huisclos.dicom.heading import Heading


class Standing(StrEnum):
    """How an instance stands among others with its SOP Instance UID."""

    PRIMARY = "primary"
    """The one that queries and retrieves answer with."""
    ALTERNATIVE = "alternative"
    """The same instance in another transfer syntax."""
    HELD = "held"
    """Same SOP Instance UID, other content: held apart until a person decides."""


class StoredObject(Struct, frozen=True):
    """One instance, sealed and durable, with all that tells it from any other sealed object."""

    instance_id: str
    """Random; names the sealed object."""
    study_id: str
    """Random; empty while the object lies in a batch."""
    batch_id: str
    """The batch it lies in; empty once it is in its study."""
    transfer_syntax: str
    digest: bytes
    """SHA-256 of the data set, 32 bytes; equality is judged on it, not on the file meta."""
    length: int
    """Length of the Part 10 file inside, bytes."""
    data_set_offset: int
    """Where the data set begins in that file, bytes."""
    header_mac: bytes
    payload_nonce: bytes
    source: Source
    received_at: float
    """Seconds since the epoch."""
    heading: Heading
    looked_inside: bool = True
    """False when the data set goes beyond a bound (nested too deep...): kept sealed, listed "to decide"."""


class Placement(Struct, frozen=True):
    """Where an instance belongs, as the finder answers before it is sealed."""

    study_id: str
    recipient: str
    """The study's recipient, `age1...`."""


class Outcome(StrEnum):
    """What registering an object came to."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same data set was there: the caller deletes its new copy and acknowledges."""
    ALTERNATIVE = "alternative"
    HELD = "held"


class ManifestEntry(Struct, frozen=True):
    """One instance in a manifest: enough to know the sealed object again and to list it."""

    instance_id: str
    standing: Standing
    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    transfer_syntax: str
    digest: bytes
    length: int
    data_set_offset: int
    header_mac: bytes
    payload_nonce: bytes
    received_at: float
    source: Source
    number: int | None = None
    """InstanceNumber (0020,0013)."""
    frames: int = 1
    rows: int = 0
    columns: int = 0


class ManifestSeries(Struct, frozen=True):
    """One series in a manifest."""

    series_id: str
    """Random; names the series' sealed metadata."""
    series_uid: str
    modality: str
    number: int | None = None
    description: str = ""


class Manifest(Struct, frozen=True):
    """What belongs to a study, as the archive accepted it. Signed by the vault, sealed to the study."""

    study_id: str
    version: int
    """Grows by one at each writing; the index keeps the newest."""
    study_uid: str
    series: tuple[ManifestSeries, ...]
    instances: tuple[ManifestEntry, ...]


class StudyState(Struct, frozen=True):
    """What the finder vouches for about a study before it is opened."""

    study_id: str
    study_uid: str
    version: int
    manifest_digest: bytes
    """SHA-256 of the signed manifest; an older or foreign one does not match."""


class QuietSeries(Struct, frozen=True):
    """A series that has not changed for a while and whose metadata may be written now."""

    series_id: str
    series_uid: str
    state: StudyState


class Level(StrEnum):
    """The query level."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Query(Struct, frozen=True):
    """A search (PS3.18 section 8.3.4): attributes are keywords or 8-digit tags, values as received."""

    level: Level
    match: dict[str, str] = field(default_factory=dict)
    """Attribute to value; `StudyInstanceUID` and `SeriesInstanceUID` narrow lower levels as well."""
    text: str = ""
    """Free words for the study list: names, ids, accession numbers, dates."""
    fuzzy: bool = False
    include: tuple[str, ...] = ()
    """includefield: keywords, tags, or `all`."""
    sort: tuple[str, ...] = ()
    """Keywords, `-` first for descending; newest study first when empty."""
    offset: int = 0
    limit: int = 100
    base: str = ""
    """Absolute URL of the DICOMweb service, for RetrieveURL."""


class QueryPage(Struct, frozen=True):
    """One page of an answer."""

    total: int
    """Exact count of all matches."""
    count: int
    rows: bytes
    """A DICOM JSON array (PS3.18 annex F), UTF-8."""


class SeriesRow(Struct, frozen=True):
    """A series as the pages show it."""

    series_uid: str
    series_id: str
    modality: str
    number: int | None
    description: str
    body_part: str
    instances: int
    cover: str = ""
    """SOP Instance UID to make the thumbnail from; empty when there is no image."""


class StudyRow(Struct, frozen=True):
    """A study as the pages show it."""

    study_id: str
    study_uid: str
    patient_name: str
    """As received (PN), for `dicom` to display."""
    patient_id: str
    issuer: str
    birth_date: str
    """YYYYMMDD or empty."""
    sex: str
    study_date: str
    """YYYYMMDD or empty."""
    study_time: str
    accession: str
    description: str
    referring: str
    modalities: tuple[str, ...]
    series: int
    instances: int
    received_at: float
    doubts: int = 0
    """How many open decisions touch it."""


class StudyPage(Struct, frozen=True):
    """One page of the study list."""

    total: int
    rows: tuple[StudyRow, ...]


class StudyView(Struct, frozen=True):
    """One study with its series, for the study page."""

    study: StudyRow
    series: tuple[SeriesRow, ...]


class DoubtKind(StrEnum):
    """Why something is under "to decide"."""

    SAME_UID_OTHER_CONTENT = "same-uid-other-content"
    SAME_ID_OTHER_PERSON = "same-id-other-person"
    NOT_LOOKED_INSIDE = "not-looked-inside"
    QUARANTINE = "quarantine"
    UNATTESTED = "unattested"


class Choice(StrEnum):
    """What a person may choose about a doubt."""

    KEEP_FIRST = "keep-first"
    """The first stays the one that answers; the other stays held, out of sight."""
    KEEP_SECOND = "keep-second"
    """The second takes its place; the first is held."""
    SAME_PERSON = "same-person"
    OTHER_PERSON = "other-person"
    ACCEPT = "accept"
    LEAVE = "leave"
    SET_APART = "set-apart"
    """Out of sight until another decision; nothing is lost."""
    ADMIT = "admit"
    """Of a sender who is not approved: from now on it is, and its images are found."""
    REFUSE = "refuse"
    """Of a sender who is not approved: its images are destroyed, and it may send no more."""


FINAL = frozenset({Choice.ADMIT, Choice.REFUSE})
"""What cannot be taken back by undoing the decision."""


class Side(Struct, frozen=True):
    """One side of a doubt, to be shown beside the other."""

    study_uid: str = ""
    sop_instance_uid: str = ""
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    description: str = ""
    modality: str = ""
    source: str = ""
    received_at: float = 0.0
    instance_id: str = ""
    """Random id of the one instance it is about, where there is one."""
    source_id: str = ""
    """Of a quarantine: id of the sender, under which it asked to be admitted."""
    address: str = ""
    instances: int = 0
    """Of a quarantine: how many wait."""
    octets: int = 0
    full_since: float = 0.0
    """Of a quarantine: since when more of it was refused, its quota being full; 0 for never."""


class Cut(StrEnum):
    """Which of two instances with one SOP Instance UID the house can do without."""

    NEITHER = ""
    FIRST = "first"
    """It is only the beginning of the other."""
    SECOND = "second"
    SAME = "same"
    """Both say the same: one toolkit wrote anew what the other had."""


class Doubt(Struct, frozen=True):
    """One card under "to decide"."""

    id: str
    kind: DoubtKind
    since: float
    left: Side
    right: Side
    choices: tuple[Choice, ...]
    decided: Choice | None = None
    decided_by: str = ""
    """Empty when the house decided by itself."""
    decided_at: float = 0.0
    cut: Cut = Cut.NEITHER
    """The side that came cut short."""


class ArchiveCounts(Struct, frozen=True):
    """Totals for the state page."""

    patients: int = 0
    studies: int = 0
    series: int = 0
    instances: int = 0
    doubts: int = 0
    last_received_at: float = 0.0
    rebuilding: bool = False
    """The index is being made anew: the other numbers are what is there so far."""


class Deposit(Struct, frozen=True):
    """One line of a receipt of stores, for the journal: what came from whom, in sum."""

    source: Source
    study_id: str
    batch_id: str
    objects: int
    octets: int
    digest: bytes
    """SHA-256 over the objects' (instance id, header MAC) in order."""


class Quarantined(Struct, frozen=True):
    """What waits of one sender who is not approved."""

    source: Source
    instances: int
    octets: int
    """Of the sealed objects."""
    since: float
    """Seconds since the epoch: when the first came, to a quarter of an hour."""
    full_since: float = 0.0
    """When something of it was first refused since its quota was reached; 0 for never."""


class Located(Struct, frozen=True):
    """Where one instance is found, whatever its standing."""

    state: StudyState
    instance_id: str


class Rivals(Struct, frozen=True):
    """Two instances with one SOP Instance UID and other content, which nobody has compared yet."""

    doubt_id: str
    first: Located
    second: Located
