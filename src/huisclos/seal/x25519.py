"""Keys of archive, studies and holders: X25519 (C2SP age.md, "The X25519 recipient type"; RFC 7748)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from huisclos.errors import Unreadable
from huisclos.seal import bech32, raw64
from huisclos.seal.header import PAYLOAD_NONCE, VERSION_LINE, Stanza
from huisclos.seal.keys import KEY, check_wrapped, derive, unwrap, wrap

KIND: Final = "X25519"
X25519_HEADER_LENGTH: Final = len(VERSION_LINE) + len("-> X25519 \n--- \n\n") + 3 * 43
"""Bytes of the header of an object sealed to exactly one X25519 recipient: always 168.

A writer may leave them free at the start of a file and write the header last.
"""
X25519_OVERHEAD: Final = X25519_HEADER_LENGTH + PAYLOAD_NONCE

_INFO: Final = b"age-encryption.org/v1/X25519"
_ARGUMENTS: Final = 2
_RECIPIENT: Final = "age"
_IDENTITY: Final = "AGE-SECRET-KEY-"


class X25519Recipient:
    """The public half, `age1...`: with it one seals and cannot open."""

    __slots__ = ("_key", "_raw")

    def __init__(self, raw: bytes) -> None:
        """From the 32 bytes of the point. Raises `Unreadable` for a low-order point, or another length."""
        if len(raw) != KEY:
            raise Unreadable("an X25519 recipient that is not 32 bytes long")
        self._key = X25519PublicKey.from_public_bytes(raw)
        self._raw = raw
        _agree(_PROBE, self._key)

    @classmethod
    def parse(cls, text: str) -> X25519Recipient:
        """From its text, `age1...`. Raises `Unreadable`."""
        prefix, raw = bech32.decode(text)
        if prefix != _RECIPIENT:
            raise Unreadable("not a recipient: it does not start with age1")
        return cls(raw)

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the point."""
        return self._raw

    def wrap(self, file_key: bytes) -> list[Stanza]:
        """One stanza, made with a fresh ephemeral key."""
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        wrap_key = derive(_agree(ephemeral, self._key), share + self._raw, _INFO)
        return [Stanza((KIND, raw64.encode(share).decode("ascii")), wrap(wrap_key, file_key))]

    def __str__(self) -> str:
        return bech32.encode(_RECIPIENT, self._raw)

    def __repr__(self) -> str:
        return f"X25519Recipient({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, X25519Recipient) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)


class X25519Identity:
    """The secret half, `AGE-SECRET-KEY-1...`. `str()` gives the secret away; `repr()` does not."""

    __slots__ = ("_key", "_recipient")

    def __init__(self, raw: bytes) -> None:
        """From its 32 secret bytes. Raises `Unreadable` for another length."""
        if len(raw) != KEY:
            raise Unreadable("an X25519 identity that is not 32 bytes long")
        self._key = X25519PrivateKey.from_private_bytes(raw)
        self._recipient: X25519Recipient | None = None

    @classmethod
    def generate(cls) -> X25519Identity:
        """A fresh identity from the system's randomness."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> X25519Identity:
        """From its text, `AGE-SECRET-KEY-1...`, in capitals. Raises `Unreadable`, without the text."""
        prefix, raw = bech32.decode(text)
        if prefix != _IDENTITY:
            raise Unreadable(f"not an identity: it does not start with {_IDENTITY}1")
        return cls(raw)

    @property
    def raw(self) -> bytes:
        """The 32 secret bytes."""
        return self._key.private_bytes_raw()

    @property
    def recipient(self) -> X25519Recipient:
        """The public half."""
        if self._recipient is None:
            self._recipient = X25519Recipient(self._key.public_key().public_bytes_raw())
        return self._recipient

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key if one X25519 stanza is for this identity, else None.

        Raises `Unreadable` for an X25519 stanza with other than two arguments, a share that
        is not 32 bytes or is a low-order point, or a body that cannot hold a file key.
        """
        for stanza in stanzas:
            if stanza.kind == KIND:
                file_key = self._unwrap(stanza)
                if file_key is not None:
                    return file_key
        return None

    def _unwrap(self, stanza: Stanza) -> bytes | None:
        if len(stanza.args) != _ARGUMENTS:
            raise Unreadable("an X25519 stanza without exactly one share")
        share = raw64.decode(stanza.args[1].encode("ascii"))
        if len(share) != KEY:
            raise Unreadable("an X25519 stanza whose share is not 32 bytes long")
        check_wrapped(stanza.body)
        secret = _agree(self._key, X25519PublicKey.from_public_bytes(share))
        public = self._key.public_key().public_bytes_raw()
        return unwrap(derive(secret, share + public, _INFO), stanza.body)

    def __str__(self) -> str:
        return bech32.encode(_IDENTITY.lower(), self.raw).upper()

    def __repr__(self) -> str:
        return f"X25519Identity(of {self.recipient})"


def _agree(secret: X25519PrivateKey, public: X25519PublicKey) -> bytes:
    """The shared secret; `Unreadable` when it is all zero, which only a low-order point gives."""
    try:
        return secret.exchange(public)
    except ValueError:
        raise Unreadable("an X25519 point of low order, which gives everyone the same secret") from None


_PROBE: Final = X25519PrivateKey.from_private_bytes(bytes(KEY))
"""Any scalar shows a low-order point for what it is, since clamping makes it a multiple of 8."""
