"""A DICOM file's first bytes: is it one, whose, of when. What names a person leaves as a keyed digest."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

HEAD: Final = 512
"""bytes that tell what a file is"""
MORE: Final = 32 * 1024
"""bytes in which the patient, the study and the series of almost any file stand"""
FURTHER: Final = 4 * 1024 * 1024
"""bytes more for the others, which refer to many images first"""
_PREAMBLE: Final = 128
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_BIG: Final = b"1.2.840.10008.1.2.2"
_MEDIA: Final = b"1.2.840.10008.1.3.10"
_LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_VRS: Final = _LONG | frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH",
     b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_MAX_DEPTH: Final = 12
_FIRST_GROUP: Final = 0x0008
_ENOUGH: Final = 3
"""elements in order that make a headerless file DICOM"""

MEDIA_CLASS, TRANSFER_SYNTAX = 0x00020002, 0x00020010
INSTANCE, STUDY_DATE, PATIENT_NAME, PATIENT_ID, BIRTH_DATE = (
    0x00080018,
    0x00080020,
    0x00100010,
    0x00100020,
    0x00100030,
)
STUDY, SERIES = 0x0020000D, 0x0020000E
_WANTED: Final = frozenset((INSTANCE, STUDY_DATE, PATIENT_NAME, PATIENT_ID, BIRTH_DATE, STUDY, SERIES))
_YEAR: Final = re.compile(rb"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class Known:
    """What one image says of its person, study and series, as digests that die with their key."""

    person: bytes | None
    study: bytes | None
    series: bytes | None
    year: int | None
    media: bool
    instance: bytes | None
    named: bool
    """whether the path it was found at holds its patient's family name"""
    cut: bool = False
    """whether the patient or the study may stand further on"""


class _Broken(Exception):
    """The bytes are not a data set, or end."""


def is_part10(head: bytes) -> bool:
    """Whether a file begins as PS3.10 section 7.1 has it."""
    return head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def is_headerless(head: bytes) -> bool:
    """Whether a file is an image without the usual beginning.

    Without a preamble, or at least three elements in order, from group 0008 on, in some encoding.
    """
    if len(head) < _PREAMBLE:
        return False
    if _bare_meta(head) is not None:
        return True
    if head[:2] == b"\x08\x00":
        return any(_plausible(head, explicit=explicit) for explicit in (True, False))
    return head[:2] == b"\x00\x08" and _plausible(head, explicit=True, order=">")


def _bare_meta(head: bytes) -> int | None:
    """Where the file meta begins in a file that has it, and no preamble."""
    at = 4 if head.startswith(b"DICM") else 0
    return at if head[at : at + 8] == b"\x02\x00\x00\x00UL\x04\x00" else None


def _plausible(head: bytes, *, explicit: bool, order: str = "<") -> bool:
    at, last, count = 0, -1, 0
    while count < _ENOUGH:
        if at + 8 > len(head):
            return False
        group, element = struct.unpack_from(order + "HH", head, at)
        tag = group << 16 | element
        try:
            length, at = _length(head, at, explicit=explicit, order=order)
        except _Broken:
            return False
        if tag <= last or not _FIRST_GROUP <= group <= 0x0040 or length > 1024 * 1024 or length % 2:  # noqa: PLR2004 - groups of a heading
            return False
        last, count, at = tag, count + 1, at + length
    return True


def read_head(raw: bytes, key: bytes, path: str = "", *, part10: bool = True, limit: int = MORE) -> Known:
    """What the first bytes of an image say; what cannot be read is None. `limit`: bytes that are unpacked."""
    values: dict[int, bytes] = {}
    media = passed = False
    begin = _PREAMBLE + 4 if part10 else _bare_meta(raw)
    data, at = raw, 0
    try:
        if begin is not None:
            at, meta = _meta(raw, begin)
            media = meta.get(MEDIA_CLASS, b"").rstrip(b"\0 ") == _MEDIA
            syntax = meta.get(TRANSFER_SYNTAX, b"").rstrip(b"\0 ")
            if syntax == _DEFLATED:
                data, at = zlib.decompressobj(-15).decompress(raw[at:], limit), 0
            order, explicit = ">" if syntax == _BIG else "<", syntax != _IMPLICIT
        else:
            order = ">" if raw[:2] == b"\x00\x08" else "<"
            explicit = order == ">" or _plausible(raw, explicit=True)
        passed = _walk(data, at, values, explicit=explicit, order=order)
    except (_Broken, struct.error, zlib.error):
        pass
    cut = not passed and max(len(raw), len(data)) >= MORE
    return _known(values, key, path, media=media, cut=cut)


