"""Every command of the doors used wrongly: one clear sentence, the right exit code, and no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.test_cli import doors
from tests.doors.test_rest import encode, image
from tests.peers.house import program as huisclos

USAGE, REFUSED, UNTESTED, INTERRUPTED = 2, 3, 4, 130
NEW = ("--owner", "A", "--contact", "B", "--auditor", "C", "--basis", "D")
UNTIL = ("--until", "2030-01-31")
WRONG: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("check", "absent"), USAGE, "no archive lies in"),
    (("check", "--json", "absent/x.json"), USAGE, "the report cannot be written: its folder does not exist"),
    (("check", "--html", "."), USAGE, "the report cannot be written: it is a folder"),
    (("check", "--mutes", "absent"), USAGE, "this file cannot be read"),
    (("check", "--baseline", "absent"), USAGE, "this file cannot be read"),
    (("check", "--lang", "de"), USAGE, "--lang is fr or en"),
    (("check", "--fail-on", "awful"), USAGE, "--fail-on is critical"),
    (("rest",), USAGE, "missing argument 'PATH'"),
    (("rest", ".", "--workers", "0"), USAGE, "--workers"),
    (("rest", ".", "--resume", "absent/r"), USAGE, "the file of --resume cannot be written"),
    (("rest", ".", "--copies", "absent/c"), USAGE, "the file of --copies cannot be written"),
    (("box", "--kind", "foo"), USAGE, "--kind is auto"),
    (("box", "--questions"), USAGE, "--questions needs a terminal"),
    (("box", "--answers", "absent"), USAGE, "the answers cannot be read"),
    (("box", "--password-file", "absent"), USAGE, "password cannot be read"),
    (("box", "--address", "8.8.8.8"), REFUSED, "a box is asked from inside"),
    (("probe",), USAGE, "missing argument 'TARGET'"),
    (("probe", "198.51.100.9"), REFUSED, "nobody said that this target may be asked"),
    (("probe", "127.0.0.1\n:104"), USAGE, "a target is host"),
    (("probe", "127.0.0.1:99999"), USAGE, "a target's port"),
    (("probe", "127.0.0.1:1", "--mandate", "absent"), USAGE, "the mandate cannot be read"),
    (("probe", "127.0.0.1:1", "--mandate", "line\nend"), USAGE, "not a signed mandate"),
    (("probe", "127.0.0.1:1", "--checks", "X"), USAGE, "no such check: X"),
    (("probe", "127.0.0.1:1", "--record", "absent/x"), USAGE, "the record cannot be written"),
    (("probe", "127.0.0.1:1", "--gentle", "--two-at-once"), USAGE, "--gentle is one association"),
    (("probe", "http://127.0.0.1:1/", "--gentle"), USAGE, "--gentle asks a modality"),
    (("probe", "127.0.0.1:1", "--write-test", "http://127.0.0.1:1"), USAGE, "systems that treat nobody"),
    (("mandate", "new", "m", *NEW, *UNTIL, "--target", "foo/bar"), USAGE, "a mandate names networks"),
    (("mandate", "new", "m", *NEW, *UNTIL, "--target", "10.0.0.0/8"), USAGE, "not the Internet"),
    (("mandate", "new", "m", *NEW, "--until", "soon", "--target", "a.example"), USAGE, "--until is a day"),
    (("mandate", "new", "absent/m", *NEW, *UNTIL, "--target", "a.example"), USAGE, "cannot be written"),
    (("mandate", "sign", "absent", "--key", "k"), USAGE, "this file cannot be read"),
    (("mandate", "sign", "line\nend", "--key", "k"), USAGE, "not a mandate to sign"),
    (("mandate", "show", "line\nend"), USAGE, "not a signed mandate"),
    (("outside", "ask", "http://127.0.0.1:1"), USAGE, "https://"),
    (("outside", "ask", "not a url"), USAGE, "a target is host"),
    (("outside", "serve"), USAGE, "missing option '--listen'"),
    (("round", "absent"), USAGE, "this file cannot be read"),
    (("round", "line\nend"), USAGE, "not a report of the doors"),
    (("round", "line\nend", "--html", "absent/x"), USAGE, "the page cannot be written"),
    (("rescue", "foo", "--into", "absent"), USAGE, "a finding is named as REPORT#ID"),
    (("rescue", "line\nend#F1", "--into", "absent"), USAGE, "not a report of the doors"),
    (("record", "absent"), USAGE, "the record cannot be read"),
    (("nosuch",), USAGE, "no such command 'nosuch'"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed; it has a file whose name is two lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line\nend").write_text("nothing that anybody knows\n")
    return tmp_path


@pytest.mark.parametrize(("command", "code", "told"), WRONG, ids=lambda one: repr(one)[:60])
def test_it_is_said_in_one_sentence(command: tuple[str, ...], code: int, told: str) -> None:
    """What is wrong, on stderr, on one line; nothing on stdout."""
    ended, out, err = doors(*command)
    assert code == ended, err
    assert not out
    assert told in err.splitlines()[0]
    assert len(err.splitlines()) <= 2, "a sentence, and a hint"


@pytest.mark.parametrize("command", ["rest", "config", "logs"])
@pytest.mark.parametrize("name", ["line\nend", os.fsdecode(b"no \xff text"), "absent"])
def test_any_name_of_a_file(command: str, name: str, folder: Path) -> None:
    """A path with a line end, with bytes that are no text, or that is not there, in each face of a report."""
    if name != "absent":
        (folder / name).write_text("nothing that anybody knows\n")
    faces = [part for face in ("json", "html", "pdf", "sarif", "csv") for part in (f"--{face}", f"r.{face}")]
    ended, out, err = doors(command, name, *faces)
    assert ended in ((0,) if command == "rest" and name != "absent" else (UNTESTED,))
    assert "Traceback" not in err
    assert "line\nend" not in out + err
    assert (folder / "r.pdf").stat().st_size > 0


def test_one_language_at_a_time(folder: Path) -> None:
    """Where the system speaks French a command of the doors does, on stdout and stderr, set as French is."""
    (folder / "clair").mkdir()
    (folder / "clair" / "1.dcm").write_bytes(encode(image()))
    ran = subprocess.run(
        [huisclos(), "doors", "rest", "clair", "absent"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "LANG": "fr_FR.UTF-8"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = ran.stdout + ran.stderr
    assert "1 fichier examiné sous clair" in said
    assert "Que faire\u202f:" in said
    assert not {"the", "and", "files", "looked", "below", "of"} & set(said.split())


def test_an_end_in_the_middle(folder: Path, free_port: Callable[[], int]) -> None:
    """Ctrl-C ends a probe of a server that says nothing, and a walk of two workers, without a word."""
    for number in range(3000):
        (folder / f"{number}.txt").write_bytes(b"PK\3\4" + bytes(64))
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        for command in (("probe", where), ("rest", "/usr"), ("rest", "/usr", "--resume", "kept")):
            with subprocess.Popen(
                [huisclos(), "doors", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            ) as process:  # fmt: skip
                time.sleep(1.5)
                early = process.poll()
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=20)
            # a probe was seen once to end by itself, or not to hear: what it said tells which
            assert early is None, (command, out, err)
            assert INTERRUPTED == process.returncode, (command, out, err)
            assert b"Traceback" not in err


def test_a_mandate_is_signed_once() -> None:
    """Signing it again is told apart from a file that is none; what it says ends with its last day."""
    assert doors("mandate", "new", "m", *NEW, *UNTIL, "--target", "198.51.100.0/28")[0] == 0
    assert doors("mandate", "sign", "m", "--key", "k")[0] == 0
    code, _, err = doors("mandate", "sign", "m", "--key", "k")
    assert (code, "signed already" in err) == (USAGE, True)
    _, out, _ = doors("mandate", "show", "m")
    assert "2030-01-31 23:59:59" in out
    assert "never      nothing named" in out


@pytest.mark.parametrize("group", [(), ("mandate",), ("outside",)])
def test_a_group_alone_says_what_there_is(group: tuple[str, ...]) -> None:
    """Its help, on stderr, laid out as help is."""
    code, out, err = doors(*group)
    assert (code, out) == (USAGE, "")
    assert err.startswith("Usage: huisclos doors")
    assert "\nCommands:\n" in err
