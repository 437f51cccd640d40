"""What every kind of key shares: the file key and how other keys are derived from it (C2SP age.md)."""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from huisclos.errors import Unreadable

FILE_KEY: Final = 16
"""Bytes of the key of one sealed object."""
KEY: Final = 32
WRAPPED: Final = FILE_KEY + 16

_ZERO_NONCE: Final = bytes(12)


def new_file_key() -> bytes:
    """A file key for one object, never used for another."""
    return os.urandom(FILE_KEY)


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes by HKDF-SHA-256 (RFC 5869); an empty salt is what RFC 5869 takes it for.

    One block is all that is wanted. By the library's class it takes 10 us, three times for each header.
    """
    pseudorandom = hmac.digest(salt or bytes(KEY), secret, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")


def wrap(wrap_key: bytes, file_key: bytes) -> bytes:
    """The file key under a key used once, hence the fixed nonce."""
    return ChaCha20Poly1305(wrap_key).encrypt(_ZERO_NONCE, file_key, None)


def unwrap(wrap_key: bytes, body: bytes) -> bytes | None:
    """The file key, or None when this wrap key is not the one that wrapped it."""
    try:
        return ChaCha20Poly1305(wrap_key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def check_wrapped(body: bytes) -> None:
    """Raise `Unreadable` unless `body` can hold exactly a file key.

    Asked before any decryption: a longer body could be made to open under many keys.
    """
    if len(body) != WRAPPED:
        raise Unreadable("a stanza whose body cannot hold a file key")
