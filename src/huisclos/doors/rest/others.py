"""What else tells of patients at rest: dumps, indexes, messages, reports, exports, thumbnails, caches."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Final

from huisclos.doors.rest.heads import HEAD

SQLITE: Final = b"SQLite format 3\0"
WAL: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""how the log beside an SQLite database begins"""
TABLES: Final = {
    "orthanc": "MainDicomTags",
    "horos": "ZPATIENT",
    "osirix-horos": "ZSTUDY",
    "conquest": "DICOMPatients",
    "dcm4chee": "patient_id",
}
"""A table that only the index of one program has."""
_DUMPS: Final = (
    b"-- PostgreSQL database dump", b"--\n-- PostgreSQL database dump", b"-- MySQL dump", b"-- MariaDB dump",
    b"/*!999999\\- enable the sandbox mode */", b"PRAGMA foreign_keys", b"BEGIN TRANSACTION;",
    b"CREATE TABLE", b"PGDMP",
)  # fmt: skip
_COLUMNS: Final = re.compile(
    rb"patient_?name|pat_name|patientnam\b|study_?instance_?uid|study_iuid|MainDicomTags|dicom_?(?:tags|attrs)",
    re.IGNORECASE,
)
_SCHEMA: Final = re.compile(
    rb"CREATE TABLE [\"'`\[]?(MainDicomTags|ZPATIENT|ZSTUDY|DICOMPatients|patient_id)\b"
)
_FHIR: Final = re.compile(
    rb'\{\s*"resourceType"\s*:\s*"(?:Patient|ImagingStudy|DiagnosticReport|ServiceRequest|Bundle)"'
)
_MESSAGES: Final = (b"MSH|^~\\&", b"\x0bMSH|")
_EXPORTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%PDF-")
_THUMBNAIL: Final = re.compile(
    rb"Thumb::(?:URI\0[^\0]{0,600}?(?:\.dcm|\.dicom|\.ima|/DICOMDIR)(?![\w.])|Mimetype\0application/dicom)",
    re.IGNORECASE,
)
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WIDE: Final = tuple(name.encode("utf-16-le") for name in (".dcm", ".DCM", "DICOMDIR"))
_DBASE: Final = (0x03, 0x30, 0x83)
_DBASE_FIELD: Final = b"PatientNam"
_ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
DISK_HEAD: Final = 34 * 1024
"""bytes in which the image of a disk says what it is"""
_PART: Final = re.compile(rb"\A(?:\r\n)?--[^\r\n]{1,200}\r\n(?:[^\r\n]{1,300}\r\n)*\r\n", re.IGNORECASE)


def word_of(head: bytes, more: Callable[[], bytes]) -> str | None:
    """What tells of patients and is no image: `dump`, `hl7`, `packed-index`; `more` is what follows."""
    if head.startswith(_DUMPS):
        return "dump" if _COLUMNS.search(head + more()) else None
    if head.startswith(_MESSAGES) or b"<ClinicalDocument" in head or _FHIR.match(head.lstrip()):
        return "hl7"
    if head.startswith(SQLITE):
        return "packed-index" if _SCHEMA.search(head + more()) else None
    return None


def names_index(raw: bytes) -> bool:
    """Whether pages of an SQLite database make the tables of an imaging program's index."""
    return _SCHEMA.search(raw) is not None


def is_export(head: bytes) -> bool:
    """Whether it is a picture, a film or a printed page: what programs make out of studies."""
    return (
        head.startswith(_EXPORTS)
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or head[4:8] == b"ftyp"
    )


def is_thumbnail(head: bytes) -> bool:
    """Whether it is a thumbnail whose own text names an image (freedesktop's Thumb::URI)."""
    return head.startswith(b"\x89PNG") and _THUMBNAIL.search(head) is not None


def is_thumbs_db(head: bytes, raw: bytes) -> bool:
    """Whether it is a Thumbs.db of the kind that lists names, and images are among them."""
    return head.startswith(_COMPOUND) and any(name in raw for name in _WIDE)


def dbase_rows(head: bytes) -> int | None:
    """Rows of a dBase table of patients, from its header (dBase III: fields of 32 bytes from byte 32)."""
    if head[:1] and head[0] in _DBASE and _DBASE_FIELD in head[32:]:
        return int.from_bytes(head[4:8], "little")
    return None


def unpacked(head: bytes, more: Callable[[], bytes]) -> bytes | None:
    """The first bytes of what Orthanc compressed: a length of eight bytes, and a zlib stream."""
    if head[8:10] not in _ZLIB or int.from_bytes(head[:8], "little") > 1 << 40:
        return None
    try:
        return zlib.decompressobj().decompress(head[8:] + more(), HEAD * 64)
    except zlib.error:
        return None


def may_be_disk(head: bytes) -> bool:
    """Whether a file may be the image of a disk: it begins with nothing, or as what a machine starts from."""
    return (head[510:512] == b"\x55\xaa" and not head.startswith(b"MZ")) or not any(head)


def is_disk(head: bytes) -> bool:
    """Whether it is one: ISO 9660, ext, HFS+, or what has a partition table or a boot sector."""
    return (
        head[510:512] == b"\x55\xaa"
        or head[32769:32774] == b"CD001"
        or head[1080:1082] == b"\x53\xef"
        or head[1024:1026] in (b"H+", b"HX")
    )


def inside_response(head: bytes) -> int | None:
    """Where an image begins in an answer of several parts (PS3.18), as browsers keep it."""
    if b"application/dicom" not in head:
        return None
    match = _PART.match(head)
    return match.end() if match else None


def relations(raw: bytes) -> str | None:
    """Whose index a PostgreSQL catalogue of relations names: names only, no row of anybody is in it."""
    for product, names in (
        ("orthanc", (b"maindicomtags\0", b"dicomidentifiers\0")),
        ("dcm4chee", (b"patient_id\0", b"dicomattrs\0")),
    ):
        if all(name in raw for name in names):
            return product
    return None
