"""The reading budget: nobody opens studies faster than people read, unless an owner says that it is well."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from huisclos.access.nouns import Actor, ActorKind
from huisclos.access.people import FastReader
from huisclos.errors import NotFound, NotGranted
from huisclos.journal.entries import Act
from huisclos.vault.core import Core

OPENED_IN_TEN_MINUTES: Final = 300
"""Studies one actor may open in ten minutes before an owner must say it is well."""
WINDOW: Final = 600.0
CONFIRMED: Final = 3600.0
"""Seconds without the bound, once an owner said so."""


@dataclass(slots=True)
class _Spent:
    opened: deque[float] = field(default_factory=deque)
    confirmed_until: float = 0.0
    stopped: FastReader | None = None


class Budgets:
    """What each actor opened lately. Of the house's own work and the console nothing is counted."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._spent: dict[str, _Spent] = {}

    async def spend(self, actor: Actor, address: str) -> None:
        """One more study is opened. Raises `NotGranted`, journalled, when that is one too many."""
        if actor.kind in {ActorKind.CONSOLE, ActorKind.HOUSE}:
            return
        now = self._core.now()
        spent = self._spent.setdefault(actor.id, _Spent())
        while spent.opened and spent.opened[0] < now - WINDOW:
            spent.opened.popleft()
        if len(spent.opened) >= OPENED_IN_TEN_MINUTES and spent.confirmed_until < now:
            spent.stopped = FastReader(actor.id, actor.kind, actor.name, now)
            await self._core.journal(self._core.entry(Act.REFUSED, actor, address=address, what="budget"))
            raise NotGranted(
                f"{OPENED_IN_TEN_MINUTES} studies were opened in ten minutes, faster than people read",
                hint="an owner can confirm that this is well, on the People page",
            )
        spent.opened.append(now)

    def stopped(self) -> tuple[FastReader, ...]:
        """Those who were stopped in the last ten minutes, the latest first."""
        since = self._core.now() - WINDOW
        found = [one for spent in self._spent.values() if (one := spent.stopped) and one.stopped_at >= since]
        return tuple(sorted(found, key=lambda one: -one.stopped_at))

    def confirm(self, actor_id: str) -> FastReader:
        """Let one who was stopped go on: an hour without the bound. Raises `NotFound`."""
        spent = self._spent.get(actor_id)
        if spent is None or spent.stopped is None:
            raise NotFound("nobody of this id was stopped")
        reader, spent.stopped = spent.stopped, None
        spent.confirmed_until = self._core.now() + CONFIRMED
        return reader
