"""A dialogue on a transport: one connection inside its turn, its deadlines, its end.

In clear it is a bare socket, all of them on one epoll that the loop watches; in TLS a transport of asyncio's.
A bare socket costs a fifth of that, and thousands are held at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from abc import ABC, abstractmethod
from typing import Final, cast
from weakref import WeakKeyDictionary

from huisclos.doors.probes.dialogue import Dialogue, End
from huisclos.doors.probes.host import Host, reach, unreachable
from huisclos.doors.target import Target
from huisclos.errors import HuisclosError, PeerTooSlow

_STEPS: Final = 3
"""deadlines of one step that a whole association may take"""
_FLUSH_SECONDS: Final = 1.0
"""for what is outgoing to leave a transport that is being closed, TLS's farewell included"""
_READ: Final = 16 * 1024
"""bytes of one read"""


async def talk(host: Host, dialogue: Dialogue, tls: ssl.SSLContext | None = None) -> None:
    """Hold `dialogue` over one connection, to its end; the transport is closed when this returns.

    Raises `OutOfTurns`, `PeerUnreachable`, and `PeerTooSlow` when nothing came about in time.
    """
    async with host.turn():
        line: _Line = _Bare(host, dialogue) if tls is None else _Sealed(host, dialogue, tls)
        try:
            await line.closed
        except OSError as error:
            raise unreachable(error) from None
        finally:
            line.cut()
        if dialogue.end is End.LATE:
            if not line.stands:
                raise host.unanswered()
            host.silent()
            if dialogue.accepted is None:
                raise PeerTooSlow("no answer in time")
    host.heard = dialogue.foreign or host.heard


class _Line(ABC):
    """One connection: `closed` is done when it is, with an error when it never stood."""

    def __init__(self, host: Host, dialogue: Dialogue) -> None:
        self.dialogue = dialogue
        self.loop = loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.address, self.port = str(host.target.address), host.target.port or 0
        self.stands = True
        """whether there is a connection; what TLS comes to is known when an association is asked for"""
        self._seconds = host.seconds
        self._knock_seconds = host.knock_seconds
        self._heard = loop.time()
        self._until = self._heard + _STEPS * self._seconds
        self._timer = loop.call_at(self._heard + host.knock_seconds, self._watch)

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send what is small enough to leave at once."""

    @abstractmethod
    def shut(self) -> None:
        """Close the transport in good order."""

    @abstractmethod
    def drop(self) -> None:
        """Close the transport at once; `over` follows."""

    def took(self, data: bytes) -> None:
        """The peer sent this."""
        dialogue = self.dialogue
        if dialogue.end is not None:
            return
        self._heard = self.loop.time()
        if out := dialogue.feed(data):
            self.send(out)
        if dialogue.end is not None:
            self._close()

    def over(self, error: Exception | None = None) -> None:
        """The transport is gone, or never came about."""
        self.dialogue.lost()
        self._timer.cancel()
        if self.closed.done():
            return
        if error is not None:
            self.closed.set_exception(error)
        else:
            self.closed.set_result(None)

    def cut(self) -> None:
        """End what has not ended: whoever waited does so no more."""
        if self.dialogue.end is None:
            self.send(self.dialogue.late())
        self._timer.cancel()
        self.drop()

    def _watch(self) -> None:
        """Abort the association once a step or the whole took too long."""
        step = self._seconds if self.stands else self._knock_seconds
        due = min(self._heard + step, self._until)
        if due > self.loop.time():
            self._timer = self.loop.call_at(due, self._watch)
        else:
            self.send(self.dialogue.late())
            self._close()

    def _close(self) -> None:
        """Close the transport; what is outgoing has a moment to leave.

        After an A-ABORT over what the peer is still sending, it is the peer that closes (PS3.8 Sta13): to
        close first, unread, would reset the connection and lose the A-ABORT.
        """
        self._timer.cancel()
        if self.dialogue.end not in (End.RECORD, End.BROKEN):
            self.shut()
        if not self.closed.done():
            self._timer = self.loop.call_later(_FLUSH_SECONDS, self.drop)


class _Wires:
    """The bare sockets of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._lines: dict[int, _Bare] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, descriptor: int, line: _Bare, event: int) -> None:
        """From now on `line` is told of `event`."""
        self._lines[descriptor] = line
        self._epoll.register(descriptor, event)

    def turn(self, descriptor: int, event: int) -> None:
        """From now on it is `event` that its line is told of."""
        self._epoll.modify(descriptor, event)

    def drop(self, descriptor: int) -> None:
        """Forget a socket before it is closed; one that was never added is not known."""
        if self._lines.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _ready(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            # What one line does can end another.
            if (line := self._lines.get(descriptor)) is not None:
                line.ready()


_WIRES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Wires]] = WeakKeyDictionary()


