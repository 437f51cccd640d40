"""Each maker's box, emulated: open and closed, what cannot work, what is refused; nothing is ever written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from huisclos.access.addresses import parse_address
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box.ask import Asking, Kind, Where, examine
from huisclos.doors.box.line import Login
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Language, Reach, Reason, Severity, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested
from tests.doors.boxes import (
    NAME,
    PASSWORD,
    Asked,
    Bbox,
    Freebox,
    Fritz,
    Livebox,
    Respond,
    SfrBox,
    bbox_forward,
    freebox_forward,
    livebox_forward,
    served,
)

LOGIN = Login("owner", PASSWORD)
TOKEN = Freebox().token


def ask(respond: Respond, kind: Kind, login: Login = LOGIN, token: str = TOKEN) -> tuple[Report, list[Asked]]:
    """The report on an emulated box, by its own interface alone, and what it was asked."""
    with served(respond) as (port, asked):
        where = Where(parse_address("127.0.0.1"), port)
        audit = Audit("box", Language.EN, now())
        seen = asyncio.run(examine(Asking(where, kind, login, token), upnp=False))
        audit.take(seen, now())
        report = audit.report()
    assert NAME not in str(report)
    assert PASSWORD not in str(report)
    return report, asked


BOXES: Mapping[Kind, tuple[Respond, Respond, set[str]]] = {
    Kind.FREEBOX: (
        Freebox(),
        Freebox(
            redirections=[freebox_forward(104, 104, 11112), freebox_forward(5000, 5100, 5000)],
            mappings=[{"ext_port": 4242, "int_port": 4242, "proto": "tcp", "ext_src_ip": "", "desc": NAME}],
            dmz=True, upnp=True, six_firewall=False, remote=True, ddns=True,
        ),
        {"001", "002", "005", "006", "007", "008", "009", "012", "017"},
    ),
    Kind.LIVEBOX: (
        Livebox(),
        Livebox(
            forwards={"a": livebox_forward("11112", "11112"), "b": livebox_forward("6000-6050", "6000")},
            mappings={"c": livebox_forward("8042", "8042")},
            dmz={"webui": {"Enable": True, "DestinationIPAddress": "192.168.1.42"}},
            pinholes={"p": {"DestinationPort": "11112", "Enable": True, "SourcePrefix": ""}},
            level="Low", six="Low", upnp=True, remote=True, hosts=[{"hostname": NAME, "enable": True}],
        ),
        {"001", "002", "005", "006", "007", "008", "009", "011", "012", "014", "017"},
    ),
    Kind.BBOX: (
        Bbox(),
        Bbox(
            rules=[bbox_forward("104", "104"), bbox_forward("7000:7100", "7000")],
            dmz=1, upnp=1, firewall=0, remote=1, dyndns=1,
            firewall_rules=[{"enable": 1, "action": "Accept", "dstport": "4242", "ipprotocol": "IPv6"}],
        ),
        {"001", "005", "006", "007", "008", "009", "011", "012", "014", "017"},
    ),
    Kind.SFR: (SfrBox(), SfrBox(shares="off", ddns="on"), {"014", "017"}),
    Kind.FRITZ: (
        Fritz(),
        Fritz([(104, 11112)], version="154.07.29", remote=1, dyndns=1),
        {"005", "007", "012", "017", "020"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(BOXES))
def test_each_door_both_ways(kind: Kind) -> None:
    """What is open on one box is found, and is closed on the other."""
    shut, wide, expected = BOXES[kind]
    wanted = {f"BOX-{number}" for number in expected}
    report, _ = ask(wide, kind)
    assert wanted == set(open_doors(report))
    report, _ = ask(shut, kind)
    assert {} == open_doors(report)
    assert wanted <= closed_doors(report)


@pytest.mark.parametrize("kind", list(BOXES))
def test_nothing_is_written(kind: Kind) -> None:
    """Each request is a read, or opens or ends a session."""
    _, asked = ask(BOXES[kind][1], kind)
    assert asked
    for one in asked:
        if one.method == "GET":
            continue
        text = one.body.decode()
        reads = '"method":"get' in text or "<u:Get" in text or "Context" in text
        assert reads or "/login" in one.path or "/logout" in one.path, one.path


@pytest.mark.parametrize("kind", list(BOXES))
def test_a_box_is_recognised(kind: Kind) -> None:
    """Without a name the box is known by what it says to anybody; its own menus are in the report."""
    report, _ = ask(BOXES[kind][1], Kind.AUTO)
    products = {
        str(fact.value) for one in report.findings for fact in one.evidence if fact.key is Key.PRODUCT
    }
    assert len(products) == 1
    if kind is not Kind.SFR:
        (forward,) = [one for one in report.findings if one.check == "BOX-005"]
        assert forward.fix.split(",")[0] in ("Freebox", "Livebox", "Bbox", "FRITZ!Box")


@pytest.mark.parametrize("kind", [one for one in BOXES if one is not Kind.FREEBOX])
def test_a_wrong_password_is_tried_once(kind: Kind) -> None:
    """No second try, and what is not told is not closed."""
    report, asked = ask(BOXES[kind][1], kind, Login("owner", "wrong"))
    assert Reason.NEEDS_LOGIN is untested(report)["BOX-005"]
    assert not open_doors(report)
    tries = [one for one in asked if _is_try(one)]
    assert 1 == len(tries)
    assert "wrong" not in str(report)


def _is_try(one: Asked) -> bool:
    said = one.body.decode() + one.path + str(one.headers.get("Authorization", ""))
    return any(mark in said for mark in ("createContext", "password=", "checkToken", "response="))


def test_a_locked_bbox_is_left_alone() -> None:
    """After a 429 nothing more is sent: each retry would lengthen it."""
    report, asked = ask(Bbox(locked=True), Kind.BBOX)
    assert Reason.LOCKED is untested(report)["BOX-005"]
    assert "/api/v1/login" == asked[-1].path


@pytest.mark.parametrize("kind", [Kind.LIVEBOX, Kind.BBOX, Kind.FRITZ])
def test_without_a_password_none_is_tried(kind: Kind) -> None:
    """There is no usual password in this program."""
    report, asked = ask(BOXES[kind][1], kind, Login())
    assert Reason.NEEDS_LOGIN is untested(report)["BOX-006" if kind is not Kind.FRITZ else "BOX-005"]
    assert not [one for one in asked if _is_try(one)]


def test_a_freebox_without_its_token() -> None:
    """A Freebox that never let this program in tells nothing, and is not called closed."""
    for token in ("", "another"):
        report, _ = ask(BOXES[Kind.FREEBOX][1], Kind.FREEBOX, token=token)
        assert Reason.NEEDS_LOGIN is untested(report)["BOX-005"]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (Freebox(redirections=[freebox_forward(104, 104, 104)], ipv4="100.64.3.3"), Kind.FREEBOX),
        (Freebox(redirections=[freebox_forward(104, 104, 104)], port_range=[16384, 32767]), Kind.FREEBOX),
        (Livebox(forwards={"a": livebox_forward("104", "104")}, address="10.3.3.3"), Kind.LIVEBOX),
        (Bbox(rules=[bbox_forward("104", "104")], port_range="40960:49151"), Kind.BBOX),
        (Fritz([(104, 104)], address="192.168.7.2"), Kind.FRITZ),
    ],
)
def test_configured_is_not_effective(box: Respond, kind: Kind) -> None:
    """Behind a shared address, or outside the range of ports, a forward is there and does nothing."""
    report, _ = ask(box, kind)
    (one,) = [one for one in report.findings if one.check == "BOX-005"]
    assert (Verdict.CONFIG, Severity.HIGH, Reach.LAN) == (one.verdict, one.severity, one.reach)
    assert (Key.EFFECTIVE, False) in [(fact.key, fact.value) for fact in one.evidence]
    assert "BOX-018" in open_doors(report)
    assert Severity.INFO is next(one.severity for one in report.findings if one.check == "BOX-018")


def test_a_forward_inside_the_range_works() -> None:
    """A shared address whose range holds the port: the door is open."""
    box = Freebox(redirections=[freebox_forward(20104, 20104, 104)], port_range=[16384, 32767])
    report, _ = ask(box, Kind.FREEBOX)
    (one,) = [one for one in report.findings if one.check == "BOX-005"]
    assert (Verdict.PROVED, Severity.CRITICAL, Reach.INTERNET) == (one.verdict, one.severity, one.reach)


def test_a_source_that_is_limited() -> None:
    """A forward for one address outside is no door to everybody."""
    report, _ = ask(Freebox(redirections=[freebox_forward(104, 104, 104, "9.9.9.8")]), Kind.FREEBOX)
    assert "BOX-007" not in open_doors(report)
    assert "BOX-005" in open_doors(report)


def test_a_livebox_that_shuts_a_read() -> None:
    """Newer firmware refuses some reads: what it refuses is untested, and the rest is read."""
    box = Livebox(denied=("Firewall.getPortForwarding",), dmz={"a": {"Enable": True}}, wrap=False)
    report, _ = ask(box, Kind.LIVEBOX)
    assert {"BOX-006"} == set(open_doors(report))
    assert Reason.NEEDS_LOGIN is untested(report)["BOX-005"]


def test_an_sfr_box_says_what_it_does_not_tell() -> None:
    """It has no read of forwards: the owner is to be asked."""
    report, _ = ask(SfrBox(), Kind.SFR)
    assert {Reason.NOT_TOLD} == {untested(report)[check] for check in ("BOX-005", "BOX-006", "BOX-012")}


def _hostile() -> Sequence[tuple[str, Respond]]:
    deep = b"[" * 60_000
    laughs = (
        b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rsp stat="ok">&b;</rsp>'
    )
    moved = {"Location": "http://203.0.113.9/api_version"}
    return [
        ("deep", lambda _: (200, {}, deep)),
        ("laughs", lambda _: (200, {}, laughs)),
        ("huge", lambda _: (200, {"Content-Length": str(4 << 30)}, b"{" * 200_000)),
        ("moved", lambda _: (302, moved, b"")),
        ("noise", lambda _: (200, {}, b"\xff\x00" * 500)),
        ("long", lambda _: (200, {}, b'{"success":true,"result":{"challenge":"' + b"A" * 100_000 + b'"}}')),
    ]


@pytest.mark.parametrize("kind", list(BOXES))
@pytest.mark.parametrize(("name", "respond"), _hostile())
def test_a_hostile_box(kind: Kind, name: str, respond: Respond) -> None:
    """Whatever comes back, nothing is found, nothing is closed, and no other address is asked."""
    report, _ = ask(respond, kind)
    assert not report.findings, name
    assert not closed_doors(report)
    assert "BOX-005" in untested(report)


def test_a_box_that_stalls() -> None:
    """One deadline, then the box is left alone: not one for each question."""

    def stalls(asked: Asked) -> tuple[int, Mapping[str, str], bytes]:
        if asked.path == "/ws" and b"DeviceInfo" not in asked.body and b"createContext" not in asked.body:
            return 200, {"Content-Length": "10"}, b"{"
        return Livebox()(asked)

    report, asked = ask(stalls, Kind.LIVEBOX)
    assert Reason.TIMED_OUT is untested(report)["BOX-005"]
    assert len(asked) <= 4


def test_rules_without_end() -> None:
    """A list of rules is bounded before it is looked at."""
    many: dict[str, Any] = {str(at): livebox_forward("104", "104") for at in range(150)}
    report, _ = ask(Livebox(forwards=many), Kind.LIVEBOX)
    assert "BOX-005" in open_doors(report) or Reason.TOO_LARGE is untested(report)["BOX-005"]
    assert all(len(one.evidence) <= 24 for one in report.findings)


def test_a_prefix_handed_on_unfiltered() -> None:
    """A Freebox that filters its own prefix, and hands another on without a filter, is open to IPv6."""
    report, _ = ask(Freebox(routed="fe80::1"), Kind.FREEBOX)
    assert {"BOX-009"} == set(open_doors(report))
