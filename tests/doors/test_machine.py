"""A machine's listeners: by address and program, asked over loopback, judged by what they are bound to."""

from __future__ import annotations

import json
import os
import plistlib
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path

import pytest

from huisclos.access.addresses import parse_address
from huisclos.cli import doors_check
from huisclos.cli.doors_house import Own
from huisclos.cli.doors_report import Options
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box.state import leads_here
from huisclos.doors.machine import Listener, imaging, is_global, joined, listeners, observe_listeners
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.errors import ArchiveNotFound, BadSetting
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Language, Reach, Reason
from tests.doors.auditing import started
from tests.doors.test_cli import doors
from tests.doors.test_rest import encode, image
from tests.peers.house import program as huisclos
from tests.tools import program

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what we look for


def listener(address: str, port: int, name: str | None = None, *, administrator: bool = False) -> Listener:
    """An invented listener."""
    return Listener(parse_address(address), port, name, administrator)


def opened(*all_of_them: Listener) -> set[str]:
    """The checks that listeners open by themselves."""
    made = Audit("check", Language.EN, now())
    made.take(observe_listeners(all_of_them), now())
    return {one.check for one in made.report().findings}


def test_databases_and_programs_both_ways() -> None:
    """A database on the network, an imaging program on an odd port or as administrator; and none of it."""
    assert {"WEB-027"} == opened(listener(EVERYWHERE, 5432))
    assert set() == opened(listener("127.0.0.1", 5432))
    assert {"DCM-028"} == opened(listener("127.0.0.1", 9999, "orthanc"))
    assert set() == opened(listener("127.0.0.1", 4242, "orthanc"))
    assert {"CFG-017"} == opened(listener("127.0.0.1", 4242, "orthanc", administrator=True))


def test_a_machine_without_a_box_before_it() -> None:
    """Listening everywhere is the Internet's where the machine has a public address; elsewhere it is not."""
    for address, public, reach in (
        (EVERYWHERE, True, Reach.INTERNET),
        (EVERYWHERE, False, Reach.LAN),
        ("192.168.1.2", True, Reach.LAN),
        ("127.0.0.1", True, Reach.LOOPBACK),
        ("8.8.4.4", True, Reach.INTERNET),
    ):
        one = Listener(parse_address(address), 4242, "orthanc", administrator=False, public=public)
        assert reach is one.reach


def test_a_public_address_both_ways() -> None:
    """Imaging at every address, or at a global one, of a machine that the Internet reaches over IPv6."""

    def doors_of(address: str, *, six: bool, global_six: bool, name: str | None = "orthanc") -> set[str]:
        made = Audit("check", Language.EN, now())
        one = Listener(parse_address(address), 4242, name, administrator=False, six=six)
        made.take(observe_listeners([one], global_six=global_six), now())
        return {door.check for door in made.report().findings}

    assert {"BOX-010"} == doors_of(EVERYWHERE, six=True, global_six=True)
    assert {"BOX-010"} == doors_of(EVERYWHERE, six=True, global_six=True, name=None)
    assert {"BOX-010"} == doors_of("2001:4860::1", six=False, global_six=True)
    for closed in (
        doors_of(EVERYWHERE, six=True, global_six=False),
        doors_of("fd00::1", six=False, global_six=True),
    ):
        assert set() == closed
    assert set() == doors_of(EVERYWHERE, six=False, global_six=True), "it listens by IPv4 alone"
    assert set() == doors_of(EVERYWHERE, six=True, global_six=True, name="huisclos"), "it refuses them itself"


def test_a_listener_of_ipv6_is_seen() -> None:
    """A real socket at every address, IPv4 and IPv6, is one listener that IPv6 reaches."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        (found,) = [one for one in listeners() if one.port == server.getsockname()[1]]
    assert (True, Reach.LAN) == (found.six, found.reach)
    assert not is_global(parse_address("fe80::1"))
    assert is_global(parse_address("2a01:e0a::1"))


def test_viewers_have_nothing_to_listen_for() -> None:
    """RadiAnt on the network is a door, on this machine alone it is none."""
    for address, expected in ((EVERYWHERE, {"CFG-013"}), ("127.0.0.1", set[str]())):
        one = Listener(parse_address(address), 11112, None, administrator=False, viewer="radiant")
        assert expected == opened(one)


def test_reach_is_that_of_the_address() -> None:
    """Everywhere and private are the network, loopback is the machine, public is the Internet."""
    reaches = [listener(one, 104).reach for one in (EVERYWHERE, "10.0.0.1", "127.0.0.1", "8.8.8.8")]
    assert [Reach.LAN, Reach.LAN, Reach.LOOPBACK, Reach.INTERNET] == reaches
    assert "127.0.0.1:104" == listener(EVERYWHERE, 104).target.name


def test_a_server_of_this_machine_is_found(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Storescp listens everywhere: its program is known, it is asked here, and judged as on the network."""
    port = free_port()
    report = tmp_path / "report.json"
    with started([program("storescp"), "--ignore", str(port)], port, tmp_path):
        (found,) = [one for one in imaging(listeners()) if one.port == port]
        code, _, _ = doors("check", "--no-box", "--json", str(report))
    assert ("dcmtk", Reach.LAN) == (found.program, found.reach)
    assert 1 == code
    named = {
        one["check"]: one["reach"]
        for one in json.loads(report.read_text())["findings"]
        if one["target"] == f"127.0.0.1:{port}"
    }
    assert {"DCM-001", "DCM-003", "DCM-015", "DCM-028"} <= set(named)
    assert {"lan"} == set(named.values())