class _Bare(_Line):
    """In clear."""

    def __init__(self, host: Host, dialogue: Dialogue) -> None:
        super().__init__(host, dialogue)
        wires = _WIRES.get(self.loop)
        if wires is None:
            wires = _WIRES[self.loop] = _Wires(self.loop)
        self._wires = wires
        family = socket.AF_INET6 if host.target.address.version == 6 else socket.AF_INET  # noqa: PLR2004
        self._socket: socket.socket | None = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._connect(self._socket)
        except (OSError, HuisclosError) as error:
            self._end(error)

    def _connect(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            sock.connect((self.address, self.port))
        # On this machine it stands by now, and what is to be said leaves with the first try.
        try:
            sock.send(self.dialogue.opening)
        except BlockingIOError:
            self.stands = False
        self._wires.add(sock.fileno(), self, select.EPOLLIN if self.stands else select.EPOLLOUT)

    def ready(self) -> None:
        """The socket can be read, or has connected or failed to."""
        if self._socket is None:
            return
        if not self.stands:
            self._connected(self._socket)
            return
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.took(data)
        else:
            self._end()

    def _connected(self, sock: socket.socket) -> None:
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._end(OSError(error, "connect"))
            return
        self.stands = True
        self._heard = self.loop.time()
        self._wires.turn(sock.fileno(), select.EPOLLIN)
        self.send(self.dialogue.opening)

    def send(self, data: bytes) -> None:
        """Less than a socket's buffer, to a peer that answers each: one that does not read is dropped."""
        if self._socket is None:
            return
        try:
            self._socket.send(data)
        except OSError:
            self._end()

    def shut(self) -> None:
        """See `_Line`."""
        self._end()

    def drop(self) -> None:
        """See `_Line`."""
        self._end()

    def _end(self, error: Exception | None = None) -> None:
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._wires.drop(sock.fileno())
        sock.close()
        self.over(error)


class _Sealed(_Line, asyncio.Protocol):
    """In TLS."""

    def __init__(self, host: Host, dialogue: Dialogue, tls: ssl.SSLContext) -> None:
        super().__init__(host, dialogue)
        self._transport: asyncio.Transport | None = None
        self.stands = False
        self._connecting = asyncio.ensure_future(self._connect(host.target, tls))

    async def _connect(self, target: Target, tls: ssl.SSLContext) -> None:
        try:
            sock = await reach(target)
        except (OSError, HuisclosError) as error:
            self.over(error)
            return
        self.stands = True
        self._heard = self.loop.time()
        try:
            await self.loop.create_connection(lambda: self, sock=sock, ssl=tls, server_hostname="")
        except OSError:
            # The connection stood: that no TLS came about over it is the peer's answer.
            self.over()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._heard = self.loop.time()
        self.send(self.dialogue.opening)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.took(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = None
        self.over()

    def send(self, data: bytes) -> None:
        """See `_Line`."""
        if self._transport is not None:
            self._transport.write(data)

    def shut(self) -> None:
        """See `_Line`."""
        if self._transport is not None:
            self._transport.close()
        else:
            self.drop()

    def drop(self) -> None:
        """See `_Line`."""
        if self._transport is not None:
            self._transport.abort()
        else:
            self._connecting.cancel()
            self.over()
