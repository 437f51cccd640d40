"""Heads: how far the journal reached, signed, to be kept outside the house.

Whoever holds an anchored head can tell whether the journal he is shown is the one it was.
"""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from huisclos.errors import JournalBroken, Unreadable

_CONTEXT = b"huisclos journal head v1\0"


class Head(msgspec.Struct, frozen=True):
    """The journal at one moment."""

    archive: str
    """The archive's id."""
    entries: int
    """How many entries there were."""
    mac: str
    """MAC of the last of them, hex."""
    at: float
    """When it was signed, seconds since the epoch."""
    signature: str = ""
    """Ed25519 by the vault over all the rest, hex."""

    def words(self) -> bytes:
        """The bytes shown as words on paper."""
        return bytes.fromhex(self.mac)[:8]


def sign_head(head: Head, key: Ed25519PrivateKey) -> Head:
    """`head` with its signature."""
    return msgspec.structs.replace(head, signature=key.sign(_signed(head)).hex())


def check_head(head: Head, key: Ed25519PublicKey) -> None:
    """Raises `JournalBroken` unless the archive's vault signed this head."""
    try:
        key.verify(bytes.fromhex(head.signature), _signed(head))
    except (InvalidSignature, ValueError):
        raise JournalBroken("a head of the journal was not signed by this archive") from None


def encode_head(head: Head) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(head) + b"\n"


def decode_head(line: bytes) -> Head:
    """The head of a line. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(line, type=Head)
    except msgspec.DecodeError as error:
        raise Unreadable("this is not a head of a journal") from error


def _signed(head: Head) -> bytes:
    return _CONTEXT + msgspec.msgpack.encode(msgspec.structs.replace(head, signature=""))