def test_first_findings_come_early(tmp_path: Path) -> None:
    """On a terminal a door shows at once, before files are read; the whole comes within a minute."""
    (tmp_path / "Downloads").mkdir()
    for number in range(2000):
        (tmp_path / "Downloads" / f"{number}.dcm").write_bytes(encode(image(number=f"P{number}")))
    preferences = tmp_path / "Library" / "Preferences"
    preferences.mkdir(parents=True)
    (preferences / "com.horosproject.horos.plist").write_bytes(plistlib.dumps({"STORESCP": True}))
    ours, theirs = pty.openpty()
    began = time.monotonic()
    with subprocess.Popen(
        [huisclos(), "doors", "check", "--no-box"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=theirs, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb"},
    ) as process:  # fmt: skip
        os.close(theirs)
        said, first = b"", 0.0
        while True:
            try:
                raw = os.read(ours, 4096)
            except OSError:
                break
            if not raw:
                break
            said += raw
            first = first or (time.monotonic() - began if b"CFG-012" in said else 0.0)
        assert 1 == process.wait(90)
    os.close(ours)
    assert said.index(b"CFG-012") < said.index(b"RST-018")
    assert 0 < first < 2 * SLACK


SLACK = 5
"""how much slower than an ordinary machine one under test may be"""


def test_two_ways_to_one_listener() -> None:
    """What the network opens stands; what loopback opens beside it is this machine's; silence is no door."""
    name = "127.0.0.1:8042"
    open_, shut = facts(http_status=200), facts(http_status=401)
    network: list[Seen] = [
        Observation(What.REST, name, Reach.LAN, shut),
        Observation(What.EXPLORER, name, Reach.LAN, open_),
    ]
    here: list[Seen] = [
        Observation(What.REST, name, Reach.LOOPBACK, open_),
        Observation(What.EXPLORER, name, Reach.LOOPBACK, open_),
    ]
    made = Audit("check", Language.EN, now())
    made.take(joined(network, here), now())
    assert {("WEB-001", Reach.LOOPBACK), ("WEB-004", Reach.LAN)} == {
        (one.check, one.reach) for one in made.report().findings
    }
    silent: list[Seen] = [Miss(("*",), name, Reason.NOT_IDENTIFIED)]
    assert here == joined(silent, here)
    assert silent == joined(silent, silent)


def test_what_a_box_passes_on_is_the_internets() -> None:
    """A working mapping to this machine widens the doors of that port, and of no other."""
    mapped = facts(class_="mapping", value="open", effective=True) + facts(
        port=80, internal_port=4242, transport="tcp", width=2, self=True
    )
    elsewhere = facts(class_="mapping", value="open") + facts(port=104, internal_port=104, transport="tcp")
    seen: list[Seen] = [
        Observation(What.BOX, "192.168.1.1", Reach.INTERNET, mapped),
        Observation(What.BOX, "192.168.1.1", Reach.INTERNET, elsewhere),
    ]
    assert {4242, 4243} == leads_here(seen)
    made = Audit("check", Language.EN, now())
    listening = [listener(EVERYWHERE, port, "orthanc", administrator=True) for port in (4242, 11112)]
    made.take(observe_listeners(listening), now())
    made.widen({"127.0.0.1:4242"})
    assert {("127.0.0.1:4242", Reach.INTERNET), ("127.0.0.1:11112", Reach.LAN)} == {
        (one.target, one.reach) for one in made.report().findings
    }


def test_a_machine_without_an_archive_waits_for_none() -> None:
    """What a house is made of is not loaded for it: it took longer than the first door may."""
    asked = "import sys; from huisclos.cli.doors_house import own_doors; own_doors(None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert {"sqlalchemy", "pydicom", "huisclos.wiring"}.isdisjoint(done.stdout.split())


def test_the_machine_is_looked_at_before_the_house_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a house to see the machine's first door; a folder that is none is told at once."""
    order = list[str]()

    def asked(_archive: Path | None) -> Own:
        order.append("house")
        raise BadSetting("enough")

    def looked() -> tuple[Seen, ...]:
        order.append("machine")
        return ()

    monkeypatch.setattr(doors_check, "_at_once", looked)
    monkeypatch.setattr(doors_check, "own_doors", asked)
    look = unwrap(doors_check.check)
    with pytest.raises(BadSetting):
        look(None, options=Options())
    assert ["machine", "house"] == order
    with pytest.raises(ArchiveNotFound):
        look(tmp_path, options=Options())
    assert ["machine", "house"] == order
