"""A box that breaks off, never ends, or says what cannot be: what was not read to its end is not closed."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from huisclos.access.addresses import parse_address
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box import igd
from huisclos.doors.box.ask import settled
from huisclos.findings.nouns import Language, Reason
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested, web_server

NAME = "DUPONT^Marguerite 19480704"
"""an invented patient, whom a program named its mapping after"""
Reply = tuple[int, Mapping[str, str], bytes]
Say = Callable[[str, int], Reply | None]
"""What it answers to an action, the n-th time it is asked; None: as a good box does."""


def _envelope(inner: str) -> Reply:
    head = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    return 200, {}, f"{head}{inner}</s:Body></s:Envelope>".encode()


def _mapping(port: int, lease: int = 3600, name: str = NAME) -> Reply:
    return _envelope(
        f"<r><NewExternalPort>{port}</NewExternalPort><NewInternalPort>{port}</NewInternalPort><NewProtocol>TCP"
        f"</NewProtocol><NewEnabled>1</NewEnabled><NewPortMappingDescription>{name}</NewPortMappingDescription>"
        f"<NewLeaseDuration>{lease}</NewLeaseDuration></r>"
    )


def _description(version: int, query: str) -> Reply:
    names = ["WANIPConnection:2", "WANIPv6FirewallControl:1"] if version > 1 else ["WANIPConnection:1"]
    services = "".join(
        f"<service><serviceType>urn:schemas-upnp-org:service:{name}</serviceType>"
        f"<controlURL>/soap{query}</controlURL></service>"
        for name in names
    )
    return 200, {}, f"<root><device><serviceList>{services}</serviceList></device></root>".encode()


@contextmanager
def _answering(answer: bytes, *, elsewhere: bool = False) -> Iterator[int]:
    """A datagram socket on loopback that answers, from another port if `elsewhere`; its port."""
    stop = threading.Event()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        server.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        server.settimeout(0.05)

        def work() -> None:
            while not stop.is_set():
                try:
                    _, sender = server.recvfrom(4096)
                except TimeoutError:
                    continue
                (other if elsewhere else server).sendto(answer, sender)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def _told(
    say: Say, *, version: int = 2, query: str = "", location: str = "", elsewhere: bool = False
) -> tuple[Report, list[str]]:
    """The report on a box that answers by `say`, and the paths that it was asked at."""
    counts: dict[str, int] = {}
    paths: list[str] = []

    def respond(path: str, headers: Mapping[str, str]) -> Reply:
        action = re.sub(r'.*#|"', "", headers.get("SOAPAction", ""))
        paths.append(path)
        at = counts[action] = counts.get(action, -1) + 1
        if (said := say(action, at)) is not None:
            return said
        if query and action and query not in path:
            return 404, {}, b""
        return {
            "": _description(version, query),
            "GetExternalIPAddress": _envelope("<NewExternalIPAddress>198.51.100.4</NewExternalIPAddress>"),
            "GetFirewallStatus": _envelope("<FirewallEnabled>1</FirewallEnabled>"),
        }.get(action, (500, {}, _envelope("<errorCode>713</errorCode>")[2]))

    with web_server(respond) as (port, _), _answering(b"\0\x80" + b"\0" * 10) as pmp:
        where = location.replace("PORT", str(port)) or f"http://127.0.0.1:{port}/d.xml{query}"
        said = f"HTTP/1.1 200 OK\r\nLOCATION: {where}\r\n\r\n".encode("latin-1")
        with _answering(said, elsewhere=elsewhere) as ssdp:
            made = Audit("box", Language.EN, now())
            seen = asyncio.run(igd.probe_box(parse_address("127.0.0.1"), ssdp=ssdp, nat_pmp=pmp))
            made.take(settled(seen), now())
            return made.report(), paths


def _as_usual(_action: str, _at: int) -> Reply | None:
    return None


def test_a_list_without_end_is_not_closed() -> None:
    """It is read up to a bound; what follows may be a mapping to imaging."""
    report, paths = _told(
        lambda action, at: _mapping(20000 + at) if action == "GetGenericPortMappingEntry" else None
    )
    assert Reason.TOO_LARGE is untested(report)["BOX-002"] is untested(report)["BOX-003"]
    assert {"BOX-002", "BOX-003"}.isdisjoint(closed_doors(report))
    assert igd.MAX_MAPPINGS + 8 > len(paths)
    assert "DUPONT" not in str(report)


def test_a_list_that_breaks_off_is_not_closed() -> None:
    """An answer that is none leaves the rest of the list unknown; what was seen open is told."""

    def say(action: str, at: int) -> Reply | None:
        if action != "GetGenericPortMappingEntry":
            return None
        return _mapping(20000, lease=0) if at == 0 else (200, {}, b"<no")

    report, _ = _told(say)
    assert Reason.PROTOCOL is untested(report)["BOX-002"]
    assert "BOX-003" in open_doors(report)
    assert "BOX-002" not in closed_doors(report)


@pytest.mark.parametrize(
    "answer", [(500, {}, b"<errorCode>401</errorCode>"), _envelope("<FirewallEnabled>?</FirewallEnabled>")]
)
def test_a_firewall_that_does_not_say_is_not_closed(answer: Reply) -> None:
    """An error, or a word that is no boolean, is no proof that IPv6 is filtered."""
    report, _ = _told(lambda action, _: answer if action == "GetFirewallStatus" else None)
    assert Reason.PROTOCOL is untested(report)["BOX-009"]


def test_a_firewall_that_says_yes_is_not_proved() -> None:
    """The daemon of most boxes has no other answer; a no is believed."""
    report, _ = _told(_as_usual)
    assert Reason.NOT_TOLD is untested(report)["BOX-009"]
    said = _envelope("<FirewallEnabled>0</FirewallEnabled>")
    report, _ = _told(lambda action, _: said if action == "GetFirewallStatus" else None)
    assert "BOX-009" in open_doors(report)


def test_a_first_generation_box_tells_nothing_of_ipv6() -> None:
    """IGD 1 has no service for it: the report says that it could not be tested."""
    report, _ = _told(_as_usual, version=1)
    assert Reason.NOT_TOLD is untested(report)["BOX-009"]
    assert {"BOX-002", "BOX-003"} <= closed_doors(report)


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:99999/d.xml", "http://[::1/d.xml", "http://127.0.0.1:PORT/d\xe9.xml", "file:///d.xml",
     "http://127.0.0.1:PORT@203.0.113.9/d.xml", "http://localhost:PORT/d.xml"],
)  # fmt: skip
def test_a_location_that_is_none(location: str) -> None:
    """Nothing is asked by it, and the audit goes on."""
    report, paths = _told(_as_usual, location=location)
    assert Reason.OUT_OF_SCOPE is untested(report)["BOX-002"]
    assert [] == paths


def test_an_answer_from_another_port_is_heard() -> None:
    """Libraries of UPnP answer a search from a socket of their own."""
    report, _ = _told(_as_usual, elsewhere=True)
    assert "BOX-001" in open_doors(report)


def test_a_service_that_hangs_on_a_query() -> None:
    """`/soap.cgi?service=WANIPConn1` is a maker's way to name it."""
    report, paths = _told(_as_usual, query="?service=WANIPConn1")
    assert {"BOX-002", "BOX-003"} <= closed_doors(report)
    assert all(path.endswith("?service=WANIPConn1") for path in paths)


