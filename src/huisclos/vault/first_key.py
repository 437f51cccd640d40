"""The journal's first key: sealed to the archive, and signed by it.

With a first key of their own, whoever writes the disk could chain a whole invented journal to it.
"""

from __future__ import annotations

from typing import Final

from huisclos.errors import JournalBroken, Tampered
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.signed_key import open_key, seal_key

_CONTEXT: Final = b"huisclos journal first key v1\0"


def seal_first_key(secret: ArchiveSecret, key: bytes) -> bytes:
    """The content of `journal/key.age`."""
    return seal_key(secret, _CONTEXT, key)


def open_first_key(secret: ArchiveSecret, sealed: bytes) -> bytes:
    """The first key. Raises `JournalBroken` unless this archive made it."""
    try:
        return open_key(secret, _CONTEXT, sealed)
    except Tampered:
        raise JournalBroken("the journal's first key is not the one this archive made") from None
