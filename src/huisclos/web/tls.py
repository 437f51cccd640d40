"""TLS over a connection that was accepted, as a transport for uvicorn's protocol.

OpenSSL reads from the socket and writes to it itself. Through memory, as the event loop has it, each byte is
copied three times more, and 512 KB cost 0.76 ms of a processor to receive instead of 0.35, 105 MB to send
66 ms instead of 44.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

HANDSHAKE_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 1.0
"""For the client's half of the end of TLS: an idle one may never read that we said goodbye."""
FLUSH_SECONDS: Final = 30.0
"""For what was written before the end, by a client that reads slowly."""
HIGH_WATER: Final = 64 * 1024
"""Bytes that wait for the client from which on the protocol is asked to pause."""
LOW_WATER: Final = 16 * 1024
_RECORD: Final = 16 * 1024
"""Bytes of one record at most (RFC 8446 section 5.1): where fewer fit, nothing is read."""
_ROOM: Final = memoryview(bytearray(16 * _RECORD))
"""Where everything is read: what was is copied out before anybody else has a turn."""


def begin_session(peer: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A session that takes over an accepted socket that does not block. Raises `OSError`."""
    return context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)


async def shake_hands(session: ssl.SSLSocket) -> None:
    """The handshake. Raises `OSError`, `TimeoutError`; the session stays the caller's to close."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        while True:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(session, loop.add_reader)
            except ssl.SSLWantWriteError:
                await _ready(session, loop.add_writer)
            else:
                return


async def _ready(session: ssl.SSLSocket, watch: Callable[..., None]) -> None:
    loop, descriptor = asyncio.get_running_loop(), session.fileno()
    ready = loop.create_future()
    watch(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class TlsTransport(asyncio.Transport):
    """One connection after its handshake, for `protocol`, which is told of it at once."""

    def __init__(self, session: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        facts = {"sslcontext": session.context}
        with contextlib.suppress(OSError):  # gone already: reading will tell
            facts |= {"peername": session.getpeername(), "sockname": session.getsockname()}
        super().__init__(facts)
        self._session = session
        self._descriptor = session.fileno()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[memoryview] = deque()
        self._waiting = 0
        """Bytes of the backlog."""
        self._reading = True
        """Whether the protocol wants to be given what comes."""
        self._watched = False
        self._protocol_paused = False
        self._closing = self._said_goodbye = self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        protocol.connection_made(self)
        self._watch()
        # what came with the end of the handshake is in OpenSSL's hands, and the socket says nothing of it
        self._loop.call_soon(self._readable)

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._closing or self._lost

    def is_reading(self) -> bool:
        """Whether what comes is given to the protocol."""
        return self._reading and not self.is_closing()

    def pause_reading(self) -> None:
        """Leave what comes with the system."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on reading."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._readable)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the client."""
        return self._waiting

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, now or when the client has read."""
        if self.is_closing() or not data:
            return
        self._backlog.append(memoryview(data))
        self._waiting += len(data)
        if len(self._backlog) == 1:
            self._send()
        if self._waiting > HIGH_WATER and not self._protocol_paused and not self._lost:
            self._protocol_paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what waits, say goodbye, and hear whether the client does."""
        if self.is_closing():
            return
        self._closing = True
        if self._backlog:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.abort)
        else:
            self._say_goodbye()

    def abort(self) -> None:
        """End at once."""
        self._lose(None)

    def _watch(self) -> None:
        if not self._watched and not self._lost:
            self._watched = True
            self._loop.add_reader(self._descriptor, self._readable)

    def _readable(self) -> None:
        if self._lost:
            return
        if self._said_goodbye:
            self._drain()
        elif self._reading:
            self._receive()
        elif self._watched:
            # looked for again when somebody wants it
            self._watched = False
            self._loop.remove_reader(self._descriptor)

    def _receive(self) -> None:
        filled, more, over = 0, True, False
        failed: OSError | None = None
        try:
            while filled <= len(_ROOM) - _RECORD:
                got = self._session.recv_into(_ROOM[filled:])
                if not got:
                    over = True
                    break
                filled += got
        except ssl.SSLWantReadError:
            more = False
        except ssl.SSLWantWriteError:  # TLS itself has something to send first
            more = False
            self._loop.add_writer(self._descriptor, self._writable)
        except ssl.SSLEOFError:
            over = True
        except OSError as error:
            failed = error
        if filled and not self._closing:
            self._protocol.data_received(bytes(_ROOM[:filled]))
        if failed is not None:
            self._lose(failed)
        elif over:
            self._over()
        elif not self._lost:
            self._watch()
            if more:
                # OpenSSL may hold the rest of a record, of which the socket knows nothing
                self._loop.call_soon(self._readable)

    def _over(self) -> None:
        """The client says nothing more, and is told nothing more: HTTP has no use for half a connection."""
        if not self.is_closing():
            self._protocol.eof_received()
        self.close()
        if not self._backlog:
            self._lose(None)
        elif self._watched:
            # a line that has ended can always be read: looked at, it would keep the loop busy all the while
            self._watched = False
            self._loop.remove_reader(self._descriptor)

    def _writable(self) -> None:
        if self._lost:
            return
        self._loop.remove_writer(self._descriptor)
        if self._said_goodbye:
            return
        if self._backlog:
            self._send()
        if self._reading:
            self._readable()

    def _send(self) -> None:
        """As much of the backlog as the system takes."""
        try:
            while self._backlog:
                rest = self._backlog[0]
                sent = self._session.send(rest)  # a record at most
                self._waiting -= sent
                if sent < len(rest):
                    self._backlog[0] = rest[sent:]
                else:
                    self._backlog.popleft()
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._descriptor, self._writable)
        except ssl.SSLWantReadError:
            self._watch()  # TLS itself waits for something: reading comes by it
        except OSError as error:
            self._lose(error)
            return
        if self._protocol_paused and self._waiting <= LOW_WATER:
            self._protocol_paused = False
            self._protocol.resume_writing()
        if self._closing and not self._backlog and not self._said_goodbye:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Send our close_notify (RFC 8446 section 6.1), and read until the client ends as well.

        With something of the client's unread, the system would end the connection by a reset, and the
        client might lose the answer that it has not read yet.
        """
        self._said_goodbye = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(SHUTDOWN_SECONDS, self.abort)
        with contextlib.suppress(OSError, ValueError):
            # an error all the same, for the client has not said its own, or still talks
            self._session.unwrap()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._session, socket.SHUT_WR)
        self._watch()
        self._loop.call_soon(self._readable)

    def _drain(self) -> None:
        """Read what nobody wants, past TLS."""
        try:
            for _ in range(16):
                if not socket.socket.recv_into(self._session, _ROOM):
                    self._lose(None)
                    return
        except BlockingIOError:
            return
        except OSError:
            self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._backlog.clear()
        self._waiting = 0
        self._session.close()
        self._loop.call_soon(self._protocol.connection_lost, error)
