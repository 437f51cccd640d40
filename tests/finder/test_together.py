"""Many instances registered in one call."""

from __future__ import annotations

from typing import Any

import pytest

from huisclos.archive.nouns import Outcome
from huisclos.errors import Unreachable
from tests.finder.house import World, heading, stored


async def test_many_at_once_and_the_database_away_for_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are taken; the folder of what was not is to be looked through: its sender was answered."""
    catalog = world.start()
    placement = await catalog.place(heading(1).study_uid)
    many = [stored(placement, heading(1, 1, number)) for number in (1, 2, 3)]
    strange = stored(placement, heading(2))
    ask, asked = world.index.instances_by_token, 0

    def failing(token: bytes) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Unreachable("the database does not answer")
        return ask(token)

    monkeypatch.setattr(world.index, "instances_by_token", failing)
    outcomes = await catalog.register_all((*many, strange))
    assert outcomes == (Outcome.STORED, Outcome.STORED, Outcome.STORED, None)
    assert await catalog.unsettled() == (placement.study_id,)
    missing = await catalog.unknown(placement.study_id, tuple(one.instance_id for one in many))
    assert missing == (many[1].instance_id,)
