"""Locking and unlocking when the disk is full, and by two at once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from huisclos.access.nouns import Role
from huisclos.errors import Full
from huisclos.journal.entries import Entry
from huisclos.vault import places
from huisclos.vault.core import HOUSE
from huisclos.vault.gate import GateService
from huisclos.vault.holder_files import note_digests, write_about
from tests.vault.world import ADDRESS, NEW_PASSWORD, World, proof


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


async def test_only_ones_own_password_opens_a_session(world: World, gate: GateService) -> None:
    """A description that names another user, over one's own passphrase, opens the archive and no more."""
    ids = {name: world.user(name, role) for name, role in (("Ada", Role.OWNER), ("Eve", Role.PHYSICIAN))}
    for name, user_id in ids.items():
        user = world.sessions.users.need(user_id)
        await world.sessions.set_password(user, f"{NEW_PASSWORD}-{name}", ADDRESS, holder=True)
    holders, held = (
        world.core.holders,
        {name: world.sessions.users.need(one).body for name, one in ids.items()},
    )
    world.lock()
    opened = await gate.unlock(f"{NEW_PASSWORD}-Eve", "Eve", ADDRESS)
    assert opened.session is not None
    assert (await world.sessions.actor(proof(opened.session.secret))).id == ids["Eve"]
    eve, ada = held["Eve"].holder_id, held["Ada"].holder_id
    secret = world.core.secret
    # what a thief of the signing key could write: Ada's holder, sealed to Eve's passphrase
    about = holders.about(secret, eve)
    write_about(world.store, secret, msgspec.structs.replace(about, holder_id=ada, user_id=ids["Ada"]))
    for place in (places.holder, places.holder_key):
        world.store.put(place(ada), world.store.read(place(eve)))
    note_digests(world.store, ada)
    holders.remove(eve)
    world.lock()
    opened = await gate.unlock(f"{NEW_PASSWORD}-Eve", "Eve", ADDRESS)
    assert opened.session is None
    assert not world.core.locked
