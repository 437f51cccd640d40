"""Freebox OS (Free), by its documented API, version 4 and later: dev.freebox.fr/sdk/os.

A program is let in once, by a hand on the box itself; it then opens a session by HMAC-SHA1 of a challenge, so
its token is never sent. The right to change settings is not needed, and reading them is always allowed.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from huisclos.doors.box.guides import old_firmware, recognise
from huisclos.doors.box.line import (
    Call,
    Entry,
    Line,
    NoAnswer,
    Question,
    flag,
    items,
    known,
    number,
    read_json,
    table,
    text,
)
from huisclos.doors.box.rules import Names, Step, forwards, walk
from huisclos.doors.box.state import Box, class_of, is_here
from huisclos.findings.nouns import Reason

HOST: Final = "mafreebox.freebox.fr"
APP_ID: Final = "org.huisclos.doors"
NAME: Final = "huisclos"
MIN_API: Final = 4
MAX_API: Final = 99
_JSON: Final = "application/json"
_PUBLIC_PORTS: Final = (0, 65535)


class Hello(Question):
    """What a Freebox says to anybody."""

    VERSION = Call("GET", "/api_version")


class Read(Question):
    """What is asked in a session."""

    GRANTED = Call("GET", "login/authorize/{index}")
    CHALLENGE = Call("GET", "login/")
    CONNECTION = Call("GET", "connection/")
    REMOTE = Call("GET", "connection/config/")
    SIX = Call("GET", "connection/ipv6/config/")
    FORWARDS = Call("GET", "fw/redir/")
    DMZ = Call("GET", "fw/dmz/")
    UPNP = Call("GET", "upnpigd/config/")
    MAPPINGS = Call("GET", "upnpigd/redir/")
    SYSTEM = Call("GET", "system/")
    DDNS_OVH = Call("GET", "connection/ddns/ovh/status/")
    DDNS_DYNDNS = Call("GET", "connection/ddns/dyndns/status/")
    DDNS_NOIP = Call("GET", "connection/ddns/noip/status/")


class Enter(Entry):
    """What lets this program in."""

    AUTHORIZE = Call("POST", "login/authorize/", type=_JSON)
    SESSION = Call("POST", "login/session/", type=_JSON)
    LOGOUT = Call("POST", "login/logout/", type=_JSON)


async def recognised(line: Line) -> Box | None:
    """The box, when it is a Freebox; the line then knows the version to ask in. Raises `NoAnswer`."""
    said = table(read_json(await line.ask(Hello.VERSION)))
    version = text(said, "api_version").partition(".")[0]
    if not version.isascii() or not version.isdigit() or "api_base_url" not in said:
        return None
    line.prefix = f"/api/v{min(max(int(version[:4]), MIN_API), MAX_API)}/"
    model = f"{text(said, 'box_model_name')} {text(said, 'box_model')}"
    return Box(product=recognise(f"freebox {model}"))


async def authorize(line: Line) -> tuple[str, int]:
    """Ask to be let in: the token to keep once a hand on the box agreed, and the request's number."""
    asked = {"app_id": APP_ID, "app_name": NAME, "app_version": "1", "device_name": NAME}
    said = _result(read_json(await line.enter(Enter.AUTHORIZE, msgspec.json.encode(asked).decode())))
    token, track = text(said, "app_token"), number(said, "track_id")
    if not token or track is None:
        raise NoAnswer(Reason.PROTOCOL)
    return token, track


async def granted(line: Line, track: int) -> str:
    """What became of the request: pending, granted, denied, timeout, unknown."""
    return text(_result(read_json(await line.ask(Read.GRANTED, index=track))), "status")


async def enter(line: Line, token: str) -> None:
    """Open a session. Raises `NoAnswer`."""
    challenge = text(_result(read_json(await line.ask(Read.CHALLENGE))), "challenge")
    proof = hmac.new(token.encode(), challenge.encode(), "sha1").hexdigest()
    body = msgspec.json.encode({"app_id": APP_ID, "password": proof}).decode()
    session = text(_result(read_json(await line.enter(Enter.SESSION, body))), "session_token")
    if not session.isascii() or not session.isprintable() or not session:
        raise NoAnswer(Reason.NEEDS_LOGIN)
    line.headers["X-Fbx-App-Auth"] = session


async def leave(line: Line) -> None:
    """End the session."""
    await line.enter(Enter.LOGOUT)


