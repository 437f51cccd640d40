"""The `Decisions` port, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from huisclos.archive.index_ports import DecisionRow, Decisions, DoubtState
from huisclos.database import SqlDecisions


@pytest.fixture
def decisions(where: Path | str) -> Iterator[SqlDecisions]:
    """Nothing to decide yet."""
    opened = SqlDecisions(where)
    yield opened
    opened.close()


def test_doubts_are_added_replaced_and_removed(decisions: Decisions) -> None:
    """A doubt keeps its id through its states."""
    one = DecisionRow("a", DoubtState.OPEN, b"\x00one")
    two = DecisionRow("b", DoubtState.OPEN, b"two")
    decisions.put([one, two])
    decided = DecisionRow("a", DoubtState.DECIDED, b"decided")
    decisions.put([decided])
    decisions.put([])
    assert sorted(decisions.doubts(), key=lambda row: row.id) == [decided, two]
    decisions.delete(["a", "a", "c"])
    assert decisions.doubts() == [two]
