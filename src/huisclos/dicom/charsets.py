"""Text of a data set, decoded whatever it holds (PS3.5 section 6.1, PS3.3 section C.12.1.1.2).

Bad text is shown with replacement characters, never refused: an image whose patient name
was damaged on the way is still the patient's image.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

_ESC: Final = b"\x1b"
_PARTS = re.compile(rb"\A[^\x1b]+|\x1b[^\x1b]*")
_RESET = re.compile(rb"[\\^=\r\n\f]")
"""Delimiters after which a text is in its first character set again (PS3.5 section 6.1.2.5.3)."""
_DEFAULT: Final = "iso8859-1"
_SEVEN_BIT_PAIRS: Final = (b"\x1b$B", b"\x1b$(D")
"""Two-byte sets in the 7-bit half: a byte that looks like a delimiter is half a character there."""
_SINGLE: Final = frozenset({"ISO_IR 192", "GB18030", "GBK"})

PN_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True)
class Charset:
    """What (0008,0005) of one data set or item says: the first codec, and whether escapes may change it."""

    codec: str
    declared: bool


@lru_cache(maxsize=256)
def charset(value: bytes) -> Charset:
    """The character set for the raw value of SpecificCharacterSet; unknown terms read as Latin-1."""
    terms = [term.strip(" \0") for term in value.decode("ascii", "replace").split("\\")]
    first = terms[0].upper().replace("ISO-IR", "ISO_IR").replace("ISO IR", "ISO_IR")
    codec = python_encoding.get(first) or python_encoding.get(first.replace("_", " "), _DEFAULT)
    return Charset(_known(codec), declared=any(terms))


UNDECLARED: Final = Charset(_DEFAULT, declared=False)
UTF8: Final = Charset("utf-8", declared=True)


def _known(codec: str) -> str:
    try:
        return codecs.lookup(codec).name
    except LookupError:
        return _DEFAULT


def decode(value: bytes, text_charset: Charset) -> str:
    """The text of `value`, padding kept; never raises.

    Bytes beyond ASCII where no character set is declared are tried as UTF-8, then read
    as Latin-1: both are what senders that forget the attribute mean.
    """
    if value.isascii() and _ESC not in value and text_charset.codec != "shift_jis":
        return value.decode("ascii")
    if _ESC in value:
        return _with_escapes(value, text_charset.codec)
    if not text_charset.declared:
        return _undeclared(value)
    return value.decode(text_charset.codec, "replace")


def _undeclared(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode(_DEFAULT)


def _with_escapes(value: bytes, first: str) -> str:
    pieces = []
    for part in _PARTS.findall(value):
        escape = next((code for code in CODES_TO_ENCODINGS if part.startswith(code)), b"")
        if not escape:
            pieces.append(part.removeprefix(_ESC).decode(first, "replace"))
        elif escape in _SEVEN_BIT_PAIRS:
            pieces.append(part.decode(CODES_TO_ENCODINGS[escape], "replace"))
        else:
            pieces.append(_single_escape(part[len(escape) :], CODES_TO_ENCODINGS[escape], first))
    return "".join(pieces)


def _single_escape(part: bytes, codec: str, first: str) -> str:
    found = _RESET.search(part)
    if found is None:
        return part.decode(codec, "replace")
    return part[: found.start()].decode(codec, "replace") + part[found.start() :].decode(first, "replace")


def name_groups(name: str) -> dict[str, str]:
    """The component groups of one PN value that are not empty (PS3.5 section 6.2.1, PS3.18 F.2.2)."""
    groups = (group.strip(" \0").rstrip("^") for group in name.split("=", 2))
    return {key: group for key, group in zip(PN_GROUPS, groups, strict=False) if group}


_FORMAT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def display_text(text: str) -> str:
    """`text` fit to be shown: no control, bidirectional or other invisible characters, single spaces.

    A zero-width joiner is dropped with the rest: a name that differs from another only in
    what cannot be seen must not look like a different one.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    shown = "".join(" " if unicodedata.category(c) in _FORMAT and c.isspace() else c for c in text)
    return " ".join("".join(c for c in shown if unicodedata.category(c) not in _FORMAT).split())


def display_name(name: str) -> str:
    """A person name as people read it: "DUPONT^Jean" is "DUPONT Jean"; groups stay apart.

    >>> display_name("Yamada^Tarou=山田^太郎=やまだ^たろう")
    'Yamada Tarou (山田 太郎, やまだ たろう)'
    """
    groups = [display_text(group.replace("^", " ")) for group in name.split("=", 2)]
    first, *others = [group for group in groups if group] or [""]
    return f"{first} ({', '.join(others)})" if others else first
