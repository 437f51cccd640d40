"""Small sealed records: the rows of the index, too many and too small for a key of their own.

A record is `nonce (12 bytes) || AES-256-GCM-SIV (RFC 8452) of the padded plaintext`, its
context as associated data. This construction stays safe when a random nonce comes up twice
(it then shows only that two records are equal), which plain ChaCha20-Poly1305 with random
nonces does not; it opens 100,000 records in a quarter of a second, against half of that.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from huisclos.errors import Tampered, TooLarge
from huisclos.seal.keys import KEY, derive

MAX_RECORD: Final = 16 * 1024 * 1024
"""Plaintext bytes at most; what is larger is sealed as an object."""
TOKEN: Final = 16

_NONCE: Final = 12
_TAG: Final = 16
_LENGTH: Final = 4
_FINE: Final = 64
_COARSE: Final = 256
_FINE_UP_TO: Final = 1024


class RecordKey:
    """The key of a set of records: seals them, opens them, makes tokens. `repr()` hides it.

    Limits: 2**48 records under one key keep the chance that an attacker tells two apart
    by their nonces far below one in a million (RFC 8452 section 6); a practice writes
    2**30 in a century.
    """

    __slots__ = ("_aead", "_token_key")

    def __init__(self, key: bytes) -> None:
        """From 32 secret bytes; raises `ValueError` for another length."""
        if len(key) != KEY:
            raise ValueError("a record key is 32 bytes long")
        self._aead = AESGCMSIV(derive(key, b"", b"huisclos/records/v1/seal"))
        self._token_key = derive(key, b"", b"huisclos/records/v1/token")

    @staticmethod
    def generate() -> bytes:
        """32 fresh bytes to make a key of."""
        return os.urandom(KEY)

    def seal_record(self, plain: bytes, context: bytes) -> bytes:
        """`plain` sealed for one place: `context` says which, and must be said again to open.

        The length is hidden up to the next multiple of 64 bytes (of 256 from 1 KiB on).
        Raises `TooLarge` over `MAX_RECORD`.
        """
        if len(plain) > MAX_RECORD:
            raise TooLarge(f"a record of more than {MAX_RECORD} bytes")
        nonce = os.urandom(_NONCE)
        filled = len(plain).to_bytes(_LENGTH, "big") + plain
        return nonce + self._aead.encrypt(nonce, filled.ljust(_padded(len(plain)), b"\0"), context)

    def open_record(self, sealed: bytes, context: bytes) -> bytes:
        """The plaintext. Raises `Tampered` if record or context is not the one that was sealed."""
        if len(sealed) < _NONCE + _TAG + _LENGTH:
            raise Tampered("a record that is too short to be one")
        try:
            filled = self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
        except InvalidTag:
            raise Tampered("a record that does not open in its place") from None
        length = int.from_bytes(filled[:_LENGTH], "big")
        if len(filled) != _padded(length):
            raise Tampered("a record whose padding is not ours")
        return filled[_LENGTH : _LENGTH + length]

    def token(self, kind: str, value: str) -> bytes:
        """16 bytes that stand for exactly this value of this kind, under this key only.

        HMAC-SHA-256, cut. For unique identifiers: a token of anything that repeats (a name,
        a date) shows at rest how often it does.
        """
        name = kind.encode()
        text = len(name).to_bytes(2, "big") + name + value.encode()
        return hmac.digest(self._token_key, text, "sha256")[:TOKEN]

    def __repr__(self) -> str:
        return "RecordKey(hidden)"


def _padded(length: int) -> int:
    step = _FINE if _LENGTH + length <= _FINE_UP_TO else _COARSE
    return -(-(_LENGTH + length) // step) * step
