"""What the sealed records of the index hold: studies with their series, instances.

Arrays, not maps: a hundred thousand of them lie in memory. Each level's fields bear the names
that `dicom.attributes` gives them, so that one table serves matching, sorting and answering.
The order of fields is the format; a change of it raises `EPOCH`, and the index is rebuilt. A field
added at the end, with a default, changes nothing of what lies there: it is known after a rebuild.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.access.nouns import Source
from huisclos.archive.nouns import Standing, StoredObject
from huisclos.dicom.heading import Heading

EPOCH: Final = 1
"""Format and key of the records; rows of another epoch are derived again."""


class StudyRecord(Struct, array_like=True):
    """One study: who, when, and totals of what answers in it."""

    study_uid: str
    patient_name: str = ""
    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    study_description: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    patient_age: str = ""
    timezone_offset: str = ""
    received_at: float = 0.0
    instances: int = 0
    series: int = 0
    modalities: tuple[str, ...] = ()


class SeriesRecord(Struct, array_like=True):
    """One series of a study."""

    series_id: str
    series_uid: str
    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    series_date: str = ""
    series_time: str = ""
    body_part: str = ""
    laterality: str = ""
    protocol: str = ""
    institution: str = ""
    department: str = ""
    manufacturer: str = ""
    model: str = ""
    station: str = ""
    performing_physician: str = ""
    procedure_date: str = ""
    procedure_time: str = ""
    instances: int = 0
    """How many answer."""
    cover: str = ""
    """SOP Instance UID of the image to make the thumbnail from."""
    described: bool = False
    """Whether the sealed metadata beside it says all there is."""
    requests: tuple[tuple[str, str], ...] = ()
    """ScheduledProcedureStepID and RequestedProcedureID of each request."""


class Keys(Struct, array_like=True, frozen=True, gc=False):
    """What the memory's columns hold of a study, ready made, so that loading decodes no `StudyRecord`."""

    uid: int
    """`number_of` the Study Instance UID."""
    person: int
    """`number_of` patient id and issuer; 0 for an empty id."""
    date: int
    """YYYYMMDD; 0 for none."""
    birth: int
    moment: int
    """22 bits of days, 17 of seconds: grows with time, never 0."""
    instances: int
    series: int
    modalities: str
    """Separated by backslashes."""
    received_at: float
    described: bool = True
    """Whether every series that answers has its metadata written."""


class SealedStudy(Struct, array_like=True, gc=False):
    """The plaintext of a study's row. Its parts are encoded apart, so that loading decodes none of them."""

    recipient: str
    study: bytes
    """`StudyRecord`."""
    series: bytes
    """List of `SeriesRecord`, deflated: UIDs of one study begin alike."""
    text: str
    """What free words are looked for in, folded; see `text.study_text`."""
    keys: Keys


class InstanceRecord(Struct, array_like=True):
    """The plaintext of an instance's row."""

    instance_id: str
    study_id: str
    standing: Standing
    series_uid: str
    instance_uid: str
    sop_class_uid: str
    instance_number: int | None
    image_type: str
    acquisition_date: str
    content_date: str
    content_time: str
    samples_per_pixel: int | None
    photometric: str
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    specific_character_set: str
    transfer_syntax: str
    digest: bytes
    length: int
    data_set_offset: int
    header_mac: bytes
    payload_nonce: bytes
    received_at: float
    source: Source
    beside: str = ""
    """Of an alternative: the id of the instance it stands beside."""
    heading: Heading | None = None
    """Of a held instance: everything, in case a person chooses it."""


STUDY_FIELDS: Final = tuple(
    name
    for name in StudyRecord.__struct_fields__
    if name not in ("study_uid", "received_at", "instances", "series", "modalities")
)
SERIES_FIELDS: Final = tuple(
    name
    for name in SeriesRecord.__struct_fields__
    if name not in ("series_id", "series_uid", "modality", "instances", "cover", "described")
)
_INSTANCE_FIELDS: Final = (
    "series_uid",
    "instance_uid",
    "sop_class_uid",
    "instance_number",
    "image_type",
    "acquisition_date",
    "content_date",
    "content_time",
    "samples_per_pixel",
    "photometric",
    "number_of_frames",
    "rows",
    "columns",
    "bits_allocated",
    "specific_character_set",
)

