"""The `Accounts` port, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from huisclos.access.ports import Accounts, Pending, Row
from huisclos.database import SqlAccounts
from huisclos.errors import Conflict


@pytest.fixture
def accounts(where: Path | str) -> Iterator[SqlAccounts]:
    """No accounts yet."""
    opened = SqlAccounts(where)
    yield opened
    opened.close()


def a_row(kind: str = "user", row_id: str = "a", version: int = 1) -> Row:
    """A row with a body and a signature of its own."""
    return Row(kind, row_id, version, b"body %d" % version, b"\x00signed %d" % version)


def test_rows_come_back_by_kind(accounts: Accounts) -> None:
    """Rows are read by kind, by id, and all together."""
    rows = [a_row("peer", "a"), a_row("user", "a"), a_row("user", "b")]
    for row in reversed(rows):
        accounts.put(row)
    assert accounts.rows() == rows
    assert accounts.rows("user") == rows[1:]
    assert accounts.row("user", "b") == rows[2]
    assert accounts.row("token", "b") is None


def test_only_a_newer_version_replaces(accounts: Accounts) -> None:
    """The same or an older version is refused, and changes nothing."""
    accounts.put(a_row(version=2))
    for version in (1, 2):
        with pytest.raises(Conflict):
            accounts.put(a_row(version=version))
    accounts.put(a_row(version=3))
    assert accounts.rows() == [a_row(version=3)]


def test_deleting_twice(accounts: Accounts) -> None:
    """Deleting is idempotent, and leaves other kinds alone."""
    accounts.put(a_row("user"))
    accounts.put(a_row("peer"))
    accounts.delete("user", "a")
    accounts.delete("user", "a")
    assert accounts.rows() == [a_row("peer")]


def test_pending(accounts: Accounts) -> None:
    """Changes wait in the order they were asked for, each once."""
    late, early = Pending("b", 2_000_000_000.25, b"sealed"), Pending("c", 1.5, b"")
    accounts.put_pending(late)
    accounts.put_pending(early)
    with pytest.raises(Conflict):
        accounts.put_pending(Pending("b", 3.0, b"other"))
    assert accounts.pending() == [early, late]
    late = Pending("b", late.made, b"sealed anew")
    accounts.replace_pending(late)
    accounts.replace_pending(Pending("gone", 1.0, b"decided meanwhile"))
    assert accounts.pending() == [early, late]
    accounts.delete_pending("c")
    accounts.delete_pending("c")
    assert accounts.pending() == [late]
