"""A child of the supervisor: its control socket, its siblings, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from huisclos.channel import (
    Channel,
    Message,
    Methods,
    Sibling,
    locked_when_away,
    receive_message,
    send_message,
)
from huisclos.channel.frames import Frame
from huisclos.errors import HuisclosError, Unreachable
from huisclos.wiring.places import Archive

UNLOCKED_ONLY = frozenset({"finder", "scribe"})
"""Processes that live only while the archive is unlocked: their absence means that it is locked."""

ONE_OF_EACH = frozenset({"vault", "finder", "scribe", "auditor"})


@dataclass(frozen=True, slots=True)
class Post:
    """What a child is given when it is forked."""

    role: str
    number: int
    archive: Archive
    control: socket.socket
    listeners: dict[str, tuple[socket.socket, ...]] = field(default_factory=dict)


class Child:
    """One process of the house, from the inside."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.archive = post.archive
        self.stopping = asyncio.Event()
        self.on_locked: Callable[[], None] = lambda: None
        """Called when the archive was locked: drop what was opened."""
        self._table: Callable[[str], Methods] = lambda _: Methods()
        self._gone: Callable[[str], None] = lambda _: None
        self._serving = asyncio.Event()
        self.on_cage: Callable[[socket.socket], None] = socket.socket.close
        """Handed the control socket of a cage, each time one is started."""
        self._siblings: dict[str, Sibling] = {}
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._arriving: set[asyncio.Task[None]] = set()
        self._callers: dict[str, set[Channel]] = {}
        post.control.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(post.control.fileno(), self._hear)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    def sibling(self, role: str) -> Sibling:
        """The sibling of this role, here or away."""
        if role not in self._siblings:
            self._siblings[role] = Sibling(role, locked_when_away if role in UNLOCKED_ONLY else None)
        return self._siblings[role]

    def serve_to(self, table: Callable[[str], Methods], gone: Callable[[str], None] = lambda _: None) -> None:
        """Answer from now on, by the role of who calls; calls that came before were kept waiting.

        `gone` is told the role of a face whenever one has ended.
        """
        self._table, self._gone = table, gone
        self._serving.set()

    async def answering(self, role: str) -> Methods:
        """What this process answers `role`, once it answers at all."""
        await self._serving.wait()
        return self._table(role)

    def callers(self, role: str) -> tuple[Channel, ...]:
        """The living channels of a role with several processes. Raises `Unreachable` when none is here."""
        living = tuple(channel for channel in self._callers.get(role, ()) if channel.alive)
        if not living:
            raise Unreachable(f"the {role} is away", hint="it is being started again; try in a moment")
        return living

    def ready(self) -> None:
        """Tell the supervisor that this process does its work."""
        send_message(self.post.control, Message("ready"))

    async def announce(self, word: str) -> None:
        """Tell the supervisor something and wait until it has been followed."""
        done = asyncio.get_running_loop().create_future()
        self._answers[word] = done
        send_message(self.post.control, Message(word))
        await done

    def _hear(self) -> None:
        try:
            heard = receive_message(self.post.control)
        except (BlockingIOError, InterruptedError):
            return
        except (HuisclosError, OSError):
            heard = None
        if heard is None:
            # without its supervisor nothing here may go on
            os._exit(0)
        message, sockets = heard
        if message.word == "sibling":
            for sock in sockets:
                task = asyncio.get_running_loop().create_task(self._arrive(message.about, sock))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)
        elif message.word == "gone":
            self.sibling(message.about).leave()
        elif message.word == "locked":
            self.on_locked()
        elif message.word == "done":
            done = self._answers.pop(message.about, None)
            if done is not None and not done.done():
                done.set_result(None)
        elif message.word == "stop":
            self.stopping.set()

    async def _arrive(self, role: str, sock: socket.socket) -> None:
        if role == "cage":
            self.on_cage(sock)
            return
        try:
            channel = await Channel.over(sock, _Postponed(self, role))
        except OSError:
            sock.close()
            return
        if role in ONE_OF_EACH:
            self.sibling(role).arrive(channel)
            return
        # faces have several workers, and callers from the command line come and go
        here = self._callers.setdefault(role, set())
        here.add(channel)
        await channel.closed()
        here.discard(channel)
        self._gone(role)


class _Postponed(Methods):
    """The methods of a process that may still be loading: a call waits, and is not refused."""

    def __init__(self, child: Child, role: str) -> None:
        super().__init__()
        self._child = child
        self._role = role
        self._methods: Methods | None = None

    async def answer(self, frame: Frame) -> Frame:
        """See `Methods`."""
        if self._methods is None:
            self._methods = await self._child.answering(self._role)
        return await self._methods.answer(frame)
