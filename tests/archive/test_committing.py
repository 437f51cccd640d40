"""Commits that leave together: each has its own outcome, whatever became of the others."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from huisclos.archive import committing
from huisclos.archive.committing import AT_ONCE, TOGETHER, Committing
from huisclos.archive.hands import Hands
from huisclos.archive.layout import instance_place, new_id
from huisclos.archive.ports import Commit
from huisclos.errors import Conflict, Full, HuisclosError, Unreachable
from huisclos.stores.local import LocalStore
from huisclos.stores.system import sync_folder

HEADER = b"header"


def begun(store: LocalStore, content: bytes, place: str) -> Commit:
    """An object that is whole but for its commit."""
    writing = store.begin(len(HEADER))
    writing.room(len(content))[:] = content
    return Commit(writing, place, HEADER)


class Held(LocalStore):
    """A store whose commits wait to be let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.go = threading.Event()
        self.groups: list[int] = []

    def commit_all(self, commits: Sequence[Commit]) -> list[HuisclosError | None]:
        """See the port."""
        self.groups.append(len(commits))
        assert self.go.wait(10)
        return super().commit_all(commits)


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were flushed."""
    folders: list[str] = []
    real = sync_folder

    def sync(folder: str) -> None:
        folders.append(folder)
        real(folder)

    monkeypatch.setattr("huisclos.stores.local.sync_folder", sync)
    return folders


async def test_what_waits_leaves_together(
    tmp_path: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, a bounded number at a time, a folder flushed once for all that entered it."""
    monkeypatch.setattr(committing, "SLOW", 10.0)  # that it waits to be let go makes no slow disk of it
    store = Held(tmp_path)
    study, hashed = new_id(), list[int]()
    places = [instance_place(study, new_id()) for _ in range(TOGETHER + 3)]
    with Hands(2) as hands:
        making = Committing(store, hands)
        waiting = [
            making.commit(begun(store, bytes([number]), place), partial(hashed.append, number))
            for number, place in enumerate(places)
        ]
        await asyncio.sleep(0.05)
        assert making.at_work
        assert not any(done.done() for done in waiting)
        store.go.set()
        await asyncio.gather(*waiting)
    assert max(store.groups) == TOGETHER
    assert len(store.groups) <= 3
    assert hashed == list(range(len(places)))
    folder = str(tmp_path / places[0].rpartition("/")[0])
    assert flushed.count(folder) == len(store.groups)
    assert [store.read(place) for place in places] == [HEADER + bytes([n]) for n in range(len(places))]
    assert not making.at_work


class Slow(LocalStore):
    """A store far away: notes how many wait for it at once."""

    under_way = most = 0

    def commit_all(self, commits: Sequence[Commit]) -> list[HuisclosError | None]:
        """See the port."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        time.sleep(0.05 * len(commits))
        self.under_way -= 1
        return super().commit_all(commits)


async def test_for_a_slow_disk_several_wait(tmp_path: Path) -> None:
    """What comes one after the other does not wait for all before it."""
    store = Slow(tmp_path)
    waiting = []
    with Hands(8) as hands:
        making = Committing(store, hands)
        for _ in range(20):
            waiting.append(making.commit(begun(store, b"x", instance_place(new_id(), new_id()))))
            await asyncio.sleep(0.02)
        await asyncio.gather(*waiting)
    assert not making.at_work
    assert 1 < store.most <= AT_ONCE


async def test_what_comes_at_once_is_shared_by_those_who_wait_for_a_slow_disk(tmp_path: Path) -> None:
    """A dozen within a moment, and then nothing more: they do not wait one after the other."""
    store = Slow(tmp_path)
    began = time.perf_counter()
    with Hands(8) as hands:
        making = Committing(store, hands)
        places = [instance_place(new_id(), new_id()) for _ in range(12)]
        await asyncio.gather(*[making.commit(begun(store, b"x", place)) for place in places])
    assert not making.at_work
    assert 1 < store.most <= AT_ONCE
    assert time.perf_counter() - began < 12 * 0.05
    assert [store.read(place) for place in places] == [HEADER + b"x"] * 12


async def test_each_has_its_own_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that finds its place taken, one for which there is no room: the others are durable."""
    store = Held(tmp_path)
    taken, full, *good = (instance_place(new_id(), new_id()) for _ in range(5))
    begun(store, b"first", taken).writing.commit(taken, HEADER)
    commits = [
        begun(store, b"x" * (5000 + number), place)
        for number, place in enumerate((good[0], taken, full, *good[1:]))
    ]
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(HEADER) + 5002:
            raise OSError(28, "no space")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    also = list[str]()
    with Hands(2) as hands:
        making = Committing(store, hands)
        waiting = [making.commit(one, partial(also.append, one.place)) for one in commits]
        store.go.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict, Full, type(None), type(None)]
    assert also == good
    assert store.read(taken) == HEADER + b"first"
    assert sorted(place for place, _ in store.list("objects")) == sorted([taken, *good])
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_folder_that_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What entered it is not told to be durable; what entered another is."""
    store = LocalStore(tmp_path)
    bad, good = new_id(), new_id()
    for study in (bad, good):  # so that the folders are there
        begun(store, b"", place := instance_place(study, new_id())).writing.commit(place, HEADER)
    real = sync_folder

    def sync(folder: str) -> None:
        if folder.endswith(bad):
            raise OSError(5, "broken")
        real(folder)

    monkeypatch.setattr("huisclos.stores.local.sync_folder", sync)
    studies = (bad, good, bad)
    failures = store.commit_all([begun(store, b"x", instance_place(study, new_id())) for study in studies])
    assert [type(one) for one in failures] == [Unreachable, type(None), Unreachable]


class Broken(LocalStore):
    """A store with a fault of its own."""

    def commit_all(self, commits: Sequence[Commit]) -> list[HuisclosError | None]:
        """See the port."""
        time.sleep(0.02)
        raise ValueError(len(commits))


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """Whatever goes wrong, and whoever does not wait any more."""
    store = Broken(tmp_path)
    with Hands(2) as hands:
        making = Committing(store, hands)
        cancelled = making.commit(begun(store, b"1", instance_place(new_id(), new_id())))
        await asyncio.sleep(0.005)
        cancelled.cancel()
        for _ in range(3):
            with pytest.raises(Unreachable):
                await making.commit(begun(store, b"2", instance_place(new_id(), new_id())))
    assert not making.at_work
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_with_a_pool_of_one_thread(tmp_path: Path) -> None:
    """As commands have it."""
    store = LocalStore(tmp_path)
    places = [instance_place(new_id(), new_id()) for _ in range(20)]
    with ThreadPoolExecutor(1) as executor:
        making = Committing(store, executor)
        await asyncio.gather(*(making.commit(begun(store, b"x", place)) for place in places))
    assert sorted(place for place, _ in store.list("objects")) == sorted(places)
