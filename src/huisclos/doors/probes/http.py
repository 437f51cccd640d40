"""A small HTTP/1.1 client for probes: GET and OPTIONS, no redirect, every size bounded (RFC 9112).

It speaks to the pinned address and to nothing else; an answer's body is looked at, never kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import h11

from huisclos import __version__
from huisclos.doors.probes.host import Host, NotSpoken
from huisclos.errors import HuisclosError, PeerTooSlow

BODY: Final = 64 * 1024
"""bytes of a body that are read"""
_HEAD: Final = 32 * 1024
_READ: Final = 16 * 1024
_HEARD: Final = 128
"""bytes that tell another protocol from this one"""
_PATH: Final = re.compile(r"(?:/[!-~]{0,2000})?")
AGENT: Final = f"huisclos-doors/{__version__} (security audit asked for by the owner)"


class NotHttp(HuisclosError, NotSpoken):
    """Whatever listens there does not speak HTTP, or breaks off."""

    kind = "not-http"


def is_path(text: str) -> bool:
    """Whether a path, with its query, can stand in a request line as it is (RFC 9112 section 3.2)."""
    return _PATH.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's status, headers in lower case, and the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True
    """whether the body ended within the bound"""


class Web:
    """A connection kept for several requests, one after the other, made again when the server ends it."""

    def __init__(self, host: Host, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._tls = tls
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._state: h11.Connection | None = None
        self._made = 0

    @property
    def session(self) -> ssl.SSLObject | None:
        """What TLS came to; None in clear or before the first request."""
        found: ssl.SSLObject | None = self._writer.get_extra_info("ssl_object") if self._writer else None
        return found

    async def get(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The answer at `path`. Raises `NotHttp`, `PeerUnreachable`, `PeerTooSlow`, `OutOfTurns`."""
        fresh = self._state is None
        try:
            return await self._exchange(path, method, headers or {}, body)
        except NotHttp:
            if fresh:
                raise
            # A server may end a connection it kept, at any moment: once more on a new one.
            return await self._exchange(path, method, headers or {}, body)

    async def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._writer.wait_closed()
        self._reader = self._writer = self._state = None

    async def _exchange(self, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        sock = await self._reach() if self._state is None else None
        try:
            async with asyncio.timeout(self._host.seconds):
                if sock is not None:
                    await self._connect(sock)
                return await self._ask(path, method, headers, body)
        except TimeoutError:
            self._host.silent()
            await self.close()
            raise PeerTooSlow("no answer in time") from None
        except h11.RemoteProtocolError:
            await self.close()
            raise NotHttp("the answer is not HTTP") from None
        except (OSError, asyncio.IncompleteReadError):
            await self.close()
            raise NotHttp("the connection ended") from None

    async def _reach(self) -> socket.socket:
        # The first connection is the turn's own; each other is counted as one.
        if self._made:
            self._host.take()
        self._made += 1
        return await self._host.connect()

    async def _connect(self, sock: socket.socket) -> None:
        try:
            self._reader, self._writer = await asyncio.open_connection(
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host.target.host.rstrip(".") if self._tls else None,
                limit=_HEAD,
            )
        except ssl.SSLError:
            raise NotHttp("no TLS came about") from None
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)

    async def _ask(self, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        state, writer = self._state, self._writer
        assert state is not None and writer is not None  # noqa: S101, PT018 - connected above
        host = self._host.target.name
        fields = {"Host": host, "User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "*/*"}
        if body:
            fields["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=path, headers=list({**fields, **headers}.items()))
        writer.write(state.send(request) or b"")
        if body:
            writer.write(state.send(h11.Data(data=body)) or b"")
        writer.write(state.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return await self._answer()

    async def _answer(self) -> Answer:
        state = self._state
        assert state is not None  # noqa: S101 - connected
        headers: dict[str, str] = {}
        status, body, whole = 0, bytearray(), True
        async for event in self._events():
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {}
                for raw, value in event.headers:
                    name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
                    # Several of one name are one list (RFC 9110 section 5.3).
                    headers[name] = f"{headers[name]}, {text}" if name in headers else text
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY:
                    whole = False
                    break
        if not whole or state.our_state is not h11.DONE or state.their_state is not h11.DONE:
            await self.close()
        else:
            state.start_next_cycle()
        return Answer(status, headers, bytes(body[:BODY]), whole)

    async def _events(self) -> AsyncIterator[h11.Event]:
        state, reader = self._state, self._reader
        assert state is not None and reader is not None  # noqa: S101, PT018 - connected
        while True:
            event = state.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(_READ)
                self._host.heard = self._host.heard or data[:_HEARD]
                state.receive_data(data)
                continue
            if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
                return
            if isinstance(event, h11.Event):
                yield event


@contextlib.asynccontextmanager
async def web(host: Host, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """One connection's worth of questions to `host`."""
    connection = Web(host, tls)
    async with host.turn():
        try:
            yield connection
        finally:
            await connection.close()
