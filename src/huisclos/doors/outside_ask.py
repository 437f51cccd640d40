"""Asking for the view from outside: answer for the token, ask the service, read what it says strictly."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import ssl
from typing import Final

import h11
import msgspec

from huisclos import __version__
from huisclos.access.addresses import Address
from huisclos.doors.outside import (
    GREETING,
    MAX_ANSWER,
    NONCE,
    PATH,
    TOKEN,
    Asked,
    OutsideRefused,
    View,
    proof,
    read_view,
)
from huisclos.doors.target import Target
from huisclos.errors import BadSetting, PeerTooSlow, PeerUnreachable, Unreadable

SECONDS: Final = 90.0
"""for the whole answer: the service looks at each port in turn"""
_CONNECT: Final = 10.0
_KNOCKS: Final = 8
"""connections to the token's listener at one time"""
_KNOCK_SECONDS: Final = 5.0
_HEAD: Final = 8 * 1024
_OK: Final = 200
_NAT_PMP_PORT: Final = 5351
_NAT_PMP_ANSWER: Final = 12
"""bytes (RFC 6886 section 3.2)"""


def trust(*, pin: str = "", authority: str = "") -> ssl.SSLContext:
    """TLS for the way to the service: by the certificate's digest, by one authority, else by the system's.

    Raises `BadSetting`.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pin:
        # The digest names one certificate: neither its name nor who signed it says more.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError):
            raise BadSetting("the file of --ca holds no certificate that can be read") from None
    return context


def read_pin(text: str) -> str:
    """SHA-256 of the service's certificate, hex, with or without colons. Raises `BadSetting`."""
    plain = text.replace(":", "").strip().lower()
    if plain and (len(plain) != 64 or not set(plain) <= set("0123456789abcdef")):  # noqa: PLR2004 - SHA-256
        raise BadSetting("--pin is the SHA-256 of a certificate: 64 hex digits")
    return plain


async def ask(service: Target, tls: ssl.SSLContext, *, pin: str = "", port: int = 0) -> View:
    """What the service sees of the address that this machine has outside; `port` is the token's, 0 any.

    Raises `OutsideRefused`, `Unreadable` (it is no such service, or it lies), `PeerUnreachable`,
    `PeerTooSlow`, `BadSetting` (another certificate, or the port is taken).
    """
    token = secrets.token_hex(TOKEN)
    reader, writer = await _connect(service, tls)
    listener = None
    try:
        _check_pin(writer, pin)
        here = str(writer.get_extra_info("sockname")[0])
        listener = await _listen(here, port, token)
        at = int(listener.sockets[0].getsockname()[1])
        async with asyncio.timeout(SECONDS):
            return await _exchange(service, reader, writer, Asked(token=token, port=at))
    except TimeoutError:
        raise PeerTooSlow("the service gave no answer in time") from None
    except (OSError, asyncio.IncompleteReadError):
        raise PeerUnreachable("the service broke off") from None
    finally:
        if listener is not None:
            listener.close()
        writer.transport.abort()


async def _connect(service: Target, tls: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECT):
            return await asyncio.open_connection(
                str(service.address), service.port, ssl=tls, server_hostname=service.host, limit=_HEAD
            )
    except ssl.SSLCertVerificationError:
        raise BadSetting(
            "nobody that this machine trusts vouches for the service",
            hint="name its certificate with --pin, or its authority with --ca",
        ) from None
    except (OSError, TimeoutError):
        raise PeerUnreachable("the service does not answer") from None


def _check_pin(writer: asyncio.StreamWriter, pin: str) -> None:
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    shown = session.getpeercert(binary_form=True) or b""
    if pin and not hmac.compare_digest(hashlib.sha256(shown).hexdigest(), pin):
        raise BadSetting("the service shows another certificate than the one of --pin")


async def _listen(here: str, port: int, token: str) -> asyncio.Server:
    """Answer nonces under `token` for whoever comes: without the token an answer is worth nothing."""
    knocks = 0

    async def knocked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1
        try:
            if knocks <= _KNOCKS:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    await _answer(reader, writer, token)
        finally:
            knocks -= 1
            writer.close()

    try:
        return await asyncio.start_server(knocked, here, port, limit=_HEAD)
    except OSError as error:
        raise BadSetting(
            f"the token's port cannot be opened: {error.strerror}", hint="choose another with --token-port"
        ) from None


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    async with asyncio.timeout(_KNOCK_SECONDS):
        line = await reader.readexactly(len(GREETING) + 2 * NONCE + 1)
        if line.startswith(GREETING) and line.endswith(b"\n"):
            nonce = line[len(GREETING) : -1].decode("ascii", "replace")
            writer.write(proof(token, nonce).encode())
            await writer.drain()


async def _exchange(
    service: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked
) -> View:
    state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
    body = msgspec.json.encode(asked)
    headers = [
        ("Host", service.name),
        ("User-Agent", f"huisclos-doors/{__version__}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    writer.write(state.send(h11.Request(method="POST", target=PATH, headers=headers)) or b"")
    writer.write(state.send(h11.Data(data=body)) or b"")
    writer.write(state.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status, answer = await _read(state, reader)
    if status == _OK:
        return read_view(answer)
    raise OutsideRefused(
        _REFUSALS.get(status, "the service refused"), hint="huisclos doors outside ask --help"
    )


_REFUSALS: Final = {
    400: "the service did not understand the request: it may be of another version",
    403: "the service does not test this address: it is behind a proxy, or not on the Internet",
    429: "the service tested this address within the hour",
    503: "the service is busy: ask again in a few minutes",
}


async def _read(state: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    try:
        while True:
            event = state.next_event()
            if event is h11.NEED_DATA:
                state.receive_data(await reader.read(_HEAD))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER:
                    raise Unreadable("the service's answer is too long to be one")
            elif isinstance(event, h11.EndOfMessage):
                return status, bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                raise Unreadable("the service broke off")
    except h11.ProtocolError:
        raise Unreadable("this is not the view from outside: it speaks no HTTP") from None


class _First(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.got.done():
            self.got.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.got.done():
            self.got.set_result(b"")


async def outside_address(gateway: Address, port: int = _NAT_PMP_PORT) -> Address | None:
    """The outside address that the box says it has (RFC 6886 section 3.2); None when it says nothing."""
    try:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            _First, remote_addr=(str(gateway), port)
        )
    except OSError:
        return None
    try:
        transport.sendto(b"\0\0")
        async with asyncio.timeout(2.0):
            answer = await protocol.got
    except TimeoutError:
        return None
    finally:
        transport.close()
    if len(answer) != _NAT_PMP_ANSWER or answer[:4] != b"\0\x80\0\0":
        return None
    found = ipaddress.IPv4Address(answer[8:12])
    return None if found.is_unspecified else found
