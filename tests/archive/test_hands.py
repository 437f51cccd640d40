"""The threads that wait for the disk."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from huisclos.archive.hands import Hands, in_thread
from huisclos.errors import Full


async def test_what_comes_of_work_is_brought_back() -> None:
    """A result, an error of the house, any other error; on other threads than the loop's."""
    here = threading.get_ident()

    def fail() -> None:
        raise Full("no room")

    with Hands(2) as hands:
        assert await hands.run(threading.get_ident) != here
        with pytest.raises(Full):
            await hands.run(fail)
        with pytest.raises(ZeroDivisionError):
            await hands.run(lambda: 1 // 0)
        assert await asyncio.gather(*(hands.run(partial(abs, -n)) for n in range(50))) == list(range(50))


async def test_work_that_was_left_and_failed_is_heard_of(caplog: pytest.LogCaptureFixture) -> None:
    """By its kind: what it says may name what lies here."""

    def fail() -> None:
        raise ValueError("MARTIN^LEA")

    with Hands(1) as hands:
        hands.leave(fail)
        await hands.run(lambda: None)
    assert "ValueError" in caplog.text
    assert "MARTIN" not in caplog.text


async def test_at_the_end_everything_given_is_done() -> None:
    """The threads finish what they were given, and are gone."""
    done: list[int] = []
    before = threading.active_count()
    with Hands(3) as hands:
        for number in range(20):
            hands.run(partial(done.append, number))
    assert sorted(done) == list(range(20))
    assert threading.active_count() == before


async def test_work_given_at_the_very_end_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the thread that takes it had just found nothing more to do."""
    real = Hands.next_for

    def slowly(self: Hands, hand: Any) -> Any:
        found = real(self, hand)
        time.sleep(0.02)
        return found

    monkeypatch.setattr(Hands, "next_for", slowly)
    done: list[int] = []
    with Hands(1) as hands:
        hands.leave(partial(done.append, 1))
        await asyncio.sleep(0.01)
        hands.leave(partial(done.append, 2))
    assert done == [1, 2]


@pytest.mark.parametrize("own", [True, False])
async def test_who_stops_waiting_stops_nothing(own: bool) -> None:
    """Work that was given is done though nobody waits, also when it had not begun."""
    go, done = threading.Event(), threading.Event()

    def first() -> None:
        go.wait(10)

    with Hands(1) as hands, ThreadPoolExecutor(1) as pool:
        helper = hands if own else pool
        in_thread(helper, first)
        waiting = in_thread(helper, done.set)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        assert await asyncio.to_thread(done.wait, 10)
