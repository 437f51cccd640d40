"""The accounts as the vault trusts them: every row signed, and the set of rows vouched for by one more.

A row that nobody signed, or an older copy put back, has no effect, locked or not; what was
ignored is told, so that the state page can show it. The whole set put back as it once was holds by
itself: only the journal knows a newer one, and the gate compares at unlock.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huisclos.access.accounts import PeerBody, RowKind, TokenBody, UserBody
from huisclos.access.ports import Accounts, Row
from huisclos.access.rows import check_row, signed_row
from huisclos.errors import NotFound, Tampered
from huisclos.vault.secret import ArchiveSecret

Body = TypeVar("Body", UserBody, TokenBody, PeerBody)
_BODIES: dict[type, RowKind] = {UserBody: RowKind.USER, TokenBody: RowKind.TOKEN, PeerBody: RowKind.PEER}
_SET_ID = "all"


class _Vouched(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    id: str
    version: int
    digest: bytes


class Ledger:
    """Signed rows, held in memory, written through."""

    def __init__(self, accounts: Accounts, verify_key: Ed25519PublicKey) -> None:
        self._accounts = accounts
        self._verify_key = verify_key
        self._rows: dict[tuple[str, str], Row] = {}
        self.ignored = 0
        """Rows found at start that this archive did not vouch for."""
        self.version = 0
        """Of the set; grows at each change."""
        self._load()

    def all(self, body: type[Body]) -> dict[str, Body]:
        """Id to body of every row of this sort."""
        kind = _BODIES[body]
        return {
            row.id: msgspec.msgpack.decode(row.body, type=body)
            for row in self._rows.values()
            if row.kind == kind
        }

    def get(self, body: type[Body], row_id: str) -> Body | None:
        """One body, or None."""
        row = self._rows.get((_BODIES[body], row_id))
        return None if row is None else msgspec.msgpack.decode(row.body, type=body)

    def need(self, body: type[Body], row_id: str) -> Body:
        """One body. Raises `NotFound`."""
        found = self.get(body, row_id)
        if found is None:
            raise NotFound(f"there is no such {_BODIES[body]}")
        return found

    def put(self, secret: ArchiveSecret, body: UserBody | TokenBody | PeerBody, row_id: str = "") -> str:
        """Sign and write a row, new or newer; its id."""
        kind = _BODIES[type(body)]
        row_id = row_id or secrets.token_hex(16)
        before = self._rows.get((kind, row_id))
        version = before.version + 1 if before else 1
        row = signed_row(kind, row_id, version, msgspec.msgpack.encode(body), secret.signing)
        self._accounts.put(row)
        self._rows[kind, row_id] = row
        self.vouch(secret)
        return row_id

    def remove(self, secret: ArchiveSecret | None, kind: RowKind, row_id: str) -> bool:
        """Take a row away; works locked, since it narrows. Whether there was one."""
        there = self._rows.pop((kind, row_id), None) is not None
        self._accounts.delete(kind, row_id)
        if secret is not None and there:
            self.vouch(secret)
        return there

    def vouch(self, secret: ArchiveSecret) -> None:
        """Sign the set as it stands."""
        self.version += 1
        body = msgspec.msgpack.encode([_vouched(row) for row in self._rows.values()])
        self._accounts.put(signed_row(RowKind.SET, _SET_ID, self.version, body, secret.signing))

    def _load(self) -> None:
        rows = self._accounts.rows()
        vouched = self._vouched(rows)
        for row in rows:
            if row.kind == RowKind.SET:
                continue
            try:
                check_row(row, self._verify_key)
            except Tampered:
                self.ignored += 1
                continue
            if _vouched(row) in vouched:
                self._rows[row.kind, row.id] = row
            else:
                self.ignored += 1

    def _vouched(self, rows: list[Row]) -> set[_Vouched]:
        for row in rows:
            if row.kind == RowKind.SET and row.id == _SET_ID:
                try:
                    check_row(row, self._verify_key)
                except Tampered:
                    break
                self.version = row.version
                return set(msgspec.msgpack.decode(row.body, type=list[_Vouched]))
        return set()


def _vouched(row: Row) -> _Vouched:
    return _Vouched(row.kind, row.id, row.version, hashlib.sha256(row.body).digest())