@pytest.mark.parametrize(
    "name", [NAME + " & fils", NAME + "\x1b[2J\x07", NAME + " &#8238;&#10;", "<b>" + NAME]
)
def test_a_description_does_not_hide_its_mapping(name: str) -> None:
    """It is taken out before the answer is read: it may break the document, and may be a patient's name."""

    def say(action: str, at: int) -> Reply | None:
        if action != "GetGenericPortMappingEntry":
            return None
        return _mapping(11112, name=name) if at == 0 else None

    report, _ = _told(say)
    assert "BOX-002" in open_doors(report)
    assert "DUPONT" not in str(report)


def test_a_redirect_is_not_followed() -> None:
    """Not to another host, and not on the box either."""
    report, paths = _told(lambda _action, _at: (302, {"Location": "http://203.0.113.9/d.xml"}, b""))
    assert Reason.PROTOCOL is untested(report)["BOX-002"]
    assert ["/d.xml"] == paths


def test_a_box_that_answers_in_its_last_second_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole list has a deadline too, not each answer alone."""
    monkeypatch.setattr(igd, "_WHOLE_SECONDS", 0.5)

    def say(action: str, at: int) -> Reply | None:
        time.sleep(0.1)
        return _mapping(20000 + at) if action == "GetGenericPortMappingEntry" else None

    report, paths = _told(say)
    assert Reason.TIMED_OUT is untested(report)["BOX-002"]
    assert igd.MAX_MAPPINGS > len(paths)
