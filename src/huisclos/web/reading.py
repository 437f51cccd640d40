"""Studies open for reading, for pages and the DICOMweb service alike.

Reading blocks (disk, unsealing), so it runs in threads; what was read is told to the vault, in sum.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from weakref import WeakSet

from starlette.concurrency import run_in_threadpool

from huisclos.access.nouns import Grant, Proof, Right
from huisclos.archive.nouns import ManifestEntry, StudyState
from huisclos.archive.ports import StudyKey
from huisclos.archive.retrieve import Frames, OpenStudy
from huisclos.clock import steady, timestamp
from huisclos.errors import Locked, WrongObject
from huisclos.web.pace import Pace
from huisclos.web.site import Site

FRESH_SECONDS: Final = 5.0
"""An opened study is used this long before proof and manifest are asked for again."""
KEPT: Final = 32
"""Studies kept open in this process; each holds its manifest and a few file keys."""
GRANT_SECONDS: Final = 60.0
"""A list grant is used this long before another is asked for."""

_T = TypeVar("_T")


@dataclass(slots=True)
class Opened:
    """One study, open for one actor under one grant."""

    study: OpenStudy
    state: StudyState
    key: StudyKey
    checked: float
    """On the steady clock."""
    pace: Pace

    async def frames(self, entry: ManifestEntry) -> Frames:
        """Where the frames of an instance lie. Raises as `OpenStudy.frames`."""
        known = self.study.known_frames(entry)
        return known if known is not None else await self.pace.look(lambda: self.study.frames(entry))


class Reading:
    """What this process has open."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.whole = asyncio.Semaphore(1)
        """Held while a whole instance is in memory to be handed over: one at a time."""
        self.answers = 0
        """Studies and series that are being sent."""
        self._kept: OrderedDict[tuple[bytes, str, str], Opened] = OrderedDict()
        self._grants: OrderedDict[tuple[bytes, Right, str], tuple[Grant, float]] = OrderedDict()
        self._being_read: WeakSet[OpenStudy] = WeakSet()
        self._locked_times = 0
        site.locked.append(self.forget_all)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While one more answer is sent."""
        self.answers += 1
        try:
            yield
        finally:
            self.answers -= 1

    @property
    def held(self) -> int:
        """How many studies are kept open."""
        return len(self._kept)

    async def grant(self, proof: Proof, right: Right, purpose: str) -> Grant:
        """A list grant, the same one for a minute. Raises as `Keeper.grant`.

        The vault is asked who it is each time, so that a session or token that has ended, or that may
        less than a moment ago, is refused at once.
        """
        actor = await self._site.keeper.actor(proof)
        key = (_fingerprint(proof), right, purpose)
        kept = self._grants.get(key) if actor.may(right) else None
        if kept is not None and steady() - kept[1] < GRANT_SECONDS and timestamp() < kept[0].until:
            return kept[0]
        grant = await self._site.keeper.grant(proof, right, purpose)
        _keep(self._grants, key, (grant, steady()))
        return grant

    async def open(
        self, proof: Proof, study: str, purpose: str, *, fresh: bool = False, right: Right = Right.LIST
    ) -> Opened:
        """A study, by UID or random id; `fresh` for what must show what was stored a moment ago.

        `right` is what it is found under: with DECIDE also a study in which nothing answers.

        Raises `NotAdmitted`, `NotGranted`, `StudyNotFound`, `Locked`, `SealError`.
        """
        key = (_fingerprint(proof), study, purpose)
        kept = self._kept.get(key)
        if not fresh and kept is not None and steady() - kept.checked < FRESH_SECONDS:
            self._kept.move_to_end(key)
            return kept
        locked_times = self._locked_times
        grant = await self.grant(proof, right, purpose)
        study_uid = study
        if "." not in study:
            study_uid = (await self._site.catalog.study(grant, study)).study.study_uid
        state = await self._site.catalog.state_of(grant, study_uid)
        given = await self._site.keeper.open_study(proof, state.study_id, purpose)
        if kept is not None and kept.state == state and kept.key.grant.id == given.grant.id:
            kept.checked = steady()
            return kept
        try:
            opened = await self._opened(given, state)
        except WrongObject:
            # a study that still grows may have got a newer manifest in between; what is wrong stays wrong
            state = await self._site.catalog.state_of(grant, study_uid)
            opened = await self._opened(given, state)
        if self._locked_times != locked_times:
            opened.study.end()
            raise Locked("the archive was locked meanwhile", hint="unlock it, then open the study again")
        _keep(self._kept, key, opened)
        left = max(0.0, given.grant.until - timestamp())
        asyncio.get_running_loop().call_later(left, self._drop, key, given.grant.id)
        return opened

    async def _opened(self, given: StudyKey, state: StudyState) -> Opened:
        found = await run_in_threadpool(OpenStudy.under, self._site.store, given, state, self._site.attester)
        self._being_read.add(found)
        return Opened(found, state, given, steady(), self._site.pace)

    def tally(self, opened: Opened) -> Tally:
        """Counts what is read under the study's grant."""
        return Tally(self._site, opened.key.grant.id)

    def forget_all(self) -> None:
        """The archive was locked: close everything, also what is being read."""
        self._locked_times += 1
        for study in self._being_read:
            study.end()
        self._kept.clear()
        self._grants.clear()

    def _drop(self, key: tuple[bytes, str, str], grant_id: str) -> None:
        """A grant is over: this process keeps the study's key no longer."""
        kept = self._kept.get(key)
        if kept is not None and kept.key.grant.id == grant_id:
            del self._kept[key]

    def forget(self, proof: Proof) -> None:
        """Close what this proof has open."""
        mine = _fingerprint(proof)
        for key in [key for key in self._kept if key[0] == mine]:
            del self._kept[key]
        for listed in [listed for listed in self._grants if listed[0] == mine]:
            del self._grants[listed]


class Tally:
    """Tells the vault what was read: once a second while it lasts, and at the end."""

    def __init__(self, site: Site, grant_id: str) -> None:
        self._site = site
        self._grant_id = grant_id
        self._instances = 0
        self._octets = 0
        self._told = steady()

    async def add(self, octets: int, instances: int = 0) -> None:
        """Count, and tell if a second has passed."""
        self._instances += instances
        self._octets += octets
        if steady() - self._told >= 1.0:
            await self.end()

    async def end(self) -> None:
        """Tell what was not yet told. Also called when the reader went away."""
        if self._instances or self._octets:
            instances, octets = self._instances, self._octets
            self._instances = self._octets = 0
            self._told = steady()
            await asyncio.shield(self._site.keeper.sum_reads(self._grant_id, instances, octets))


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run what blocks."""
    return await run_in_threadpool(work)


async def pieces(blocking: Iterator[bytes]) -> AsyncIterator[bytes]:
    """An iterator that blocks, one piece at a time in a thread."""
    while (piece := await run_in_threadpool(next, blocking, None)) is not None:
        yield piece


def _fingerprint(proof: Proof) -> bytes:
    # the secret itself is not kept in the tables of this process
    return hashlib.sha256(f"{proof.kind}\0{proof.secret}".encode()).digest()


_K = TypeVar("_K")


def _keep(table: OrderedDict[_K, _T], key: _K, value: _T) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > KEPT:
        table.popitem(last=False)
