"""One value as the DICOM JSON model writes it (PS3.18 section F.2.3 to F.2.5)."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from struct import calcsize, unpack_from
from typing import Any, Final

from huisclos.dicom.charsets import UNDECLARED, Charset, decode, name_groups
from huisclos.dicom.dictionary import NUMBERS, UNITS

BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs that JSON carries as base64 or by reference."""
_WHOLE: Final = frozenset({"ST", "LT", "UT", "UR"})
"""Text VRs with one value, in which a backslash is a backslash and leading spaces count."""
_CHARSETS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs that SpecificCharacterSet governs (PS3.5 section 6.1.2.3)."""
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE_NUMBER: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_EXACT: Final = 2**53
"""Beyond this a JSON number loses digits in most readers: the value is written as a string."""

Json = dict[str, Any]


def json_value(vr: str, value: bytes, text_charset: Charset, *, big_endian: bool) -> Json:
    """One attribute other than a sequence: {"vr"} and, unless it is empty, "Value" or "InlineBinary".

    A value that its VR does not allow is written as near as the model can: a decimal string that
    is no number is null, bytes beyond the last whole number are dropped.
    """
    if vr in BINARY:
        return _inline(vr, value, big_endian=big_endian)
    if vr in NUMBERS:
        values = _numbers(vr, value, big_endian=big_endian)
    elif vr == "AT":
        values = _tags(value, big_endian=big_endian)
    else:
        values = _texts(vr, value, text_charset)
    return {"vr": vr, "Value": values} if any(one is not None for one in values) else {"vr": vr}


def _inline(vr: str, value: bytes, *, big_endian: bool) -> Json:
    if not value:
        return {"vr": vr}
    if big_endian:
        value = swapped(value, UNITS.get(vr, 1))
    return {"vr": vr, "InlineBinary": b64encode(value).decode("ascii")}


def swapped(value: bytes, unit: int) -> bytes:
    """`value` with the bytes of each of its units turned round; a last incomplete unit stays."""
    if unit == 1:
        return value
    whole = len(value) - len(value) % unit
    turned = bytearray(value)
    for place in range(unit):
        turned[place:whole:unit] = value[unit - 1 - place : whole : unit]
    return bytes(turned)


def _numbers(vr: str, value: bytes, *, big_endian: bool) -> list[Any]:
    code = NUMBERS[vr]
    count = len(value) // calcsize(f"={code}")
    numbers = unpack_from(f"{'>' if big_endian else '<'}{count}{code}", value)
    if vr in ("FL", "FD"):
        return [_finite(number) for number in numbers]
    if vr in ("SV", "UV"):
        return [number if -_EXACT <= number <= _EXACT else str(number) for number in numbers]
    return list(numbers)


def _finite(number: float) -> float | str:
    """JSON has no number for these; the words are what its readers turn back into them."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _tags(value: bytes, *, big_endian: bool) -> list[str]:
    count = len(value) // 4
    halves = unpack_from(f"{'>' if big_endian else '<'}{2 * count}H", value)
    return [f"{group:04X}{element:04X}" for group, element in zip(halves[::2], halves[1::2], strict=True)]


def _texts(vr: str, value: bytes, text_charset: Charset) -> list[Any]:
    text = decode(value, text_charset if vr in _CHARSETS else UNDECLARED)
    if vr in _WHOLE:
        text = text.rstrip(" \0")
        return [text] if text else []
    parts = [part.strip(" \0") for part in text.split("\\")]
    if not any(parts):
        return []
    if vr == "PN":
        return [name_groups(part) or None for part in parts]
    if vr in ("DS", "IS"):
        return [_decimal(part) for part in parts]
    return [part or None for part in parts]


def _decimal(text: str) -> int | float | None:
    """The number; None for what is not one, since one bad string stops whole clients of the model."""
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return None
