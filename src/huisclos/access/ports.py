"""The port of the accounts: where signed rows lie.

The vault signs and reads them; whoever keeps them can hide or lose rows, and cannot make any.
Adapters live in `database`; one suite of tests runs on every one.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Row(Struct, frozen=True):
    """One account, token or peer, as the vault signed it."""

    kind: str
    id: str
    """Random; with `kind`, what names the row."""
    version: int
    """Grows by one at each change."""
    body: bytes
    """msgpack; what names a person in it is sealed."""
    signature: bytes
    """Ed25519 by the archive over kind, id, version and body; `access.rows` makes and checks it."""

    def __repr__(self) -> str:
        return f"Row({self.kind} {self.id} version {self.version})"


class Pending(Struct, frozen=True):
    """A change asked for while nobody could grant it: it has no effect until a person does."""

    id: str
    made: float
    """Seconds since the epoch."""
    body: bytes
    """msgpack of `access.accounts.PendingBody`: what was asked is sealed to the archive."""


class Accounts(Protocol):
    """Where rows lie. All methods block for a short time, and are safe from several threads.

    What they wrote or deleted survives power loss once they return. No method judges a signature. All
    raise `Unreachable` when the database fails.
    """

    def rows(self, kind: str = "") -> list[Row]:
        """Every row of `kind`, or every row there is, by kind and id."""

    def row(self, kind: str, row_id: str) -> Row | None:
        """One row, or None."""

    def put(self, row: Row) -> None:
        """Write `row` in the place of an older version of it.

        Raises `Conflict` when a row of the same or a newer version is there.
        """

    def delete(self, kind: str, row_id: str) -> None:
        """Remove a row. Idempotent."""

    def pending(self) -> list[Pending]:
        """Every change that waits, oldest first."""

    def put_pending(self, pending: Pending) -> None:
        """Add a change that waits. Raises `Conflict` if its id is there."""

    def replace_pending(self, pending: Pending) -> None:
        """Write a change that waits anew; nothing happens when it does not wait any more."""

    def delete_pending(self, pending_id: str) -> None:
        """Remove a change that waited. Idempotent."""
