"""Locking takes away what was opened before, from whoever has it open."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from huisclos.access.nouns import Grant, Proof, ProofKind, Right
from huisclos.archive.nouns import StoredObject
from huisclos.archive.ports import StudyKey
from huisclos.clock import timestamp
from huisclos.errors import Locked
from huisclos.web.reading import Reading
from tests import corpus
from tests.web.world import World


@pytest.fixture
def world() -> World:
    """A practice in memory."""
    return World()


async def _put(world: World) -> StoredObject:
    return await world.put(corpus.named("examples_overlay.dcm").read_bytes())


def _proof(world: World) -> Proof:
    return Proof(ProofKind.TOKEN, world.token(Right.READ))


def _lock(world: World) -> None:
    world.house.is_locked = world.books.away = True
    for forget in world.site.locked:
        forget()


async def test_nothing_opened_before_is_read_after(world: World) -> None:
    """Not from what a worker kept open, and not by a reading that has begun."""
    stored = await _put(world)
    reading, mine = Reading(world.site), _proof(world)
    opened = await reading.open(mine, stored.heading.study_uid, "dicomweb")
    entry = opened.study.instances()[0]
    begun, data = opened.study.read_part10(entry), opened.study.data_set(entry)
    _lock(world)
    with pytest.raises(Locked):
        await reading.open(mine, stored.heading.study_uid, "dicomweb")
    with pytest.raises(Locked):
        list(begun)
    with pytest.raises(Locked):
        data.read_at(data.size // 2, 16)


async def test_a_study_that_was_being_opened_is_not_kept(world: World) -> None:
    """A key on its way when the archive was locked does not stay."""
    stored = await _put(world)
    reading = Reading(world.site)
    answered = world.keys.open_study

    async def locked_meanwhile(proof: Proof, study_id: str, purpose: str) -> StudyKey:
        key = await answered(proof, study_id, purpose)
        _lock(world)
        return key

    world.keys.open_study = locked_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Locked):
        await reading.open(_proof(world), stored.heading.study_uid, "dicomweb")


async def test_a_key_goes_when_its_grant_ends(world: World) -> None:
    """A worker that nobody asks anything any more holds no study's key for longer than its grant."""
    stored = await _put(world)
    reading = Reading(world.site)
    answered = world.keys.open_study

    async def briefly(proof: Proof, study_id: str, purpose: str) -> StudyKey:
        key = await answered(proof, study_id, purpose)
        ending: Grant = msgspec.structs.replace(key.grant, until=timestamp() + 0.2)
        return msgspec.structs.replace(key, grant=ending)

    world.keys.open_study = briefly  # type: ignore[method-assign]
    await reading.open(_proof(world), stored.heading.study_uid, "dicomweb")
    assert reading.held == 1
    await asyncio.sleep(0.4)
    assert reading.held == 0


async def test_what_was_opened_to_look_is_not_opened_to_take_away(world: World) -> None:
    """Each purpose is asked for, and journalled, by itself."""
    stored = await _put(world)
    reading, mine = Reading(world.site), Proof(ProofKind.TOKEN, world.token(Right.READ, Right.EXPORT))
    looked = await reading.open(mine, stored.heading.study_uid, "viewer")
    taken = await reading.open(mine, stored.heading.study_uid, "export")
    assert taken is not looked
    assert len(world.keys.opened) == 2
