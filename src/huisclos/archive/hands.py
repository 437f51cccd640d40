"""A few threads that wait for the disk, reached from an event loop at little cost.

There and back takes 24 us, and 45 by a `ThreadPoolExecutor`, whose own future the loop has to copy: these
threads settle the loop's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from types import TracebackType
from typing import Final, Self, TypeVar, cast

_LOG: Final = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Work = tuple[Callable[[], object], "asyncio.Future[object] | None"]


class Hands:
    """`count` threads for one event loop. Used as a context: at its end they finish what they were given.

    Work goes to the thread that was idle last, and wakes no other: with one queue for all, each
    thread that took something woke one more, which wanted Python's lock only to find nothing.
    """

    def __init__(self, count: int) -> None:
        self._turn = threading.Lock()
        """Held for a moment by whoever looks at the two below."""
        self._waiting: deque[_Work] = deque()
        self._idle: list[_Hand] = []
        self._hands = [_Hand(self) for _ in range(count)]

    def __enter__(self) -> Self:
        self._idle += self._hands
        for hand in self._hands:
            hand.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            for hand in self._hands:
                hand.leaving = True
            idle, self._idle = self._idle, []
        for hand in idle:
            hand.give(None)
        for hand in self._hands:
            hand.join()

    def run(self, work: Callable[[], object]) -> asyncio.Future[object]:
        """Do `work` in one of the threads; done with what it returns or raises. Call it from the loop.

        To cancel the future stops nothing: work that was given is done.
        """
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._give((work, done))
        return done

    def leave(self, work: Callable[[], object]) -> None:
        """Do `work` in one of the threads; nobody hears of its end, nor of what it raises.

        Spares the loop a turn. Works that wait for each other's locks must be given in their order.
        """
        self._give((work, None))

    def _give(self, work: _Work) -> None:
        with self._turn:
            if not self._idle:
                self._waiting.append(work)
                return
            hand = self._idle.pop()
        hand.give(work)

    def next_for(self, hand: _Hand) -> _Work | None:
        """More work for a thread that has done its own; None if it is idle from now on."""
        with self._turn:
            if self._waiting:
                return self._waiting.popleft()
            if hand.leaving:
                hand.give(None)
            else:
                self._idle.append(hand)
            return None


class _Hand(threading.Thread):
    """One thread, and the work that it is given."""

    def __init__(self, hands: Hands) -> None:
        super().__init__(name="hand", daemon=True)
        self.leaving = False
        """Whether it ends once there is nothing left to do."""
        self._hands = hands
        self._given: _Work | None = None
        self._wake = threading.Lock()
        self._wake.acquire()

    def give(self, work: _Work | None) -> None:
        """Wake the thread, which is idle; None ends it."""
        self._given = work
        self._wake.release()

    def run(self) -> None:
        """What the thread does."""
        work: _Work | None = None
        while True:
            if work is None:
                self._wake.acquire()
                work, self._given = self._given, None
            if work is None or not _do(*work):
                return
            work = self._hands.next_for(self)


def _do(work: Callable[[], object], done: asyncio.Future[object] | None) -> bool:
    """Do it, and say so; False when there is nobody any more to say it to."""
    told = _Told(done)
    with told:
        told.result = work()
    if done is None:
        if told.error is not None:
            # its kind alone: what it says may name what lies here
            _LOG.error("work that was left to a thread failed: %s", type(told.error).__name__)
        return True
    if done.get_loop().is_closed():
        return False
    done.get_loop().call_soon_threadsafe(told)
    return True


class _Told:
    """What came of some work, on its way back to the loop: an error too, whatever it is."""

    __slots__ = ("_done", "error", "result")

    def __init__(self, done: asyncio.Future[object] | None) -> None:
        self.result: object = None
        self._done = done
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        """The work begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True

    def __call__(self) -> None:
        if self._done is None or self._done.done():
            return  # nobody asked, or cancelled meanwhile
        if self.error is None:
            self._done.set_result(self.result)
        else:
            self._done.set_exception(self.error)


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


async def by_hand(helper: Executor | Hands | None, work: Callable[[], _Result]) -> _Result:
    """What `work` gives, done as by `in_thread`."""
    return cast("_Result", await in_thread(helper, work))
