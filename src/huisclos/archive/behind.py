"""Writing beside receiving: sealed bytes leave in a thread while the next ones arrive.

A write to the system takes about as long as hashing the same bytes, and much longer while the disk
is behind: on the loop it would hold up every association. Bytes leave in order, one run at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import Final

from huisclos.archive.ports import Writing

RUN: Final = 256 * 1024
"""Bytes that are worth a thread's attention; what is left at the end leaves with the commit."""
BACKLOG: Final = 4 * 1024**2
"""Bytes that may wait before whoever sends them must wait too."""


class WriteBehind:
    """Sealed bytes on their way to `writing`; `executor` runs what blocks, None for the loop's own.

    Unless it is to write `beside`, each push writes at once: for callers who do not wait.
    """

    def __init__(self, writing: Writing, executor: Executor | None, *, beside: bool) -> None:
        self._writing = writing
        self._beside = beside
        self._executor = executor
        self._waiting: list[bytes] = []
        self._held = 0
        self._run: asyncio.Future[None] | None = None
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

    async def commit(self, place: str, header: bytes) -> None:
        """Write what is left, then as `Writing.commit`; it goes on to its end also if cancelled."""
        if self._run is not None:
            await self._landed()
        rest = self._take()
        self._committing = True

        def commit() -> None:
            try:
                _write(self._writing, rest)
                self._writing.commit(place, header)
            finally:
                self._writing.abandon()

        await asyncio.get_running_loop().run_in_executor(self._executor, commit)

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
        loop = asyncio.get_running_loop()
        self._run = loop.run_in_executor(self._executor, _write, self._writing, pieces)
        self._run.add_done_callback(_heard)

    def _take(self) -> list[bytes]:
        pieces, self._waiting, self._held = self._waiting, [], 0
        return pieces

    def _look(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.result()

    async def _landed(self) -> None:
        """Wait for the run, which a cancelled wait must not cancel: its thread would go on unseen."""
        if self._run is not None:
            await asyncio.wait([self._run])
            self._look()

    async def _caught_up(self) -> None:
        await self._landed()
        if self._held:
            self._start()


def _write(writing: Writing, pieces: list[bytes]) -> None:
    for piece in pieces:
        writing.write(piece)


def _heard(run: asyncio.Future[None]) -> None:
    """An instance abandoned before its run was looked at leaves no unheard error."""
    if not run.cancelled():
        run.exception()
