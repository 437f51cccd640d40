"""Which box it is, and all it tells: its own interface with the owner's login, then UPnP and NAT-PMP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_network
from typing import Final

import psutil

from huisclos.access.addresses import Address, is_loopback
from huisclos.clock import steady
from huisclos.doors.box import bbox, freebox, fritz, livebox, sfr
from huisclos.doors.box.guides import recognise
from huisclos.doors.box.igd import probe_box
from huisclos.doors.box.line import Line, Login, NoAnswer
from huisclos.doors.box.state import Box, observe
from huisclos.doors.observation import Miss, Observation, Seen
from huisclos.doors.probes.host import Host, Turns
from huisclos.doors.probes.http import web
from huisclos.doors.rules import judge
from huisclos.doors.target import Target
from huisclos.errors import NotAdmitted, Unreachable
from huisclos.findings.nouns import Reason

REGISTER_SECONDS: Final = 90.0
PAUSE: Final = 1.0
"""between two looks at whether the hand on the box agreed"""
CONNECTIONS: Final = 192
"""a box may end its connection after each answer"""
TOLD: Final = (
    "BOX-005", "BOX-006", "BOX-007", "BOX-008", "BOX-009", "BOX-011", "BOX-012", "BOX-014", "BOX-017",
    "BOX-018", "BOX-020",
)  # fmt: skip
"""what only a box's own interface tells"""


class Kind(StrEnum):
    """How a box is asked."""

    AUTO = "auto"
    UPNP = "upnp"
    FREEBOX = "freebox"
    LIVEBOX = "livebox"
    BBOX = "bbox"
    SFR = "sfr"
    FRITZ = "fritz"


MAKERS: Final = (Kind.FREEBOX, Kind.LIVEBOX, Kind.SFR, Kind.BBOX, Kind.FRITZ)


@dataclass(frozen=True, slots=True)
class Where:
    """The box, as the owner named it."""

    address: Address
    port: int | None = None
    """None: each interface's own"""

    @property
    def name(self) -> str:
        """For reports."""
        return str(self.address)

    def host(self, kind: Kind) -> Host:
        """One interface of it."""
        port = self.port or {Kind.BBOX: 443, Kind.FRITZ: fritz.PORT}.get(kind, 80)
        name = bbox.HOST if kind is Kind.BBOX else str(self.address)
        return Host(Target(name, self.address, port), Turns(left=CONNECTIONS))

    def tls(self, kind: Kind) -> ssl.SSLContext | None:
        """A Bbox is spoken to over TLS, and its certificate must be in its name; but for one on loopback."""
        return ssl.create_default_context() if kind is Kind.BBOX and not is_loopback(self.address) else None


@dataclass(frozen=True, slots=True)
class Asking:
    """What the owner asked for."""

    where: Where
    kind: Kind = Kind.AUTO
    login: Login = field(default_factory=Login)
    token: str = ""
    """a Freebox's"""


def own_address(to: Address) -> str:
    """The address of this machine on the network of `to`, from its own list; empty when it is on none."""
    if is_loopback(to):
        return str(to)
    for one in (one for every in psutil.net_if_addrs().values() for one in every):
        if one.family in (socket.AF_INET, socket.AF_INET6) and one.netmask:
            with suppress(ValueError):
                if to in ip_network(f"{one.address.partition('%')[0]}/{one.netmask}", strict=False):
                    return one.address.partition("%")[0]
    return ""


async def examine(asking: Asking, *, upnp: bool = True, maker: bool = True, product: str = "") -> list[Seen]:
    """Everything the box tells, and what it does not; `product` is what it announced itself as."""
    own = own_address(asking.where.address)
    seen: list[Seen] = []
    if maker and asking.kind is not Kind.UPNP:
        box = await _maker(asking, own)
        product = box.product or product
        seen += observe(box, asking.where.name)
    if upnp:
        seen += await probe_box(asking.where.address, own=own, product=product)
    return settled(seen)


