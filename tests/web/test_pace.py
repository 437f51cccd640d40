"""Looking into what strangers sent: a few at a time, and for nobody who has left."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from starlette.requests import ClientDisconnect

from huisclos.web.pace import LOOKING, Pace


async def test_a_few_at_a_time() -> None:
    """However many ask, no more instances are in memory at once than the bound says."""
    pace, lock = Pace(), threading.Lock()
    now, most = 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    await asyncio.gather(*(pace.look(work) for _ in range(20)))
    assert LOOKING == most


async def test_nobody_waits_any_more() -> None:
    """The turn of a client that has gone costs nothing."""
    did = []

    async def gone() -> bool:
        return True

    with pytest.raises(ClientDisconnect):
        await Pace().look(lambda: did.append(1), gone)
    assert not did
