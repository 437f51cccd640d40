"""The passphrase on its way in: no process that parses the wire inherits it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from huisclos.errors import LooseSecret, NoSecret
from huisclos.wiring.secrets import VARIABLE, lies_near, names_secret, take_variable, wipe

SECRET = "Kestrel-7-among-Walnuts"
_TAKE = """
import os, sys
from pathlib import Path
from huisclos.wiring.secrets import names_secret, take_variable, wipe
assert names_secret("env:HOUSE_SECRET", Path("/nowhere"))
taken = take_variable("env:HOUSE_SECRET")
assert taken.decode() == sys.argv[1]
wipe(taken)
assert "HOUSE_SECRET" not in os.environ
sys.argv.clear()
print(Path("/proc/self/environ").read_bytes().hex())
"""


def test_a_variable_is_taken_out_of_the_environment() -> None:
    """Out of what children inherit, and out of what `/proc` shows of this process."""
    ran = subprocess.run(
        [sys.executable, "-c", _TAKE, SECRET],
        env={**os.environ, "HOUSE_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = bytes.fromhex(ran.stdout.strip())
    assert b"HOUSE_SECRET=" in shown
    assert SECRET.encode() not in shown


def test_what_is_wiped_is_gone() -> None:
    """The very bytes; one-byte strings, which the interpreter shares, are left alone."""
    secret = b"".join([b"Kestrel", b"-7"])
    wipe(secret)
    assert not any(secret)
    wipe(b"K")
    assert bytes([75]) == b"K"


def test_other_ways_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the variable that was named."""
    monkeypatch.setenv("HOUSE_SECRET", SECRET)
    for way in (None, "tty", "none", "file:HOUSE_SECRET", "env:OTHER"):
        assert take_variable(way) is None
    assert os.environ["HOUSE_SECRET"] == SECRET


def test_a_file_on_the_disk_of_the_archive_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the disk has both; a file elsewhere, and any other way, is not near."""
    archive, path = tmp_path / "archive", tmp_path / "secret"
    archive.mkdir()
    path.write_text(SECRET)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert lies_near(f"file:{path}", archive)
    for way in (None, "none", "tty", "env:HOUSE_SECRET", "file:/proc/self/status", f"file:{path}.other"):
        assert not lies_near(way, archive)
    monkeypatch.setenv(VARIABLE, str(path))
    assert lies_near(None, archive)


def test_a_file_is_judged_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told before anything starts needs the file's rights, not its content."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    assert names_secret(f"file:{path}", tmp_path / "archive")
    path.chmod(0o640)
    with pytest.raises(LooseSecret):
        names_secret(f"file:{path}", tmp_path / "archive")
    with pytest.raises(LooseSecret):
        names_secret(f"file:{path}", tmp_path)
    with pytest.raises(NoSecret):
        names_secret(f"file:{path}.other", tmp_path / "archive")
