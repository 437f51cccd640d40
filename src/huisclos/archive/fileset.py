"""A DICOMDIR: what lies on a medium, in the form that viewers and other archives read (PS3.10 section 8.6).

The records are PATIENT, STUDY, SERIES and IMAGE (PS3.3 annex F). Instances without an image (reports,
presentation states) lie on the medium and are not in it: their records hold what only a look inside
would tell.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from struct import pack
from typing import Final

from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries, Standing
from huisclos.dicom.heading import Heading
from huisclos.dicom.part10 import file_meta
from huisclos.dicom.uids import EXPLICIT_LE

NAME: Final = "DICOMDIR"
_CLASS: Final = "1.2.840.10008.1.3.10"
_UTF8: Final = "ISO_IR 192"
_IN_USE: Final = 0xFFFF
_LONGEST: Final = 1024
"""Bytes of one value at most: the longest that belongs here, a name, is shorter."""
_PADDING: Final = 12
"""Bytes of an element of Data Set Trailing Padding without its value (PS3.10 section 7.2)."""


@dataclass
class _Record:
    kind: str
    keys: list[bytes]
    reference: bytes = b""
    below: list[_Record] = field(default_factory=list)
    at: int = 0

    def body(self, after: int) -> bytes:
        """The record; `after` is the offset of the next one of its level, 0 for none."""
        lower = self.below[0].at if self.below else 0
        kind = self.kind.encode("ascii")
        return (
            pack("<HH2sHI", 4, 0x1400, b"UL", 4, after)
            + pack("<HH2sHH", 4, 0x1410, b"US", 2, _IN_USE)
            + pack("<HH2sHI", 4, 0x1420, b"UL", 4, lower)
            + _element(0x00041430, b"CS", kind)
            + self.reference
            + b"".join(self.keys)
        )

    def length(self) -> int:
        """Bytes of its item, with the item's header."""
        return 8 + len(self.body(0))


def directory(
    manifest: Manifest, heading: Heading, named: Iterable[tuple[ManifestEntry, str]], *, length: int = 0
) -> bytes:
    """The DICOMDIR of one study.

    `named` are the instances with their names on the medium, `SE000001/IM000001`. `heading` is one of
    theirs. Padded to `length` bytes, if that is more than it takes; 12 bytes more at least.
    """
    patient = _patient(manifest, heading, named)
    meta = file_meta(_CLASS, f"2.25.{secrets.randbits(120) | 1 << 119}", EXPLICIT_LE, "")
    whole = meta + _data_set(patient, len(meta))
    lacking = length - len(whole)
    if lacking >= _PADDING:
        whole += pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, lacking - _PADDING) + bytes(lacking - _PADDING)
    return whole


def _patient(manifest: Manifest, heading: Heading, named: Iterable[tuple[ManifestEntry, str]]) -> _Record:
    study = _Record("STUDY", _study(heading))
    series = {one.series_uid: _Record("SERIES", _series(one)) for one in manifest.series}
    for entry, name in named:
        if entry.rows and entry.columns and entry.standing is Standing.PRIMARY:
            series[entry.series_uid].below.append(_image(entry, name))
    study.below = [one for one in series.values() if one.below]
    who = [_charset(), _text(0x00100010, b"PN", heading.patient_name)]
    return _Record("PATIENT", [*who, _text(0x00100020, b"LO", heading.patient_id)], below=[study])


def _study(heading: Heading) -> list[bytes]:
    return [
        _charset(),
        _text(0x00080020, b"DA", heading.study_date),
        _text(0x00080030, b"TM", heading.study_time),
        _text(0x00080050, b"SH", heading.accession_number),
        _text(0x00081030, b"LO", heading.study_description),
        _uid(0x0020000D, heading.study_uid),
        # the Standard wants an id here: a study without one is the first of its medium
        _text(0x00200010, b"SH", heading.study_id or "1"),
    ]


def _series(series: ManifestSeries) -> list[bytes]:
    return [
        _charset(),
        _text(0x00080060, b"CS", series.modality or "OT"),
        _text(0x0008103E, b"LO", series.description),
        _uid(0x0020000E, series.series_uid),
        _text(0x00200011, b"IS", str(series.number or 0)),
    ]


def _image(entry: ManifestEntry, name: str) -> _Record:
    reference = (
        _text(0x00041500, b"CS", name.replace("/", "\\"))
        + _uid(0x00041510, entry.sop_class_uid)
        + _uid(0x00041511, entry.sop_instance_uid)
        + _uid(0x00041512, entry.transfer_syntax)
    )
    return _Record("IMAGE", [_text(0x00200013, b"IS", str(entry.number or 0))], reference)


def _data_set(patient: _Record, start: int) -> bytes:
    """The data set, for a file in which it begins at `start`: offsets count from the file's own start."""
    name = _element(0x00041130, b"CS", b"")
    first = start + len(name) + 12 + 12 + 10 + 12
    order: list[tuple[_Record, _Record | None]] = []
    _in_order([patient], order)
    at = first
    for record, _ in order:
        record.at = at
        at += record.length()
    items = []
    for record, following in order:
        body = record.body(following.at if following else 0)
        items.append(pack("<HHI", 0xFFFE, 0xE000, len(body)) + body)
    return (
        name
        + pack("<HH2sHI", 4, 0x1200, b"UL", 4, patient.at)
        + pack("<HH2sHI", 4, 0x1202, b"UL", 4, patient.at)
        + pack("<HH2sHH", 4, 0x1212, b"US", 2, 0)
        + pack("<HH2sHI", 4, 0x1220, b"SQ", 0, at - first)
        + b"".join(items)
    )


def _in_order(level: list[_Record], order: list[tuple[_Record, _Record | None]]) -> None:
    """Each record with the next of its level, those below it right behind it."""
    for record, following in zip_longest(level, level[1:]):
        order.append((record, following))
        _in_order(record.below, order)


def _charset() -> bytes:
    return _element(0x00080005, b"CS", _UTF8.encode())


def _text(tag: int, vr: bytes, value: str) -> bytes:
    return _element(tag, vr, value.encode()[:_LONGEST])


def _uid(tag: int, value: str) -> bytes:
    return _element(tag, b"UI", value.encode("ascii"), b"\0")


def _element(tag: int, vr: bytes, value: bytes, pad: bytes = b" ") -> bytes:
    value += pad * (len(value) % 2)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
