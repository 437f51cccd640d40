"""Telling the finder of durable objects: in order, many at once, and who waits is told what came of it.

A call to another process costs both of them about as much as what the finder does with one
instance. So a network sender's instances wait a moment for each other: the sender was answered
before, and nothing is lost with them, since their studies are OPEN (`finder.shelf`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import Struct

from huisclos.archive.nouns import Outcome, StoredObject
from huisclos.archive.ports import Catalog
from huisclos.errors import Conflict, HuisclosError, Locked, StoreError, Unreachable

_LOG: Final = logging.getLogger(__name__)

TOGETHER: Final = 32
"""Instances told at once."""
LINGER: Final = 0.02
"""Seconds that an instance waits for others at most, while nobody waits for it."""
UNTOLD: Final = 256
"""Instances the finder may not have been told of yet; who brings more waits."""

Heard = Callable[[StoredObject, Outcome], Awaitable[None]]
"""What is to be done of an outcome, before who waits for it goes on."""


class _Item(Struct):
    """An object to tell of; without one, somebody who waits until all before were told."""

    stored: StoredObject | None = None
    waiting: asyncio.Future[Outcome] | None = None


class Telling:
    """What one process has to tell; used from one event loop."""

    def __init__(self, catalog: Catalog, heard: Heard) -> None:
        self._catalog = catalog
        self._heard = heard
        self._items: deque[_Item] = deque()
        self._hurried = 0
        """Items that somebody waits for."""
        self._task: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None

    async def caught_up(self) -> None:
        """Wait while too many wait to be told."""
        if len(self._items) >= UNTOLD:
            await self.all_told()

    def leave(self, stored: StoredObject) -> None:
        """The finder is to learn of it, in its turn."""
        self._add(_Item(stored))

    async def outcome(self, stored: StoredObject) -> Outcome:
        """Tell of it now. STORED when the finder is away, or it lies in a batch: the scribe catches up.

        Raises `Conflict` when its study is not there any more, or what else the finder refuses with.
        """
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._add(_Item(stored, waiting))
        return await waiting

    async def all_told(self) -> None:
        """Wait until the finder has heard of everything before."""
        if self._items or self._task is not None:
            waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._add(_Item(waiting=waiting))
            await waiting

    def _add(self, item: _Item) -> None:
        self._items.append(item)
        self._hurried += item.waiting is not None
        if self._task is not None:
            return
        if self._hurried or len(self._items) >= TOGETHER:
            self._begin()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(LINGER, self._begin)

    def _begin(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._task = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            await self._tell_some()
            while self._hurried or len(self._items) >= TOGETHER:
                await self._tell_some()
        finally:
            self._task = None
            if self._items:
                self._due = asyncio.get_running_loop().call_later(LINGER, self._begin)

    async def _tell_some(self) -> None:
        some = [self._items.popleft() for _ in range(min(TOGETHER, len(self._items)))]
        self._hurried -= sum(item.waiting is not None for item in some)
        told = [item.stored for item in some if item.stored is not None and item.stored.study_id]
        try:
            outcomes = iter(await self._asked(tuple(told)) if told else ())
            for item in some:
                stored = item.stored
                if stored is None:
                    _settle(item, Outcome.STORED)
                    continue
                # what lies in a batch the finder learns of when it is settled
                outcome = next(outcomes) if stored.study_id else Outcome.STORED
                if isinstance(outcome, Outcome):
                    await self._heard(stored, outcome)
                elif item.waiting is None:
                    # Erased since it was placed: it went with its study, as if it had come before.
                    _LOG.warning("a stored instance was not registered: %s", type(outcome).__name__)
                _settle(item, outcome)
        finally:
            for item in some:  # nobody waits for ever, whatever went wrong
                _settle(item, Unreachable("it is not known whether the instance was registered"))

    async def _asked(self, stored: tuple[StoredObject, ...]) -> Sequence[Outcome | HuisclosError]:
        try:
            outcomes = await self._catalog.register_all(stored)
        except (Locked, StoreError):
            return [Outcome.STORED] * len(stored)
        except HuisclosError as error:
            if len(stored) == 1:
                return [error]
            # one of them is at fault, and not the others
            return [(await self._asked((one,)))[0] for one in stored]
        return [_gone() if outcome is None else outcome for outcome in outcomes]


def _gone() -> Conflict:
    return Conflict("the study of this instance was removed while it came", hint="send it again")


def _settle(item: _Item, outcome: Outcome | HuisclosError) -> None:
    if item.waiting is None or item.waiting.done():
        return
    if isinstance(outcome, HuisclosError):
        item.waiting.set_exception(outcome)
    else:
        item.waiting.set_result(outcome)
