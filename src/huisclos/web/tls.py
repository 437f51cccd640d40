"""TLS over a connection that was accepted, as a transport for uvicorn's protocol.

OpenSSL works in memory, and is handed no more of what a client sends than a turn of the loop may take.
Reading from the socket itself it goes on for as long as records come that carry nothing, and one client that
renewed its keys without end (RFC 8446 section 4.6.3) held up everybody for seconds. What makes the event
loop's own TLS dear is its copies: 512 KB received take 0.21 ms of a processor here, 0.25 when OpenSSL reads
from the socket, 0.76 there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from typing import Final, cast

from huisclos.web.patience import Patience

HANDSHAKE_SECONDS: Final = 10.0
SHUTDOWN_SECONDS: Final = 1.0
"""For the client's half of the end of TLS: an idle one may never read that we said goodbye."""
FLUSH_SECONDS: Final = 30.0
"""After the end, the time in which a client reads at least `patience.LEAST` of what was written before."""
HIGH_WATER: Final = 64 * 1024
"""Bytes that wait for the client from which on the protocol is asked to pause."""
LOW_WATER: Final = 16 * 1024
_RECORD: Final = 16 * 1024
"""Bytes of one record at most (RFC 8446 section 5.1), without what seals it."""
LEAST: Final = _RECORD
"""Bytes taken from the socket in one turn: 600 records without content take OpenSSL 5 ms."""
MOST: Final = 16 * _RECORD
"""The same, from a client that fills them."""
EMPTY: Final = 64 * 1024
"""Bytes after which it is asked how much they carried..."""
FILLING: Final = 32
"""... of which a part must be content: a record with a single byte takes 23."""
SEALED: Final = 4 * _RECORD
"""Bytes sealed ahead of the socket."""
_RAW: Final = memoryview(bytearray(MOST))
_ROOM: Final = memoryview(bytearray(MOST + 2 * _RECORD))
"""Where everything is read: what was is copied out before anybody else has a turn."""


