"""Signed rows: what the vault wrote in the accounts, and nobody else could."""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from huisclos.access.accounts import RowKind
from huisclos.access.ports import Row
from huisclos.errors import Tampered

_CONTEXT = b"huisclos row v1\0"


def signed_row(kind: RowKind, row_id: str, version: int, body: bytes, key: Ed25519PrivateKey) -> Row:
    """A row with its signature."""
    row = Row(kind, row_id, version, body, b"")
    return msgspec.structs.replace(row, signature=key.sign(_signed(row)))


def check_row(row: Row, key: Ed25519PublicKey) -> None:
    """Raises `Tampered` unless the vault of this archive signed `row`."""
    try:
        key.verify(row.signature, _signed(row))
    except InvalidSignature:
        raise Tampered("a row of the accounts was not signed by this archive") from None


def _signed(row: Row) -> bytes:
    return _CONTEXT + msgspec.msgpack.encode((row.kind, row.id, row.version, row.body))
