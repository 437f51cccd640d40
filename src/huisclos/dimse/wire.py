"""A machine on a transport: the bytes, the timers and the back-pressure of one association.

Shared by the two ends. The pieces of a data set go from the socket to `on_data` without waking a
task, and so does the command before them, to `on_command`; everything else is handed to whoever
awaits `next_event`. While nobody does, at most one more read is taken, and then the peer waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

from huisclos.dimse.protocol.events import CommandReceived, DataReceived, Event
from huisclos.dimse.protocol.machine import Machine
from huisclos.errors import PeerTooSlow

_READ: Final = 256 * 1024
"""bytes of one read at most: two of the PDUs we announce"""
_SPARE: Final = 64 * 1024
"""bytes of the one read that may come while nobody waits"""
_FLUSH_SECONDS: Final = 2.0
"""seconds: for what is outgoing to leave a transport that is being closed"""

OnData = Callable[[memoryview], Awaitable[None] | None]
OnCommand = Callable[[CommandReceived], bool]
"""True if it was begun, and `Wire.on_data` takes what comes; else the command is an event like others."""


class Wire(asyncio.BufferedProtocol):
    """The protocol object of one transport."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.connection: socket.socket | None = None
        """the socket under the transport, where it is known: what the transport lends is dearer to ask"""
        self.on_data: OnData | None = None
        """takes each piece of a data set but the last, which comes as an event"""
        self.on_command: OnCommand | None = None
        """begins what a command asks for, so that its data set need not wait for a task to be woken"""
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._buffer = memoryview(bytearray(_READ))
        self._spare: memoryview | None = None
        self._spilled: deque[bytes] = deque()
        self._waiter: asyncio.Future[Event | None] | None = None
        self._behind: Awaitable[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._blocked = self._paused = self._lost = self._closing = False
        self._heard = 0.0
        self._artim_starts = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self.transport = cast("asyncio.Transport", transport)
        self._socket = self.connection or transport.get_extra_info("socket")
        self._acknowledge()
        self._heard = self._loop.time()
        self._timers["idle"] = self._loop.call_later(self.machine.bounds.idle_seconds, self._watch)
        self.machine.open_transport()
        self.settle()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`: never the bytes that are still being read."""
        if self._waiter is not None and not self._waiter.done():
            return self._buffer
        if self._spare is None:
            self._spare = memoryview(bytearray(_SPARE))
        return self._spare

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._acknowledge()
        self._heard = self._loop.time()
        waiter = self._waiter
        if waiter is None or waiter.done():
            assert self._spare is not None  # noqa: S101 - `get_buffer` made it
            self._spilled.append(bytes(self._spare[:nbytes]))
            self._pause()
            return
        self.machine.feed(self._buffer[:nbytes])
        event = self._advance()
        if event is not None or self._behind is not None:
            waiter.set_result(event)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._blocked = True

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._blocked = False
        self._heard = self._loop.time()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._lost = True
        for timer in self._timers.values():
            timer.cancel()
        self.machine.close_transport()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # Called by the association's task.

    async def next_event(self) -> Event | None:
        """The next event, or None when the transport is gone. Raises `PeerTooSlow`."""
        while True:
            if self._behind is not None:
                behind, self._behind = self._behind, None
                await behind
            event = self._advance()
            if event is not None:
                return event
            if self._behind is not None:
                continue
            if self._lost:
                return None
            self._waiter = self._loop.create_future()
            self._heard = self._loop.time()
            self._resume()
            try:
                event = await self._waiter
            finally:
                self._waiter = None
            if event is not None:
                return event

    def settle(self) -> None:
        """Send what the machine has to send, keep its timer, close when it says so."""
        machine, transport = self.machine, self.transport
        assert transport is not None  # noqa: S101 - the transport stands before anyone calls
        outgoing = machine.take_outgoing()
        if outgoing and not self._lost:
            transport.writelines(outgoing)
        if machine.artim_starts != self._artim_starts:
            self._artim_starts = machine.artim_starts
            self._keep("artim", machine.bounds.artim_seconds, self._expire)
        if machine.closing and not self._closing:
            self.close()

    async def drain(self) -> None:
        """Wait while the peer does not read what is sent. Raises `PeerTooSlow`."""
        while self._blocked and not self._lost:
            self._writable = self._loop.create_future()
            self._heard = self._loop.time()
            try:
                await self._writable
            finally:
                self._writable = None

    def close(self) -> None:
        """Close the transport; what is outgoing has a moment to leave."""
        self._closing = True
        if self.transport is not None and not self._lost:
            self.transport.close()
            self._keep("close", _FLUSH_SECONDS, self.transport.abort)

    def _advance(self) -> Event | None:
        """The next event that is not a piece for `on_data`; sets `_behind` when that one must wait."""
        machine = self.machine
        while True:
            event = machine.next_event()
            if event is None:
                if not self._spilled:
                    break
                machine.feed(memoryview(self._spilled.popleft()))
            elif (
                isinstance(event, CommandReceived) and self.on_command is not None and self.on_command(event)
            ):
                continue
            elif not isinstance(event, DataReceived) or event.last or self.on_data is None:
                break
            else:
                self._behind = self.on_data(event.piece)
                if self._behind is not None:
                    event = None
                    break
        self.settle()
        return event

    def _acknowledge(self) -> None:
        # Linux forgets it after a while, so it is set after each read. Without it the kernel holds
        # its acknowledgement back for 40 ms, and a sender with Nagle's algorithm waits for it in
        # the middle of each instance: 20 a second instead of hundreds.
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _pause(self) -> None:
        if not self._paused and self.transport is not None and not self._lost:
            self.transport.pause_reading()
            self._paused = True

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self._closing:
            self.transport.resume_reading()
            self._paused = False

    def _keep(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if (timer := self._timers.get(name)) is not None:
            timer.cancel()
        self._timers[name] = self._loop.call_later(seconds, then)

    def _expire(self) -> None:
        self.machine.expire_artim()
        self.settle()

    def _watch(self) -> None:
        """Raise `PeerTooSlow` where it is waited for, once nothing has moved for the idle time."""
        waiting = [future for future in (self._waiter, self._writable) if future and not future.done()]
        idle = self.machine.bounds.idle_seconds
        left = self._heard + idle - self._loop.time() if waiting else idle
        if left <= 0:
            waiting[0].set_exception(PeerTooSlow("nothing came from the peer for too long"))
            left = idle
        self._keep("idle", left, self._watch)
