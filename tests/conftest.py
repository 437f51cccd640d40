"""Fixtures for every room: short folders, free ports, the project's root."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tools
from tests.tools import PROJECT


@pytest.fixture
def project() -> Path:
    """The project's root."""
    return PROJECT


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """An empty folder with a short path: that of a unix socket holds 107 bytes at most (unix(7))."""
    folder = Path(tempfile.mkdtemp(prefix="hc", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A source of loopback TCP ports that nobody listens on, another at each call."""
    return tools.free_port
