"""The packet record: nothing leaves that is not in it, no line can be changed, and nobody is named."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huisclos.access.addresses import parse_address
from huisclos.doors.mandate import OutsideMandate
from huisclos.doors.record import Record, RecordBroken, noted, only, read_record, watched
from huisclos.wiring import roles
from tests.doors.capture import captured, packets
from tests.doors.streets import FAR, HOST, NEIGHBOUR, NET, OUTSIDE, PRACTICE, inside, street
from tests.doors.test_cli import doors
from tests.doors.test_rest import encode, image
from tests.peers.house import program as huisclos
from tests.tools import program

PERSON, NUMBER = "ZWETSCHGE^QUIRIN", "P77441908"


def _connect(port: int, host: str = "127.0.0.1") -> None:
    with socket.socket() as sock:
        sock.settimeout(1)
        with suppress(OSError):
            sock.connect((host, port))


def _made(path: Path, lines: int = 5) -> Path:
    record = Record(path)
    for number in range(lines):
        record.write("send", f"127.0.0.1:{number + 1}")
    record.close()
    return path


def test_each_packet_is_written_before_it_leaves(tmp_path: Path) -> None:
    """Connections and datagrams, whoever makes them; and what no right covers stays here."""
    record = Record(tmp_path / "record")
    near = only(frozenset({parse_address("192.0.2.1")}))
    with watched(record, near):
        _connect(9)
        noted("canary", "2.25.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", 9))
            with pytest.raises(OutsideMandate):
                sock.sendto(b"", ("198.51.100.9", 9))
        with pytest.raises(OutsideMandate):
            _connect(104, "198.51.100.9")
        with pytest.raises(OutsideMandate):
            asyncio.run(_open("198.51.100.9"))
    _connect(9)
    lines = [(line.what, line.to or line.about) for line, _ in read_record(tmp_path / "record")]
    refused = ("refuse", "198.51.100.9:9"), ("refuse", "198.51.100.9:104"), ("refuse", "198.51.100.9:104")
    assert [("send", "127.0.0.1:9"), ("canary", "2.25.1"), ("send", "127.0.0.1:9"), *refused] == lines


async def _open(host: str) -> None:
    await asyncio.open_connection(host, 104)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_change_shows(tmp_path: Path, data: st.DataObject) -> None:
    """Any byte changed, any line moved, doubled or removed: the record does not hold."""
    path = tmp_path / "record"
    path.unlink(missing_ok=True)
    raw = _made(path).read_bytes()
    head = read_record(path)[-1][1]
    lines = raw.splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["byte", "remove", "double", "swap"]))
    at = data.draw(st.integers(0, len(lines) - 2))
    if kind == "byte":
        where = data.draw(st.integers(0, len(raw) - 1))
        raw = raw[:where] + bytes([raw[where] ^ data.draw(st.integers(1, 127))]) + raw[where + 1 :]
    else:
        changed = {
            "remove": [*lines[:at], *lines[at + 1 :]],
            "double": [*lines[: at + 1], lines[at], *lines[at + 1 :]],
            "swap": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
        }
        raw = b"".join(changed[kind])
    path.write_bytes(raw)
    with pytest.raises(RecordBroken):
        read_record(path, head)


def test_a_cut_end_shows_by_the_report(tmp_path: Path) -> None:
    """The chain alone cannot tell that its last lines are gone; the head in the report can."""
    path = _made(tmp_path / "record")
    head = read_record(path)[-1][1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert 4 == len(read_record(path))
    with pytest.raises(RecordBroken):
        read_record(path, head)


def test_a_second_run_goes_on_and_so_does_a_child(tmp_path: Path) -> None:
    """One file, several runs and processes, one chain; a broken one is not gone on with."""
    path = _made(tmp_path / "record")
    record = Record(path)
    child = os.fork()
    if child == 0:
        record.write("send", "127.0.0.1:77")
        os._exit(0)
    os.waitpid(child, 0)
    record.write("send", "127.0.0.1:78")
    record.close()
    assert list(range(1, 8)) == [line.n for line, _ in read_record(path)]
    path.write_bytes(path.read_bytes().replace(b":77", b":76"))
    with pytest.raises(RecordBroken):
        Record(path)


def test_the_command(tmp_path: Path) -> None:
    """What --record wrote is verified by a command, with the head that the report keeps."""
    record, report = tmp_path / "record", tmp_path / "report.json"
    doors("probe", "127.0.0.1:1", "--record", str(record), "--json", str(report))
    head = json.loads(report.read_text())["record"]
    code, shown, said = doors("record", str(record), "--head", head)
    assert 0 == code
    assert "127.0.0.1:1" in shown
    assert head in said
    assert 2 == doors("record", str(record), "--head", "0" * 64)[0]
    assert 3 == doors("probe", NEIGHBOUR, "--record", str(record))[0]
    assert head == read_record(record)[-1][1], "refused before anything was written or sent"


@contextmanager
def _pacs(folder: Path) -> Iterator[None]:
    """Orthanc on the practice's machine, open to everybody, with one patient in it."""
    folder.mkdir()
    (folder / "image.dcm").write_bytes(encode(image(person=PERSON, number=NUMBER)))
    opened = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomPort": 4242, "HttpPort": 8042,
        "RemoteAccessAllowed": True, "AuthenticationEnabled": False, "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True, "DicomCheckModalityHost": False,
        "DicomCheckCalledAet": False, "Plugins": [],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(opened))
    command = inside(PRACTICE, program("Orthanc"), str(folder / "orthanc.json"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        send = inside(PRACTICE, program("storescu"), "127.0.0.1", "4242", str(folder / "image.dcm"))
        for _ in range(60):
            if subprocess.run(send, check=False, capture_output=True, timeout=30).returncode == 0:
                break
            time.sleep(0.5)
        else:
            raise RuntimeError("nothing was stored")
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_nothing_outside_the_scope_and_no_patient(tmp_path: Path) -> None:
    """On the wire: only what the mandate names was asked, each in the record, and no patient was read."""
    mandate, key, record = (str(tmp_path / name) for name in ("mandate.json", "key", "record"))
    made = ("--owner", "A", "--contact", "B", "--auditor", "C", "--basis", "D", "--until", "2099-01-01")
    doors("mandate", "new", mandate, *made, "--target", OUTSIDE, "--exclude", NEIGHBOUR)
    doors("mandate", "sign", mandate, "--key", key)
    asked = [f"{OUTSIDE}:4242", f"{OUTSIDE}:8042"]
    command = [huisclos(), "doors", "probe", *asked, "--mandate", mandate, "--record", record]
    report = tmp_path / "report.json"
    with (
        street(tmp_path, 4242, 8042),
        _pacs(tmp_path / "pacs"),
        captured(NET, "hcs0", tmp_path / "wire"),
    ):
        ran = subprocess.run(
            inside(NET, *command, "--json", str(report)), check=False, capture_output=True, timeout=120
        )
        refused = [*command[:3], NEIGHBOUR, *command[5:]]
        none = subprocess.run(inside(NET, *refused), check=False, capture_output=True, timeout=60)
    assert 1 == ran.returncode, ran.stderr
    assert 3 == none.returncode
    found = {one["check"] for one in json.loads(report.read_text())["findings"]}
    assert {"DCM-006", "DCM-009", "DCM-010", "WEB-001"} <= found, "the doors are proved open"
    wire = packets(tmp_path / "wire")
    sent = [one for one in wire if one.outgoing and one.opens]
    assert {(OUTSIDE, 4242), (OUTSIDE, 8042)} == {(one.destination, one.port) for one in sent}
    assert {FAR} == {one.source for one in sent}
    lines = [line for line, _ in read_record(Path(record))]
    assert len(sent) == sum(line.what == "send" for line in lines), "each connection, and nothing else"
    there = b"".join(one.payload for one in wire)
    for secret in (PERSON, NUMBER, "ZWETSCHGE", "19800203"):
        assert secret.encode() not in there, "no patient crossed the wire"
        assert secret not in Path(record).read_text()
    canaries = {line.about.encode() for line in lines if line.what == "canary"}
    uids = set(re.findall(rb"2\.25\.\d{20,40}", b"".join(one.payload for one in wire if one.outgoing)))
    assert uids
    own = {uid for uid in uids if uid in canaries}
    assert len(uids - own) <= 1, "what was asked for are the canaries (and our implementation's own UID)"
    assert HOST not in Path(record).read_text(), "what lies behind the box is nobody's business here"


def test_the_auditor_of_a_house_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process runs on a loop whose packets the record sees and stops; uvloop's would leave unseen."""
    stopped: list[str] = []

    async def main(_child: object, _bound: object) -> None:
        with watched(None, only(frozenset())), pytest.raises(OutsideMandate):
            await asyncio.open_connection("192.0.2.1", 104)
        stopped.append("192.0.2.1")

    monkeypatch.setattr(roles, "confine_role", lambda *_: None)
    monkeypatch.setattr(roles, "lower_priority", lambda: None)
    monkeypatch.setattr(roles, "Child", lambda post: post)
    monkeypatch.setattr(roles, "folders", lambda _archive: ())
    monkeypatch.setattr(roles, "auditor_main", main)
    post: Any = SimpleNamespace(role="auditor", archive=None)
    assert 0 == roles.run_auditor(post, roles.HousePlan())
    assert ["192.0.2.1"] == stopped