def _known(values: dict[int, bytes], key: bytes, path: str, *, media: bool, cut: bool) -> Known:
    name = values.get(PATIENT_NAME, b"").strip(b"\0 ")
    number = values.get(PATIENT_ID, b"").strip(b"\0 ")
    person = number + b"\n" + values.get(BIRTH_DATE, b"") if number else name
    match = _YEAR.match(values.get(STUDY_DATE, b""))
    family = re.sub(r"[^a-z]", "", name.partition(b"^")[0].decode("latin-1").lower())
    named = len(family) > 2 and bool(path) and family in re.sub(r"[^a-z/]", "", path.lower())  # noqa: PLR2004 - two letters are anywhere
    return Known(
        _digest(key, person), _digest(key, values.get(STUDY)), _digest(key, values.get(SERIES)),
        int(match[0]) if match else None, media, _digest(key, values.get(INSTANCE)), named, cut,
    )  # fmt: skip


def _digest(key: bytes, value: bytes | None) -> bytes | None:
    value = value.strip(b"\0 \n") if value else b""
    return hashlib.blake2b(value, key=key, digest_size=8).digest() if value else None


def _meta(raw: bytes, at: int) -> tuple[int, dict[int, bytes]]:
    """Where the data set begins, and the file meta elements (explicit, little endian: PS3.10 section 7.1)."""
    found = dict[int, bytes]()
    while at + 8 <= len(raw) and raw[at : at + 2] == b"\x02\x00":
        tag = struct.unpack_from("<HH", raw, at)
        length, at = _length(raw, at, explicit=True, order="<")
        found[tag[0] << 16 | tag[1]] = raw[at : at + length]
        at += length
    return at, found


def _walk(raw: bytes, at: int, values: dict[int, bytes], *, explicit: bool, order: str) -> bool:
    """Take the wanted elements of the outermost level, in order; whether it came beyond the series."""
    tags = struct.Struct(order + "HH")
    end = len(raw)
    while at + 8 <= end:
        group, element = tags.unpack_from(raw, at)
        tag = group << 16 | element
        if tag > SERIES:
            return True
        length, at = _length(raw, at, explicit=explicit, order=order)
        if length == _UNDEFINED:
            at = _skip(raw, at, explicit=explicit, order=order, depth=0)
            continue
        if tag in _WANTED:
            values[tag] = raw[at : at + length]
        at += length
    return False


def _length(raw: bytes, at: int, *, explicit: bool, order: str) -> tuple[int, int]:
    """The value's length, and where it begins."""
    if not explicit:
        return struct.unpack_from(order + "I", raw, at + 4)[0], at + 8
    vr = raw[at + 4 : at + 6]
    if vr not in _VRS:
        raise _Broken
    if vr in _LONG:
        if at + 12 > len(raw):
            raise _Broken
        return struct.unpack_from(order + "I", raw, at + 8)[0], at + 12
    return struct.unpack_from(order + "H", raw, at + 6)[0], at + 8


def _skip(raw: bytes, at: int, *, explicit: bool, order: str, depth: int) -> int:
    """Where a sequence of undefined length ends (PS3.5 section 7.5)."""
    if depth > _MAX_DEPTH:
        raise _Broken
    while True:
        group, element, length = struct.unpack_from(order + "HHI", raw, at)
        tag = group << 16 | element
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise _Broken
        if length != _UNDEFINED:
            at += length
            continue
        while raw[at : at + 4] != struct.pack(order + "HH", _ITEM_END >> 16, _ITEM_END & 0xFFFF):
            inner, at = _length(raw, at, explicit=explicit, order=order)
            at = (
                _skip(raw, at, explicit=explicit, order=order, depth=depth + 1)
                if inner == _UNDEFINED
                else at + inner
            )
            if at > len(raw):
                raise _Broken
        at += 8
