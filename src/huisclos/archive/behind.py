"""Writing beside receiving: sealed bytes leave in a thread while the next ones arrive.

A write to the system takes about as long as hashing the same bytes, and much longer while the disk
is behind: on the loop it would hold up every association. Bytes leave in order, one run at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from functools import partial
from typing import Final

from huisclos.archive.committing import Committing
from huisclos.archive.hands import Hands, in_thread, leave_to_thread
from huisclos.archive.ports import LONGEST_ROOM, Commit, Writing
from huisclos.errors import HuisclosError, Unreachable

RUN: Final = 1024 * 1024
"""Bytes that are worth a thread's attention; what is left at the end leaves with the commit.

An ordinary slice leaves whole: sent for in the middle of it, a thread gets Python's lock when the
rest has come as well, and makes the loop wait for it meanwhile.
"""
BACKLOG: Final = 4 * 1024**2
"""Bytes that may wait before whoever sends them must wait too."""


def append(writing: Writing, sealed: bytes | memoryview) -> None:
    """Append bytes that are there already. Blocks; raises `Full`, `Unreachable`."""
    whole = memoryview(sealed)
    for at in range(0, len(whole), LONGEST_ROOM):
        piece = whole[at : at + LONGEST_ROOM]
        writing.room(len(piece))[:] = piece
    writing.write()


class WriteBehind:
    """Sealed bytes on their way to `writing`; `executor` runs what blocks, None for the loop's own.

    Unless it is to write `beside`, each `push` writes at once what is worth it: for callers who do not wait.
    """

    def __init__(
        self, writing: Writing, executor: Executor | Hands | None, committing: Committing, *, beside: bool
    ) -> None:
        self.room = writing.room
        """Where sealed bytes are put, `push` with how many they were, or `keep` for the last of them."""
        self._writing = writing
        self._beside = beside
        self._executor = executor
        self._committing = committing
        self._held = 0
        self._run: threading.Lock | None = None
        """Held by the run that is on its way, or was the last."""
        self._failed: HuisclosError | None = None
        self._over = False

    def push(self, length: int) -> Awaitable[None] | None:
        """So many bytes were put into their room; given an awaitable, push no more until it is done.

        Raises what an earlier write raised: `Full`, `Unreachable`.
        """
        if not self._beside:
            self.keep(length)
            if self._held >= RUN:
                self._held = 0
                self._writing.write()
            return None
        if self.at_rest:
            self._look()
            # without these bytes: if they are the last, a thread is sent for once and not twice
            if self._held >= RUN:
                leave_to_thread(self._executor, self._run_of_waiting())
        self.keep(length)
        return _CatchingUp(self) if self._held >= BACKLOG else None

    def keep(self, length: int) -> None:
        """These were the last bytes: they leave with the commit."""
        self._held += length

    @property
    def at_rest(self) -> bool:
        """Whether no run is on its way, so that `commit_here` would not have to wait for it."""
        return self._run is None or not self._run.locked()

    def commit_here(self, place: str, header: bytes) -> None:
        """As `commit`, in this thread, which waits for the disk; call it `at_rest`.

        What it held is let go of once the loop has its turn: whoever sends is answered first.
        """
        self._over = True
        asyncio.get_running_loop().call_soon(_abandon, self._writing)
        self._look()
        self._writing.commit(place, header)

    def commit(
        self, place: str, header: bytes, also: Callable[[], object] | None = None
    ) -> asyncio.Future[object]:
        """Write what is left, then as `Committing.commit`; it goes on if it is not waited for."""
        before = self._run
        if before is None or not before.locked():
            self._look()
            self._over = True
            return self._committing.commit(Commit(self._writing, place, header), also)

        self._over = True

        def commit() -> None:
            try:
                before.acquire()
                self._look()
                self._writing.commit(place, header)
                if also is not None:
                    also()
            finally:
                self._writing.abandon()

        return in_thread(self._executor, commit)

    def abandon(self) -> None:
        """Leave no trace, once the run that is on its way has ended. Idempotent."""
        if self._over:
            return
        self._over = True
        if self.at_rest:
            _abandon(self._writing)
        else:
            # The thread still writes to a descriptor that must not be another file's by then.
            leave_to_thread(self._executor, partial(_abandon, self._writing, self._run))

    def _run_of_waiting(self) -> Callable[[], None]:
        """What writes all that waits, once the run before it has ended."""
        before, landed = self._run, threading.Lock()
        landed.acquire()
        self._run, self._held = landed, 0

        def write() -> None:
            try:
                if before is not None:
                    before.acquire()
                if self._failed is None:
                    self._failed = Unreachable("the object was not written whole")
                    self._writing.write()
                    self._failed = None
            except HuisclosError as error:
                self._failed = error
            finally:
                landed.release()

        return write

    async def caught_up(self) -> None:
        """Wait until all that waits is written. Raises `Full`, `Unreachable`."""
        # A cancelled wait must not cancel the run: its thread would go on unseen.
        await asyncio.wait([in_thread(self._executor, self._run_of_waiting())])
        self._look()

    def _look(self) -> None:
        if self._failed is not None:
            raise self._failed


class _CatchingUp:
    """What `push` gives: not begun before it is waited for, which whoever breaks off does not."""

    def __init__(self, behind: WriteBehind) -> None:
        self._behind = behind

    def __await__(self) -> Generator[object, None, None]:
        return self._behind.caught_up().__await__()


def _abandon(writing: Writing, run: threading.Lock | None = None) -> None:
    """Once `run` has ended; a disk that fails has shown it before."""
    if run is not None:
        run.acquire()
    with contextlib.suppress(HuisclosError):
        writing.abandon()
