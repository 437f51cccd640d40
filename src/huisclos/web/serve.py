"""The accept loop: what is refused before a byte is read, and what a connection may take.

uvicorn speaks HTTP over each connection; sockets, TLS, bounds and the end of the house are ours,
since the listening sockets are inherited and a source is judged before the handshake (P11). Where every
place is taken, the oldest connection without a request under way gives its own up: the hundreds that
send their headers slowly, or not at all, shut nobody out.
No access log: a line of it would say who looked at whom.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from huisclos.clock import steady, timestamp
from huisclos.web.patience import Patience
from huisclos.web.tls import Session, TlsTransport

MAX_CONNECTIONS: Final = 512
"""Connections in all, on one server."""
MAX_PER_ADDRESS: Final = 64
"""Connections from one address: a browser opens 6, a practice may share one."""
MAX_HEADERS: Final = 64 * 1024
"""Bytes of request line and headers."""
HEADERS_SECONDS: Final = 15.0
"""From the first byte, or the handshake, to the end of the headers."""
BODY_SECONDS: Final = 30.0
"""Longest pause in a request's body, and the time in which a client reads at least `patience.LEAST`."""
KEEP_ALIVE_SECONDS: Final = 20
TOLD_EVERY: Final = 60.0
"""Seconds between two lines about connections that could not be accepted."""
STOP_SECONDS: Final = 5.0
"""What is under way gets this long to end."""

_log = logging.getLogger("huisclos.web")


