"""Commands on an archive that nobody serves, as transcripts: what is said, where, and how it ends."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from huisclos import clock
from tests import corpus
from tests.cli.conftest import Program
from tests.tools import PROJECT


def test_help_is_quick_and_has_examples(program: Program) -> None:
    """`--help` of a command shows an example that begins with the command."""
    ran = program("journal", "verify", "--help")
    assert ran.returncode == 0
    assert "Example:\n    huisclos journal verify " in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("peer", "add"), "missing argument 'ARCHIVE'"),
        (("nonsense",), "no such command 'nonsense'"),
        (("status", "/nowhere/at/all"), "no archive lies in /nowhere/at/all"),
    ],
)
def test_errors_are_a_sentence_and_a_hint(program: Program, words: tuple[str, ...], said: str) -> None:
    """No traceback: one sentence, one hint, on stderr alone."""
    ran = program(*words)
    assert ran.stdout == ""
    assert ran.stderr.startswith(f"huisclos: {said}\n  hint: ")
    assert ran.returncode in {2, 4}


def test_status_of_an_archive_nobody_serves(program: Program, desk: Path) -> None:
    """It is told without any secret; the recovery key is not proven yet, then it is."""
    before = json.loads(program("status", desk / "archive", "--json").stdout)
    assert (before["served"], before["locked"], before["recovery_confirmed"]) == (False, True, False)
    assert "recovery-not-confirmed" in {finding["kind"] for finding in before["findings"]}
    ran = program("recovery", "confirm", desk / "archive", "--recovery-file", desk / "recovery")
    assert (ran.returncode, ran.stdout) == (0, "")
    after = json.loads(program("status", desk / "archive", "--json").stdout)
    assert after["recovery_confirmed"] is True
    # both commands began and ended a house, and the key was confirmed in between: each is an entry
    assert after["journal"]["written"] >= before["journal"]["written"] + 3
    assert after["journal"]["entries"] == 0
    told = program("status", desk / "archive").stdout
    assert re.search(r"^journal +[1-9]\d* entries, 0 of them verified, holds$", told, re.MULTILINE)
    assert before.keys() == after.keys()
    assert all(f"`{field}`" in _page("json.md") for field in after)


def test_unlock_and_lock_need_a_house(program: Program, desk: Path) -> None:
    """Nobody serves it: that is told, with exit code 4."""
    for word in ("unlock", "lock"):
        ran = program(word, desk / "archive", HUISCLOS_PASSPHRASE_FILE=str(desk / "passphrase"))
        assert (ran.returncode, ran.stdout) == (4, "")
        assert "nobody serves this archive" in ran.stderr


def test_what_widens_waits_while_locked(program: Program, desk: Path) -> None:
    """A peer, a user asked for while locked: recorded, listed, without effect."""
    archive = desk / "archive"
    ran = program("peer", "add", archive, "CT01", "--address", "127.0.0.1")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "waits for an owner" in ran.stderr
    (peer,) = json.loads(program("peer", "list", archive, "--json").stdout)
    assert (peer["title"], peer["approved"], peer["may"]) == ("CT01", False, ["echo", "store"])
    assert program("peer", "list", archive).stderr == ""
    ran = program("user", "add", archive, "Bob", "--role", "physician")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert json.loads(program("status", archive, "--json").stdout)["pending"] == 2
    assert program("peer", "remove", archive, "CT01").returncode == 0
    assert program("peer", "remove", archive, "CT01").returncode == 4


def test_a_machine_that_asked_for_more_is_not_passed_over(program: Program, desk: Path) -> None:
    """What it asks for is sealed: the list of machines says that something waits, and where to see it."""
    archive = desk / "archive"
    asked = ("--address", "127.0.0.1", "--may", "echo,store,find", "--until", _in_a_month())
    assert program("peer", "add", archive, "CT01", *asked).returncode == 0
    ran = program("peer", "list", archive)
    assert ran.stdout == ""
    assert "Waiting for an owner besides: 1 request. See: huisclos pending list" in ran.stderr
    assert "No machine is admitted" in ran.stderr
    assert json.loads(program("peer", "list", archive, "--json").stdout) == []


def _in_a_month() -> str:
    return (clock.now() + dt.timedelta(days=30)).date().isoformat()


def test_people_and_tokens_unlocked(program: Program, desk: Path) -> None:
    """With a passphrase named, they exist at once; secrets are alone on stdout."""
    archive, named = desk / "archive", {"HUISCLOS_PASSPHRASE_FILE": str(desk / "passphrase")}
    ran = program("user", "add", archive, "Anne Martin", "--role", "owner", **named)
    assert re.fullmatch(r"\S+\n", ran.stdout)
    words = ("token", "add", archive, "--user", "Anne Martin", "--may", "read,store")
    ran = program(*words, "--until", "2099-12-31", **named)
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"\S+\n", ran.stdout)
    assert program(*words, "--until", "soon", **named).returncode == 2


def test_import_verify_export(program: Program, desk: Path) -> None:
    """Images go in locked, are found unlocked, hold, and come out as they were."""
    archive, named = desk / "archive", {"HUISCLOS_PASSPHRASE_FILE": str(desk / "passphrase")}
    (desk / "in").mkdir()
    instance = corpus.named("MR_small.dcm")
    shutil.copy(instance, desk / "in")
    (desk / "in" / "readme.txt").write_text("not an image\n", encoding="utf-8")
    ran = program("import", archive, desk / "in", "--json")
    assert ran.returncode == 0, ran.stderr
    receipt = json.loads(ran.stdout)
    assert (receipt["stored"], receipt["batched"], len(receipt["refused"])) == (1, 1, 1)
    study = str(corpus.read(instance).StudyInstanceUID)
    receipt = json.loads(program("import", archive, desk / "in", "--json", **named).stdout)
    assert receipt["stored"] + receipt["duplicates"] == 1
    ran = program("verify", archive, "--json", **named)
    assert (ran.returncode, json.loads(ran.stdout)["problems"]) == (0, [])
    ran = program("export", archive, "--study", study, "--to", desk / "out", **named)
    assert ran.returncode == 0, ran.stderr
    files = [path for path in (desk / "out").rglob("*") if path.is_file()]
    (written,) = (path for path in files if path.name != "DICOMDIR")
    assert len(files) == 2
    assert written.read_bytes() == instance.read_bytes()
    assert program("export", archive, "--study", "1.2.3", "--to", desk / "no", **named).returncode == 4


def test_a_damaged_object_is_found(program: Program, desk: Path) -> None:
    """`verify` ends with 6 and names what is wrong by ids alone."""
    archive, named = desk / "archive", {"HUISCLOS_PASSPHRASE_FILE": str(desk / "passphrase")}
    program("import", archive, corpus.named("CT_small.dcm"), **named)
    (sealed,) = (archive / "objects").rglob("*.dcm.age")
    damaged = bytearray(sealed.read_bytes())
    damaged[-1] ^= 1
    sealed.write_bytes(damaged)
    ran = program("verify", archive, **named)
    assert ran.returncode == 6
    assert re.fullmatch(r"damaged: study [0-9a-f]{32}, instance [0-9a-f]{32}\n", ran.stdout)


def test_journal_goes_on_from_an_anchored_head(program: Program, desk: Path) -> None:
    """A head is written once; later the journal must go on from it, and a foreign one does not do."""
    archive, named = desk / "archive", {"HUISCLOS_PASSPHRASE_FILE": str(desk / "passphrase")}
    head = desk / "head"
    assert program("journal", "verify", archive, "--head", head, **named).returncode == 0
    ran = program("journal", "verify", archive, "--head", head, "--json", **named)
    assert (ran.returncode, json.loads(ran.stdout)["holds"]) == (0, True)
    entries = json.loads(program("journal", "show", archive, "--json", **named).stdout)
    assert [entry["sequence"] for entry in entries] == list(range(len(entries)))
    forged = json.loads(head.read_bytes())
    forged["mac"] = "00" * 32
    head.write_text(json.dumps(forged), encoding="utf-8")
    assert program("journal", "verify", archive, "--head", head, **named).returncode == 6


def test_ca_export_needs_nothing_running(program: Program, desk: Path) -> None:
    """The certificate is copied; its fingerprint is told in hex and in words."""
    ran = program("ca", "export", desk / "archive", "--to", desk / "ca.pem")
    assert (desk / "ca.pem").read_bytes() == (desk / "archive" / "tls" / "ca.pem").read_bytes()
    hexadecimal, words = ran.stdout.splitlines()
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", hexadecimal)
    assert re.fullmatch(r"[a-z]{5}( [a-z]{5})+", words)


def test_nobody_reading_is_no_error(desk: Path) -> None:
    """A pipe that closes early ends the program without a word."""
    script = f'"$0" -m huisclos peer list {desk / "archive"} --json | true; exit "${{PIPESTATUS[0]}}"'
    ran = _bash(script)
    assert ran.stderr == ""
    assert ran.returncode in {0, 141}


def _bash(script: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", script, sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _page(name: str) -> str:
    return (PROJECT / "docs" / "reference" / name).read_text(encoding="utf-8")
