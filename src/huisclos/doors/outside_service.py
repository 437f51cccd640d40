"""The service that looks from outside: it tests the address that asks, after its token, and forgets it.

No address is stored or written: who was tested within the hour is known by a keyed digest whose key dies with
the process. What it sends is bounded: one token, the imaging ports one by one, one datagram.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import h11
import msgspec

from huisclos import __version__
from huisclos.access.addresses import Address, is_loopback
from huisclos.clock import steady
from huisclos.doors.outside import (
    MAX_REQUEST,
    PATH,
    PORTS,
    OutsideRefused,
    Token,
    View,
    network_of,
    read_asked,
    source_of,
)
from huisclos.doors.outside_look import fetch_token, look, search
from huisclos.errors import Unreadable

CONNECTIONS: Final = 64
"""at one time, in all"""
LOOKS: Final = 8
"""addresses under test at one time"""
HOUR: Final = 3600.0
TOKENS: Final = 6
"""times an hour that one address may show its token; it is tested once an hour"""
REMEMBERED: Final = 100_000
_HEAD: Final = 8 * 1024
_REQUEST_SECONDS: Final = 10.0
_HANDSHAKE_SECONDS: Final = 5.0

Veil = Callable[[str], str]


class Tempo:
    """Who was tested within the hour, known by digests that nobody can turn back into addresses."""

    def __init__(self, now: Callable[[], float] = steady, most: int = REMEMBERED) -> None:
        self._now, self._most = now, most
        self._key = secrets.token_bytes(32)
        self._tokens: dict[bytes, list[float]] = {}
        self._looks: dict[bytes, float] = {}

    def digest(self, address: Address) -> bytes:
        """What stands for an address in this process."""
        return hmac.new(self._key, network_of(address), hashlib.sha256).digest()

    def veil(self, text: str) -> str:
        """What stands for `address:port` in a record."""
        return "p-" + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:16]

    def may_show(self, address: Address) -> bool:
        """Whether this address may show its token now; it counts. A full table lets nobody new in."""
        self._forget()
        who, now = self.digest(address), self._now()
        shown = [at for at in self._tokens.get(who, []) if now - at < HOUR]
        if len(shown) >= TOKENS or now - self._looks.get(who, -HOUR) < HOUR:
            return False
        if who not in self._tokens and len(self._tokens) >= self._most:
            return False
        self._tokens[who] = [*shown, now]
        return True

    def looked(self, address: Address) -> None:
        """Count this address as tested now."""
        self._looks[self.digest(address)] = self._now()

    def _forget(self) -> None:
        now = self._now()
        if len(self._tokens) < self._most // 2:
            return
        self._tokens = {who: at for who, at in self._tokens.items() if now - at[-1] < HOUR}
        self._looks = {who: at for who, at in self._looks.items() if now - at < HOUR}


class OutsideService:
    """Answers `POST /view`, and says at `/.well-known/probing.txt` who it is (RFC 9511)."""

    def __init__(
        self, *, proxy: Address | None = None, contact: str = "", ports: tuple[int, ...] = PORTS
    ) -> None:
        self.tempo = Tempo()
        self._proxy = proxy
        self._contact = contact
        self._ports = ports
        self._connections = 0
        self._under_test: set[Address] = set()

    def allowed(self, address: Address, port: int) -> bool:
        """Whether a packet may go there: only to who is being tested, at this moment."""
        return address in self._under_test and 0 < port < 1 << 16

    async def listen(self, host: str, port: int, tls: ssl.SSLContext) -> asyncio.Server:
        """Start to answer. The caller closes the server."""
        return await asyncio.start_server(
            self._serve,
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=1.0,
            limit=_HEAD,
            backlog=CONNECTIONS,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            # A peer's mistakes end its connection, and are written nowhere: they would name it.
            with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError, asyncio.IncompleteReadError):
                await self._exchange(reader, writer)
        finally:
            self._connections -= 1
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        async with asyncio.timeout(_REQUEST_SECONDS):
            request, body = await _read_request(state, reader)
        status, answer, kind = await self._answer(request, body, str(writer.get_extra_info("peername")[0]))
        headers = [("Content-Type", kind), ("Content-Length", str(len(answer))), ("Connection", "close")]
        writer.write(state.send(h11.Response(status_code=status, headers=headers)) or b"")
        writer.write(state.send(h11.Data(data=answer)) or b"")
        writer.write(state.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(_REQUEST_SECONDS):
            await writer.drain()

    async def _answer(self, request: h11.Request, body: bytes, peer: str) -> tuple[int, bytes, str]:
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        if request.method == b"GET" and path in ("/", "/.well-known/probing.txt"):
            return HTTPStatus.OK, self._about().encode(), "text/plain; charset=utf-8"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
        if request.method != b"POST" or path != PATH:
            return _problem(HTTPStatus.NOT_FOUND, "nothing is here")
        if _by_a_browser(headers):
            return _problem(HTTPStatus.FORBIDDEN, "a page asked, not a person")
        try:
            address = source_of(peer, headers, self._proxy)
            asked = read_asked(body)
        except OutsideRefused as refused:
            return _problem(HTTPStatus.FORBIDDEN, refused.message)
        except Unreadable as wrong:
            return _problem(HTTPStatus.BAD_REQUEST, wrong.message)
        if len(self._under_test) >= LOOKS or address in self._under_test:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many ask at this moment")
        # A machine may look at itself as often as it likes: nobody else gets a packet by it.
        if not is_loopback(address) and not self.tempo.may_show(address):
            return _problem(HTTPStatus.TOO_MANY_REQUESTS, "this address was tested within the hour")
        self._under_test.add(address)
        try:
            token = await fetch_token(address, asked)
            view = View(address=str(address), token=token)
            if token is Token.SERVED:
                self.tempo.looked(address)
                seen, answered = await look(address, self._ports), await search(address)
                view = View(address=str(address), token=token, ports=seen, ssdp=answered)
        finally:
            self._under_test.discard(address)
        return HTTPStatus.OK, msgspec.json.encode(view), "application/json"

    def _about(self) -> str:
        lines = [
            f"huisclos-doors/{__version__}, the view from outside.",
            "It tests only the address that asks, after a token served there, once an hour.",
            "It keeps no address.",
            "Whoever got a packet from here asked for it, or shares an address with who did.",
        ]
        return "\n".join([*lines, f"Contact: {self._contact}" if self._contact else ""]).rstrip() + "\n"


async def _read_request(state: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_HEAD)
            if not data:
                raise ConnectionResetError
            state.receive_data(data)
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_REQUEST:
                raise ConnectionResetError
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise ConnectionResetError


def _by_a_browser(headers: list[tuple[str, str]]) -> bool:
    names = {name.lower() for name, _ in headers}
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    # A page can make a browser send a form without asking; it cannot make it send this type.
    return bool(names & {"origin", "referer", "sec-fetch-site", "cookie"}) or kind != "application/json"


def _problem(status: HTTPStatus, sentence: str) -> tuple[int, bytes, str]:
    return (
        status,
        msgspec.json.encode({"status": int(status), "detail": sentence}),
        "application/problem+json",
    )
