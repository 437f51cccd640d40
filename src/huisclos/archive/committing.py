"""Commits that wait for the disk leave together: one thread, one flush of a folder, one word to the loop.

Of a hundred instances in one request several are whole before the first is durable. Each by a thread of its
own wakes the loop and wants Python's lock each time, and flushes the folder of the same study again. Only on
a slow disk, or one at the far end of a network, several threads wait at once: there waiting is what counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Final

from msgspec import Struct

from huisclos.archive.hands import Hands, leave_to_thread
from huisclos.archive.ports import Commit, ObjectStore
from huisclos.clock import steady
from huisclos.errors import HuisclosError, Unreachable

TOGETHER: Final = 8
"""Commits made together at most: the first of them waits for the last."""
AT_ONCE: Final = 4
"""Threads that wait for a slow disk."""
SLOW: Final = 0.004
"""Seconds for each commit from which on a disk is slow: one that flushes fast takes a tenth."""


class _Item(Struct):
    """A commit, what else its thread does once it is durable, and who waits."""

    commit: Commit
    also: Callable[[], object] | None
    done: asyncio.Future[object]
    failed: HuisclosError | None = None


class Committing:
    """What one process makes durable, from one event loop; `executor` runs what blocks."""

    def __init__(self, store: ObjectStore, executor: Executor | Hands | None) -> None:
        self._store = store
        self._executor = executor
        self._turn = threading.Lock()
        """Held for a moment by whoever looks at what is below."""
        self._waiting: deque[_Item] = deque()
        self._threads = 0
        self._began = 0.0
        """When a thread was last sent for, or took more."""
        self._pace = 0.0
        """Seconds that each of the commits took which were last made together."""

    @property
    def at_work(self) -> bool:
        """Whether something is being made durable, so that the next would wait for it."""
        return self._threads > 0

    def commit(self, commit: Commit, also: Callable[[], object] | None = None) -> asyncio.Future[object]:
        """Begin with it, or once what is at work is done. Raises, when waited for, as `Writing.commit`.

        `also` is done in the same thread, once the object is durable and before that is told.
        To cancel the future stops nothing. The writing is let go of.
        """
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        with self._turn:
            self._waiting.append(_Item(commit, also, done))
        self._begin()
        return done

    def _begin(self) -> None:
        """Send for a thread if there is none that will come to what waits, or none soon."""
        with self._turn:
            if not self._waiting or not self._wants_another():
                return
            self._threads, self._began = self._threads + 1, steady()
        leave_to_thread(self._executor, partial(self._work, asyncio.get_running_loop()))

    def _wants_another(self) -> bool:
        if not self._threads:
            return True
        slow = self._pace > SLOW or steady() - self._began > SLOW * TOGETHER
        return slow and self._threads < AT_ONCE

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        done = False
        try:
            while some := self._next():
                if self._pace > SLOW:
                    loop.call_soon_threadsafe(self._begin)  # for what it left, if there is any
                began = steady()
                try:
                    self._make_durable(some)
                finally:
                    self._pace = (steady() - began) / len(some)
                    loop.call_soon_threadsafe(_tell, some)
            done = True
        finally:
            if not done:  # a fault of ours: what waits is another thread's
                with self._turn:
                    self._threads -= 1
                loop.call_soon_threadsafe(self._begin)

    def _next(self) -> list[_Item]:
        with self._turn:
            # on a slow disk each thread takes its share: together they would wait one after the other
            share = -(-len(self._waiting) // AT_ONCE) if self._pace > SLOW else len(self._waiting)
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, share))]
            if some:
                self._began = steady()
            else:
                self._threads -= 1
            return some

    def _make_durable(self, some: Sequence[_Item]) -> None:
        for item in some:  # until something else is known, whatever goes wrong
            item.failed = Unreachable("it is not known whether the object is durable")
        try:
            failures = self._store.commit_all([item.commit for item in some])
            for item, failed in zip(some, failures, strict=True):
                if failed is None and item.also is not None:
                    item.also()
                item.failed = failed
        finally:
            for item in some:
                with contextlib.suppress(HuisclosError):  # a disk that fails has shown it before
                    item.commit.writing.abandon()


def _tell(some: Sequence[_Item]) -> None:
    for item in some:
        if item.done.done():
            continue  # cancelled meanwhile
        if item.failed is None:
            item.done.set_result(None)
        else:
            item.done.set_exception(item.failed)
