"""`run` and `demo` as far as they go without a browser: what they print, make, and leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.tools import PROJECT

LISTENERS = ("http", "gate", "viewer", "dicom", "dicom-tls")
ANYWHERE = [word for name in LISTENERS for word in (f"--{name}", "127.0.0.1:0")]


@pytest.fixture
def no_viewer(tmp_path: Path) -> dict[str, str]:
    """An environment in which the viewer cannot be installed, so that nothing is fetched."""
    folder = tmp_path / "something-else"
    folder.mkdir()
    (folder / "file").touch()
    return {"HUISCLOS_VIEWER": str(folder)}


def _run_until_ready(*words: str | Path, **environment: str) -> tuple[dict[str, str], list[str], int]:
    """The program, told to end once it is ready: its ready file, the lines it printed, its exit code."""
    ready = Path(f"{words[1]}.ready")
    command = [sys.executable, "-m", "huisclos", *map(str, words), *ANYWHERE, "--ready-file", str(ready)]
    inherited = {**os.environ, "PYTHONPATH": str(PROJECT / "src"), **environment}
    running = subprocess.Popen(
        command, env=inherited, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 60
        while not ready.exists():
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        ports = json.loads(ready.read_text(encoding="utf-8"))
    finally:
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=60)
    assert not ready.exists()
    return ports, told.splitlines(), running.returncode


def test_run_makes_an_archive_and_a_link(tmp_path: Path, no_viewer: dict[str, str]) -> None:
    """The address stands alone on the first line; without a set-up, the next run makes a fresh link."""
    links = []
    for _ in range(2):
        ports, (first, *told), code = _run_until_ready("run", tmp_path / "archive", **no_viewer)
        assert code == 0
        assert first == f"https://localhost:{ports['http'].rpartition(':')[2]}/"
        links += re.findall(rf"^  {first}set-up#(\S{{22,}})$", "\n".join(told), re.MULTILINE)
        assert any("AE title HUISCLOS" in line for line in told)
    assert len(set(links)) == 2


def test_a_demonstration_that_cannot_be_served_leaves_nothing(
    program: Program, tmp_path: Path, no_viewer: dict[str, str]
) -> None:
    """A taken port ends it before its passphrase was shown, so the archive is gone as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = program("demo", tmp_path / "demo", *ANYWHERE, "--http", where, **no_viewer)
    assert (ran.returncode, ran.stdout) == (7, "")
    assert "is taken by another program" in ran.stderr
    assert not (tmp_path / "demo").exists()
