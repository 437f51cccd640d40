"""How much of what strangers sent is in memory at a time: an instance may name a million of everything.

A process reads for many at once, and what looking into one instance costs is its sender's choice, not
its reader's: a file of 9 MB can take a fifth of a gigabyte while it is described.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

LOOKING: Final = 2
"""Instances looked into at a time."""
CUTTING: Final = 4
"""Frames handed to the cage at a time; each waits in memory for its turn."""

Gone = Callable[[], Awaitable[bool]]
_T = TypeVar("_T")


class Pace:
    """The turns of one process, whatever its origins."""

    def __init__(self) -> None:
        self._looking = asyncio.Semaphore(LOOKING)
        self.cutting = asyncio.Semaphore(CUTTING)
        """To be held while a frame is cut out and until its picture is there."""

    async def look(self, work: Callable[[], _T], gone: Gone | None = None) -> _T:
        """Run, in a thread, what looks into an instance.

        Raises `ClientDisconnect` when its turn comes and `gone` says that nobody waits for it any more.
        """
        async with self._looking:
            if gone is not None and await gone():
                raise ClientDisconnect
            return await run_in_threadpool(work)
