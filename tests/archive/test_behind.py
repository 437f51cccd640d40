"""Writing beside receiving: in order, bounded, and never into a file that is somebody else's by then."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.archive.behind import BACKLOG, RUN, WriteBehind
from huisclos.archive.committing import Committing
from huisclos.errors import Full
from huisclos.stores.memory import MemoryStore


class Slow:
    """A `Writing` that waits to be let go, and writes down what it is asked."""

    def __init__(self, *, free: bool = True) -> None:
        self.written = bytearray()
        self.waiting: deque[bytearray] = deque()
        self.calls: list[str] = []
        self.go = threading.Event()
        self.error: Full | None = None
        if free:
            self.go.set()

    def ready(self) -> None:
        """See the port."""

    def room(self, length: int) -> memoryview:
        """See the port."""
        self.waiting.append(bytearray(length))
        return memoryview(self.waiting[-1])

    def write(self) -> None:
        """See the port."""
        waiting = [self.waiting.popleft() for _ in range(len(self.waiting))]
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        assert "abandon" not in self.calls
        self.written += b"".join(waiting)

    def commit(self, place: str, header: bytes) -> None:
        """See the port."""
        self.write()
        self.calls.append(f"commit {place}")

    def abandon(self) -> None:
        """See the port."""
        self.calls.append("abandon")


def push(one: WriteBehind, piece: bytes) -> Awaitable[None] | None:
    """As what seals does."""
    one.room(len(piece))[:] = piece
    return one.push(len(piece))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2 * RUN), max_size=12), st.booleans())
def test_everything_leaves_in_order(sizes: list[int], beside: bool) -> None:
    """Whatever the pieces, what was written at the commit is what was pushed."""

    async def all_of_it() -> None:
        with ThreadPoolExecutor(2) as executor:
            behind, writing = None, Slow()
            one = WriteBehind(writing, executor, Committing(MemoryStore(), executor), beside=beside)
            sent = b""
            for number, size in enumerate(sizes):
                piece = bytes([number]) * size
                sent += piece
                behind = push(one, piece)
                if behind is not None:
                    await behind
                await asyncio.sleep(0)
            one.room(3)[:] = b"end"
            one.keep(3)
            await one.commit("place", b"header")
            assert bytes(writing.written) == sent + b"end"
            assert writing.calls == ["commit place", "abandon"]

    asyncio.run(all_of_it())


async def test_who_sends_waits_for_a_disk_that_is_behind() -> None:
    """Beyond the backlog an awaitable is given; it is done once the disk has caught up."""
    writing = Slow(free=False)
    one = WriteBehind(writing, None, Committing(MemoryStore(), None), beside=True)
    pushed = 0
    while (behind := push(one, bytes(RUN))) is None:
        pushed += RUN
        assert pushed <= BACKLOG + RUN
    waiting = asyncio.ensure_future(behind)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    writing.go.set()
    await waiting
    await one.commit("place", b"")
    assert len(writing.written) == pushed + RUN


async def test_who_breaks_off_need_not_wait(recwarn: pytest.WarningsRecorder) -> None:
    """The sender is gone, or the instance refused, when the disk is behind: nothing is complained of."""
    writing = Slow(free=False)
    one = WriteBehind(writing, None, Committing(MemoryStore(), None), beside=True)
    while (behind := push(one, bytes(RUN))) is None:
        pass
    one.abandon()
    warnings.simplefilter("always")
    del behind
    gc.collect()
    writing.go.set()
    await asyncio.sleep(0.05)
    assert writing.calls == ["abandon"]
    assert [str(one.message) for one in recwarn] == []


async def test_an_error_of_the_disk_is_told_once_it_is_known() -> None:
    """At the next push, or at the commit; and abandoning after it is quiet."""
    for at_commit in (False, True):
        writing = Slow()
        writing.error = Full("no room")
        one = WriteBehind(writing, None, Committing(MemoryStore(), None), beside=True)
        assert push(one, bytes(RUN)) is None
        assert push(one, b"behind it") is None
        await asyncio.sleep(0.05)
        with pytest.raises(Full):
            await (one.commit("place", b"") if at_commit else _pushed(one))
        one.abandon()
        assert writing.calls == ["abandon"]


async def _pushed(one: WriteBehind) -> None:
    push(one, b"more")


async def test_abandoned_in_the_middle_of_a_write() -> None:
    """The file is given up when the thread has left it, not before."""
    writing = Slow(free=False)
    one = WriteBehind(writing, None, Committing(MemoryStore(), None), beside=True)
    push(one, bytes(RUN))
    push(one, b"behind it")
    one.abandon()
    assert writing.calls == []
    writing.go.set()
    await asyncio.sleep(0.05)
    assert writing.calls == ["abandon"]


async def test_cancelled_while_it_waits_for_a_write() -> None:
    """A commit that has begun goes on to its end, and the thread lets go of the file itself."""
    writing = Slow(free=False)
    one = WriteBehind(writing, None, Committing(MemoryStore(), None), beside=True)
    push(one, bytes(RUN))
    push(one, b"behind it")
    committing = one.commit("place", b"")
    await asyncio.sleep(0.02)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    one.abandon()
    assert writing.calls == []
    writing.go.set()
    await asyncio.sleep(0.05)
    assert writing.calls == ["commit place", "abandon"]
