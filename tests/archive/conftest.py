"""Houses for the tests of the archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from huisclos.stores.local import LocalStore
from huisclos.stores.memory import MemoryStore
from tests.archive.world import World


@pytest.fixture
def world() -> World:
    """A house in memory."""
    return World(MemoryStore())


@pytest.fixture
def house(tmp_path: Path) -> World:
    """A house over a real folder."""
    return World(LocalStore(tmp_path / "archive"))
