"""Whether a server holds two associations at once (DCM-025): the one probe that is two connections to a host.

Held back unless the owner asks for it: a receiver that takes one at a time turns a modality away meanwhile,
for a second at most. Both associations are released.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Final

from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.pdus import Kind, ReleaseRequest, write_pdu
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dialogue import BOUNDS, Script
from huisclos.doors.probes.host import Host, OutOfTurns
from huisclos.errors import BadPDU, PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Outcome, Reason

CHECK: Final = "DCM-025"
HELD_SECONDS: Final = 1.0
"""that the first association is held while the second is asked for"""
_HEADER = struct.Struct(">BxI")
"""PS3.8 section 9.3.1: type and length of a PDU"""
_RELEASE: Final = write_pdu(ReleaseRequest())


async def two_at_once(host: Host, calling: str, called: str, tls: ssl.SSLContext | None) -> Seen:
    """Whether a second association is taken while the first is held; skipped unless it was asked for."""
    name = host.target.name
    where = facts(port=host.target.port, transport="tls" if tls else "plain")
    if not host.two_at_once:
        return Miss((CHECK,), name, Reason.NOT_ASKED, where, Outcome.SKIPPED)
    opening = Script(calling, [Proposal(VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,))], []).opening(called)
    if host.turns.left <= 1:
        return Miss((CHECK,), name, host.spent(), where)
    try:
        async with host.turn():
            held = await _held(host, opening, tls)
    except OutOfTurns:
        return Miss((CHECK,), name, host.spent(), where)
    except PeerTooSlow:
        return Miss((CHECK,), name, Reason.TIMED_OUT, where)
    except PeerUnreachable:
        return Miss((CHECK,), name, Reason.UNREACHABLE, where)
    if held == 0:
        return Miss((CHECK,), name, Reason.PROTOCOL, where)
    return Observation(What.SECOND, name, host.target.reach, where + facts(count=held))


async def _held(host: Host, opening: bytes, tls: ssl.SSLContext | None) -> int:
    """How many associations stood at once: 2 at the most. Raises `PeerUnreachable`, `PeerTooSlow`."""
    try:
        async with asyncio.timeout(host.seconds), _asked(host, opening, tls) as first:
            return 0 if first is not Kind.ASSOCIATE_AC else await _more(host, opening, tls)
    except TimeoutError:
        host.silent()
        raise PeerTooSlow("no answer in time") from None


async def _more(host: Host, opening: bytes, tls: ssl.SSLContext | None) -> int:
    """How many stand, with the first that does."""
    host.take()
    try:
        async with asyncio.timeout(HELD_SECONDS), _asked(host, opening, tls) as second:
            return 1 + (second is Kind.ASSOCIATE_AC)
    except TimeoutError:
        host.silent()
        return 1
    except (PeerTooSlow, PeerUnreachable):
        return 1


@contextlib.asynccontextmanager
async def _asked(host: Host, opening: bytes, tls: ssl.SSLContext | None) -> AsyncIterator[Kind | None]:
    """One connection and what it answers to A-ASSOCIATE-RQ; released, or hung up on."""
    sock = await host.connect()
    try:
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname="" if tls else None
        )
    except OSError:
        yield None  # The connection stood, and no TLS came about over it.
        return
    try:
        writer.write(opening)
        yield await _kind(reader)
        writer.write(_RELEASE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_SECONDS):
                await _kind(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _kind(reader: asyncio.StreamReader) -> Kind | None:
    """The kind of the next PDU, whose body is dropped; None when there is none, or it is none of ours."""
    try:
        number, length = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        if length > BOUNDS.associate_length:
            raise BadPDU("longer than an answer is")
        await reader.readexactly(length)
        return Kind(number)
    except (asyncio.IncompleteReadError, OSError, ValueError, BadPDU):
        return None
