"""How much is kept of a sender who is not approved: beyond it the store is answered A700, and told.

Counted in memory, one addition for each object. What a batch holds is counted on disk once, when its
sender is first heard after a start: which batches are a sender's stands with its request, in clear, as
the batch itself says it only to whoever has the archive's secret.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from huisclos.access.accounts import PendingBody
from huisclos.access.nouns import Actor, Source
from huisclos.access.ports import Pending
from huisclos.archive.layout import PlaceKind, batch_folder, parse_place
from huisclos.errors import Full
from huisclos.journal.entries import Act
from huisclos.vault.core import Core

IMAGES: Final = 10_000
OCTETS: Final = 16 * 1024**3
"""Four of the largest instances, or what a scanner makes in some days."""
FULL: Final = "quarantine-full"
"""The journal's word for what was not taken."""
TOLD_EVERY: Final = 3600.0
"""Seconds between two entries about the same sender: one that goes on must not fill the journal."""
_BATCH_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(slots=True)
class _Kept:
    """What is kept of one sender."""

    images: int = 0
    octets: int = 0
    full_since: float = 0.0
    refused: int = 0
    """Not told yet."""
    told_at: float = 0.0


class Quota:
    """The bound on what each sender who is not approved may deposit."""

    def __init__(self, core: Core, approved: Callable[[Source], bool]) -> None:
        self._core = core
        self._approved = approved
        self._kept: dict[str, _Kept] = {}
        self._counting = asyncio.Lock()
        self.images = IMAGES
        self.octets = OCTETS
        """Of the sealed objects."""

    async def check(self, source: Source) -> None:
        """Raises `Full`, journalled, for a sender of whom nothing more is kept."""
        await self._spend(source, 0, 0)

    async def reserve(self, source: Source, octets: int) -> None:
        """Count one object of so many sealed bytes. Raises `Full`, journalled, if it is not to be kept."""
        await self._spend(source, 1, octets)

    async def full_since(self, source_id: str) -> float:
        """When an object of this sender was first refused for want of room; 0 for never."""
        return (await self._known(source_id)).full_since

    def opened(self, source: Source, batch_id: str) -> None:
        """Its objects go to this batch too: said before the first can lie there."""
        for pending, body in self._asked(source.id):
            self._write(pending, msgspec.structs.replace(body, batches=(*body.batches, batch_id)))

    def forget(self, source_id: str) -> None:
        """What it sent is gone, and it sends no more."""
        self._kept.pop(source_id, None)

    async def _spend(self, source: Source, images: int, octets: int) -> None:
        if not source.quarantine or self._approved(source):
            return
        kept = await self._known(source.id)
        # nothing is waited for from here until it is counted: two at one time both count
        if kept.images >= self.images or kept.octets + max(octets, 1) > self.octets:
            await self._refuse(source, kept)
            raise Full(
                "this sender is not approved, and as much as is kept of it waits already",
                hint="an owner decides about it, on the page To decide",
            )
        kept.images += images
        kept.octets += octets

    async def _refuse(self, source: Source, kept: _Kept) -> None:
        core, now = self._core, self._core.now()
        kept.refused += 1
        if not kept.full_since:
            kept.full_since = now
            for pending, body in self._asked(source.id):
                self._write(pending, msgspec.structs.replace(body, full_since=now))
        if now - kept.told_at >= TOLD_EVERY:
            counts = {"instances": kept.images, "octets": kept.octets, "times": kept.refused}
            kept.told_at, kept.refused = now, 0
            actor = Actor(source.kind, source.id, source.label, frozenset())
            entry = core.entry(
                Act.REFUSED, actor, address=source.address, what=FULL, subject=source.label, counts=counts
            )
            await core.journal(entry)

    async def _known(self, source_id: str) -> _Kept:
        async with self._counting:
            known = self._kept.get(source_id)
            if known is None:
                known = self._kept[source_id] = await self._counted(source_id)
            return known

    async def _counted(self, source_id: str) -> _Kept:
        kept = _Kept()
        for pending, body in self._asked(source_id):
            held = await asyncio.to_thread(self._held, body.batches)
            kept.images = sum(len(sizes) for sizes in held.values())
            kept.octets = sum(sum(sizes) for sizes in held.values())
            kept.full_since = body.full_since
            there = tuple(held)
            if there != body.batches and self._asked(source_id) == [(pending, body)]:
                self._write(pending, msgspec.structs.replace(body, batches=there))
        return kept

    def _held(self, batches: tuple[str, ...]) -> dict[str, list[int]]:
        """Sealed bytes of the objects of each batch that is there."""
        named = [batch_id for batch_id in batches if _BATCH_ID.fullmatch(batch_id)]
        listed = {batch_id: list(self._core.store.list(batch_folder(batch_id))) for batch_id in named}
        return {
            batch_id: [size for place, size in found if parse_place(place).kind is PlaceKind.BATCH_INSTANCE]
            for batch_id, found in listed.items()
            if found
        }

    # on the loop, without a pause in between, as a request may be decided at any moment

    def _asked(self, source_id: str) -> list[tuple[Pending, PendingBody]]:
        """The request of this sender, if it still waits."""
        found = [pending for pending in self._core.accounts.pending() if pending.id == source_id]
        try:
            return [(pending, msgspec.msgpack.decode(pending.body, type=PendingBody)) for pending in found]
        except msgspec.DecodeError:
            return []

    def _write(self, pending: Pending, body: PendingBody) -> None:
        packed = msgspec.msgpack.encode(body)
        self._core.accounts.replace_pending(Pending(pending.id, pending.made, packed))
