"""The real program, run as a person runs it, on an archive of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.tools import PROJECT

PASSPHRASE: Final = "an invented passphrase for tests"
Program = Callable[..., subprocess.CompletedProcess[str]]


def run_program(
    *args: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `huisclos` without a terminal."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUISCLOS_")}
    return subprocess.run(
        [sys.executable, "-m", "huisclos", *map(str, args)],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(PROJECT / "src"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="session")
def program() -> Program:
    """`program("init", folder, ...)`, keywords go to the environment."""
    return run_program


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n", encoding="utf-8")
    passphrase.chmod(0o600)
    options = ("--passphrase-file", passphrase, "--recovery-file", folder / "recovery", "--holder", "Alice")
    ran = run_program("init", folder / "archive", *options)
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def desk(_made: Path, tmp_path: Path) -> Path:
    """A folder with `archive`, `passphrase` and `recovery`, a copy of its own."""
    shutil.copytree(_made, tmp_path / "desk")
    return tmp_path / "desk"
