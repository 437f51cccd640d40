"""The box, as its protocols are documented: mappings are listed, nothing is written, noise is bounded."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.addresses import parse_address
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box.igd import READS, Reading, probe_box, read_answer, read_description, read_mapping
from huisclos.doors.box.state import Box, Outside, class_of
from huisclos.doors.probes.http import Answer
from huisclos.findings.nouns import Language, Reach, Reason, Severity, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested, web_server

DOWN = "0.0.0.0"  # noqa: S104 - no address at all
DESCRIPTION = b"""<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType><controlURL>/ctl</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPv6FirewallControl:1</serviceType>
<controlURL>/fw</controlURL></service></serviceList></device></root>"""


def _envelope(inner: str) -> bytes:
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body></s:Envelope>'.encode()


def _mapping(outer: int, inner: int, lease: int) -> bytes:
    return _envelope(
        f"<r><NewExternalPort>{outer}</NewExternalPort><NewInternalPort>{inner}</NewInternalPort><NewProtocol>TCP"
        "</NewProtocol><NewEnabled>1</NewEnabled><NewPortMappingDescription>Mac de Dr MARTIN"
        f"</NewPortMappingDescription><NewLeaseDuration>{lease}</NewLeaseDuration></r>"
    )


@contextmanager
def _udp(answer: bytes) -> Iterator[int]:
    """A datagram socket that answers everything with `answer`; silent when that is empty."""
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)

        def work() -> None:
            while not stop.is_set():
                try:
                    _, sender = server.recvfrom(4096)
                except TimeoutError:
                    continue
                if answer:
                    server.sendto(answer, sender)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def ask_box(
    mappings: list[tuple[int, int, int]], *, outside: str = "198.51.100.4", firewall: str = "1"
) -> tuple[Report, list[str]]:
    """The report on an emulated box, and the actions it was sent."""
    actions: list[str] = []
    index = iter(range(1000))

    def respond(_path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        action = re.sub(r'.*#|"', "", headers.get("SOAPAction", ""))
        actions.append(action)
        if action == "GetExternalIPAddress":
            return 200, {}, _envelope(f"<NewExternalIPAddress>{outside}</NewExternalIPAddress>")
        if action == "GetFirewallStatus":
            return 200, {}, _envelope(f"<FirewallEnabled>{firewall}</FirewallEnabled>")
        if action:
            at = next(index)
            if at < len(mappings):
                return 200, {}, _mapping(*mappings[at])
            return 500, {}, _envelope("<errorCode>713</errorCode>")
        return 200, {}, DESCRIPTION

    with web_server(respond) as (port, _), _udp(b"\0\x80" + b"\0" * 10) as pmp:
        location = f"HTTP/1.1 200 OK\r\nLOCATION: http://127.0.0.1:{port}/d.xml\r\n\r\n".encode()
        with _udp(location) as ssdp:
            return _probed(ssdp, pmp), [one for one in actions if one]


def _probed(ssdp: int, pmp: int) -> Report:
    made = Audit("box", Language.EN, now())
    made.take(asyncio.run(probe_box(parse_address("127.0.0.1"), ssdp=ssdp, nat_pmp=pmp)), now())
    return made.report()


def test_a_mapping_to_an_imaging_port_is_found() -> None:
    """It is critical from the Internet; the name a program gave it is not kept, and nothing is written."""
    report, actions = ask_box([(8080, 9999, 3600), (11112, 11112, 0)])
    (one,) = [one for one in report.findings if one.check == "BOX-002"]
    assert (Severity.CRITICAL, Reach.INTERNET) == (one.severity, one.reach)
    assert {"BOX-001", "BOX-002", "BOX-003", "BOX-004"} == set(open_doors(report))
    assert "MARTIN" not in str(report)
    assert set(READS) >= set(actions)
    assert not any(action.startswith(("Add", "Delete", "Set")) for action in actions)


def test_a_box_that_passes_nothing_on() -> None:
    """UPnP on is a door of its own; what is not mapped is closed."""
    report, _ = ask_box([])
    assert {"BOX-001", "BOX-004"} == set(open_doors(report))
    assert {"BOX-002", "BOX-003", "BOX-018"} <= closed_doors(report)


@pytest.mark.parametrize("outside", ["100.64.7.7", "192.168.0.2", "10.1.1.1"])
def test_a_box_behind_another(outside: str) -> None:
    """A shared or private outside address explains why a mapping may not work."""
    report, _ = ask_box([], outside=outside, firewall="0")
    assert {"BOX-009", "BOX-018"} <= set(open_doors(report))
    assert outside not in str(report)


@pytest.mark.parametrize("outside", [("198.51.100.4", DOWN), (DOWN, "198.51.100.4"), ("10.0.0.1", "8.8.8.8")])
def test_a_box_with_two_lines(outside: tuple[str, str]) -> None:
    """The one that the Internet reaches counts, whichever comes first; one that is down tells nothing."""
    reading = Reading(Box(), "")
    for one in outside:
        reading.outside(class_of(one))
    assert Outside.PUBLIC is reading.box.outside


@pytest.mark.parametrize(
    ("enabled", "counts"),
    [("1", True), ("yes", True), ("True", True), ("", True), ("0", False), ("False", False), ("no", False)],
)
def test_how_boxes_spell_that_a_mapping_is_on(enabled: str, counts: bool) -> None:
    """Any of UPnP's spellings; what is none of a no lets in, for all we know."""
    said = {"NewInternalPort": "104", "NewExternalPort": "104", "NewEnabled": enabled}
    assert counts == (read_mapping(said, "") is not None)


def test_silence_is_not_closed() -> None:
    """A box that says nothing may pass anything on."""
    with _udp(b"") as silent:
        report = _probed(silent, silent)
    assert Reason.TIMED_OUT is untested(report)["BOX-002"]


def test_a_description_elsewhere_is_not_fetched() -> None:
    """A location at another address is out of scope."""
    with _udp(b"HTTP/1.1 200 OK\r\nLOCATION: http://203.0.113.9/d.xml\r\n\r\n") as ssdp:
        report = _probed(ssdp, ssdp)
    assert Reason.OUT_OF_SCOPE is untested(report)["BOX-002"]


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><r>&c;</r>'
)


def test_a_billion_laughs_is_no_description() -> None:
    """Entities are not expanded: the document is refused."""
    assert [] == read_description(LAUGHS, "/")
    assert {} == read_answer(Answer(200, {}, LAUGHS))


@given(st.binary(max_size=300))
def test_any_answer_is_read(raw: bytes) -> None:
    """No bytes make the readers stumble."""
    read_description(raw, "/")
    read_answer(Answer(200, {}, raw))
    read_answer(Answer(500, {}, b"<a>" + raw + b"</a>"))


def test_a_mapping_behind_another_box_has_no_effect() -> None:
    """A program mapped the port, and nobody outside can use it: read in the settings, one step milder."""
    report, _ = ask_box([(11112, 11112, 3600)], outside="100.64.7.7")
    (one,) = [one for one in report.findings if one.check == "BOX-002"]
    assert (Verdict.CONFIG, Severity.HIGH, Reach.LAN) == (one.verdict, one.severity, one.reach)
