"""What an attribute's value is, from pydicom's data dictionary, at the speed a walker needs."""

from __future__ import annotations

from typing import Final

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import keyword_dict, mask_match

IS_LONG: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose explicit length has 32 bits (PS3.5 table 7.1-1)."""
IS_SHORT: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"}
    | {"PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"}
)
KNOWN_VRS: Final = {vr.encode(): vr for vr in IS_LONG | IS_SHORT}
NUMBERS: Final = {"FL": "f", "FD": "d", "SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q"}
"""Binary number VRs and their `struct` codes."""
UNITS: Final = {
    **dict.fromkeys(("OW", "US", "SS", "AT"), 2),
    **dict.fromkeys(("OL", "OF", "UL", "SL", "FL"), 4),
    **dict.fromkeys(("OD", "OV", "FD", "SV", "UV"), 8),
}
"""Bytes of one unit that big endian syntaxes turn round; other VRs have none."""

CREATORS: Final = range(0x10, 0x100)
"""Elements of an odd group that reserve a private block (PS3.5 section 7.8.1)."""

# Where the dictionary leaves a choice, implicit little endian fixes it (PS3.5 section A.1), but
# for US or SS, which PixelRepresentation (0028,0103) decides.
_CHOICES: Final = {"OB or OW": "OW", "US or SS": "US", "US or OW": "OW", "US or SS or OW": "OW"}

_NONE: Final = "NONE"
"""What pydicom's dictionary says of items and delimiters."""
_VRS: Final = {tag: "" if vr == _NONE else _CHOICES.get(vr, vr) for tag, (vr, *_) in DicomDictionary.items()}
FOLLOWS_PIXELS: Final = frozenset(
    tag for tag, entry in DicomDictionary.items() if entry[0] in ("US or SS", "US or SS or OW")
)
"""Attributes that are US or SS as PixelRepresentation says."""


def vr_of(tag: int) -> str:
    """The VR of `tag` where the data set does not say; "UN" if nobody knows, "" for items and delimiters."""
    known = _VRS.get(tag)
    if known is not None:
        return known
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"
    if group & 1:
        return "LO" if element in CREATORS else "UN"
    mask = mask_match(tag)
    found = RepeatersDictionary[mask][0] if mask else "UN"
    return _CHOICES.get(found, found)


def tag_of(keyword: str) -> int | None:
    """The tag of a keyword of PS3.6, or None."""
    return keyword_dict.get(keyword)


def keyword_of(tag: int) -> str:
    """The keyword of a tag of PS3.6, of a repeating group too, or "" for one that has none."""
    entry = DicomDictionary.get(tag)
    if entry:
        return entry[4]
    mask = mask_match(tag) if not tag >> 16 & 1 else None
    return RepeatersDictionary[mask][4] if mask else ""
