"""The journal's first key: sealed to the archive, and signed by it.

Whoever writes the disk can seal a first key of their own to the archive's public key, and chain a
whole invented journal to it; nobody but the archive can sign one.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature

from huisclos.errors import HuisclosError, JournalBroken
from huisclos.journal.chain import KEY
from huisclos.seal import seal, unseal
from huisclos.vault.secret import ArchiveSecret

_CONTEXT: Final = b"huisclos journal first key v1\0"
_SIGNATURE: Final = 64


def seal_first_key(secret: ArchiveSecret, key: bytes) -> bytes:
    """The content of `journal/key.age`."""
    return seal(key + secret.signing.sign(_CONTEXT + key), [secret.identity.recipient])


def open_first_key(secret: ArchiveSecret, sealed: bytes) -> bytes:
    """The first key. Raises `JournalBroken` unless this archive made it."""
    try:
        plain = unseal(sealed, [secret.identity])
        if len(plain) != KEY + _SIGNATURE:
            raise InvalidSignature
        secret.signing.public_key().verify(plain[KEY:], _CONTEXT + plain[:KEY])
    except (HuisclosError, InvalidSignature):
        raise JournalBroken("the journal's first key is not the one this archive made") from None
    return plain[:KEY]
