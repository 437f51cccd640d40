"""Our own house behind a box that passes its ports on (P11): refused unread, journalled, and a finding."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.doors.capture import captured, packets
from tests.doors.streets import FAR, HOST, NET, OUTSIDE, PRACTICE, inside, street
from tests.doors.test_outside_net import ENVIRONMENT
from tests.peers.house import huisclos, make_archive
from tests.peers.house import program as huisclos_program

KNOCK = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
sock.settimeout(5)
try:
    sock.sendall(bytes.fromhex("0100000000cd0001") + bytes(205))
    print(len(sock.recv(100)))
except ConnectionError:
    print(0)
"""


@contextmanager
def served(archive: Path, kept: Path) -> Iterator[None]:
    """The house on the practice's machine, listening to its network."""
    ready = kept / "ready.json"
    ports = {"http": 8443, "gate": 8444, "viewer": 8445, "dicom": 11112, "dicom-tls": 2762}
    command = [huisclos_program(), "serve", str(archive), "--unlock-with", f"file:{kept / 'passphrase'}"]
    command += [part for name, port in ports.items() for part in (f"--{name}", f"{HOST}:{port}")]
    with (kept / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            inside(PRACTICE, *command, "--ready-file", str(ready)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
        )
    try:
        ends = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, (kept / "serve.log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def knock(port: int) -> int:
    """How many bytes the house answers to somebody on the Internet."""
    command = inside(NET, sys.executable, "-c", KNOCK, OUTSIDE, str(port))
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout)


def check(archive: Path, folder: Path) -> dict[str, Any]:
    """The report of `doors check` on the practice's machine, about the house alone."""
    report = folder / "report.json"
    command = [huisclos_program(), "doors", "check", str(archive), "--no-box", "--json", str(report)]
    ran = subprocess.run(
        inside(PRACTICE, *command), check=False, capture_output=True, timeout=120, env=ENVIRONMENT
    )
    assert report.exists(), ran.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _own(report: dict[str, Any], archive: Path) -> set[tuple[str, str, str, str]]:
    return {
        (one["check"], one["target"], one["verdict"], one["reach"])
        for one in report["findings"]
        if one["target"].startswith(HOST) or one["target"] in (str(archive), "*")
    }


def test_a_forwarded_port_of_this_house(tmp_path: Path) -> None:
    """Nothing is found in a house that nobody forwards; once strangers come, every part of it says so."""
    archive, kept = make_archive(tmp_path)
    with street(tmp_path, 11112, 8443), served(archive, kept):
        before = check(archive, tmp_path)
        assert set() == _own(before, archive), "an auditor that cries wolf is bad"
        closed = {one["check"] for one in before["attempts"] if one["outcome"] == "closed"}
        assert {"DCM-003", "RST-001"} <= closed
        assert {"BOX-016"} <= {one["check"] for one in before["attempts"] if one["outcome"] == "failed"}
        with captured(NET, "hcs0", tmp_path / "wire"):
            assert [0, 0, 0] == [knock(11112), knock(11112), knock(8443)]
        spoken = [
            one.payload for one in packets(tmp_path / "wire") if not one.outgoing and one.source == OUTSIDE
        ]
        assert b"" == b"".join(spoken), "not a byte came back"
        time.sleep(1.0)
        after = check(archive, tmp_path)
        status = json.loads(huisclos("status", str(archive), "--json"))
        journal = huisclos("journal", "show", str(archive), "--json")
    assert {
        ("BOX-016", f"{HOST}:11112", "proved", "internet"),
        ("BOX-016", f"{HOST}:8443", "proved", "internet"),
    } == _own(after, archive)
    assert "open-listener" in {one["kind"] for one in status["findings"]}
    assert FAR in journal, "who came is in the journal"
    told = [one for one in json.loads(journal) if one["act"] == "door" and one["what"] == "opened"]
    assert {f"BOX-016 {HOST}:11112", f"BOX-016 {HOST}:8443"} == {one["subject"] for one in told}
    assert FAR.encode() not in (archive / "doors.age").read_bytes()
    assert "HUISCLOS-AUDIT" not in journal, "the house does not knock at its own door"
