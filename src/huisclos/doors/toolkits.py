"""Who made a DICOM implementation, by its UID and version name; and what is known against that version.

Each row has its source and date. A match is a possibility: distributions mend under the old number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from huisclos.doors.versions import faults
from huisclos.findings.evidence import VERSIONS, Fact, facts


@dataclass(frozen=True, slots=True)
class Toolkit:
    """A row of the table of prefixes."""

    prefix: str
    product: str
    source: str


TOOLKITS: Final = (
    Toolkit("1.2.276.0.7230010.3", "dcmtk", "seen on 3.6.7, November 2026"),
    Toolkit("1.2.40.0.13.1.3", "dcm4che", "its source, 2026"),
    Toolkit("1.2.826.0.1.3680043.9.3811", "pynetdicom", "its source, 2026"),
    Toolkit("1.3.6.1.4.1.30071.8", "fo-dicom", "its source, 2026"),
    Toolkit("1.2.826.0.1.3680043.2.135.1066.101", "conquest", "its source, 2026"),
    Toolkit("1.3.6.1.4.1.25403", "clearcanvas", "public conformance statements"),
    Toolkit("1.2.826.0.1.3680043.8.1057", "osirix-horos", "public conformance statements"),
    Toolkit("1.2.840.113619", "ge", "root of the maker"),
    Toolkit("1.3.12.2.1107", "siemens", "root of the maker"),
    Toolkit("1.3.46.670589", "philips", "root of the maker"),
    Toolkit("1.2.840.113704", "philips", "root of the maker"),
    Toolkit("1.2.840.114257", "agfa", "root of the maker"),
    Toolkit("1.2.840.113564", "carestream", "root of the maker"),
    Toolkit("1.2.392.200036", "fujifilm", "root of the maker"),
    Toolkit("1.2.840.113669", "merge", "root of the maker"),
    Toolkit("2.25.315346401214679301484575934544051318498", "huisclos", "ours"),
)

DCMTK_OLD: Final = 360
"""DCMTK before 3.6.0 (2011)."""
_DCMTK = re.compile(r"OFFIS_DCMTK_(\d{3})")
_DIGITS = re.compile(r"(?:OFFIS_DCMTK|PYNETDICOM)_(\d)(\d)(\d)")


def facts_of(uid: str | None, version: str | None) -> tuple[Fact, ...]:
    """What an implementation's UID and version name say; nothing that we have no word for is kept."""
    product = next(
        (row.product for row in TOOLKITS if uid and (uid == row.prefix or uid.startswith(row.prefix + "."))),
        None,
    )
    version = version if version and VERSIONS.fullmatch(version) else None
    number = int(match[1]) if version and (match := _DCMTK.fullmatch(version)) else None
    digits = _DIGITS.fullmatch(version) if version else None
    return facts(
        product=product,
        version=version,
        class_="end-of-life"
        if product == "clearcanvas" or (number is not None and number < DCMTK_OLD)
        else None,
    ) + (faults(product, ".".join(digits.groups())) if digits else ())


def claims_dcmtk(uid: str | None) -> bool:
    """Whether the answer claims to be DCMTK."""
    return bool(uid) and str(uid).startswith("1.2.276.0.7230010.3")
