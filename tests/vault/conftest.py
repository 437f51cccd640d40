"""Fixtures of the vault's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vault.world import World, quick


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A new archive, unlocked, with nobody in it."""
    with quick():
        made = World(tmp_path / "journal")
        yield made
        made.core.pen.close()
