"""What stands beside imaging: databases, network folders, remote desktops, told by their greeting."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Final

from huisclos.doors.observation import What
from huisclos.doors.probes import smb
from huisclos.doors.probes.host import Host, NotSpoken, Unanswered
from huisclos.doors.probes.ports import SERVICE_PORTS
from huisclos.doors.record import noted
from huisclos.errors import PeerTooSlow
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reason

_SSL_REQUEST: Final = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""PostgreSQL's SSLRequest: length and 80877103 (its documents, "Message Formats")"""
_X224: Final = bytes((3, 0, 0, 19, 14, 224, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0))
"""RDP's connection request, with TLS and CredSSP offered (MS-RDPBCGR section 2.2.1.1)"""
_SOME: Final = 128
_GREETING_SECONDS: Final = 1.5
"""for those who speak first"""
_REDIS: Final = (b"+PONG", b"-NOAUTH", b"-DENIED", b"-ERR unknown command", b"-ERR wrong number of arguments")
"""its answers to a command of its own, and to what is none, such as HTTP's GET"""
_VERSION_10: Final = b"\n"
"""MySQL's protocol, after a packet's length and number"""
_TURNED_AWAY: Final = b"\xff\x04"
"""an error instead, and the upper byte of 1040, 1129, 1130: too many, blocked, not from your host"""

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotService(NotSpoken):
    """None of those that we know."""


async def probe_usual(host: Host) -> None:
    """Whether it is the service whose port this is, and whether it lets in strangers.

    Raises `NotService`, `PeerUnreachable`, `PeerTooSlow`, `OutOfTurns`.
    """
    await _first_of(host, (SERVICE_PORTS[host.target.port or 0],))


async def probe_service(host: Host) -> None:
    """Which service it is, where it is nobody's usual port. Raises as `probe_usual`."""
    usual = SERVICE_PORTS.get(host.target.port or 0)
    await _first_of(host, tuple(product for product in _ANYWHERE if product != usual))


def greeted(host: Host) -> None:
    """See the service that was heard already. Raises `NotService`."""
    told = told_by(host.heard)
    if told is None:
        raise NotService
    _saw(host, *told)


def told_by(heard: bytes) -> tuple[str, str] | None:
    """The kind and the product that begin like this, whatever they were asked."""
    found = next((kind for kind, begins in _BEGINS if begins(heard)), None)
    return (_KINDS[found], found) if found is not None else None


async def _first_of(host: Host, products: tuple[str, ...]) -> None:
    slow: PeerTooSlow | None = None
    for product in products:
        try:
            if await (_samba(host) if product == "samba" else _question(host, product)):
                return
        except Unanswered:
            raise
        except PeerTooSlow as error:
            slow = error
    raise slow or NotService


async def _question(host: Host, product: str) -> bool:
    """One message, or none to those who speak first; whether a service was told by the answer."""
    async with _talk(host) as (reader, writer):
        if asked := _ASKED.get(product, b""):
            writer.write(asked)
        raw = await _some(host, reader, host.seconds if asked is _SSL_REQUEST else _GREETING_SECONDS)
    if asked is _SSL_REQUEST and raw in (b"S", b"N"):
        # Whether it has TLS, with one letter, before anything else.
        _saw(host, _KINDS[product], product)
        return True
    host.heard = host.heard or raw
    return _tell(host, raw)


def _tell(host: Host, raw: bytes) -> bool:
    """Whether `raw` is how a service that we know begins; it was seen, then."""
    told = told_by(raw)
    if told is not None:
        _saw(host, *told)
    return told is not None


async def _samba(host: Host, product: str = "samba") -> bool:
    """Whether it is a network folder; does that take a name that nobody has as a guest."""
    where, spoken = facts(port=host.target.port), False
    try:
        async with _talk(host) as talk:
            first = await _exchange(host, talk, smb.negotiate())
            spoken = True
            signing = facts(rule="signing") if first.signing else ()
            second = await _exchange(host, talk, smb.ask())
            if not second.more:
                host.missed(("WEB-028",), Reason.PROTOCOL, where)
                return True
            user = f"huisclos-{secrets.token_hex(6)}"
            noted("canary", user)
            third = await _exchange(host, talk, smb.name(second, user))
    except smb.NotSmb:
        if not spoken:
            return _tell(host, host.heard)
        host.missed(("WEB-028",), Reason.PROTOCOL, where)
        return True
    if not third.guest and third.status not in smb.REFUSALS:
        host.missed(("WEB-028",), Reason.PROTOCOL, where)
        return True
    _saw(host, "guest-share", product, facts(value="open" if third.guest else "closed") + signing)
    return True


async def _exchange(host: Host, talk: Talk, message: bytes) -> smb.Said:
    """Raises `NotSmb`, also when the other side hangs up, and `PeerTooSlow`."""
    reader, writer = talk
    prefix = b""
    try:
        async with asyncio.timeout(host.seconds):
            writer.write(message)
            prefix = await reader.readexactly(smb.PREFIX)
            return smb.read(await reader.readexactly(smb.length_of(prefix)))
    except smb.NotSmb:
        with contextlib.suppress(PeerTooSlow):
            host.heard = host.heard or prefix + await _some(host, reader, _GREETING_SECONDS)
        raise
    except (OSError, asyncio.IncompleteReadError) as error:
        if isinstance(error, TimeoutError):
            host.silent()
            raise PeerTooSlow("no answer in time") from None
        raise smb.NotSmb from None


async def _some(host: Host, reader: asyncio.StreamReader, seconds: float) -> bytes:
    """What comes within `seconds`, a little of it; nothing when it hangs up. Raises `PeerTooSlow`."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(_SOME)
    except TimeoutError:
        host.silent()
        raise PeerTooSlow("no greeting in time") from None
    except OSError:
        return b""


@contextlib.asynccontextmanager
async def _talk(host: Host) -> AsyncIterator[Talk]:
    """One connection, within the host's turn. Raises `PeerUnreachable`, `Unanswered`, `OutOfTurns`."""
    async with host.turn():
        reader, writer = await asyncio.open_connection(sock=await host.connect())
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(host.seconds):
                    await writer.wait_closed()


def _saw(host: Host, kind: str, product: str, more: tuple[Fact, ...] = ()) -> None:
    host.saw(What.SERVICE, facts(class_=kind, product=product, port=host.target.port) + more)


_KINDS: Final = {
    "postgres": "database",
    "mysql": "database",
    "redis": "database",
    "vnc": "remote-help",
    "rdp": "remote-help",
}
_ASKED: Final = {"postgres": _SSL_REQUEST, "redis": b"PING\r\n", "rdp": _X224}
_ANYWHERE: Final = ("samba", "postgres", "redis", "rdp")
"""Where nobody knows: Samba is silent to the others' messages, and they hang up on its.

Those who speak first did so before any question.
"""
_BEGINS: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("vnc", lambda raw: raw.startswith(b"RFB 00")),
    ("mysql", lambda raw: raw[2:4] == b"\0\0" and (raw[4:5] == _VERSION_10 or raw[4:7:2] == _TURNED_AWAY)),
    ("redis", lambda raw: raw.startswith(_REDIS)),
    ("rdp", lambda raw: raw[:2] == b"\x03\x00" and raw[5:6] == b"\xd0"),
    ("postgres", lambda raw: raw[:1] == b"E" and b"SFATAL" in raw),
)
