"""The view from outside through a box that translates addresses, every packet of it counted on the wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from huisclos.doors.outside import PORTS
from huisclos.doors.record import read_record
from tests.doors.capture import captured, packets
from tests.doors.streets import BOX, FAR, INSIDE, NET, OUTSIDE, PRACTICE, inside, street
from tests.peers.house import program as huisclos
from tests.tools import program

TOKEN = 5000
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}


@contextmanager
def running(name: str, command: Sequence[str], folder: Path, seconds: float = 1.0) -> Iterator[None]:
    """A program in a namespace, until the end."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            inside(name, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        time.sleep(seconds)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def service(folder: Path) -> Iterator[dict[str, str]]:
    """The service on the Internet's machine; its address and pin."""
    ready, record = folder / "ready.json", folder / "service.jsonl"
    command = ["doors", "outside", "serve", "--listen", f"{FAR}:8449", "--record", str(record)]
    with running(NET, [huisclos(), *command, "--ready-file", str(ready)], folder):
        ends = time.monotonic() + 20
        while not ready.exists():
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield json.loads(ready.read_text())


def ask(folder: Path, met: dict[str, str], *more: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and speech of one question from the practice."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = ["doors", "outside", "ask", met["url"], "--pin", met["pin"], "--json", str(report)]
    ran = subprocess.run(
        inside(PRACTICE, huisclos(), *command, "--token-port", str(TOKEN), *more),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
    )
    return ran.returncode, json.loads(report.read_text()) if report.exists() else {}, ran.stderr


def test_a_forwarded_port_is_proved(tmp_path: Path) -> None:
    """A port passed on to a DICOM server is proved open; nobody but who asked gets a packet; once an hour."""
    scanner = [program("storescp"), "--disable-host-lookup", "--ignore", "11112"]
    with (
        street(tmp_path, TOKEN, 11112),
        running(PRACTICE, scanner, tmp_path),
        service(tmp_path) as met,
        captured(NET, "hcs0", tmp_path / "wire"),
    ):
        code, report, _ = ask(tmp_path, met, "--no-box")
        again = ask(tmp_path, met, "--no-box")
    assert 1 == code
    found = {
        (one["check"], one["target"], one["verdict"], one["reach"], one["severity"])
        for one in report["findings"]
    }
    assert {("BOX-016", f"{OUTSIDE}:11112", "proved", "internet", "critical")} == found
    closed = {one["check"] for one in report["attempts"] if one["outcome"] == "closed"}
    assert {"BOX-015", "BOX-016"} <= closed
    assert 3 == again[0], "it was tested within the hour"
    sent = [one for one in packets(tmp_path / "wire") if one.outgoing and one.opens]
    assert {OUTSIDE} == {one.destination for one in sent}
    assert {*PORTS, TOKEN, 1900} == {one.port for one in sent}
    lines = [line for line, _ in read_record(tmp_path / "service.jsonl")]
    assert len({(one.port) for one in sent}) == len({line.to for line in lines if line.what == "send"})
    kept = (
        b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
        + (tmp_path / "service.jsonl").read_bytes()
    )
    assert OUTSIDE.encode() not in kept, "the service writes no address"


def test_without_the_token_nothing_is_tested(tmp_path: Path) -> None:
    """A box that lets nobody in gets one connection for the token, and no door is called closed."""
    with (
        street(tmp_path),
        service(tmp_path) as met,
        captured(NET, "hcs0", tmp_path / "wire"),
    ):
        code, report, _ = ask(tmp_path, met, "--no-box")
    assert 4 == code
    assert {("BOX-015", "failed", "not-ours"), ("BOX-016", "failed", "not-ours")} == {
        (one["check"], one["outcome"], one["reason"]) for one in report["attempts"]
    }
    sent = [one for one in packets(tmp_path / "wire") if one.outgoing and one.opens]
    assert {(OUTSIDE, TOKEN)} == {(one.destination, one.port) for one in sent}


NAT_PMP = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 5351))
while True:
    _, who = sock.recvfrom(64)
    sock.sendto(bytes([0, 128, 0, 0, 0, 0, 0, 1]) + socket.inet_aton(sys.argv[2]), who)
"""


@pytest.mark.parametrize(("own", "told"), [("100.66.1.2", True), (OUTSIDE, False)])
def test_a_shared_address_is_told(tmp_path: Path, own: str, told: bool) -> None:
    """A box that itself has no public address explains why nothing from outside comes in."""
    with (
        street(tmp_path),
        running(BOX, [sys.executable, "-c", NAT_PMP, INSIDE, own], tmp_path),
        service(tmp_path) as met,
    ):
        code, report, _ = ask(tmp_path, met)
    assert told == ("BOX-018" in {one["check"] for one in report["findings"]})
    assert {"not-ours"} == {one["reason"] for one in report["attempts"] if one["outcome"] == "failed"}
    assert 4 == code, "information is no door"