async def read(line: Line, box: Box, own: str) -> None:
    """Everything that a session may read, one question after the other."""
    steps: tuple[Step, ...] = (
        (Read.CONNECTION, ("BOX-018",), _connection),
        (Read.FORWARDS, ("BOX-005", "BOX-007", "BOX-008"), _redirections),
        (Read.DMZ, ("BOX-006",), _dmz),
        (Read.UPNP, ("BOX-001",), _upnp),
        (Read.MAPPINGS, ("BOX-002",), _mappings),
        (Read.SIX, ("BOX-009",), _six),
        (Read.REMOTE, ("BOX-012",), _remote),
        (Read.SYSTEM, ("BOX-020",), _system),
    )
    await walk(line, box, own, steps, _payload)
    await _names(line, box)


async def _names(line: Line, box: Box) -> None:
    for question in (Read.DDNS_OVH, Read.DDNS_DYNDNS, Read.DDNS_NOIP):
        try:
            said = _result(read_json(await line.ask(question)))
        except NoAnswer as error:
            box.miss(("BOX-017",), error.reason)
            return
        box.dyndns = bool(box.dyndns) or bool(flag(said, "enabled"))


def _payload(document: object) -> object:
    """`result` of a success. Raises `NoAnswer`."""
    said = table(document)
    if said.get("success") is not True:
        missing = text(said, "error_code") in ("auth_required", "invalid_token", "insufficient_rights")
        raise NoAnswer(Reason.NEEDS_LOGIN if missing else Reason.PROTOCOL)
    return said.get("result")


def _result(document: object) -> dict[str, object]:
    return table(_payload(document))


def _connection(box: Box, said: object, _own: str) -> None:
    fields = table(said)
    box.outside = class_of(text(fields, "ipv4"))
    shared = fields.get("ipv4_port_range")
    if isinstance(shared, list) and len(shared) == 2 and all(isinstance(one, int) for one in shared):  # noqa: PLR2004 - first and last
        first, last = int(shared[0]), int(shared[1])
        if 0 <= first <= last <= _PUBLIC_PORTS[1] and (first, last) != _PUBLIC_PORTS:
            box.ports = (first, last)


def _redirections(box: Box, said: object, own: str) -> None:
    box.forwards = forwards([{**one, "wan": _wan_ports(one)} for one in items(said)], own, _REDIRECTION)


def _wan_ports(one: Mapping[str, object]) -> str:
    first, last = number(one, "wan_port_start"), number(one, "wan_port_end")
    return f"{first}-{first if last is None else last}"


def _mappings(box: Box, said: object, own: str) -> None:
    box.mappings = forwards(said, own, _MAPPING)


_REDIRECTION: Final = Names(
    outer=("wan",), inner=("lan_port",), source="src_ip", to=("lan_ip",), on="enabled", protocol="ip_proto",
    told_on=True,
)  # fmt: skip
_MAPPING: Final = Names(
    outer=("ext_port",), inner=("int_port",), source="ext_src_ip", to=("int_ip",), on="enabled",
    protocol="proto",
)  # fmt: skip


def _dmz(box: Box, said: object, own: str) -> None:
    fields = table(said)
    box.dmz = known(flag(fields, "enabled"))
    box.dmz_here = is_here(text(fields, "ip"), own)


def _upnp(box: Box, said: object, _own: str) -> None:
    box.upnp = known(flag(table(said), "enabled"))


def _six(box: Box, said: object, _own: str) -> None:
    fields = table(said)
    routed = any(text(one, "next_hop") for one in items(fields.get("delegations")))
    # Since version 11.1 a prefix handed on to another router has a switch of its own.
    passed = routed and flag(fields, "ipv6_prefix_firewall") is False
    filtered = known(flag(fields, "ipv6_firewall")) and not passed
    # Without IPv6 there is nothing to filter.
    box.six = filtered or flag(fields, "ipv6_enabled") is False


def _remote(box: Box, said: object, _own: str) -> None:
    fields = table(said)
    box.remote = known(flag(fields, "remote_access"))
    box.remote_port = number(fields, "remote_access_port")


def _system(box: Box, said: object, _own: str) -> None:
    box.version = text(table(said), "firmware_version")
    box.old = old_firmware(box.product, box.version)
    if box.old is None:
        raise NoAnswer(Reason.NOT_TOLD)
