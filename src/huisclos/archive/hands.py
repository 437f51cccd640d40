"""A few threads that wait for the disk, reached from an event loop at little cost.

There and back takes 24 us, and 45 by a `ThreadPoolExecutor`, whose own future the loop has to copy: these
threads settle the loop's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from queue import SimpleQueue
from types import TracebackType
from typing import Self

_Work = tuple[Callable[[], object], "asyncio.Future[object] | None"]


class Hands:
    """`count` threads for one event loop. Used as a context: at its end they finish what they were given."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, name="hand", daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def run(self, work: Callable[[], object]) -> asyncio.Future[object]:
        """Do `work` in one of the threads; done with what it returns or raises. Call it from the loop.

        To cancel the future stops nothing: work that was given is done.
        """
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._queue.put((work, done))
        return done

    def leave(self, work: Callable[[], object]) -> None:
        """Do `work` in one of the threads; nobody hears of its end, nor of what it raises.

        Spares the loop a turn. Works that wait for each other's locks must be given in their order.
        """
        self._queue.put((work, None))

    def _serve(self) -> None:
        while (given := self._queue.get()) is not None:
            work, done = given
            told = _Told(done)
            with told:
                told.result = work()
            if done is not None:
                if done.get_loop().is_closed():
                    return  # nobody waits any more
                done.get_loop().call_soon_threadsafe(told)
            del given, work, done, told


class _Told:
    """What came of some work, on its way back to the loop: an error too, whatever it is."""

    __slots__ = ("_done", "_error", "result")

    def __init__(self, done: asyncio.Future[object] | None) -> None:
        self.result: object = None
        self._done = done
        self._error: BaseException | None = None

    def __enter__(self) -> None:
        """The work begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._error = error
        return True

    def __call__(self) -> None:
        if self._done is None or self._done.done():
            return  # nobody asked, or cancelled meanwhile
        if self._error is None:
            self._done.set_result(self.result)
        else:
            self._done.set_exception(self._error)


def in_thread(helper: Executor | Hands | None, work: Callable[[], object]) -> asyncio.Future[object]:
    """Do `work` in a thread of `helper`, whether or not anyone goes on waiting; None is the loop's own."""
    if isinstance(helper, Hands):
        return helper.run(work)
    return asyncio.shield(asyncio.get_running_loop().run_in_executor(helper, work))


def leave_to_thread(helper: Executor | Hands | None, work: Callable[[], object]) -> None:
    """As `Hands.leave`, in a thread of `helper`."""
    if isinstance(helper, Hands):
        helper.leave(work)
    else:
        asyncio.get_running_loop().run_in_executor(helper, work)
