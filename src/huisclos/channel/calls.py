"""A channel: two processes of the house calling each other's methods.

Both ends may call. A `HuisclosError` of the callee is raised again, as the same class, at the
caller; anything else the callee raises is its bug: the caller learns that there was one, and the
log learns of what kind, never what it said, which may be what a patient is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec

from huisclos import errors
from huisclos.channel.frames import CALL, FAULT, MAX_FRAME, REPLY, Frame, FrameReader, encode_frame
from huisclos.errors import HuisclosError, Locked, Unreachable, Unreadable

Request = TypeVar("Request", bound=msgspec.Struct)
Reply = TypeVar("Reply")

MAX_CALLS: Final = 4096
"""Calls of the other end that are answered at once; it is read from again when some are."""
MAX_HELD: Final = 2 * MAX_FRAME
"""Bytes of those calls."""

_LOG: Final = logging.getLogger(__name__)
_packer = msgspec.msgpack.Encoder()
_FAULTS: dict[str, type[HuisclosError]] = {
    cls.__name__: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, HuisclosError)
}


class Nothing(msgspec.Struct, frozen=True):
    """The request or reply that says nothing."""


NOTHING = Nothing()


class Methods:
    """What one end of a channel answers: a table of name, request struct, coroutine."""

    def __init__(self) -> None:
        self._table: dict[str, tuple[msgspec.msgpack.Decoder[Any], Callable[[Any], Awaitable[Any]]]] = {}

    def add(self, name: str, request: type[Request], answer: Callable[[Request], Awaitable[Any]]) -> None:
        """Answer calls of `name` with `answer`; the request is decoded strictly into `request`."""
        self._table[name] = (msgspec.msgpack.Decoder(request), answer)

    def names(self) -> frozenset[str]:
        """The methods this end answers."""
        return frozenset(self._table)

    async def answer(self, frame: Frame) -> Frame:
        """The reply or fault for a call."""
        known = self._table.get(frame.name)
        try:
            if known is None:
                raise errors.NotGranted(f"this process does not answer {frame.name!r} on this channel")
            decoder, answer = known
            try:
                request = decoder.decode(frame.body)
            except msgspec.DecodeError as error:
                raise Unreadable(f"a call of {frame.name!r} does not decode") from error
            result = await answer(request)
            return Frame(REPLY, frame.number, "", _packer.encode(result))
        except HuisclosError as error:
            return Frame(
                FAULT, frame.number, type(error).__name__, _packer.encode([error.message, error.hint])
            )


class Channel(asyncio.Protocol):
    """One end of a connected unix stream socket. Make it with `Channel.over`."""

    def __init__(self, methods: Methods | None = None) -> None:
        self._methods = methods or Methods()
        self._reader = FrameReader()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._held = 0
        """Bytes of the calls that are being answered."""
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._room = asyncio.Event()
        self._room.set()

    @classmethod
    async def over(cls, sock: socket.socket, methods: Methods | None = None) -> Channel:
        """A channel over `sock`, which it owns from now on."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(methods), sock=sock)
        return channel

    async def call(self, name: str, request: msgspec.Struct, reply: type[Reply]) -> Reply:
        """Call `name` at the other end and wait. Raises what the callee raised, or `Unreachable`."""
        await self._room.wait()
        if self._transport is None or self._transport.is_closing():
            raise Unreachable("a process of the house is away", hint="try again in a moment")
        number = next(self._numbers)
        waiting = self._loop.create_future()
        self._waiting[number] = waiting
        try:
            self._transport.write(encode_frame(Frame(CALL, number, name, _packer.encode(request))))
            frame = await waiting
        finally:
            self._waiting.pop(number, None)
        if frame.kind == FAULT:
            message, hint = msgspec.msgpack.decode(frame.body, type=tuple[str, str])
            raise _FAULTS.get(frame.name, HuisclosError)(message, hint=hint)
        if reply is Nothing:
            return cast("Reply", NOTHING)
        return msgspec.msgpack.decode(frame.body, type=reply)

    def close(self) -> None:
        """End the channel; pending calls raise `Unreachable`."""
        if self._transport is not None:
            self._transport.close()

    async def closed(self) -> None:
        """Return when the channel has ended."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._ended)

    @property
    def alive(self) -> bool:
        """Whether calls can still be made."""
        return self._transport is not None and not self._transport.is_closing()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # a stream socket has no other sort; uvloop's own class does not derive from asyncio's
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer calls, hand replies to whoever waits."""
        try:
            frames = self._reader.feed(data)
        except HuisclosError:
            self.close()
            return
        for frame in frames:
            if frame.kind == CALL:
                task = self._loop.create_task(self._answer(frame))
                self._answering.add(task)
                self._held += len(frame.body)
                task.add_done_callback(partial(self._answered, frame))
            else:
                waiting = self._waiting.get(frame.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
        self._read_on()

    def _read_on(self) -> None:
        """Read while what is being answered is within its bounds: who only asks must not grow this end."""
        full = len(self._answering) >= MAX_CALLS or self._held >= MAX_HELD
        if full is self._paused or self._transport is None or not self.alive:
            return
        self._paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _answer(self, frame: Frame) -> None:
        answer = await self._methods.answer(frame)
        try:
            packed = encode_frame(answer)
        except errors.TooLarge as error:
            packed = encode_frame(
                Frame(FAULT, frame.number, "TooLarge", _packer.encode([error.message, error.hint]))
            )
        await self._room.wait()
        if self.alive and self._transport is not None:
            self._transport.write(packed)

    def _answered(self, frame: Frame, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._held -= len(frame.body)
        self._read_on()
        bug = None if task.cancelled() else task.exception()
        if bug is None:
            return
        _LOG.error("%s failed: %s", frame.name[:64], type(bug).__name__)
        if self.alive and self._transport is not None:
            told = _packer.encode(["something went wrong in the house", "try again"])
            self._transport.write(encode_frame(Frame(FAULT, frame.number, "HuisclosError", told)))

    def pause_writing(self) -> None:
        """The other end is slow: hold further frames back."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Every pending call learns it."""
        self._room.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    Unreachable("a process of the house went away", hint="try again in a moment")
                )
        if not self._ended.done():
            self._ended.set_result(None)


class Sibling:
    """Another process of the house, which may be away; its channel changes when it is forked again."""

    def __init__(self, name: str, absent: Callable[[], HuisclosError] | None = None) -> None:
        self.name = name
        self._absent = absent or (
            lambda: Unreachable(f"the {name} is away", hint="it is being started again; try in a moment")
        )
        self._channel: Channel | None = None
        self._arrived = asyncio.Event()

    @property
    def channel(self) -> Channel | None:
        """Its channel, None while it is away."""
        return self._channel if self._channel is not None and self._channel.alive else None

    def arrive(self, channel: Channel) -> None:
        """It is here, reachable over `channel`; an older channel is closed."""
        if self._channel is not None:
            self._channel.close()
        self._channel = channel
        self._arrived.set()

    def leave(self) -> None:
        """It is gone."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self._arrived.clear()

    async def arrived(self) -> None:
        """Wait until it has come at least once since it last left."""
        await self._arrived.wait()

    async def call(self, name: str, request: msgspec.Struct, reply: type[Reply]) -> Reply:
        """As `Channel.call`; raises this sibling's own error while it is away."""
        channel = self.channel
        if channel is None:
            raise self._absent()
        return await channel.call(name, request, reply)


def locked_when_away() -> HuisclosError:
    """The error of a sibling that only lives while the archive is unlocked."""
    return Locked("the archive is locked", hint="unlock it at the gate, or with: huisclos unlock ARCHIVE")
