"""The scribe's work: settle what came in the dark, catch up after a crash, write metadata of quiet series.

It runs only while the archive is unlocked, holds keys only under grants of the house, and gives way
to everybody: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Final

from huisclos.archive.compare import judge
from huisclos.archive.layout import metadata_place
from huisclos.archive.metadata import seal_metadata
from huisclos.archive.nouns import Cut, Located, Quarantined, QuietSeries, Rivals
from huisclos.archive.ports import HouseCatalog, HouseKeys, ObjectStore
from huisclos.archive.reindex import reindex
from huisclos.archive.retrieve import OpenStudy
from huisclos.archive.settle import Settled, Settler
from huisclos.errors import Locked, NotFound, SealError, StoreError

INTERVAL: Final = 3.0
"""Seconds between two rounds."""
QUIET: Final = 5.0
"""Seconds without a change after which a series' metadata is written."""
NICENESS: Final = 10
_REMEMBERED: Final = 10_000


def lower_priority() -> None:
    """Give way to the faces: for a process that is a scribe and nothing else."""
    os.nice(NICENESS)


async def run_scribe(
    store: ObjectStore,
    catalog: HouseCatalog,
    keys: HouseKeys,
    verify_key: bytes,
    *,
    stop: asyncio.Event,
    interval: float = INTERVAL,
    quiet: float = QUIET,
) -> None:
    """Work until `stop` is set; `verify_key` is the archive's Ed25519 public key, 32 bytes.

    When the vault, the finder or the store is away, the round is given up and begun again later:
    each piece of work is idempotent.
    """
    scribe = Scribe(store, catalog, keys, verify_key, quiet=quiet)
    while not stop.is_set():
        try:
            await scribe.rebuild()
            await scribe.settle()
            await scribe.compare()
            await scribe.describe(stop)
        except (Locked, StoreError):
            pass  # somebody is away: the next round begins where this one ended
        try:
            await asyncio.wait_for(stop.wait(), interval)
        except TimeoutError:
            continue


class Scribe:
    """One scribe, a round at a time."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: HouseCatalog,
        keys: HouseKeys,
        verify_key: bytes,
        *,
        quiet: float = QUIET,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._keys = keys
        self._verify_key = verify_key
        self._quiet = quiet
        self._settler = Settler(store, catalog, keys)
        self._given_up: set[tuple[str, int]] = set()
        self._apart: dict[str, Quarantined] | None = None
        """What the finder was told waits of senders not approved; None before it was told anything."""

    async def rebuild(self) -> bool:
        """Make the index anew if somebody began to and went away; whether that was so.

        Raises as `reindex`.
        """
        if not await self._catalog.abandoned():
            return False
        await reindex(self._store, self._catalog, self._keys, self._verify_key)
        return True

    async def settle(self) -> Settled:
        """Catch up, which whoever opens a study waits for, then settle batches. Raises as `Settler` does."""
        first = await self._settler.catch_up()
        second = await self._settler.batches()
        first.objects += second.objects
        first.duplicates += second.duplicates
        first.held += second.held
        first.apart = second.apart
        first.failed += second.failed
        if self._apart != first.apart:
            await self._catalog.quarantined(tuple(first.apart.values()))
            self._apart = first.apart
        return first

    async def compare(self) -> int:
        """Look whether the house can do without one of two rivals; how often it decided by that.

        Raises `Locked`, `StoreError`.
        """
        settled = 0
        for rivals in await self._catalog.uncompared():
            try:
                cut = await self._cut(rivals)
            except (SealError, NotFound):
                cut = Cut.NEITHER  # what is wrong with them is for `verify` to say, and people decide
            if await self._catalog.compared(rivals.doubt_id, cut):
                await self._keys.compared(rivals.first.state.study_id, cut)
                settled += 1
        return settled

    async def _cut(self, rivals: Rivals) -> Cut:
        first = await self._keys.study_key(rivals.first.state.study_id)
        second = await self._keys.study_key(rivals.second.state.study_id)
        work = partial(_cut, self._store, (first, rivals.first), (second, rivals.second), self._verify_key)
        return await asyncio.to_thread(work)

    async def describe(self, stop: asyncio.Event) -> int:
        """Write the metadata of quiet series; how many were written. Raises `Locked`, `StoreError`."""
        written = 0
        for series in await self._catalog.quiet_series(self._quiet):
            mark = (series.series_id, series.state.version)
            if stop.is_set() or mark in self._given_up:
                continue
            try:
                identity = await self._keys.study_key(series.state.study_id)
                work = partial(_describe, self._store, identity, series, self._verify_key)
                await asyncio.to_thread(work)
            except (SealError, NotFound):
                self._give_up(mark)
                continue
            await self._catalog.described(series)
            written += 1
        return written

    def _give_up(self, mark: tuple[str, int]) -> None:
        """Not again for this version: what is wrong with the study is for `verify` to say."""
        if len(self._given_up) >= _REMEMBERED:
            self._given_up.clear()
        self._given_up.add(mark)


def _cut(
    store: ObjectStore, first: tuple[str, Located], second: tuple[str, Located], verify_key: bytes
) -> Cut:
    sides = []
    for identity, located in (first, second):
        study = OpenStudy(store, identity, located.state, verify_key)
        sides.append(study.data_set(study.listed(located.instance_id)))
    return judge(*sides)


def _describe(store: ObjectStore, identity: str, series: QuietSeries, verify_key: bytes) -> None:
    study = OpenStudy(store, identity, series.state, verify_key)
    listed = study.series(series.series_uid)
    if study.sealed_metadata(listed) is None:
        sealed = seal_metadata(study.manifest, listed, study.data_set, study.identity)
        store.put(metadata_place(series.state.study_id, listed.series_id), sealed)
