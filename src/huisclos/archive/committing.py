"""Commits that wait for the disk leave together: one thread, one flush of a folder, one word to the loop.

Of a hundred instances in one request several are whole before the first is durable. Each by a thread of its
own wakes the loop and wants Python's lock each time, and flushes the folder of the same study again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from msgspec import Struct

from huisclos.archive.hands import Hands, leave_to_thread
from huisclos.archive.ports import Commit, ObjectStore
from huisclos.errors import HuisclosError, Unreachable

TOGETHER: Final = 8
"""Commits made together at most: the first of them waits for the last."""


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
        """Held for a moment by whoever looks at the two below."""
        self._waiting: deque[_Item] = deque()
        self._at_work = False

    @property
    def at_work(self) -> bool:
        """Whether something is being made durable, so that the next would wait for it."""
        return self._at_work

    def commit(self, commit: Commit, also: Callable[[], object] | None = None) -> asyncio.Future[object]:
        """Begin with it, or once what is at work is done. Raises, when waited for, as `Writing.commit`.

        `also` is done in the same thread, once the object is durable and before that is told.
        To cancel the future stops nothing. The writing is let go of.
        """
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        with self._turn:
            self._waiting.append(_Item(commit, also, done))
            begins, self._at_work = not self._at_work, True
        if begins:
            leave_to_thread(self._executor, self._work)
        return done

    def _work(self) -> None:
        while some := self._next():
            try:
                self._make_durable(some)
            finally:
                some[0].done.get_loop().call_soon_threadsafe(_tell, some)

    def _next(self) -> list[_Item]:
        with self._turn:
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            self._at_work = bool(some)
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
