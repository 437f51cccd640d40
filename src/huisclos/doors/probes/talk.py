"""A dialogue on a transport: one connection inside its turn, its deadlines, its end."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, cast

from huisclos.doors.probes.dialogue import Dialogue, End
from huisclos.doors.probes.host import Host
from huisclos.errors import PeerTooSlow, PeerUnreachable

_STEPS: Final = 3
"""deadlines of one step that a whole association may take"""
_FLUSH_SECONDS: Final = 1.0
"""for what is outgoing to leave a transport that is being closed, TLS's farewell included"""


async def talk(host: Host, dialogue: Dialogue, tls: ssl.SSLContext | None = None) -> None:
    """Hold `dialogue` over one connection, to its end; the transport is closed when this returns.

    Raises `OutOfBudget`, `PeerUnreachable`, and `PeerTooSlow` when nothing came about in time.
    """
    loop = asyncio.get_running_loop()
    async with host.turn():
        line = _Line(dialogue, loop, host.seconds)
        address, port = str(host.target.address), host.target.port or 0
        try:
            async with asyncio.timeout(host.seconds):
                await loop.create_connection(
                    lambda: line, address, port, ssl=tls, server_hostname="" if tls else None
                )
        except TimeoutError:
            host.timeouts += 1
            raise PeerTooSlow("no connection in time") from None
        except OSError as error:
            raise PeerUnreachable(f"no connection: {error.strerror or type(error).__name__}") from None
        try:
            await line.closed
        finally:
            line.cut()
    if dialogue.end is End.LATE:
        host.timeouts += 1
        if dialogue.accepted is None:
            raise PeerTooSlow("no answer in time")


class _Line(asyncio.Protocol):
    """The protocol object of one transport."""

    __slots__ = ("_dialogue", "_heard", "_loop", "_seconds", "_timer", "_transport", "_until", "closed")

    def __init__(self, dialogue: Dialogue, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._dialogue = dialogue
        self._loop = loop
        self._seconds = seconds
        self._heard = self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._heard = self._loop.time()
        self._until = self._heard + _STEPS * self._seconds
        self._timer = self._loop.call_at(self._heard + self._seconds, self._watch)
        self._transport.write(self._dialogue.opening)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        dialogue, transport = self._dialogue, self._transport
        if dialogue.end is not None or transport is None:
            return
        self._heard = self._loop.time()
        if out := dialogue.feed(data):
            transport.write(out)
        if dialogue.end is not None:
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._dialogue.lost()
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def cut(self) -> None:
        """End what has not ended: whoever waited does so no more."""
        if self._transport is not None:
            self._transport.write(self._dialogue.late())
            self._transport.abort()

    def _watch(self) -> None:
        """Abort the association once a step or the whole took too long."""
        now = self._loop.time()
        due = min(self._heard + self._seconds, self._until)
        if due > now:
            self._timer = self._loop.call_at(due, self._watch)
        elif self._transport is not None:
            self._transport.write(self._dialogue.late())
            self._close()

    def _close(self) -> None:
        """Close the transport; what is outgoing has a moment to leave.

        After an A-ABORT over what the peer is still sending, it is the peer that closes (PS3.8 Sta13): to
        close first, unread, would reset the connection and lose the A-ABORT.
        """
        if self._transport is not None:
            if self._dialogue.end not in (End.RECORD, End.BROKEN):
                self._transport.close()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(_FLUSH_SECONDS, self._transport.abort)
