"""The finder as other processes see it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from huisclos import clock
from huisclos.archive.nouns import Placement
from huisclos.archive.ports import Catalog, HouseCatalog
from huisclos.channel.calls import Channel, Sibling
from huisclos.channel.remote import Ask, remote

REMEMBERED: Final = 1.0
"""Seconds for which a study's place is not asked again.

Much less than a study stays OPEN after it was asked (`finder.shelf.UNDER_WAY`): an object that
comes in between is looked for, whatever happens to the finder.
"""
_PLACES: Final = 1000


class Finder(Catalog, HouseCatalog, Protocol):
    """Everything the finder answers; a role's table says which of it a caller may ask."""


def finder_client(sibling: Sibling, steady: Callable[[], float] = clock.steady) -> Finder:
    """A `Catalog` and a `HouseCatalog` that asks over the sibling's channel.

    The instances of a series come one upon the other and belong to one study: its place is asked once
    a second, and anew of a finder that was forked again (31 us there and back, and 60 of the finder's).
    """
    return remote(Finder, sibling, {"place": partial(_remember, sibling, steady)})


def _remember(sibling: Sibling, steady: Callable[[], float], ask: Ask) -> Ask:
    known: OrderedDict[str, tuple[Channel, float, Placement]] = OrderedDict()

    async def place(finder: Any, study_uid: str) -> Placement:
        channel, now = sibling.channel, steady()
        held = known.get(study_uid)
        if held is not None and held[0] is channel and now - held[1] < REMEMBERED:
            return held[2]
        placement: Placement = await ask(finder, study_uid)
        if channel is not None:
            known[study_uid] = channel, now, placement
            known.move_to_end(study_uid)
            if len(known) > _PLACES:
                known.popitem(last=False)
        return placement

    return place