class _Connection(HttpToolsProtocol):
    """One HTTP connection with bounds on its headers and its pauses."""

    _timer: asyncio.TimerHandle | None = None
    _unread: Patience | None = None
    _loose = 0
    """Bytes since the last that belonged to a body: request line, headers, chunk sizes, trailers."""
    _in_headers = True
    _we_paused = False
    _cycles: tuple[RequestResponseCycle, ...] = ()
    _gone: Callable[[], None]

    @property
    def busy(self) -> bool:
        """Whether a request is here whose answer is not complete."""
        newest: RequestResponseCycle | None = self.cycle
        under_way = (*self._cycles, newest) if newest else self._cycles
        return any(not cycle.response_complete for cycle in under_way)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm(HEADERS_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._was_read()
        # uvicorn tells the newest request only; an older one would go on writing for nobody
        for cycle in self._cycles:
            cycle.disconnected = not cycle.response_complete
        super().connection_lost(exc)
        self._gone()

    def data_received(self, data: bytes) -> None:
        if self._in_headers and not self._loose:
            self._arm(HEADERS_SECONDS)
        self._loose += len(data)
        super().data_received(data)
        if self._loose > MAX_HEADERS:
            self.transport.abort()
        elif not self._in_headers:
            self._we_paused = self.flow.read_paused
            self._arm(BODY_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        # what stands behind a body (RFC 9112 section 7.1.2) has been judged by nobody, and is dropped
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._loose = False, 0
        self._disarm()
        super().on_headers_complete()
        living = (*self._cycles, self.cycle)
        self._cycles = tuple(cycle for cycle in living if not cycle.response_complete)

    def on_body(self, body: bytes) -> None:
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_headers, self._loose = True, 0
        self._disarm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._was_read()
        self._unread = Patience(self.transport, BODY_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._was_read()

    def eof_received(self) -> None:
        self._disarm()

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        # only when it is the client we wait for, and not our own reading of what it sent
        if self.flow.read_paused or self._we_paused:
            self._we_paused = False
            self._arm(BODY_SECONDS)
        else:
            self.transport.abort()


@dataclass(eq=False)
class _Place:
    """What one connection holds, from before its handshake."""

    peer: socket.socket
    address: str
    connection: _Connection | None = None

    @property
    def busy(self) -> bool:
        return self.connection is not None and self.connection.busy


class Server:
    """Serves one application on listening sockets that are already bound.

    `admits` judges a source address before a byte is read, and is told of each one; what it
    refuses is closed without a word.
    """

    def __init__(
        self,
        app: ASGIApp,
        listeners: Sequence[socket.socket],
        tls: ssl.SSLContext | None,
        admits: Callable[[str], bool],
    ) -> None:
        self._listeners = listeners
        self._tls = tls
        self._admits = admits
        self._config = Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # every scanner that speaks no HTTP would be a line, our own auditor too
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        self._held: Counter[str] = Counter()
        self._places: dict[_Place, None] = {}
        """In the order they came."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._told_failure = -TOLD_EVERY

    @property
    def busy(self) -> int:
        """Requests whose answer is not complete."""
        return sum(place.busy for place in self._places)

    async def start(self) -> None:
        """Begin to accept; returns at once."""
        self._stamp()
        self._spawn(self._tick())
        for listener in self._listeners:
            listener.setblocking(False)
            self._spawn(self._accept(listener))

    async def stop(self) -> None:
        """Accept no more, let what is under way end within `STOP_SECONDS`, then cut."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.shutdown()
        self._check_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._idle.wait()
        for connection in list(self._state.connections):
            if isinstance(connection, _Connection):
                connection.transport.abort()

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._stamp()

    def _stamp(self) -> None:
        self._state.default_headers = [(b"date", formatdate(timestamp(), usegmt=True).encode())]

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, name = await loop.sock_accept(listener)
            except OSError as error:
                # out of file descriptors, or a peer that left before we came: neither ends the house
                self._tell_failure(error)
                await asyncio.sleep(0.1)
                continue
            address = str(name[0]) if isinstance(name, tuple) else ""
            if not self._admits(address) or not (self._has_room(address) or self._make_room(address)):
                peer.close()
                continue
            place = _Place(peer, address)
            self._held[address] += 1
            self._places[place] = None
            self._idle.clear()
            serving = self._spawn(self._serve(place))
            # also when it is cancelled before its first step
            serving.add_done_callback(partial(self._close_unless_made, place))
            # accepting does not wait while others knock: those who are in get their turn
            await asyncio.sleep(0)

    def _tell_failure(self, error: OSError) -> None:
        # ten times a second it is the same: a log must not grow by what strangers do
        if steady() - self._told_failure >= TOLD_EVERY:
            self._told_failure = steady()
            _log.warning("accept failed: %s", error.strerror)

    def _has_room(self, address: str) -> bool:
        return self._held[address] < MAX_PER_ADDRESS and self._held.total() < MAX_CONNECTIONS

    def _make_room(self, address: str) -> bool:
        """Hang up on the oldest connection that nothing is done for; False when all are busy.

        One of `address` when that has its share; else one of the address that has most of them.
        """
        idle = [place for place in self._places if not place.busy]
        crowded = address
        if self._held[address] < MAX_PER_ADDRESS:
            crowded = next(iter(Counter(place.address for place in idle).most_common(1)), ("", 0))[0]
        oldest = next((place for place in idle if place.address == crowded), None)
        if oldest is None:
            return False
        self._release(oldest)
        # whatever speaks over it, TLS that is not done yet too, ends by that
        with contextlib.suppress(OSError):
            oldest.peer.shutdown(socket.SHUT_RDWR)
        return True

    def _release(self, place: _Place) -> None:
        if place not in self._places:
            return
        del self._places[place]
        self._held[place.address] -= 1
        if not self._held[place.address]:
            del self._held[place.address]
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._held:
            self._idle.set()

    async def _serve(self, place: _Place) -> None:
        def connect() -> _Connection:
            connection = _Connection(self._config, self._state, {})
            connection._gone = lambda: self._release(place)  # noqa: SLF001 - our own class
            place.connection = connection
            return connection

        try:
            place.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                await asyncio.get_running_loop().connect_accepted_socket(connect, place.peer)
            else:
                session = Session(place.peer, self._tls)
                await session.shake_hands()
                TlsTransport(session, connect())
        except (OSError, TimeoutError) as error:
            _log.debug("no connection: %s", type(error).__name__)

    def _close_unless_made(self, place: _Place, _: asyncio.Task[Any]) -> None:
        # a connection that was made gives its place back itself
        if place.connection is None or place.connection.transport is None:
            place.peer.close()
            self._release(place)
