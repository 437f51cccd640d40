"""P3: whatever was acknowledged is there after kill -9, whole, and nothing is there by half."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from huisclos.archive.layout import PlaceKind, instance_place, parse_place
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
