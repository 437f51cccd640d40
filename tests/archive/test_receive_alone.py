"""A sender who is alone: the loop itself waits for the disk, and what follows is as it is otherwise."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from huisclos.archive import receive
from huisclos.archive.hands import Hands
from huisclos.archive.intake import FileIntake
from huisclos.archive.layout import new_id
from huisclos.archive.receive import Receiver, Reception
from huisclos.dicom.part10 import file_meta
from huisclos.errors import Conflict, Full
from huisclos.stores.local import LocalStore, LocalWriting
from tests.archive.samples import EXPLICIT, data_set, names, uid
from tests.archive.world import MODALITY, World


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A house on a disk that is never slow, whatever else this machine does."""
    monkeypatch.setattr(receive, "SLOW", 60.0)
    return World(LocalStore(tmp_path / "archive"))


def incoming(tmp_path: Path) -> list[Path]:
    """What lies about unfinished."""
    return list((tmp_path / "archive" / "incoming").iterdir())


def receiver(house: World, hands: Hands, alone: Callable[[], bool] = lambda: True) -> Receiver:
    """One that is told whether its sender is alone."""
    return Receiver(house.store, house.finder, house.vault, executor=hands, alone=alone)


async def keep(receiving: Receiver, number: int) -> bytes:
    """One instance, as the reception keeps it; what was sent."""
    sent = data_set(instance=number, pixels=os.urandom(200_000))
    reception = receiving.begin(MODALITY, *names(instance=number), EXPLICIT, "SCANNER")
    assert reception.write(sent) is None
    await reception.keep()
    return sent


@pytest.fixture
def committed_by(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that waited for the disk, by name."""
    threads: list[str] = []
    real = LocalWriting.flush

    def flush(self: LocalWriting, header: bytes) -> None:
        threads.append(threading.current_thread().name)
        real(self, header)

    monkeypatch.setattr(LocalWriting, "flush", flush)
    return threads


async def test_what_is_kept_is_durable_and_told(
    house: World, tmp_path: Path, committed_by: list[str]
) -> None:
    """Each has its digest, made beside; once all are told, nothing unfinished lies about."""
    with Hands(4) as hands:
        receiving = receiver(house, hands)
        sent = [await keep(receiving, number) for number in range(1, 6)]
        assert len(list(house.store.list("objects"))) == len(sent)
        await receiving.told()
    kept = [stored for stored, _ in house.finder.by_uid[uid(1)].objects.values()]
    assert {one.digest for one in kept} == {hashlib.sha256(one).digest() for one in sent}
    assert set(committed_by) == {"MainThread"}
    assert incoming(tmp_path) == []


async def test_a_second_sender_ends_it_on_a_disk_that_is_not_quick(
    house: World, monkeypatch: pytest.MonkeyPatch, committed_by: list[str]
) -> None:
    """With others about, a thread waits; so it does while nobody knows how quick the disk is."""
    monkeypatch.setattr(receive, "QUICK", -1.0)
    alone = True
    with Hands(4) as hands:
        receiving = receiver(house, hands, lambda: alone)
        await keep(receiving, 1)
        alone = False
        await keep(receiving, 2)
        await receiving.told()
    assert committed_by == ["MainThread", "hand"]


async def test_the_loop_waits_for_a_quick_disk_whoever_else_sends(
    house: World, monkeypatch: pytest.MonkeyPatch, committed_by: list[str]
) -> None:
    """How quick it is, it finds out by trying once in a while; and it is slow again after a slow wait."""
    monkeypatch.setattr(receive, "QUICK", 60.0)
    monkeypatch.setattr(receive, "_A_WHILE", 2)
    with Hands(4) as hands:
        receiving = receiver(house, hands, lambda: False)
        for number in range(1, 6):
            await keep(receiving, number)
        receiving.waited(1e6)
        for number in range(6, 10):
            await keep(receiving, number)
        await receiving.told()
    assert committed_by == ["hand"] * 3 + ["MainThread"] * 2 + ["hand"] * 4


async def test_one_of_many_is_left_to_a_thread(house: World, committed_by: list[str]) -> None:
    """Its sender goes on sending: the loop has better to do than to wait."""
    with Hands(4) as hands:
        receiving = receiver(house, hands)
        for many in (True, False):
            reception = Reception(receiving, MODALITY, FileIntake(), beside=True, one_of_many=many)
            number = 1 + many
            meta = file_meta(*names(instance=number), EXPLICIT, "")
            assert reception.write(meta + data_set(instance=number)) is None
            await reception.finish()
        await receiving.told()
    assert committed_by == ["hand", "MainThread"]


async def test_a_slow_disk_ends_it_for_a_while(
    house: World, monkeypatch: pytest.MonkeyPatch, committed_by: list[str]
) -> None:
    """After one long wait the loop is spared the next ones, and tries again later."""
    monkeypatch.setattr(receive, "SLOW", -1.0)
    monkeypatch.setattr(receive, "_A_WHILE", 2)
    with Hands(4) as hands:
        receiving = receiver(house, hands)
        for number in range(1, 5):
            await keep(receiving, number)
        await receiving.told()
    assert committed_by == ["MainThread", "hand", "hand", "MainThread"]


async def test_an_error_of_the_disk_is_told_and_leaves_nothing(
    house: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the flush, when everything was written."""

    def full(_: int) -> None:
        raise OSError(28, "full")

    with Hands(4) as hands:
        receiving = receiver(house, hands)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", full)
            with pytest.raises(Full):
                await keep(receiving, 1)
        await asyncio.sleep(0.05)
        await receiving.told()
        assert list(house.store.list("objects")) == []
        assert incoming(tmp_path) == []
        await keep(receiving, 1)
        await receiving.told()
    assert len(list(house.store.list("objects"))) == 1


async def test_nothing_is_overwritten(house: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that is there already, which cannot be: the first object stays."""
    same = new_id()
    monkeypatch.setattr(receive, "new_id", lambda: same)
    with Hands(4) as hands:
        receiving = receiver(house, hands)
        await keep(receiving, 1)
        (place, size), *_ = house.store.list("objects")
        with pytest.raises(Conflict):
            await keep(receiving, 2)
        await asyncio.sleep(0.05)
        await receiving.told()
    assert list(house.store.list("objects")) == [(place, size)]
    assert incoming(tmp_path) == []


async def test_a_disk_that_keeps_a_file_keeps_no_association(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file made ready, or begun, that cannot be taken away: whoever ends or breaks off goes on."""
    with Hands(4) as hands:
        receiving = receiver(house, hands)
        await keep(receiving, 1)
        await receiving.telling.all_told()
        reception = receiving.begin(MODALITY, *names(instance=2), EXPLICIT, "SCANNER")
        receiving.preparing.make_file()
        reception.write(data_set(instance=2))
        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", _broken)
            reception.abandon()
            receiving.preparing.rest()
        await keep(receiving, 3)
        await receiving.told()
    assert len(list(house.store.list("objects"))) == 2


def _broken(_: str) -> None:
    raise OSError(errno.EIO, "broken")
