"""A sealed object as text, to go where only text goes (C2SP age.md, "ASCII armor"; RFC 7468)."""

from __future__ import annotations

import binascii
import re
from typing import Final

from huisclos.errors import Unreadable

BEGIN: Final = "-----BEGIN AGE ENCRYPTED FILE-----"
END: Final = "-----END AGE ENCRYPTED FILE-----"

_COLUMNS: Final = 64
_OUTER_LINES: Final = 2
_BLANK: Final = " \t\r\n"
_LINE_END: Final = re.compile(r"\r?\n")


def armor(sealed: bytes) -> str:
    """The armored text, lines of 64 columns, each ended by a line feed."""
    text = binascii.b2a_base64(sealed, newline=False).decode("ascii")
    lines = [text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS)]
    return "\n".join([BEGIN, *lines, END, ""])


def dearmor(text: str | bytes) -> bytes:
    """The sealed object in the armored text.

    Blanks around the whole and CR LF line ends are allowed; anything else that `armor`
    would not write raises `Unreadable`.
    """
    try:
        ascii_text = text.decode("ascii") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise Unreadable("armored text with characters that are not ASCII") from None
    lines = _LINE_END.split(ascii_text.strip(_BLANK))
    if len(lines) < _OUTER_LINES or lines[0] != BEGIN or lines[-1] != END:
        raise Unreadable("not an armored sealed object, or one that breaks off")
    body = lines[1:-1]
    if any(len(line) != _COLUMNS for line in body[:-1]) or (body and not 0 < len(body[-1]) <= _COLUMNS):
        raise Unreadable("armored text whose lines are not 64 columns wide")
    joined = "".join(body)
    try:
        sealed = binascii.a2b_base64(joined, strict_mode=True)
    except ValueError:
        raise Unreadable("armored text that is not base64") from None
    if binascii.b2a_base64(sealed, newline=False).decode("ascii") != joined:
        raise Unreadable("armored text in base64 that is not canonical")
    return sealed
