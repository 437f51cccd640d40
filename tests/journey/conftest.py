"""Houses for the journeys: one archive is made through the command line, each module serves a copy of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.living import Living, copy, make, stopping


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder with a short path (a unix socket's is bounded) that nobody else writes to."""
    folder = Path(tempfile.mkdtemp(prefix="hj", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(ground: Path) -> Living:
    """An archive with a user and a token of each role and one peer; never served again."""
    return make(ground / "template")


@pytest.fixture
def fresh(template: Living, ground: Path) -> Iterator[Living]:
    """A house of this test's own, not served yet."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir=ground))
    folder.rmdir()
    yield from stopping(copy(template, folder))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def house(template: Living, ground: Path) -> Iterator[Living]:
    """A house that is served, unlocked, for all tests of a module."""
    folder = Path(tempfile.mkdtemp(prefix="m", dir=ground))
    folder.rmdir()
    yield from stopping(copy(template, folder).serve())
    shutil.rmtree(folder, ignore_errors=True)
