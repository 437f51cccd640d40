"""A real mDNS responder in a namespace of its own; what it announces is found, its names are dropped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSOutgoing, ServiceInfo

from huisclos.doors.box.neighbours import MAX_DATAGRAMS, Announced, _Heard, question, read_announcement
from tests.peers.house import program as huisclos
from tests.tools import need

HERE, THERE = "hcnear-test", "hcfar-test"
OWN, OTHER = "192.168.78.2", "192.168.78.1"
NAME = "Mac de Dr MARTIN"
RESPONDER = f"""
import socket, sys
from zeroconf import ServiceInfo, Zeroconf
zc = Zeroconf(interfaces=["{OTHER}"])
for kind, port in (("_dicom._tcp", 11112), ("_dicom-tls._tcp", 2762), ("_http._tcp", 80)):
    name = f"Livebox {NAME}.{{kind}}.local."
    where = [socket.inet_aton("{OTHER}")]
    info = ServiceInfo(f"{{kind}}.local.", name, port, addresses=where, server="martin.local.")
    zc.register_service(info)
print("ready", flush=True)
sys.stdin.read()
zc.close()
"""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.fixture(name="_lan")
def lan() -> Iterator[None]:
    """Two machines on one network, nothing else."""
    need("ip")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    for name in (HERE, THERE):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    try:
        _run("ip", "netns", "add", HERE)
        _run("ip", "netns", "add", THERE)
    except subprocess.CalledProcessError:
        pytest.skip("this machine makes no namespaces")
    try:
        for line in (
            f"link add hcn0 netns {THERE} type veth peer name hcn1 netns {HERE}",
            f"-n {THERE} addr add {OTHER}/24 dev hcn0",
            f"-n {HERE} addr add {OWN}/24 dev hcn1",
            *(f"-n {THERE} link set {one} up" for one in ("lo", "hcn0")),
            *(f"-n {HERE} link set {one} up" for one in ("lo", "hcn1")),
        ):
            _run("ip", *line.split())
        yield
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def _responder() -> Iterator[None]:
    with subprocess.Popen(
        ["ip", "netns", "exec", THERE, sys.executable, "-c", RESPONDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert b"ready" in process.stdout.readline()
        try:
            yield
        finally:
            process.communicate(timeout=15)


def _box(tmp_path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    ran = subprocess.run(
        ["ip", "netns", "exec", HERE, huisclos(), "doors", "box", "--address", OTHER, "--neighbours",
         "--kind", "upnp", "--json", str(report), "--record", str(tmp_path / "packets"), *more],
        check=False, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return ran.returncode, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.usefixtures("_lan")
def test_who_announces_imaging(tmp_path: Path) -> None:
    """Found while it announces itself, by address and port; never called closed; one datagram is sent."""
    agreed = ("--consent", "A. Martin, owner")
    assert 3 == _box(tmp_path)[0], "nobody agreed"
    assert not (tmp_path / "packets").exists() or "send" not in (tmp_path / "packets").read_text()
    _, before = _box(tmp_path, *agreed)
    assert "DCM-001" not in {one["check"] for one in before["findings"]}
    assert ("DCM-001", "failed") in {(one["check"], one["outcome"]) for one in before["attempts"]}
    with _responder():
        time.sleep(0.5)
        _, after = _box(tmp_path, *agreed)
    found = {(one["check"], one["target"], one["verdict"]) for one in after["findings"]}
    assert {
        ("DCM-001", f"{OTHER}:11112", "offered"),
        ("DCM-001", f"{OTHER}:2762", "offered"),
        ("DCM-015", f"{OTHER}:11112", "offered"),
    } <= found
    assert ("DCM-015", f"{OTHER}:2762", "offered") not in found
    assert "MARTIN" not in json.dumps(after)
    sent = {
        json.loads(line)["to"]
        for line in (tmp_path / "packets").read_text().splitlines()
        if json.loads(line)["what"] == "send"
    }
    assert {"224.0.0.251:5353", f"{OTHER}:1900", f"{OTHER}:5351"} == sent


def _announcement(name: str, port: int) -> bytes:
    kind = name.partition(".")[2]
    info = ServiceInfo(kind, name, port, server="a.local.")
    out = DNSOutgoing(0x8400)
    out.add_answer_at_time(info.dns_service(), 0)
    packets: list[bytes] = out.packets()
    return packets[0]


def test_an_announcement_is_read() -> None:
    """Its type, its port and where it came from; a page that names its model gives the model's word."""
    raw = _announcement(f"{NAME}._dicom._tcp.local.", 104)
    assert {Announced("10.0.0.9", 104, "dicom")} == read_announcement(raw, "10.0.0.9")
    raw = _announcement("Livebox 4._http._tcp.local.", 80)
    assert {Announced("10.0.0.1", 80, "http", "livebox-4")} == read_announcement(raw, "10.0.0.1")
    assert not read_announcement(_announcement("x._ipp._tcp.local.", 631), "10.0.0.9")
    assert not read_announcement(question(), "10.0.0.9"), "a question is no answer"


@given(st.binary(max_size=300), st.integers(0, 60), st.binary(min_size=1, max_size=8))
def test_any_datagram_is_heard(raw: bytes, at: int, noise: bytes) -> None:
    """No bytes make the reader stumble, whole or in the midst of an announcement."""
    read_announcement(raw, "10.0.0.9")
    good = _announcement("a._dicom._tcp.local.", 104)
    read_announcement(good[:at] + noise + good[at + len(noise) :], "10.0.0.9")


def test_only_this_network_is_heard_and_not_for_ever() -> None:
    """An answer from elsewhere is dropped, and so is what comes after a bound."""
    raw = _announcement("a._dicom._tcp.local.", 104)
    heard = _Heard(ip_network("10.0.0.0/24"))
    heard.datagram_received(raw, ("203.0.113.9", 5353))
    assert not heard.found
    for _ in range(MAX_DATAGRAMS):
        heard.datagram_received(b"", ("10.0.0.9", 5353))
    heard.datagram_received(raw, ("10.0.0.9", 5353))
    assert not heard.found
