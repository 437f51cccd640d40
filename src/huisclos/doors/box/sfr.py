"""SFR box, by its documented REST API, 1.0: a read is a GET, and nothing else is sent.

Its interface tells the outside address, the firewall and the dynamic name. It has no read of forwards, DMZ or
UPnP: those are asked of the owner (`declared`), or by UPnP.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import Element

from huisclos.doors.box.guides import recognise
from huisclos.doors.box.igd import parse_xml
from huisclos.doors.box.line import Call, Line, Login, NoAnswer, Question, flag
from huisclos.doors.box.state import Box, class_of
from huisclos.doors.probes.http import Answer
from huisclos.findings.nouns import Reason

HOST: Final = "neufbox"
USER: Final = "admin"
_OFF: Final = ("off", "disabled", "disable", "none", "0")


def _get(method: str) -> Call:
    return Call("GET", f"/api/1.0/?method={method}")


class Hello(Question):
    """What an SFR box says to anybody."""

    SYSTEM = _get("system.getInfo")


class Read(Question):
    """What is asked, each a `get`; `auth.checkToken` opens the session and changes nothing."""

    TOKEN = _get("auth.getToken")
    CHECK = _get("auth.checkToken")
    WAN = _get("wan.getInfo")
    FIREWALL = _get("firewall.getInfo")
    DDNS = _get("ddns.getInfo")


async def recognised(line: Line) -> Box | None:
    """The box, when it is one of SFR's. Raises `NoAnswer`."""
    system = _part(await line.ask(Hello.SYSTEM), "system")
    return Box(product=recognise(f"sfr {system.get('product_id', '')[:64]}"))


async def enter(line: Line, login: Login) -> None:
    """Open a session: keyed digests of the name and the password, in one try. Raises `NoAnswer`."""
    challenge = _part(await line.ask(Read.TOKEN), "auth").get("token", "")
    if not challenge.isalnum() or not challenge.isascii():
        raise NoAnswer(Reason.PROTOCOL)
    proof = _proof(challenge, login.user or USER) + _proof(challenge, login.password)
    line.query.update(token=challenge, hash=proof)
    try:
        answer = await line.ask(Read.CHECK)
    finally:
        line.query.clear()
    token = _part(answer, "auth").get("token", "")
    if not token.isalnum():
        raise NoAnswer(Reason.NEEDS_LOGIN)
    line.query["token"] = token


def _proof(challenge: str, value: str) -> str:
    digest = hashlib.sha256(value.encode()).hexdigest()
    return hmac.new(challenge.encode(), digest.encode(), "sha256").hexdigest()


async def leave(line: Line) -> None:
    """Forget the session: this interface has no call that ends it."""
    line.query.clear()


async def read(line: Line, box: Box) -> None:
    """Everything that a session may read, one question after the other."""
    steps: tuple[tuple[Read, str, tuple[str, ...], Callable[[Box, Element], None]], ...] = (
        (Read.WAN, "wan", ("BOX-018",), _wan),
        (Read.FIREWALL, "firewall", ("BOX-014",), _firewall),
        (Read.DDNS, "ddns", ("BOX-017",), _ddns),
    )
    for question, name, checks, keep in steps:
        try:
            keep(box, _part(await line.ask(question), name))
        except NoAnswer as error:
            box.miss(checks, error.reason)
    box.miss(("BOX-005", "BOX-006", "BOX-007", "BOX-008", "BOX-011", "BOX-012", "BOX-020"), Reason.NOT_TOLD)


def _part(answer: Answer, name: str) -> Element:
    """The element `name` of a good answer. Raises `NoAnswer`."""
    root = parse_xml(answer.body)
    if root is None or root.tag != "rsp":
        raise NoAnswer(Reason.PROTOCOL)
    if root.get("stat") != "ok":
        raise NoAnswer(Reason.NEEDS_LOGIN)
    found = root.find(name)
    if found is None:
        raise NoAnswer(Reason.PROTOCOL)
    return found


def _wan(box: Box, said: Element) -> None:
    if not said.get("ip_addr"):
        raise NoAnswer(Reason.NOT_TOLD)
    box.outside = class_of(said.get("ip_addr", "")[:64])


def _firewall(box: Box, said: Element) -> None:
    """Lowered when shared folders of Windows are let in from the Internet: it came with that closed."""
    mode = said.get("mode", "").strip().lower()
    shares = said.find("winsharedrop")
    dropped = flag(dict(shares.attrib), "active") if shares is not None else None
    if not mode or dropped is None:
        raise NoAnswer(Reason.PROTOCOL)
    box.level = "off" if mode in _OFF else "medium" if dropped else "low"


def _ddns(box: Box, said: Element) -> None:
    active = flag(dict(said.attrib), "active", "status")
    if active is None:
        raise NoAnswer(Reason.PROTOCOL)
    box.dyndns = active
