"""Locking and unlocking when the disk is full, and by two at once."""

from __future__ import annotations

import asyncio

import pytest

from huisclos.errors import Full
from huisclos.journal.entries import Entry
from huisclos.vault.core import HOUSE
from huisclos.vault.gate import GateService
from tests.vault.world import World


@pytest.fixture
def announced() -> list[str]:
    """What the supervisor was told."""
    return []


@pytest.fixture
def gate(world: World, announced: list[str]) -> GateService:
    """The gate of the world's archive."""

    async def announce(word: str) -> None:
        await asyncio.sleep(0)
        announced.append(word)

    return GateService(world.core, world.keeper, world.sessions, world.people, world.chronicle, announce)


def full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no entry can be written."""

    def write(*_: Entry) -> None:
        raise OSError(28, "no room")

    monkeypatch.setattr(world.core.pen, "write", write)


async def test_a_full_disk_keeps_nobody_from_locking(
    world: World, gate: GateService, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What narrows works: the secret is gone although the journal could not say so."""
    full_disk(world, monkeypatch)
    with pytest.raises(Full):
        await gate.shut(HOUSE)
    assert world.core.locked
    assert announced == ["locking", "locked"]


async def test_unlocking_that_fails_leaves_the_house_locked(
    world: World, gate: GateService, announced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half open is not open: the next attempt begins anew."""
    world.lock()
    with monkeypatch.context() as patched:
        full_disk(world, patched)
        with pytest.raises(Full):
            await gate.unlock("set-up-secret", "", "")
    assert world.core.locked
    assert announced == []
    await gate.unlock("set-up-secret", "", "")
    assert not world.core.locked
    assert announced == ["unlocked"]


async def test_two_who_lock_at_once_lock_once(world: World, gate: GateService, announced: list[str]) -> None:
    """The second finds it locked: the supervisor hears each word once."""
    await asyncio.gather(gate.shut(HOUSE), gate.shut(HOUSE))
    assert world.core.locked
    assert announced == ["locking", "locked"]
