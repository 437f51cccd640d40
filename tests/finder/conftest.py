"""An archive for the finder's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finder.house import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty archive."""
    made = World(tmp_path)
    yield made
    made.close()
