"""Bbox (Bouygues Telecom), by its HTTP API, version 1: reads are GET, and answers are lists of one object.

Its login is by the password of its page, over TLS to a certificate in its own name. It locks out for longer
with each wrong password, so there is one try, and none after a 429.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from huisclos.doors.box.guides import recognise
from huisclos.doors.box.line import (
    Call,
    Entry,
    Line,
    Login,
    NoAnswer,
    Question,
    flag,
    items,
    known,
    ports,
    read_json,
    table,
    text,
)
from huisclos.doors.box.rules import Names, Step, forwards, walk
from huisclos.doors.box.state import Box, class_of, is_here
from huisclos.findings.nouns import Reason

HOST: Final = "mabbox.bytel.fr"
"""in its certificate"""
_FORM: Final = "application/x-www-form-urlencoded"
_COOKIE: Final = re.compile(r"BBOX_ID=([A-Za-z0-9._~+/=-]{1,256})")
_MAX_DEPTH: Final = 6


class Hello(Question):
    """What a Bbox says to anybody."""

    SUMMARY = Call("GET", "/api/v1/summary")


class Read(Question):
    """What is asked in a session."""

    DEVICE = Call("GET", "/api/v1/device")
    WAN = Call("GET", "/api/v1/wan/ip")
    FORWARDS = Call("GET", "/api/v1/nat/rules")
    DMZ = Call("GET", "/api/v1/nat/dmz")
    UPNP = Call("GET", "/api/v1/upnp/igd")
    MAPPINGS = Call("GET", "/api/v1/upnp/igd/rules")
    FIREWALL = Call("GET", "/api/v1/firewall")
    RULES = Call("GET", "/api/v1/firewall/rules")
    SERVICES = Call("GET", "/api/v1/services")
    DYNDNS = Call("GET", "/api/v1/dyndns")


class Enter(Entry):
    """Opens and ends a session."""

    LOGIN = Call("POST", "/api/v1/login", type=_FORM)
    LOGOUT = Call("POST", "/api/v1/logout", type=_FORM)


async def recognised(line: Line) -> Box | None:
    """The box, when it is a Bbox. Raises `NoAnswer`."""
    document = read_json(await line.ask(Hello.SUMMARY))
    if not isinstance(document, list) or find(document, "device") is None:
        return None
    model = find(document, "modelname")
    return Box(product=recognise(f"bbox {model if isinstance(model, str) else ''}"))


async def enter(line: Line, login: Login) -> None:
    """Open a session, in one try. Raises `NoAnswer`."""
    answer = await line.enter(Enter.LOGIN, urlencode({"password": login.password, "remember": "0"}))
    cookie = _COOKIE.search(answer.headers.get("set-cookie", ""))
    if cookie is None:
        raise NoAnswer(Reason.NEEDS_LOGIN)
    line.headers["Cookie"] = cookie[0]


async def leave(line: Line) -> None:
    """End the session."""
    await line.enter(Enter.LOGOUT)


async def read(line: Line, box: Box, own: str) -> None:
    """Everything that a session may read, one question after the other."""
    steps: tuple[Step, ...] = (
        (Read.WAN, ("BOX-018",), _wan),
        (Read.FORWARDS, ("BOX-005", "BOX-007", "BOX-008"), _forwards),
        (Read.DMZ, ("BOX-006",), _dmz),
        (Read.UPNP, ("BOX-001",), _upnp),
        (Read.MAPPINGS, ("BOX-002",), _mappings),
        (Read.FIREWALL, ("BOX-009", "BOX-014"), _firewall),
        (Read.RULES, ("BOX-011",), _pinholes),
        (Read.SERVICES, ("BOX-012",), _services),
        (Read.DYNDNS, ("BOX-017",), _dyndns),
    )
    await walk(line, box, own, steps)
    box.miss(("BOX-020",), Reason.NOT_TOLD)


def find(value: object, key: str, depth: int = 0) -> object:
    """The first value under `key`, however it is wrapped; None when there is none within bounds."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for one in value[:64]:
            if (found := find(one, key, depth + 1)) is not None:
                return found
    return None


def _wan(box: Box, said: object, _own: str) -> None:
    ip = table(find(said, "ip"))
    box.outside = class_of(text(ip, "address"))
    box.ports = ports(ip, "portrange", "maptrange")


def _forwards(box: Box, said: object, own: str) -> None:
    nat = table(find(said, "nat"))
    on = known(flag(nat, "enable"))
    box.forwards = forwards(nat.get("rules"), own, _RULE) if on else []


def _mappings(box: Box, said: object, own: str) -> None:
    box.mappings = forwards(find(said, "rules"), own, _RULE)


_RULE: Final = Names(
    outer=("external_port", "externalport"),
    inner=("internal_port", "internalport"),
    source="ipremote",
    to=("ipaddress", "internalip"),
)
_PINHOLE: Final = Names(outer=("dstport",), inner=(), source="srcip", to=("dstip",))


def _dmz(box: Box, said: object, own: str) -> None:
    dmz = table(find(said, "dmz"))
    box.dmz = known(flag(dmz, "enable"))
    box.dmz_here = is_here(text(dmz, "ipaddress"), own)


def _upnp(box: Box, said: object, _own: str) -> None:
    box.upnp = known(flag(table(find(said, "igd")), "enable"))


def _firewall(box: Box, said: object, _own: str) -> None:
    on = known(flag(table(find(said, "firewall")), "enable"))
    box.level = "medium" if on else "off"
    box.six = on


def _pinholes(box: Box, said: object, own: str) -> None:
    """Rules that accept IPv6 from outside."""
    accepted = [
        one
        for one in items(find(said, "rules"))
        if text(one, "action").lower() == "accept" and text(one, "ipprotocol").lower() == "ipv6"
    ]
    box.pinholes = forwards(accepted, own, _PINHOLE)


def _services(box: Box, said: object, _own: str) -> None:
    admin = table(find(find(said, "remote"), "admin"))
    box.remote = known(flag(admin, "enable"))
    box.remote_port = (ports(admin, "port") or (None, None))[0]


def _dyndns(box: Box, said: object, _own: str) -> None:
    box.dyndns = known(flag(table(find(said, "dyndns")), "enable"))
