"""A real miniupnpd in network namespaces that the test makes: nothing leaves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.house import program as huisclos
from tests.tools import need, program

BOX, LAN = "hcbox-test", "hclan-test"
INSIDE, OUTSIDE = "192.168.77.1", "203.0.113.1"
TABLES = "".join(
    f"table inet {name} {{\nchain forward {{ type filter hook forward priority 0; jump miniupnpd; }}\n"
    "chain miniupnpd { }\nchain prerouting_miniupnpd { }\nchain postrouting_miniupnpd { }\n"
    "chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }\n"
    "chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }\n}\n"
    for name in ("filter", "miniupnpd")
)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def _inside(name: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", name, *command]


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[str]:
    """A LAN with a box on its edge; the name of the namespace of the machine in it."""
    need("ip", "nft", "miniupnpd", "upnpc")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    for name in (BOX, LAN):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    try:
        _run("ip", "netns", "add", BOX)
        _run("ip", "netns", "add", LAN)
    except subprocess.CalledProcessError:
        pytest.skip("this machine makes no namespaces")
    try:
        for line in (
            f"link add hcl0 netns {BOX} type veth peer name hcl1 netns {LAN}",
            f"-n {BOX} link add hcw0 type veth peer name hcw1",
            f"-n {BOX} addr add {INSIDE}/24 dev hcl0",
            f"-n {BOX} addr add {OUTSIDE}/24 dev hcw0",
            f"-n {LAN} addr add 192.168.77.2/24 dev hcl1",
            *(f"-n {BOX} link set {one} up" for one in ("lo", "hcl0", "hcw0", "hcw1")),
            *(f"-n {LAN} link set {one} up" for one in ("lo", "hcl1")),
            f"-n {LAN} route add default via {INSIDE}",
        ):
            _run("ip", *line.split())
        (tmp_path / "tables").write_text(TABLES)
        _run(*_inside(BOX, "nft", "-f", str(tmp_path / "tables")))
        yield LAN
    finally:
        for name in (BOX, LAN):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _box(tmp_path: Path, *more: str) -> subprocess.Popen[bytes]:
    # The outside address is only said: the daemon refuses one that is reserved, and no packet goes there.
    (tmp_path / "box.conf").write_text(
        "ext_ifname=hcw0\nlistening_ip=hcl0\nport=5555\nenable_natpmp=yes\nenable_upnp=yes\nsecure_mode=no\n"
        "ext_ip=9.9.9.9\nuuid=00000000-0000-0000-0000-000000000001\n"
        "allow 1024-65535 0.0.0.0/0 1024-65535\n"
    )
    command = _inside(
        BOX, "miniupnpd", "-d", "-P", str(tmp_path / "pid"), "-f", str(tmp_path / "box.conf"), *more
    )
    with (tmp_path / "box.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _report(name: str, tmp_path: Path, *more: str) -> dict[str, Any]:
    report = tmp_path / "report.json"
    command = _inside(name, huisclos(), "doors", "box", "--json", str(report), *more)
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def _doors(name: str, tmp_path: Path, *more: str) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in _report(name, tmp_path, *more)["findings"]}


def _closed(document: dict[str, Any]) -> set[str]:
    return {one["check"] for one in document["attempts"] if one["outcome"] == "closed"}


def test_a_real_box_both_ways(lan: str, tmp_path: Path) -> None:
    """The gateway is found; a mapping to an imaging port is found while it is there, and only then."""
    box = _box(tmp_path)
    try:
        time.sleep(1.5)
        before = _doors(lan, tmp_path)
        assert {"BOX-001", "BOX-004"} <= set(before)
        assert "BOX-002" not in before
        description = f"http://{INSIDE}:5555/rootDesc.xml"
        _run(*_inside(lan, "upnpc", "-u", description, "-a", "192.168.77.2", "11112", "11112", "tcp"))
        found = _doors(lan, tmp_path)["BOX-002"]
        assert ("proved", "critical", "internet") == tuple(
            found[key] for key in ("verdict", "severity", "reach")
        )
        listed = _run(*_inside(lan, "upnpc", "-u", description, "-l"))
        assert "11112->192.168.77.2:11112" in listed, "the list is as it was"
        _run(*_inside(lan, "upnpc", "-u", description, "-d", "11112", "tcp"))
        assert "BOX-002" not in _doors(lan, tmp_path)
    finally:
        box.terminate()
        box.wait(10)


def test_drift_and_leases_on_a_real_box(lan: str, tmp_path: Path) -> None:
    """A mapping made since the last report is BOX-021; IGD 2 gives each an end, so BOX-003 is closed."""
    box = _box(tmp_path)
    try:
        time.sleep(1.5)
        before = _report(lan, tmp_path)
        assert {"BOX-002", "BOX-003", "BOX-018"} <= _closed(before)
        baseline = tmp_path / "baseline.json"
        (tmp_path / "report.json").rename(baseline)
        description = f"http://{INSIDE}:5555/rootDesc.xml"
        _run(*_inside(lan, "upnpc", "-u", description, "-a", "192.168.77.2", "4242", "4242", "tcp", "3600"))
        after = _report(lan, tmp_path, "--baseline", str(baseline))
        found = {one["check"]: one for one in after["findings"]}
        assert {"BOX-002", "BOX-021"} <= set(found)
        assert {"key": "port", "value": 4242} in found["BOX-021"]["evidence"]
        assert {"key": "self", "value": True} in found["BOX-002"]["evidence"]
        assert "BOX-003" in _closed(after)
    finally:
        box.terminate()
        box.wait(10)


def test_the_word_of_a_box_on_ipv6_is_no_proof(lan: str, tmp_path: Path) -> None:
    """A real miniupnpd says that its IPv6 firewall is on while a connection from outside passes it.

    Its program has no other answer (2.3.1, and its source since). IGD 1 has no such service at all.
    """
    outside = "hcnet-test"
    subprocess.run(["ip", "netns", "del", outside], check=False, capture_output=True)
    _run("ip", "netns", "add", outside)
    port, six = 11112, "2001:db8:77::2"
    server = box = None
    try:
        for line in (
            f"-n {BOX} link set hcw1 netns {outside}",
            f"-n {outside} link set hcw1 up",
            f"-n {outside} addr add 2001:db8:99::2/64 dev hcw1 nodad",
            f"-n {BOX} addr add 2001:db8:99::1/64 dev hcw0 nodad",
            f"-n {BOX} addr add 2001:db8:77::1/64 dev hcl0 nodad",
            f"-n {LAN} addr add {six}/64 dev hcl1 nodad",
            f"-n {LAN} -6 route add default via 2001:db8:77::1",
            f"-n {outside} -6 route add 2001:db8:77::/64 via 2001:db8:99::1",
        ):
            _run("ip", *line.split())
        _run(*_inside(BOX, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"))
        listen = (
            "import socket, time\n"
            f"s = socket.create_server(('::', {port}), family=socket.AF_INET6)\ntime.sleep(60)"
        )
        server = subprocess.Popen(_inside(lan, sys.executable, "-c", listen))
        box = _box(tmp_path)
        time.sleep(1.5)
        knock = f"import socket; socket.create_connection(('{six}', {port}), 5)"
        _run(*_inside(outside, sys.executable, "-c", knock))
        told = _run(*_inside(lan, "upnpc", "-u", f"http://{INSIDE}:5555/rootDesc.xml", "-S"))
        assert "Firewall Enabled: Yes" in told
        report = _report(lan, tmp_path)
        assert "BOX-009" not in _closed(report)
        (missed,) = [one for one in report["attempts"] if one["check"] == "BOX-009"]
        assert ("failed", "not-told") == (missed["outcome"], missed["reason"])
    finally:
        for process in (server, box):
            if process is not None:
                process.terminate()
                process.wait(10)
        subprocess.run(["ip", "netns", "del", outside], check=False, capture_output=True)


@pytest.mark.parametrize("generation", [1, 2])
def test_both_generations_of_a_real_box(lan: str, tmp_path: Path, generation: int) -> None:
    """The mapping is found by either; only the second has a service for IPv6."""
    box = _box(tmp_path, *(["-1"] if generation == 1 else []))
    try:
        time.sleep(1.5)
        description = f"http://{INSIDE}:5555/rootDesc.xml"
        assert {"BOX-002", "BOX-018"} <= _closed(_report(lan, tmp_path))
        _run(*_inside(lan, "upnpc", "-u", description, "-a", "192.168.77.2", "104", "11112", "tcp"))
        report = _report(lan, tmp_path)
    finally:
        box.terminate()
        box.wait(10)
    found = {one["check"]: one for one in report["findings"]}
    assert "BOX-002" in found
    assert {"key": "igd", "value": generation} in found["BOX-001"]["evidence"]


def test_a_machine_behind_its_box(lan: str, tmp_path: Path) -> None:
    """Orthanc serves its pages to this machine alone, its DICOM port is mapped: each has its own reach."""
    (tmp_path / "store").mkdir()
    settings = {
        "StorageDirectory": str(tmp_path / "store"), "IndexDirectory": str(tmp_path / "store"),
        "DicomPort": 4242, "HttpPort": 8042, "RemoteAccessAllowed": False,
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    report = tmp_path / "report.json"
    description = f"http://{INSIDE}:5555/rootDesc.xml"
    box = _box(tmp_path)
    orthanc = subprocess.Popen(
        _inside(lan, program("Orthanc"), str(tmp_path / "orthanc.json")),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(4.0)
        _run(*_inside(lan, "upnpc", "-u", description, "-a", "192.168.77.2", "4242", "4242", "tcp"))
        subprocess.run(
            _inside(lan, huisclos(), "doors", "check", "--json", str(report)),
            check=False, capture_output=True, timeout=90, env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
    finally:
        for process in (orthanc, box):
            process.terminate()
            process.wait(20)
    found = {
        (one["check"], one["target"]): (one["reach"], one["severity"])
        for one in json.loads(report.read_text())["findings"]
    }
    assert ("internet", "critical") == found["DCM-003", "127.0.0.1:4242"]
    assert ("loopback", "high") == found["WEB-001", "127.0.0.1:8042"]
    assert ("lan", "high") == found["WEB-022", "127.0.0.1:8042"], (
        "it asks the network for a password in clear"
    )
