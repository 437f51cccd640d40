"""P3: whatever was acknowledged is there after kill -9, whole, and nothing is there by half."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from pathlib import Path
from typing import Any

import pytest

from huisclos.access.chronicle import DOUBLED, JournalLine
from huisclos.access.nouns import ActorKind
from huisclos.archive.layout import PlaceKind, instance_place, parse_place
from huisclos.archive.nouns import StoredObject
from huisclos.archive.receipts import Receipts
from huisclos.archive.settle import Settler
from huisclos.errors import Unreachable
from huisclos.journal.entries import Act
from huisclos.seal import X25519Identity, unseal
from huisclos.stores.local import LocalStore
from tests.archive.samples import EXPLICIT, data_set, names
from tests.archive.world import World

PIXELS = os.urandom(200_000)


async def _store_for_ever(root: Path, identity: X25519Identity, said: int) -> None:
    """Receive one instance after another, four associations at once, and say which are acknowledged."""
    world = World(LocalStore(root))

    async def association(number: int) -> None:
        for count in range(10_000):
            sent = data_set(1, number, count + 1, pixels=PIXELS)
            stored = (await world.send(sent, names(1, number, count + 1), EXPLICIT)).stored
            os.write(said, f"{stored.study_id} {stored.instance_id}\n".encode())

    placement = world.vault.new_study()
    world.vault.studies[placement.study_id] = identity
    world.vault.new_study = lambda: type(placement)(  # type: ignore[method-assign]  # a key the parent knows
        placement.study_id, str(identity.recipient)
    )
    await asyncio.gather(*(association(number) for number in range(1, 5)))


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
def test_every_acknowledged_object_survives(tmp_path: Path, acknowledged: int) -> None:
    """Killed in the middle of four stores."""
    identity = X25519Identity.generate()
    readable, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        asyncio.run(_store_for_ever(tmp_path, identity, said))
        os._exit(0)
    os.close(said)
    with os.fdopen(readable) as source:
        lines = [next(source) for _ in range(acknowledged)]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += list(source)
    store = LocalStore(tmp_path)
    for line in lines:
        study_id, instance_id = line.split()
        assert unseal(store.read(instance_place(study_id, instance_id)), [identity]).endswith(PIXELS)
    for place, _ in store.list():
        assert parse_place(place).kind is PlaceKind.INSTANCE
        assert unseal(store.read(place), [identity]).endswith(PIXELS)
    store.sweep()
    assert list((tmp_path / "incoming").iterdir()) == []


class Ending:
    """A world whose journal and rows are files, and that is killed at one step of a second copy's end."""

    def __init__(self, root: Path, ends: str) -> None:
        self.world = World(LocalStore(root / "archive"))
        self._ends = ends
        self._parent = os.getpid()
        self._told, self._rows = root / "told", root / "rows"
        self._delete = self.world.store.delete
        self.world.vault.doubled = self._doubled  # type: ignore[method-assign]
        self.world.finder.commit = self._commit  # type: ignore[method-assign]
        self.world.store.delete = self._deleted  # type: ignore[method-assign]

    def catch_up(self) -> None:
        """As the scribe does, with the rows that were committed before."""
        if self._rows.exists():
            self.world.finder.by_uid = pickle.loads(self._rows.read_bytes())  # noqa: S301 - written below
        asyncio.run(Settler(self.world.store, self.world.finder, self.world.vault).catch_up())

    def lines(self) -> list[JournalLine]:
        """What the journal says of second copies."""
        return [
            line(Act.SETTLED, study_id, what=DOUBLED, instance_ids=(instance_id,))
            for study_id, instance_id in map(str.split, self._told.read_text().splitlines())
        ]

    async def _commit(self) -> None:
        self._rows.write_bytes(pickle.dumps(self.world.finder.by_uid))

    async def _doubled(self, study_id: str, instance_ids: tuple[str, ...]) -> None:
        self._kill("before it is told of")
        with self._told.open("a") as journal:
            journal.writelines(f"{study_id} {one}\n" for one in instance_ids)
        self._kill("told of")

    def _deleted(self, place: str) -> None:
        self._delete(place)
        self._kill("deleted")

    def _kill(self, step: str) -> None:
        if step == self._ends and os.getpid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)


def line(act: Act, study_id: str, **more: Any) -> JournalLine:
    """A line about a study."""
    return JournalLine(0, 0.0, act, ActorKind.HOUSE, "", "", study_id=study_id, **more)


@pytest.mark.parametrize("ends", ["before it is told of", "told of", "deleted"])
@pytest.mark.parametrize("copies", [2, 12])
def test_a_second_copy_deleted_is_never_missed(tmp_path: Path, ends: str, copies: int) -> None:
    """Killed at any step of its end: the next run ends with one copy, and the journal says that one came."""
    ending = Ending(tmp_path, ends)
    study_id = asyncio.run(_copies_nobody_knows(ending.world, copies))
    child = os.fork()
    if child == 0:
        ending.catch_up()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    ending.catch_up()
    assert len(list(ending.world.store.list())) == 1
    receipts = Receipts()
    receipts.add([line(Act.STORED, study_id, counts={"instances": copies}), *ending.lines()])
    assert receipts.came() == {study_id: 1}


async def _copies_nobody_knows(world: World, copies: int) -> str:
    """Copies of one instance, durable and acknowledged while the finder was away; their study."""

    def away(_stored: StoredObject) -> None:
        raise Unreachable("gone")

    world.finder.before_register = away
    received = [await world.send(data_set(), names(), EXPLICIT) for _ in range(copies)]
    world.finder.before_register = lambda _: None
    (study_id,) = {one.stored.study_id for one in received}
    world.finder.open.add(study_id)
    return study_id


def test_second_copies_that_no_entry_names() -> None:
    """Older entries only count them; what is about no study, or was read, did not come into one."""
    receipts = Receipts()
    receipts.add([line(Act.STORED, "1", counts={"instances": 5})])
    receipts.add([line(Act.SETTLED, "1", counts={"instances": 2})])
    receipts.add([line(Act.SETTLED, "1", what=DOUBLED, counts={"instances": 3})])
    receipts.add([line(Act.READ, "1", counts={"instances": 9})])
    receipts.add([line(Act.STORED, "", counts={"instances": 9})])
    assert receipts.came() == {"1": 4}
