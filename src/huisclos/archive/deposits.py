"""Receipts of stores for the journal, in sum: what came from whom into which study or batch."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from huisclos.access.nouns import Source
from huisclos.archive.nouns import Deposit, StoredObject
from huisclos.errors import StoreError

INTERVAL: Final = 1.0
"""Seconds after which a sum is told at the latest."""


@dataclass(slots=True)
class _Sum:
    source: Source
    study_id: str
    batch_id: str
    objects: int = 0
    octets: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def receipt(self) -> Deposit:
        return Deposit(
            self.source, self.study_id, self.batch_id, self.objects, self.octets, self.digest.digest()
        )


class Deposits:
    """Sums what is stored and tells it once a second, and when asked.

    `tell` is `Keeper.deposited` or `HouseKeys.settled`. What could not be told since the vault
    was away is told with the next sum.
    """

    def __init__(self, tell: Callable[[tuple[Deposit, ...]], Awaitable[None]]) -> None:
        self._tell = tell
        self._sums: dict[tuple[str, str, str, str], _Sum] = {}
        self._untold: list[Deposit] = []
        self._due: asyncio.TimerHandle | None = None
        self._later: asyncio.Task[None] | None = None
        self._telling = asyncio.Lock()

    def add(self, stored: StoredObject) -> None:
        """Count one object; it must be durable already."""
        source = stored.source
        key = (source.kind, source.id, stored.study_id, stored.batch_id)
        total = self._sums.get(key)
        if total is None:
            total = self._sums[key] = _Sum(source, stored.study_id, stored.batch_id)
        total.objects += 1
        total.octets += stored.length
        total.digest.update(bytes.fromhex(stored.instance_id) + stored.header_mac)
        self._tell_soon()

    async def flush(self) -> None:
        """Tell what was summed until now. While the vault is away it is kept for the next time."""
        async with self._telling:  # or two callers would tell the same sum
            self._untold += [total.receipt() for total in self._sums.values()]
            self._sums.clear()
            told = tuple(self._untold)
            if not told:
                return
            with contextlib.suppress(StoreError):  # the vault is away, or its journal has no room
                await self._tell(told)
                del self._untold[: len(told)]

    async def close(self) -> None:
        """Tell what is left. What is added afterwards is told in its time."""
        if self._later is not None:
            await self._later
        if self._due is not None:
            self._due.cancel()
            self._due = None
        await self.flush()

    def _tell_soon(self) -> None:
        """Tell in a second, unless that is so already.

        Until then there is a timer and no task: an event loop that ends meanwhile has nothing to destroy.
        """
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(INTERVAL, self._begin)

    def _begin(self) -> None:
        self._due = None
        self._later = asyncio.create_task(self._tell_now())

    async def _tell_now(self) -> None:
        await self.flush()
        if self._sums or self._untold:
            self._tell_soon()
