"""Livebox (Orange), by its own page's interface, "sysbus": one address, a service and a method in JSON.

Orange does not document it; the calls are those that public clients agree on. Newer firmware shuts some of
them: what a box refuses is said to be untested.
"""

from __future__ import annotations

from typing import Final

import msgspec

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
from huisclos.doors.box.state import Box, Forward, class_of, is_here
from huisclos.findings.nouns import Reason

HOST: Final = "livebox.home"
USER: Final = "admin"
_TYPE: Final = "application/x-sah-ws-1-call+json"
_LEVELS: Final = {"low": "low", "medium": "medium", "high": "high", "custom": "custom"}
_DENIED: Final = 13
"""sysbus error: permission denied"""


def _call(service: str, method: str, parameters: str = "{}") -> Call:
    body = f'{{"service":"{service}","method":"{method}","parameters":{parameters}}}'
    return Call("POST", "/ws", body, type=_TYPE)


class Hello(Question):
    """What a Livebox says to anybody."""

    DEVICE = _call("DeviceInfo", "get")


class Read(Question):
    """What is asked in a session: each method begins with `get`."""

    WAN = _call("NMC", "getWANStatus")
    FORWARDS = _call("Firewall", "getPortForwarding", '{"origin":"webui"}')
    MAPPINGS = _call("Firewall", "getPortForwarding", '{"origin":"upnp"}')
    DMZ = _call("Firewall", "getDMZ")
    PINHOLES = _call("Firewall", "getPinhole")
    LEVEL = _call("Firewall", "getFirewallLevel")
    SIX = _call("Firewall", "getFirewallIPv6Level")
    UPNP = _call("UPnP-IGD", "get")
    REMOTE = _call("RemoteAccess", "get")
    DYNDNS = _call("DynDNS", "getHosts")


class Enter(Entry):
    """Opens and ends a session."""

    LOGIN = Call("POST", "/ws", type=_TYPE)
    LOGOUT = Call("POST", "/ws", type=_TYPE)


async def recognised(line: Line) -> Box | None:
    """The box, when it is a Livebox. Raises `NoAnswer`."""
    said = table(_status(read_json(await line.ask(Hello.DEVICE))))
    model = " ".join(text(said, key) for key in ("productclass", "modelname", "manufacturer"))
    if "livebox" not in model.lower():
        return None
    return Box(product=recognise(model), version="")


async def enter(line: Line, login: Login) -> None:
    """Open a session, in one try. Raises `NoAnswer`."""
    parameters = {"applicationName": "webui", "username": login.user or USER, "password": login.password}
    asked = {"service": "sah.Device.Information", "method": "createContext", "parameters": parameters}
    answer = await line.enter(
        Enter.LOGIN, msgspec.json.encode(asked).decode(), {"Authorization": "X-Sah-Login"}
    )
    context = text(table(table(read_json(answer)).get("data")), "contextid")
    if not context or not context.isascii() or not context.isprintable():
        raise NoAnswer(Reason.NEEDS_LOGIN)
    line.headers["X-Context"] = context
    cookies = answer.headers.get("set-cookie", "")
    if cookies.isascii() and cookies.isprintable() and cookies:
        line.headers["Cookie"] = cookies.partition(";")[0]


async def leave(line: Line) -> None:
    """End the session: a Livebox has few."""
    asked = {
        "service": "sah.Device.Information",
        "method": "releaseContext",
        "parameters": {"applicationName": "webui"},
    }
    headers = {"Authorization": f"X-Sah-Logout {line.headers.get('X-Context', '')}"}
    await line.enter(Enter.LOGOUT, msgspec.json.encode(asked).decode(), headers)


async def read(line: Line, box: Box, own: str) -> None:
    """Everything that a session may read, one question after the other."""
    wan: tuple[Step, ...] = ((Read.WAN, ("BOX-018",), _wan),)
    steps: tuple[Step, ...] = (
        (Read.FORWARDS, ("BOX-005", "BOX-007", "BOX-008"), _forwards),
        (Read.MAPPINGS, ("BOX-002",), _mappings),
        (Read.DMZ, ("BOX-006",), _dmz),
        (Read.PINHOLES, ("BOX-011",), _pinholes),
        (Read.LEVEL, ("BOX-014",), _level),
        (Read.SIX, ("BOX-009",), _six),
        (Read.UPNP, ("BOX-001",), _upnp),
        (Read.REMOTE, ("BOX-012",), _remote),
        (Read.DYNDNS, ("BOX-017",), _dyndns),
    )
    await walk(line, box, own, wan, _data)
    await walk(line, box, own, steps, _status)
    box.miss(("BOX-020",), Reason.NOT_TOLD)


def _answer(document: object) -> dict[str, object]:
    """An answer's fields, in either of the two shapes. Raises `NoAnswer` for an error."""
    said = table(document)
    inner = table(said["result"]) if isinstance(said.get("result"), dict) else said
    errors = items(inner.get("errors"))
    if errors:
        denied = any(one.get("error") == _DENIED for one in errors)
        raise NoAnswer(Reason.NEEDS_LOGIN if denied else Reason.NOT_TOLD)
    return inner


def _status(document: object) -> object:
    inner = _answer(document)
    if "status" not in inner:
        raise NoAnswer(Reason.PROTOCOL)
    return inner["status"]


def _data(document: object) -> object:
    return _answer(document).get("data")


def _wan(box: Box, said: object, _own: str) -> None:
    address = text(table(said), "ipaddress")
    if not address:
        raise NoAnswer(Reason.NOT_TOLD)
    box.outside = class_of(address)


def _forwards(box: Box, said: object, own: str) -> None:
    box.forwards = _rules(said, own)


def _mappings(box: Box, said: object, own: str) -> None:
    box.mappings = _rules(said, own)


def _pinholes(box: Box, said: object, own: str) -> None:
    box.pinholes = _rules(said, own)


def _rules(said: object, own: str) -> list[Forward]:
    if not isinstance(said, dict | list):
        raise NoAnswer(Reason.PROTOCOL)
    return forwards(said, own, _RULE)


_RULE: Final = Names(
    outer=("externalport", "destinationport", "internalport"),
    inner=("internalport", "destinationport", "externalport"),
    source="sourceprefix",
    to=("destinationipaddress",),
    told_on=True,
)


def _dmz(box: Box, said: object, own: str) -> None:
    enabled = [one for one in items(said) if flag(one, "enable")]
    box.dmz = bool(enabled)
    box.dmz_here = any(is_here(text(one, "destinationipaddress"), own) for one in enabled)


def _level(box: Box, said: object, _own: str) -> None:
    box.level = _word(said)


def _six(box: Box, said: object, _own: str) -> None:
    # At the low level nothing is filtered (assistance.orange.fr, levels of the firewall).
    box.six = _word(said) != "low"


def _word(said: object) -> str:
    level = _LEVELS.get(said.lower()) if isinstance(said, str) else None
    if level is None:
        raise NoAnswer(Reason.PROTOCOL)
    return level


def _upnp(box: Box, said: object, _own: str) -> None:
    box.upnp = known(flag(table(said), "enable", "status"))


def _remote(box: Box, said: object, _own: str) -> None:
    fields = table(said)
    box.remote = known(flag(fields, "enable", "status"))
    box.remote_port = (ports(fields, "port") or (None, None))[0]


def _dyndns(box: Box, said: object, _own: str) -> None:
    if not isinstance(said, dict | list):
        raise NoAnswer(Reason.PROTOCOL)
    box.dyndns = any(flag(one, "enable") is not False for one in items(said))
