"""The real program, run as a person runs it, on an archive of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.tools import PROJECT, need

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


@contextlib.contextmanager
def served(*words: str | Path, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[list[str]]:
    """The program while it serves; what it printed is there after its end."""
    ready = Path(f"{words[1]}.ready")
    command = [*prefix, sys.executable, "-m", "huisclos", *map(str, words), "--ready-file", str(ready)]
    running = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src"), **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    told: list[str] = []
    try:
        until = time.monotonic() + 60
        while not ready.exists():
            assert running.poll() is None, running.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.1)
        assert running.stdout is not None
        os.set_blocking(running.stdout.fileno(), False)
        told += (running.stdout.read() or "").splitlines()
        yield told
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 0


@pytest.fixture
def private() -> tuple[str, ...]:
    """What starts a program where the machine has a private address, 10.9.8.7, and no other network."""
    need("unshare", "ip")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    lines = 'ip link set lo up && ip addr add 10.9.8.7/24 dev lo && exec "$@"'
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")
    return ("unshare", "-n", "sh", "-c", lines, "sh")