async def register(where: Where, wait: float = REGISTER_SECONDS) -> str:
    """The token of a Freebox, once a hand on it agreed. Raises `NotAdmitted`, `Unreachable`."""
    async with web(where.host(Kind.FREEBOX)) as connection:
        line = Line(connection)
        try:
            if await freebox.recognised(line) is None:
                raise NoAnswer(Reason.NOT_IDENTIFIED)
            token, track = await freebox.authorize(line)
            ends = steady() + wait
            # The box tells nobody when it is done: it is looked at.
            while (status := await freebox.granted(line, track)) == "pending" and steady() < ends:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
        except NoAnswer as error:
            raise Unreachable(f"the Freebox did not answer: {error.reason.value}") from None
    if status != "granted":
        raise NotAdmitted("nobody agreed on the Freebox", hint="try again, and press the arrow in time")
    return token


async def _maker(asking: Asking, own: str) -> Box:
    kinds = MAKERS if asking.kind is Kind.AUTO else (asking.kind,)
    for kind in kinds:
        host = asking.where.host(kind)
        async with web(host, asking.where.tls(kind)) as connection:
            line = Line(connection)
            box = await _recognised(line, kind, sure=asking.kind is kind)
            if box is not None:
                await _told(line, kind, box, asking, own)
                return box
    unknown = Box()
    unknown.miss(TOLD, Reason.NOT_IDENTIFIED)
    return unknown


async def _recognised(line: Line, kind: Kind, *, sure: bool) -> Box | None:
    """The box; when its owner named the kind, whatever it says."""
    ask = {
        Kind.FREEBOX: freebox.recognised,
        Kind.LIVEBOX: livebox.recognised,
        Kind.SFR: sfr.recognised,
        Kind.BBOX: bbox.recognised,
        Kind.FRITZ: fritz.recognised,
    }[kind]
    try:
        box = await ask(line)
    except NoAnswer as error:
        if not sure:
            return None
        box = Box(product=recognise(kind.value))
        if error.reason in (Reason.UNREACHABLE, Reason.TIMED_OUT):
            box.miss(TOLD, error.reason)
    return box or (Box(product=recognise(kind.value)) if sure else None)


async def _told(line: Line, kind: Kind, box: Box, asking: Asking, own: str) -> None:
    if box.misses:
        return
    try:
        await _enter_and_read(line, kind, box, asking, own)
    except NoAnswer as error:
        box.miss(TOLD, error.reason)


async def _enter_and_read(line: Line, kind: Kind, box: Box, asking: Asking, own: str) -> None:
    login = asking.login
    if kind is Kind.FREEBOX:
        if not asking.token:
            raise NoAnswer(Reason.NEEDS_LOGIN)
        await freebox.enter(line, asking.token)
        await freebox.read(line, box, own)
        with suppress(NoAnswer):
            await freebox.leave(line)
        return
    if kind is Kind.SFR:
        # Its outside address is told to anybody.
        if login.password:
            await sfr.enter(line, login)
        await sfr.read(line, box)
        return
    if not login.password:
        raise NoAnswer(Reason.NEEDS_LOGIN)
    if kind is Kind.FRITZ:
        await fritz.read(line, await fritz.enter(line, login), box, own)
        return
    module = livebox if kind is Kind.LIVEBOX else bbox
    await module.enter(line, login)
    await module.read(line, box, own)
    with suppress(NoAnswer):
        await module.leave(line)


def settled(seen: list[Seen]) -> list[Seen]:
    """What one source could not tell and another did is no miss."""
    answered = {check for one in seen if isinstance(one, Observation) for check in _answers(one)}
    left = []
    for one in seen:
        if isinstance(one, Miss):
            checks = tuple(check for check in one.checks if (check, one.target) not in answered)
            if not checks:
                continue
            one = replace(one, checks=checks)  # noqa: PLW2901 - the same miss, with fewer checks
        left.append(one)
    return left


def _answers(seen: Observation) -> set[tuple[str, str]]:
    return {(judgement.check, seen.target) for judgement in judge([seen])}
