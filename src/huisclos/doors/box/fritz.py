"""FRITZ!Box, by TR-064: SOAP over HTTP at port 49000, digest authentication (RFC 7616), `Get` actions only.

Its interface does not tell the exposed host or who may open ports by UPnP: those are asked of the owner.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from huisclos.doors.box.guides import old_firmware, recognise
from huisclos.doors.box.igd import parse_xml, read_answer, read_mapping, read_model
from huisclos.doors.box.line import Call, Entry, Line, Login, NoAnswer, Question, flag, number
from huisclos.doors.box.state import Box, class_of
from huisclos.findings.nouns import Reason

HOST: Final = "fritz.box"
PORT: Final = 49000
_XML: Final = 'text/xml; charset="utf-8"'
_URN: Final = "urn:dslforum-org:service"
_UNAUTHORISED: Final = 401
_MANY_FORWARDS: Final = 64
_PARTS: Final = re.compile(r'(\w+)=(?:"([^"\\]{0,256})"|([\w-]{1,64}))')


def _soap(service: str, path: str, action: str, inner: str = "") -> Call:
    kind = f"{_URN}:{service}"
    body = (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{kind}">{inner}</u:{action}></s:Body></s:Envelope>'
    )
    return Call("POST", f"/upnp/control/{path}", body, type=_XML, action=f"{kind}#{action}")


_INDEX: Final = "<NewPortMappingIndex>{index}</NewPortMappingIndex>"


class Hello(Question):
    """What a FRITZ!Box says to anybody."""

    DESCRIPTION = Call("GET", "/tr64desc.xml")


class Read(Question):
    """What is asked with a login: each action begins with `Get`."""

    DEVICE = _soap("DeviceInfo:1", "deviceinfo", "GetInfo")
    UPDATE = _soap("UserInterface:1", "userif", "GetInfo")
    REMOTE = _soap("X_AVM-DE_RemoteAccess:1", "x_remote", "GetInfo")
    DYNDNS = _soap("X_AVM-DE_RemoteAccess:1", "x_remote", "GetDDNSInfo")
    IP_ADDRESS = _soap("WANIPConnection:1", "wanipconnection1", "GetExternalIPAddress")
    IP_FORWARD = _soap("WANIPConnection:1", "wanipconnection1", "GetGenericPortMappingEntry", _INDEX)
    PPP_ADDRESS = _soap("WANPPPConnection:1", "wanpppconn1", "GetExternalIPAddress")
    PPP_FORWARD = _soap("WANPPPConnection:1", "wanpppconn1", "GetGenericPortMappingEntry", _INDEX)


class Enter(Entry):
    """The first request of a login, whose answer holds the challenge."""

    CHALLENGE = Read.DEVICE.value


async def recognised(line: Line) -> Box | None:
    """The box, when it is a FRITZ!Box. Raises `NoAnswer`."""
    answer = await line.ask(Hello.DESCRIPTION)
    model = read_model(answer.body)
    if parse_xml(answer.body) is None or "fritz" not in model.lower():
        return None
    return Box(product=recognise(model))


class Digest:
    """The answer to one challenge of HTTP digest authentication (RFC 7616), MD5 as the box asks for it."""

    def __init__(self, challenge: str, login: Login) -> None:
        found = {name: quoted or bare for name, quoted, bare in _PARTS.findall(challenge)}
        self._realm, self._nonce = found.get("realm", ""), found.get("nonce", "")
        self._opaque = found.get("opaque", "")
        said = self._realm + self._nonce + self._opaque
        if not self._nonce or found.get("algorithm", "MD5").upper() != "MD5" or not _plain(said):
            raise NoAnswer(Reason.PROTOCOL)
        if not _plain(login.user) or any(mark in login.user for mark in '"\\'):
            raise NoAnswer(Reason.NEEDS_LOGIN)
        self._user = login.user
        self._secret = _md5(f"{login.user}:{self._realm}:{login.password}")
        self._count = 0

    def header(self, call: Call) -> str:
        """The Authorization header for `call`."""
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        asked = _md5(f"{call.method}:{call.path}")
        proof = _md5(f"{self._secret}:{self._nonce}:{count}:{own}:auth:{asked}")
        fields = {"username": self._user, "realm": self._realm, "nonce": self._nonce, "uri": call.path}
        named = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        opaque = f', opaque="{self._opaque}"' if self._opaque else ""
        return f'Digest {named}, response="{proof}", qop=auth, nc={count}, cnonce="{own}"{opaque}'


def _plain(text: str) -> bool:
    """Whether `text` can stand in a header."""
    return text.isascii() and (text.isprintable() or not text)


def _md5(value: str) -> str:
    return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


async def enter(line: Line, login: Login) -> Digest:
    """A session: the challenge, answered once. Raises `NoAnswer`."""
    call = Enter.CHALLENGE.call
    answer = await line.look(Enter.CHALLENGE)
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status != _UNAUTHORISED or not challenge.lower().startswith("digest"):
        raise NoAnswer(Reason.PROTOCOL)
    digest = Digest(challenge, login)
    # One try: a FRITZ!Box makes whoever is wrong wait longer each time.
    await line.enter(Enter.CHALLENGE, call.body, {"Authorization": digest.header(call)})
    return digest


class Session:
    """Questions with a login."""

    def __init__(self, line: Line, digest: Digest) -> None:
        self._line = line
        self._digest = digest

    async def ask(self, question: Read, index: int = 0) -> dict[str, str]:
        """The values of the answer; of its error as well. Raises `NoAnswer`."""
        call = question.call
        headers = {"Authorization": self._digest.header(call)}
        answer = await self._line.look(question, index=index, headers=headers)
        if answer.status == _UNAUTHORISED:
            raise NoAnswer(Reason.NEEDS_LOGIN)
        said = read_answer(answer)
        if not said:
            raise NoAnswer(Reason.PROTOCOL)
        return said


async def read(line: Line, digest: Digest, box: Box, own: str) -> None:
    """Everything that a login may read, one question after the other."""
    session = Session(line, digest)
    for checks, step in (
        (("BOX-018", "BOX-005", "BOX-007", "BOX-008"), _wan),
        (("BOX-020",), _firmware),
        (("BOX-012",), _remote),
        (("BOX-017",), _dyndns),
    ):
        try:
            await step(session, box, own)
        except NoAnswer as error:
            box.miss(checks, error.reason)
    box.miss(("BOX-006", "BOX-011", "BOX-014"), Reason.NOT_TOLD)


async def _wan(session: Session, box: Box, own: str) -> None:
    """Over IP, or over PPP where there is no IP connection."""
    said, forward = await session.ask(Read.IP_ADDRESS), Read.IP_FORWARD
    if not said.get("NewExternalIPAddress"):
        said, forward = await session.ask(Read.PPP_ADDRESS), Read.PPP_FORWARD
    if not said.get("NewExternalIPAddress"):
        raise NoAnswer(Reason.NOT_TOLD)
    box.outside = class_of(said["NewExternalIPAddress"])
    made = []
    for index in range(_MANY_FORWARDS):
        said = await session.ask(forward, index)
        if "NewInternalPort" not in said:
            break
        if (one := read_mapping(said, own)) is not None:
            made.append(one)
    else:
        box.miss(("BOX-005",), Reason.TOO_LARGE)
    box.forwards = made


async def _firmware(session: Session, box: Box, _own: str) -> None:
    said = await session.ask(Read.DEVICE)
    # 154.07.57: the number before the first point is the model's, the rest is FRITZ!OS.
    box.version = ".".join(
        part.lstrip("0") or "0" for part in said.get("NewSoftwareVersion", "").split(".")[1:]
    )
    old = old_firmware(box.product, box.version)
    waiting = flag(await session.ask(Read.UPDATE), "NewUpgradeAvailable")
    if old is None and waiting is None:
        raise NoAnswer(Reason.NOT_TOLD)
    box.old = bool(old) or bool(waiting)


async def _remote(session: Session, box: Box, _own: str) -> None:
    said = await session.ask(Read.REMOTE)
    enabled = flag(said, "NewEnabled")
    if enabled is None:
        raise NoAnswer(Reason.PROTOCOL)
    box.remote, box.remote_port = enabled, number(said, "NewPort")


async def _dyndns(session: Session, box: Box, _own: str) -> None:
    enabled = flag(await session.ask(Read.DYNDNS), "NewEnabled")
    if enabled is None:
        raise NoAnswer(Reason.PROTOCOL)
    box.dyndns = enabled
