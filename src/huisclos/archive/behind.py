"""Writing beside receiving: sealed bytes leave in a thread while the next ones arrive.

A write to the system takes about as long as hashing the same bytes, and much longer while the disk
is behind: on the loop it would hold up every association. Bytes leave in order, one run at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import Final

from huisclos.archive.hands import Hands, in_thread
from huisclos.archive.ports import Writing
from huisclos.errors import HuisclosError, Unreachable

RUN: Final = 256 * 1024
"""Bytes that are worth a thread's attention; what is left at the end leaves with the commit."""
BACKLOG: Final = 4 * 1024**2
"""Bytes that may wait before whoever sends them must wait too."""


class WriteBehind:
    """Sealed bytes on their way to `writing`; `executor` runs what blocks, None for the loop's own.

    Unless it is to write `beside`, each push writes at once: for callers who do not wait.
    """

    def __init__(self, writing: Writing, executor: Executor | Hands | None, *, beside: bool) -> None:
        self._writing = writing
        self._beside = beside
        self._executor = executor
        self._waiting: list[bytes] = []
        self._held = 0
        self._run: asyncio.Future[object] | None = None
        self._landed = threading.Event()
        """Set while no run is on its way."""
        self._landed.set()
        self._failed: HuisclosError | None = None
        self._committing = False

    def push(self, sealed: bytes) -> Awaitable[None] | None:
        """Take the next bytes; given an awaitable, push no more until it is done.

        Raises what an earlier write raised: `Full`, `Unreachable`.
        """
        if not self._beside:
            self._writing.write(sealed)
            return None
        self.keep(sealed)
        if self._run is not None and self._run.done():
            self._look()
        if self._run is None and self._held >= RUN:
            self._start()
        return self._caught_up() if self._held >= BACKLOG else None

    def keep(self, sealed: bytes) -> None:
        """Take the last bytes: they leave with the commit."""
        self._waiting.append(sealed)
        self._held += len(sealed)

    def commit(self, place: str, header: bytes) -> asyncio.Future[object]:
        """Write what is left, then as `Writing.commit`; begun at once, and it goes on if not waited for."""
        before, rest = self._landed, self._take()
        self._committing = True

        def commit() -> None:
            try:
                before.wait()
                if self._failed is not None:
                    raise self._failed
                _write(self._writing, rest)
                self._writing.commit(place, header)
            finally:
                self._writing.abandon()

        return in_thread(self._executor, commit)

    def abandon(self) -> None:
        """Leave no trace, once the run that is on its way has ended. Idempotent."""
        self._take()
        if self._committing:
            return
        if self._run is None or self._run.done():
            self._writing.abandon()
        else:
            # The thread still writes to a descriptor that must not be another file's by then.
            self._run.add_done_callback(lambda _: self._writing.abandon())

    def _start(self) -> None:
        pieces = self._take()
        landed = self._landed = threading.Event()
        self._failed = Unreachable("the object was not written whole")

        def write() -> None:
            try:
                _write(self._writing, pieces)
                self._failed = None
            except HuisclosError as error:
                self._failed = error
            finally:
                landed.set()

        self._run = in_thread(self._executor, write)

    def _take(self) -> list[bytes]:
        pieces, self._waiting, self._held = self._waiting, [], 0
        return pieces

    async def _caught_up(self) -> None:
        # A cancelled wait must not cancel the run: its thread would go on unseen.
        if self._run is not None:
            await asyncio.wait([self._run])
        self._look()
        if self._held:
            self._start()

    def _look(self) -> None:
        self._run = None
        if self._failed is not None:
            raise self._failed


def _write(writing: Writing, pieces: list[bytes]) -> None:
    for piece in pieces:
        writing.write(piece)
