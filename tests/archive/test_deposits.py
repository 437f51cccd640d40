"""Receipts of stores: told in sum, told once, and nothing left behind by a loop that ends."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from huisclos.archive import deposits
from huisclos.archive.deposits import Deposits
from huisclos.archive.nouns import Deposit, StoredObject
from huisclos.errors import Unreachable
from huisclos.stores.memory import MemoryStore
from tests.archive.samples import EXPLICIT, data_set, names
from tests.archive.world import World


class Journal:
    """What is told, and a vault that may be away."""

    def __init__(self) -> None:
        self.told: list[Deposit] = []
        self.away = False

    async def tell(self, receipts: tuple[Deposit, ...]) -> None:
        """As `Keeper.deposited`."""
        await asyncio.sleep(0)
        if self.away:
            raise Unreachable("away")
        self.told += receipts


@pytest.fixture
async def stored(world: World) -> StoredObject:
    """One object."""
    return (await world.send(data_set(), names(), EXPLICIT)).stored


async def test_a_sum_is_told_within_its_interval(
    stored: StoredObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with all that came until then; what comes after is another sum."""
    monkeypatch.setattr(deposits, "INTERVAL", 0.02)
    journal = Journal()
    summing = Deposits(journal.tell)
    for _ in range(3):
        summing.add(stored)
    await asyncio.sleep(0.1)
    assert [one.objects for one in journal.told] == [3]
    summing.add(stored)
    await summing.close()
    assert [one.objects for one in journal.told] == [3, 1]


async def test_what_could_not_be_told_is_told_later(
    stored: StoredObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vault is away for a while; nothing is lost and nothing told twice."""
    monkeypatch.setattr(deposits, "INTERVAL", 0.02)
    journal = Journal()
    journal.away = True
    summing = Deposits(journal.tell)
    summing.add(stored)
    await asyncio.sleep(0.1)
    assert not journal.told
    journal.away = False
    await asyncio.sleep(0.1)
    assert [one.objects for one in journal.told] == [1]
    await summing.close()
    assert [one.objects for one in journal.told] == [1]


def test_a_loop_that_ends_has_nothing_to_destroy(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever forgot to close loses a sum that `close` would have told, and no task is left pending."""

    async def work() -> None:
        world = World(MemoryStore())
        summing = Deposits(Journal().tell)
        summing.add((await world.send(data_set(), names(), EXPLICIT)).stored)

    loop = asyncio.new_event_loop()
    with caplog.at_level(logging.ERROR, "asyncio"):
        loop.run_until_complete(work())
        loop.close()
        gc.collect()
    assert "pending" not in caplog.text
