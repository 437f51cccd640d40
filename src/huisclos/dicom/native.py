"""What can be given natively encoded: known to the faces, which ask, and to the cage, which does it."""

from __future__ import annotations

from typing import Final

from huisclos.dicom.uids import RLE, transfer_syntax

DECODED: Final = frozenset(
    {RLE, *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203))}
)
"""Encapsulated transfer syntaxes whose frames the cage decodes: JPEG, JPEG-LS, JPEG 2000, HTJ2K, RLE."""
MAX_WHOLE: Final = 512 * 1024**2
"""Bytes of a whole instance at most, as it goes into the cage and as it comes out of it."""


def can_be_native(syntax_uid: str, octets: int) -> bool:
    """Whether an instance of that many octets is worth the asking; a broken one still fails."""
    syntax = transfer_syntax(syntax_uid)
    return octets <= MAX_WHOLE and (not syntax.encapsulated or syntax.uid in DECODED)
