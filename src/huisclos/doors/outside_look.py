"""What the service from outside sends: a nonce, then to each port the least that tells what it speaks."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from typing import Final

from huisclos.access.addresses import Address
from huisclos.doors.outside import GREETING, NONCE, PORTS, Asked, PortSeen, Spoken, Token, proof
from huisclos.doors.probes.host import Host, OutOfTurns, Turns
from huisclos.doors.probes.http import NotHttp, web
from huisclos.doors.probes.tls import Spoke, association_request, first_read, stranger
from huisclos.doors.target import Target
from huisclos.errors import PeerTooSlow, PeerUnreachable

SSDP_PORT: Final = 1900
SECONDS: Final = 60.0
"""for everything about one address; what was not reached by then is not in the answer"""
_CONNECT: Final = 2.0
_READ: Final = 5.0
_TOKEN_SECONDS: Final = 5.0
_PDUS: Final = (2, 3, 7)
"""A-ASSOCIATE-AC, A-ASSOCIATE-RJ, A-ABORT (PS3.8 section 9.3)"""
_ABORT: Final = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))
"""A-ABORT by the service user (PS3.8 table 9-26)"""
_SEARCH: Final = (
    b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n'
    b"ST: upnp:rootdevice\r\n\r\n"
)  # fmt: skip


async def fetch_token(address: Address, asked: Asked) -> Token:
    """Whether the asker answers for the address: one connection, one nonce, at most 64 hex digits back."""
    nonce = secrets.token_hex(NONCE)
    writer = None
    try:
        async with asyncio.timeout(_TOKEN_SECONDS):
            reader, writer = await asyncio.open_connection(str(address), asked.port)
            writer.write(GREETING + nonce.encode() + b"\n")
            answer = await reader.readexactly(64)
    except TimeoutError:
        return Token.SILENT if writer is None else Token.WRONG
    except (OSError, asyncio.IncompleteReadError):
        return Token.CLOSED if writer is None else Token.WRONG
    finally:
        if writer is not None:
            writer.transport.abort()
    is_it = hmac.compare_digest(answer, proof(asked.token, nonce).encode())
    return Token.SERVED if is_it else Token.WRONG


async def look(address: Address, ports: tuple[int, ...] = PORTS) -> tuple[PortSeen, ...]:
    """What each port speaks, one connection after the other, never two at once."""
    seen: list[PortSeen] = []
    lock = asyncio.Lock()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            for port in ports:
                turns = Turns(lock, left=4)
                host = Host(Target(str(address), address, port), turns, gentle=True, seconds=_READ)
                seen.append(PortSeen(port, await _speaks(host)))
    return tuple(seen)


async def _speaks(host: Host) -> Spoken:
    first = await _first(host)
    if first is not Spoken.OTHER:
        return first
    try:
        met = await first_read(host, stranger())
    except (PeerUnreachable, OutOfTurns):
        return Spoken.OTHER
    except PeerTooSlow:
        # A web server waits for the end of a line that an association request does not have.
        behind = await _page(host, Spoken.HTTPS, Spoken.OTHER)
        return behind if behind is Spoken.HTTPS else await _page(host, Spoken.HTTP, Spoken.OTHER)
    if met.spoke in (Spoke.ACCEPTED, Spoke.REFUSED):
        return Spoken.DICOM_TLS
    if met.spoke is Spoke.WEB:
        return Spoken.HTTPS
    if met.spoke is not Spoke.NO_TLS:
        return await _page(host, Spoken.HTTPS, Spoken.TLS)
    return await _page(host, Spoken.HTTP, Spoken.OTHER)


async def _page(host: Host, yes: Spoken, no: Spoken) -> Spoken:
    try:
        async with web(host, stranger() if yes is Spoken.HTTPS else None) as connection:
            await connection.get("/", method="HEAD")
    except (NotHttp, PeerTooSlow, PeerUnreachable, OutOfTurns):
        return no
    return yes


async def _first(host: Host) -> Spoken:
    """Connect and ask for an association: `OTHER` when something listens that did not answer in DICOM."""
    async with host.turn():
        try:
            async with asyncio.timeout(_CONNECT):
                reader, writer = await asyncio.open_connection(str(host.target.address), host.target.port)
        except TimeoutError:
            return Spoken.SILENT
        except OSError:
            return Spoken.CLOSED
        head = b""
        try:
            async with asyncio.timeout(_READ):
                writer.write(association_request())
                head = await reader.readexactly(6)
                if head[0] in _PDUS:
                    writer.write(_ABORT)
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
    if head[:1] and head[0] in _PDUS and head[1] == 0:
        return Spoken.DICOM
    return Spoken.HTTP if head.startswith(b"HTTP") else Spoken.OTHER


class _First(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.got.done():
            self.got.set_result(data.startswith(b"HTTP/1.1 200"))

    def error_received(self, exc: Exception) -> None:
        if not self.got.done():
            self.got.set_result(False)


async def search(address: Address, port: int = SSDP_PORT) -> bool:
    """Whether one M-SEARCH is answered by the address itself (UPnP Device Architecture 1.1, 1.3.2)."""
    try:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            _First, remote_addr=(str(address), port)
        )
    except OSError:
        return False
    try:
        transport.sendto(_SEARCH)
        async with asyncio.timeout(_CONNECT):
            return await protocol.got
    except TimeoutError:
        return False
    finally:
        transport.close()
