"""What certificate a machine of the practice meets at the house's private address, by the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from huisclos.certificates import describe
from tests.cli.conftest import PASSPHRASE, Program, served
from tests.tools import PROJECT

ADDRESS: Final = "10.9.8.7"
ANYWHERE: Final = tuple(
    word for name in ("gate", "viewer", "dicom", "dicom-tls") for word in (f"--{name}", "127.0.0.1:0")
)
_MEET: Final = """
import socket, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[1])
with socket.create_connection((sys.argv[2], 8443)) as sock:
    trust.wrap_socket(sock, server_hostname=sys.argv[2]).close()
"""


def _there(private: tuple[str, ...], *words: str | Path) -> None:
    """Run the program where the machine has that address."""
    ran = subprocess.run(
        [*private, sys.executable, "-m", "huisclos", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "src")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def _met(archive: Path) -> str:
    """Empty when a neighbour that trusts the house is not warned at that address, else what its TLS says."""
    pid = str(json.loads(Path(f"{archive}.ready").read_text())["pid"])
    ran = subprocess.run(
        ["nsenter", "-t", pid, "-n", sys.executable, "-c", _MEET, str(archive / "tls" / "ca.pem"), ADDRESS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.stderr


def _finding(archive: Path, program: Program) -> dict[str, str] | None:
    findings = json.loads(program("status", archive, "--json").stdout)["findings"]
    return next((one for one in findings if one["kind"] == "address-not-named"), None)


def test_a_new_archive_names_the_addresses_of_its_machine(tmp_path: Path, private: tuple[str, ...]) -> None:
    """From its making on: nobody has unlocked it yet."""
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    _there(private, "init", tmp_path / "a", "--passphrase-file", tmp_path / "passphrase")
    assert ADDRESS in describe((tmp_path / "a" / "tls" / "leaf.pem").read_bytes()).names


@pytest.mark.parametrize("where", [("--lan",), ("--http", f"{ADDRESS}:8443", *ANYWHERE)], ids=["lan", "http"])
def test_a_house_that_was_never_unlocked_shows_the_address_it_is_bound_to(
    desk: Path, private: tuple[str, ...], program: Program, where: tuple[str, ...]
) -> None:
    """Made where the machine had another; confirming the recovery key is the moment in which it is open."""
    archive = desk / "archive"
    _there(private, "recovery", "confirm", archive, "--recovery-file", desk / "recovery")
    with served("serve", archive, *where, "--unlock-with", "none", prefix=private) as told:
        assert "does not name" not in "\n".join(told)
        assert _met(archive) == ""
        assert _finding(archive, program) is None


def test_an_address_that_came_since_is_said_until_the_archive_is_unlocked(
    desk: Path, private: tuple[str, ...], program: Program
) -> None:
    """A locked house cannot make a certificate: it says so where it is started, and in its status."""
    archive = desk / "archive"
    assert program("recovery", "confirm", archive, "--recovery-file", desk / "recovery").returncode == 0
    sentence = f"The certificate does not name {ADDRESS}: who comes there is warned."
    with served("serve", archive, "--lan", "--unlock-with", "none", prefix=private) as told:
        assert f"{sentence} Unlocking the archive makes one that does." in told
        assert "not valid for" in _met(archive)
        found = _finding(archive, program)
        assert found is not None
        assert found["sentence"] == sentence
        assert found["hint"] == "unlock the archive: it then makes one that does"
        unlock = program("unlock", archive, "--unlock-with", f"file:{desk / 'passphrase'}")
        assert unlock.returncode == 0, unlock.stderr
        assert _met(archive) == ""
        assert _finding(archive, program) is None
    with served("serve", archive, "--lan", "--unlock-with", "none", prefix=private) as told:
        assert sentence not in "\n".join(told)
        assert _met(archive) == ""
