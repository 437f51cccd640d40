"""What stands beside imaging: databases, network folders, remote desktops, told by their greeting."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes import smb
from huisclos.doors.probes.host import Host, NotSpoken
from huisclos.doors.probes.ports import SERVICE_PORTS
from huisclos.doors.record import noted
from huisclos.errors import PeerUnreachable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reason

_SSL_REQUEST: Final = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""PostgreSQL's SSLRequest: length and 80877103 (its documents, "Message Formats")"""
_X224: Final = bytes((3, 0, 0, 19, 14, 224, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0))
"""RDP's connection request, with TLS and CredSSP offered (MS-RDPBCGR section 2.2.1.1)"""
_GREETING_SECONDS: Final = 1.5
"""for those who speak first"""
_ERROR: Final = 0xFF
_VERSION_10: Final = 10

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotService(NotSpoken):
    """None of those that we know."""


async def probe_service(host: Host) -> list[Seen]:
    """Which service it is, and whether it lets in strangers. Raises `NotService`, `PeerUnreachable`."""
    usual = SERVICE_PORTS.get(host.target.port or 0)
    for product, way in sorted(_WAYS.items(), key=lambda one: one[0] != usual):
        if product == "mysql" and usual != "mysql":
            continue  # Asked the same way as VNC.
        seen = await way(host, product)
        if seen:
            return seen
    raise NotService


async def _first(host: Host, _product: str) -> list[Seen]:
    """Those who speak first: VNC, MySQL."""
    async with _talk(host) as (reader, _):
        raw = await _some(reader, 64, _GREETING_SECONDS)
    if raw.startswith(b"RFB 00"):
        return [_saw(host, "remote-help", product="vnc")]
    if len(raw) > 5 and raw[3] == 0 and raw[4] in (_VERSION_10, _ERROR) and raw[2] == 0:  # noqa: PLR2004 - a packet's head
        return [_saw(host, "database", product="mysql")]
    return []


async def _postgres(host: Host, product: str) -> list[Seen]:
    """PostgreSQL answers whether it has TLS, with one letter, before anything else."""
    async with _talk(host) as (reader, writer):
        writer.write(_SSL_REQUEST)
        raw = await _some(reader, 2, host.seconds)
    return [_saw(host, "database", product=product)] if raw in (b"S", b"N") else []


async def _redis(host: Host, product: str) -> list[Seen]:
    async with _talk(host) as (reader, writer):
        writer.write(b"PING\r\n")
        raw = await _some(reader, 16, _GREETING_SECONDS)
    return (
        [_saw(host, "database", product=product)]
        if raw.startswith((b"+PONG", b"-NOAUTH", b"-DENIED"))
        else []
    )


async def _rdp(host: Host, product: str) -> list[Seen]:
    async with _talk(host) as (reader, writer):
        writer.write(_X224)
        raw = await _some(reader, 19, _GREETING_SECONDS)
    return (
        [_saw(host, "remote-help", product=product)] if raw[:2] == b"\x03\x00" and raw[5:6] == b"\xd0" else []
    )


async def _samba(host: Host, product: str) -> list[Seen]:
    """A network folder: does it take a name that nobody has as a guest."""
    try:
        async with _talk(host) as talk:
            first = await _exchange(host, talk, smb.negotiate())
            signing = facts(rule="signing") if first.signing else ()
            if host.gentle:
                return [Miss(("WEB-028",), host.target.name, Reason.NOT_ASKED, facts(port=host.target.port))]
            second = await _exchange(host, talk, smb.ask())
            if not second.more:
                return [Miss(("WEB-028",), host.target.name, Reason.PROTOCOL, facts(port=host.target.port))]
            user = f"huisclos-{secrets.token_hex(6)}"
            noted("canary", user)
            third = await _exchange(host, talk, smb.name(second, user))
    except smb.NotSmb:
        return []
    if not third.guest and third.status not in smb.REFUSALS:
        return [Miss(("WEB-028",), host.target.name, Reason.PROTOCOL, facts(port=host.target.port))]
    value = facts(value="open" if third.guest else "closed")
    return [_saw(host, "guest-share", product=product, more=value + signing)]


async def _exchange(host: Host, talk: Talk, message: bytes) -> smb.Said:
    """Raises `NotSmb`, also when the other side hangs up or is silent."""
    reader, writer = talk
    try:
        async with asyncio.timeout(host.seconds):
            writer.write(message)
            length = smb.length_of(await reader.readexactly(smb.PREFIX))
            return smb.read(await reader.readexactly(length))
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        raise smb.NotSmb from None


async def _some(reader: asyncio.StreamReader, size: int, seconds: float) -> bytes:
    """What comes within `seconds`, `size` bytes at most."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(size)
    except (TimeoutError, OSError):
        return b""


@contextlib.asynccontextmanager
async def _talk(host: Host) -> AsyncIterator[Talk]:
    """One connection, within the listener's turn. Raises `PeerUnreachable`, `OutOfBudget`."""
    async with host.turn():
        try:
            async with asyncio.timeout(host.seconds):
                reader, writer = await asyncio.open_connection(str(host.target.address), host.target.port)
        except (OSError, TimeoutError) as error:
            raise PeerUnreachable(f"no connection: {type(error).__name__}") from None
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(host.seconds):
                    await writer.wait_closed()


def _saw(host: Host, kind: str, *, product: str, more: tuple[Fact, ...] = ()) -> Seen:
    found = facts(class_=kind, product=product, port=host.target.port) + more
    return Observation(What.SERVICE, host.target.name, host.target.reach, found)


_WAYS: Final[dict[str, Callable[[Host, str], Awaitable[list[Seen]]]]] = {
    "postgres": _postgres,
    "samba": _samba,
    "vnc": _first,
    "mysql": _first,
    "redis": _redis,
    "rdp": _rdp,
}
