"""Making an archive: all of it, or nothing."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import PASSPHRASE, Program


def _secret(path: Path, text: str = PASSPHRASE + "\n", mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_init_makes_a_closed_archive(desk: Path) -> None:
    """Folder and secrets are their owner's alone, and the recovery file holds one line."""
    assert stat.S_IMODE((desk / "archive").stat().st_mode) == 0o700
    assert stat.S_IMODE((desk / "recovery").stat().st_mode) == 0o600
    assert re.fullmatch(r"AGE-SECRET-KEY-1[0-9A-Z]{58}\n", (desk / "recovery").read_text(encoding="ascii"))
    settings = (desk / "archive" / "huisclos.toml").read_text(encoding="utf-8")
    assert re.search(r'^archive = "[0-9a-f]{32}"$', settings, re.MULTILINE)


def test_init_without_a_secret_makes_nothing(program: Program, tmp_path: Path) -> None:
    """Without a terminal and without a file there is no default passphrase."""
    ran = program("init", tmp_path / "archive")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "hint: --passphrase-file" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_takes_the_file_the_environment_names(program: Program, tmp_path: Path) -> None:
    """HUISCLOS_PASSPHRASE_FILE does for init as well; objects may lie elsewhere."""
    file = _secret(tmp_path / "passphrase")
    options = ("--objects", tmp_path / "large")
    ran = program("init", tmp_path / "archive", *options, HUISCLOS_PASSPHRASE_FILE=str(file))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{tmp_path / 'archive'}\n"
    assert stat.S_IMODE((tmp_path / "large").stat().st_mode) == 0o700
    assert f'objects = "{tmp_path / "large"}"' in (tmp_path / "archive" / "huisclos.toml").read_text("utf-8")


def test_init_overwrites_nothing(program: Program, desk: Path) -> None:
    """An archive, a folder that is not empty, an existing recovery file: refused, and left as they are."""
    options = ("--passphrase-file", desk / "passphrase")
    assert program("init", desk / "archive", *options).returncode == 7
    assert program("init", desk, *options).returncode == 7
    ran = program("init", desk / "new", *options, "--recovery-file", desk / "recovery")
    assert ran.returncode == 7
    assert not (desk / "new").exists()


@pytest.mark.parametrize(
    ("text", "mode", "code"), [("short\n", 0o600, 2), (PASSPHRASE, 0o644, 8), ("\nsecond line", 0o600, 2)]
)
def test_init_refuses_a_poor_secret(
    program: Program, tmp_path: Path, text: str, mode: int, code: int
) -> None:
    """A passphrase that is guessed, readable by others, or not there, opens no archive."""
    file = _secret(tmp_path / "passphrase", text, mode)
    assert program("init", tmp_path / "archive", "--passphrase-file", file).returncode == code
    assert not (tmp_path / "archive").exists()


def test_the_recovery_key_stays_outside(program: Program, desk: Path) -> None:
    """A recovery file inside the archive would open it for whoever copies the archive."""
    options = ("--passphrase-file", desk / "passphrase", "--recovery-file", desk / "new" / "key")
    ran = program("init", desk / "new", *options)
    assert ran.returncode == 8
    assert not (desk / "new").exists()


def test_init_refuses_a_path_its_databases_cannot_have(program: Program, tmp_path: Path) -> None:
    """A path over SQLite's bound is refused at once, not at each start; one below it is served."""
    options = ("--passphrase-file", _secret(tmp_path / "passphrase"))
    short = tmp_path.joinpath(*["e" * 100] * 4)
    room = 480 - len(os.fsencode(short)) - 1
    ran = program("init", short / ("e" * (room + 1)), *options)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert not short.exists()
    longest = short / ("e" * room)
    assert program("init", longest, *options).returncode == 0
    assert program("status", longest).returncode == 0
