"""What the vault is told while nobody waits for it: who was turned away, and that a peer has left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from huisclos.access.admission import PeerDoor
from huisclos.access.peers import KnockReason
from huisclos.archive.deposits import Deposits
from huisclos.clock import steady
from huisclos.dimse.handling import TurnedAway
from huisclos.errors import HuisclosError

TOLD_EVERY: Final = 10.0
"""Seconds between two words about the same address and reason: a scanner must not keep the vault busy."""
_REMEMBERED: Final = 1000
_PENDING: Final = 32
"""Words on their way about connections turned away; what comes on top is not told."""
_REASONS: Final = {
    TurnedAway.NOT_ALLOWED: ("dicom", KnockReason.ADDRESS_PUBLIC),
    TurnedAway.TOO_MANY: ("dicom", KnockReason.TOO_MANY),
    TurnedAway.OTHER_CERTIFICATE: ("dicom_tls", KnockReason.CERTIFICATE_OTHER),
    TurnedAway.NO_TLS: ("dicom_tls", KnockReason.NOT_DICOM),
}


class Tidings:
    """Tells `door` and flushes `deposits`. What cannot be told, since the vault is away, is dropped."""

    def __init__(self, door: PeerDoor, deposits: Deposits, *, seconds: Callable[[], float] = steady) -> None:
        self._door = door
        self._deposits = deposits
        self._seconds = seconds
        self._told: dict[tuple[str, KnockReason], float] = {}
        self._knocks: set[asyncio.Task[None]] = set()
        self._farewells: set[asyncio.Task[None]] = set()

    def turned_away(self, address: str, why: TurnedAway) -> None:
        """A connection did not get as far as asking for an association."""
        self.knocked(address, *_REASONS[why])

    def knocked(self, address: str, listener: str, reason: KnockReason) -> None:
        """Somebody was sent away before the vault was asked; told at most once in `TOLD_EVERY`."""
        now = self._seconds()
        known = (address, reason)
        if now - self._told.get(known, -TOLD_EVERY) < TOLD_EVERY or len(self._knocks) >= _PENDING:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[known] = now
        _begin(self._door.turned_away(address, listener, reason), self._knocks)

    def left(self, peer_id: str) -> None:
        """An association of an admitted peer is over: its receipts go to the journal now."""
        _begin(self._farewell(peer_id), self._farewells)

    async def close(self) -> None:
        """Wait for what is being told, and tell what is left."""
        if self._knocks or self._farewells:
            await asyncio.wait({*self._knocks, *self._farewells})
        await self._deposits.close()

    async def _farewell(self, peer_id: str) -> None:
        await self._deposits.flush()
        # How many objects it sent, the vault knows by the receipts.
        await self._door.heard(peer_id, 0)


def _begin(telling: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(_quietly(telling))
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _quietly(telling: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(HuisclosError):
        await telling
