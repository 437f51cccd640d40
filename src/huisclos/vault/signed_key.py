"""Keys that lie sealed to the archive, and signed by it.

Sealing is not authorship: whoever writes the disk can seal a key of their own to the archive's
public key, and read what is sealed or chained under it from then on. Nobody but the archive can
sign one.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature

from huisclos.errors import HuisclosError, Tampered
from huisclos.seal import seal, unseal
from huisclos.vault.secret import ArchiveSecret

KEY: Final = 32
_SIGNATURE: Final = 64


def seal_key(secret: ArchiveSecret, context: bytes, key: bytes) -> bytes:
    """The file of a 32-byte key. `context` says what it is for, so that one does not do for another."""
    return seal(key + secret.signing.sign(context + key), [secret.identity.recipient])


def open_key(secret: ArchiveSecret, context: bytes, sealed: bytes) -> bytes:
    """The key. Raises `Tampered` unless this archive made it for `context`."""
    try:
        plain = unseal(sealed, secret.identities)
        if len(plain) != KEY + _SIGNATURE:
            raise InvalidSignature
        secret.signing.public_key().verify(plain[KEY:], context + plain[:KEY])
    except (HuisclosError, InvalidSignature):
        raise Tampered("a key is not the one this archive made", hint="restore keys/ from a backup") from None
    return plain[:KEY]