_MASK: Final = (1 << 63) - 1
_NOTHING: Final = ("", None, ())

encode: Final = msgspec.msgpack.Encoder().encode
decode_study: Final = msgspec.msgpack.Decoder(StudyRecord).decode
_decode_series: Final = msgspec.msgpack.Decoder(list[SeriesRecord]).decode
decode_sealed: Final = msgspec.msgpack.Decoder(SealedStudy).decode
decode_instance: Final = msgspec.msgpack.Decoder(InstanceRecord).decode


_FIELDS_OF_USUAL: Final = 21
# What most series say; Deflate then needs a few bits for it. Part of the format: these very bytes
# are needed to read what lies there, so a field that is added stays out of them.
_USUAL: Final = encode(
    [
        msgspec.structs.astuple(
            SeriesRecord(
                "0",
                "1.2.840.113619.2.",
                modality,
                1,
                text,
                "20",
                "1",
                part,
                instances=1,
                cover="1.3.12.2.1107.5.",
            )
        )[:_FIELDS_OF_USUAL]
        for modality, text, part in (
            ("CT", "Scanner abdomen axial", "ABDOMEN"),
            ("MR", "AX T2 FLAIR SAG T1", "HEAD"),
            ("DX", "Thorax face profil", "CHEST"),
        )
    ]
)


def pack_series(series: list[SeriesRecord]) -> bytes:
    """The series of a study as they lie in memory and in the row."""
    deflating = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=_USUAL)
    return deflating.compress(encode(series)) + deflating.flush()


def unpack_series(packed: bytes | bytearray) -> list[SeriesRecord]:
    """The series in what `pack_series` made; it comes from our own sealed row."""
    return _decode_series(zlib.decompressobj(-15, zdict=_USUAL).decompress(packed))


def number_of(*texts: str) -> int:
    """63 bits that stand for a text, the same in every process; few texts share them."""
    joined = "\0".join(texts).encode("utf-8", "replace")
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big") & _MASK


def study_of(heading: Heading) -> StudyRecord:
    """A study as its first instance says it is, with nothing in it yet."""
    return StudyRecord(heading.study_uid, **{name: getattr(heading, name) for name in STUDY_FIELDS})


def series_of(heading: Heading, series_id: str) -> SeriesRecord:
    """A series as its first instance says it is, with nothing in it yet."""
    values = {name: getattr(heading, name) for name in SERIES_FIELDS}
    return SeriesRecord(series_id, heading.series_uid, heading.modality, **values)


def instance_of(stored: StoredObject, standing: Standing, *, beside: str = "") -> InstanceRecord:
    """The record of one stored object."""
    heading = stored.heading
    return InstanceRecord(
        instance_id=stored.instance_id,
        study_id=stored.study_id,
        standing=standing,
        transfer_syntax=stored.transfer_syntax,
        digest=stored.digest,
        length=stored.length,
        data_set_offset=stored.data_set_offset,
        header_mac=stored.header_mac,
        payload_nonce=stored.payload_nonce,
        received_at=stored.received_at,
        source=stored.source,
        beside=beside,
        heading=heading if standing is Standing.HELD else None,
        **{name: getattr(heading, name) for name in _INSTANCE_FIELDS},
    )


def fill(record: StudyRecord | SeriesRecord, heading: Heading) -> bool:
    """Fill what `record` does not know yet from a later instance; whether anything was."""
    names = STUDY_FIELDS if isinstance(record, StudyRecord) else (*SERIES_FIELDS, "modality")
    filled = False
    for name in names:
        value = getattr(heading, name)
        if value not in _NOTHING and getattr(record, name) in _NOTHING:
            setattr(record, name, value)
            filled = True
    return filled
