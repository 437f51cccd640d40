"""UIDs and AE titles, as the Standard spells them (PS3.5 sections 6.2 and 9.1, PS3.8 annex F)."""

from __future__ import annotations

import re
from typing import Final

from huisclos.dicom.uids import IMPLEMENTATION_CLASS_UID
from huisclos.errors import BadIdentifier

UID_LENGTH: Final = 64
"""characters, at most"""
AE_TITLE_LENGTH: Final = 16
"""characters, at most"""

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""The one application context of DICOM (PS3.7 annex A.2.1)."""
VERIFICATION: Final = "1.2.840.10008.1.1"
"""The Verification SOP Class (PS3.4 annex A)."""
IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"

IMPLEMENTATION_UID: Final = IMPLEMENTATION_CLASS_UID
"""Who wrote these bytes (PS3.7 annex D.3.3.2): the one of our files, and of our associations."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_AE_TITLE = re.compile(r"[ -\[\]-~]+", re.ASCII)


def is_uid(text: str) -> bool:
    """Whether `text` reads as a UID: digits and points, 64 characters at most.

    Components that begin with a zero, which PS3.5 section 9.1 forbids, are let pass: modalities
    send them, and nothing here depends on it.
    """
    return len(text) <= UID_LENGTH and _UID.fullmatch(text) is not None


def is_ae_title(text: str) -> bool:
    """Whether `text` is an AE title without its padding: printable ASCII, no backslash, not blank."""
    return len(text) <= AE_TITLE_LENGTH and _AE_TITLE.fullmatch(text) is not None and text.strip(" ") == text


def read_ae_title(padded: bytes) -> str:
    """The AE title in 16 bytes of a PDU; spaces around it say nothing. Raises `BadIdentifier`."""
    # Some senders pad with NUL although PS3.8 says space.
    title = padded.decode("latin-1").rstrip("\0 ").lstrip(" ")
    if not is_ae_title(title):
        raise BadIdentifier("an AE title is blank or has characters that PS3.5 does not allow")
    return title


def write_ae_title(title: str) -> bytes:
    """`title` in 16 bytes, padded with spaces. Raises `BadIdentifier`."""
    if not is_ae_title(title):
        raise BadIdentifier(
            "this is not an AE title", hint="1 to 16 characters of ASCII, no backslash, no space around it"
        )
    return title.ljust(AE_TITLE_LENGTH).encode("ascii")


def read_uid(raw: bytes) -> str:
    """The text of a UID field, without padding, well formed or not; `is_uid` says which."""
    return raw.decode("latin-1").rstrip("\0 ")