class Session:
    """OpenSSL's end of one connection, in memory."""

    def __init__(self, peer: socket.socket, context: ssl.SSLContext) -> None:
        self.peer = peer
        self.context = context
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    async def shake_hands(self) -> None:
        """The handshake. Raises `OSError`, `TimeoutError`. The socket must not block, and is not closed."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            while True:
                shaken = self._shaken()
                if self.outgoing.pending:
                    await loop.sock_sendall(self.peer, self.outgoing.read())
                if shaken:
                    return
                if not (piece := await loop.sock_recv(self.peer, _RECORD)):
                    raise ConnectionResetError("the client left during the handshake")
                self.incoming.write(piece)

    def _shaken(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            with contextlib.suppress(OSError):  # why it is refused, if the socket takes it at once
                self.peer.send(self.outgoing.read())
            raise
        return True


class TlsTransport(asyncio.Transport):
    """One connection after its handshake, for `protocol`, which is told of it at once."""

    def __init__(self, session: Session, protocol: asyncio.Protocol) -> None:
        facts: dict[str, object] = {"sslcontext": session.context, "peer": session.peer}
        with contextlib.suppress(OSError):  # gone already: reading will tell
            facts |= {"peername": session.peer.getpeername(), "sockname": session.peer.getsockname()}
        super().__init__(facts)
        self._session = session
        self._peer = session.peer
        self._descriptor = session.peer.fileno()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._appetite = LEAST
        self._took = self._filled = 0
        """Bytes taken from the socket lately, and what they carried."""
        self._backlog: deque[memoryview] = deque()
        self._waiting = 0
        """Bytes of the backlog."""
        self._sealed = memoryview(b"")
        """Of which the system takes no more for now."""
        self._blocked = False
        self._reading = True
        """Whether the protocol wants to be given what comes."""
        self._watched = False
        self._due = False
        """Whether a turn to read will come by itself."""
        self._protocol_paused = False
        self._closing = self._said_goodbye = self._lost = False
        self._timer: asyncio.TimerHandle | Patience | None = None
        protocol.connection_made(self)
        self._watch()
        # what came with the end of the handshake is in OpenSSL's hands, and the socket says nothing of it
        self._read_soon()

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
            self._read_soon()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the client."""
        return self._waiting + len(self._sealed)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, now or when the client has read."""
        if self.is_closing() or not data:
            return
        self._backlog.append(memoryview(data))
        self._waiting += len(data)
        if not self._blocked:
            self._send()
        if self.get_write_buffer_size() > HIGH_WATER and not self._protocol_paused and not self._lost:
            self._protocol_paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what waits, say goodbye, and hear whether the client does."""
        if self.is_closing():
            return
        self._closing = True
        if self.get_write_buffer_size():
            self._timer = Patience(self, FLUSH_SECONDS, self.abort)
        else:
            self._say_goodbye()

    def abort(self) -> None:
        """End at once."""
        self._lose(None)

    def _watch(self) -> None:
        if not self._watched and not self._lost:
            self._watched = True
            self._loop.add_reader(self._descriptor, self._readable)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._descriptor)

    def _read_soon(self) -> None:
        """After everybody else's turn; once, or who sends faster than we read has one turn more each time."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._read_now)

    def _read_now(self) -> None:
        self._due = False
        self._readable()

    def _readable(self) -> None:
        if self._lost:
            return
        if self._said_goodbye:
            self._drain()
        elif self._reading:
            self._receive()
        else:
            self._unwatch()  # looked for again when somebody wants it

    def _receive(self) -> None:
        """What came, a turn's worth of it."""
        failed: OSError | None = None
        filled, over = 0, False
        try:
            over = not self._take()
        except OSError as error:
            failed = error
        try:
            # a line that broke may have brought something before
            filled = _read_into(self._session.tls, _ROOM)
        except _Over as end:
            filled, over = end.filled, True
        except OSError as error:
            failed = failed or error
        self._filled += filled
        if self._session.outgoing.pending and not self._blocked:
            self._send()
        if filled and not self.is_closing():
            self._protocol.data_received(bytes(_ROOM[:filled]))
        if over:
            self._over()
        elif failed is not None or self._carries_nothing() or self._answers_pile_up():
            self._lose(failed)
        else:
            self._watch()

    def _take(self) -> bool:
        """Hand OpenSSL what the socket has, as much as the last time was worth; False at the end of it.

        Until the socket has no more: where a line broke behind what came, libuv says so once and never again.
        """
        left = self._appetite
        while left:
            try:
                got = self._peer.recv_into(_RAW[:left])
            except BlockingIOError:
                return True
            if not got:
                self._session.incoming.write_eof()
                return False
            self._session.incoming.write(_RAW[:got])
            self._took += got
            left -= got
        self._read_soon()
        return True

    def _carries_nothing(self) -> bool:
        """Whether the client keeps OpenSSL busy, and nobody else; and how much is taken in the next turn."""
        if self._took < EMPTY:
            return False
        worth_it = self._filled * FILLING >= self._took
        self._appetite = MOST if 2 * self._filled >= self._took else LEAST
        self._took = self._filled = 0
        return not worth_it

    def _answers_pile_up(self) -> bool:
        """Whether the client does not read what TLS answers: each key it renews may ask for one of ours."""
        return self._blocked and self._session.outgoing.pending > SEALED

    def _over(self) -> None:
        """The client says nothing more, and is told nothing more: HTTP has no use for half a connection."""
        if not self.is_closing():
            self._protocol.eof_received()
        self.close()
        if self.get_write_buffer_size():
            self._unwatch()  # a line that has ended can always be read: it would keep the loop busy meanwhile
        else:
            self._lose(None)

    def _writable(self) -> None:
        self._loop.remove_writer(self._descriptor)
        self._blocked = False
        if not self._lost:
            self._send()

    def _send(self) -> None:
        """As much of what waits as the system takes."""
        try:
            while self._sealed or self._seal():
                self._sealed = self._sealed[self._peer.send(self._sealed) :]
        except BlockingIOError:
            self._blocked = True
            self._loop.add_writer(self._descriptor, self._writable)
        except OSError as error:
            self._lose(error)
            return
        if self._protocol_paused and self.get_write_buffer_size() <= LOW_WATER:
            self._protocol_paused = False
            self._protocol.resume_writing()
        if self._closing and not self.get_write_buffer_size():
            if self._said_goodbye:
                self._end_our_half()
            else:
                self._say_goodbye()

    def _seal(self) -> bool:
        """Seal what comes next, with what TLS itself has to say; False if there is nothing."""
        outgoing = self._session.outgoing
        while self._backlog and outgoing.pending < SEALED:
            rest = self._backlog.popleft()
            took = self._session.tls.write(rest[:SEALED])
            self._waiting -= took
            if took < len(rest):
                self._backlog.appendleft(rest[took:])
        self._sealed = memoryview(outgoing.read())
        return bool(self._sealed)

    def _say_goodbye(self) -> None:
        """Send our close_notify (RFC 8446 section 6.1), and read until the client ends as well.

        With something of the client's unread, the system would end the connection by a reset, and the
        client might lose the answer that it has not read yet.
        """
        self._said_goodbye = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(SHUTDOWN_SECONDS, self.abort)
        with contextlib.suppress(OSError):
            # an error all the same, for the client has not said its own, or still talks
            self._session.tls.unwrap()
        self._watch()
        self._read_soon()
        self._send()

    def _end_our_half(self) -> None:
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_WR)

    def _drain(self) -> None:
        """Read what nobody wants, past TLS."""
        try:
            for _ in range(16):
                if not self._peer.recv_into(_RAW):
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
        self._sealed = memoryview(b"")
        self._peer.close()
        self._loop.call_soon(self._protocol.connection_lost, error)


class _Over(Exception):
    """The client says nothing more, after so many bytes."""

    def __init__(self, filled: int) -> None:
        super().__init__()
        self.filled = filled


def _read_into(tls: ssl.SSLObject, room: memoryview) -> int:
    """All that OpenSSL has the whole records of; how many bytes that were. Raises `_Over`, `OSError`."""
    filled = 0
    try:
        while got := cast("int", tls.read(len(room) - filled, cast("bytearray", room[filled:]))):
            filled += got
    except ssl.SSLWantReadError:
        return filled
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        pass
    raise _Over(filled)
