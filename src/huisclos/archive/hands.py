"""A few threads that wait for the disk, reached from an event loop at little cost.

A `ThreadPoolExecutor` takes 60 us to hand over a piece of work and 60 more to bring back what came of
it, most of it in a future of its own that the loop copies. These threads settle the loop's future.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self, TypeVar

Result = TypeVar("Result")
_Work = tuple[Callable[[], object], "asyncio.Future[object]"]
_STACK: Final = "hand"


class Hands:
    """`count` threads for one event loop. Used as a context: at its end they finish what they were given."""

    def __init__(self, count: int) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, name=_STACK, daemon=True) for _ in range(count)]

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

    def _serve(self) -> None:
        while (given := self._queue.get()) is not None:
            work, done = given
            loop = done.get_loop()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whoever waits is told of it, whatever it is
                tell: Callable[[], None] = _Told(done, None, error)
            else:
                tell = _Told(done, result, None)
            del given, work, done
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more


class _Told:
    """What came of some work, on its way back to the loop."""

    __slots__ = ("_done", "_error", "_result")

    def __init__(self, done: asyncio.Future[object], result: object, error: BaseException | None) -> None:
        self._done, self._result, self._error = done, result, error

    def __call__(self) -> None:
        if self._done.done():
            return  # cancelled meanwhile
        if self._error is None:
            self._done.set_result(self._result)
        else:
            self._done.set_exception(self._error)


def in_thread(helper: Executor | Hands | None, work: Callable[[], object]) -> asyncio.Future[object]:
    """Do `work` in a thread of `helper`, whether or not anyone goes on waiting; None is the loop's own."""
    if isinstance(helper, Hands):
        return helper.run(work)
    return asyncio.shield(asyncio.get_running_loop().run_in_executor(helper, work))
