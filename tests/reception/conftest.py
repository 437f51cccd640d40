"""Houses, and what they show over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from huisclos.stores.local import LocalStore
from huisclos.stores.memory import MemoryStore
from tests.archive.world import World
from tests.dimse.listening import Credentials, credentials
from tests.reception.desk import leaf_of


@pytest.fixture
def world() -> World:
    """A house in memory."""
    return World(MemoryStore())


@pytest.fixture
def house(tmp_path: Path) -> World:
    """A house over a real folder."""
    return World(LocalStore(tmp_path / "archive"))


@pytest.fixture
def own(tmp_path: Path) -> Credentials:
    """The house's own key and certificate."""
    return credentials(tmp_path, "house")


@pytest.fixture
def leaf(own: Credentials) -> Path:
    """The house's certificate and key in one file."""
    return leaf_of(own)
