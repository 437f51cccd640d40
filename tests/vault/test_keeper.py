"""Keys on request: grants, readings, the reading budget."""

from __future__ import annotations

import errno
import os

import pytest

from huisclos.access.grants import LIFE
from huisclos.access.nouns import ActorKind, Proof, Role, Source
from huisclos.archive.nouns import Deposit
from huisclos.archive.receipts import Receipts
from huisclos.errors import BadIdentifier, Full, Locked, NotFound, NotGranted
from huisclos.journal.entries import Act, Entry
from huisclos.vault import budget
from tests.vault.world import CONSOLE, World


@pytest.fixture
async def reader(world: World) -> Proof:
    """A physician who is logged in."""
    world.user("Rita Reader", Role.PHYSICIAN)
    return await world.login("Rita Reader")


def full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no entry can be written."""

    def write(*_: Entry) -> None:
        raise OSError(28, "no room")

    monkeypatch.setattr(world.core.pen, "write", write)


async def test_a_reading_renewed_leaves_nothing_behind(world: World, reader: Proof) -> None:
    """Whoever looks at one study all day holds one grant after the other, and the vault only the last."""
    study = (await world.keeper.new_study()).study_id
    first = await world.keeper.open_study(reader, study, "look")
    assert (await world.keeper.open_study(reader, study, "look")).grant == first.grant
    for _ in range(5):
        for _ in range(3):
            world.time.pass_(LIFE / 3)
            await world.sessions.session(reader, active=True)
        await world.keeper.open_study(reader, study, "look")
    assert (await world.keeper.open_study(reader, study, "look")).grant != first.grant
    assert len(world.keeper._by_grant) <= 2


async def test_what_was_read_is_told_once_the_disk_has_room(
    world: World, reader: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum that could not be written is not lost."""
    study = (await world.keeper.new_study()).study_id
    key = await world.keeper.open_study(reader, study, "look")
    await world.keeper.sum_reads(key.grant.id, 3, 3000)
    with monkeypatch.context() as patched:
        full_disk(world, patched)
        with pytest.raises(Full):
            await world.keeper._sum()
    await world.keeper.sum_reads(key.grant.id, 1, 1000)
    await world.keeper._sum()
    assert {"instances": 4, "octets": 4000} in [entry.counts for entry in world.said()]


async def test_no_key_leaves_a_house_locked_meanwhile(
    world: World, reader: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked while the entry was being written: the answer is no, and nothing is held."""
    study = (await world.keeper.new_study()).study_id
    write = world.core.journal

    async def locked_meanwhile(*entries: Entry) -> None:
        await write(*entries)
        world.core.forget()

    monkeypatch.setattr(world.core, "journal", locked_meanwhile)
    with pytest.raises(Locked):
        await world.keeper.open_study(reader, study, "look")
    assert not world.keeper._by_grant


async def test_who_opens_faster_than_people_read_is_stopped_until_an_owner_says_so(
    world: World, reader: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget: refused, journalled, shown to owners, and lifted for an hour by one of them."""
    monkeypatch.setattr(budget, "OPENED_IN_TEN_MINUTES", 2)
    studies = [(await world.keeper.new_study()).study_id for _ in range(4)]
    for study in studies[:2]:
        await world.keeper.open_study(reader, study, "look")
    with pytest.raises(NotGranted):
        await world.keeper.open_study(reader, studies[2], "look")
    assert ("refused", "budget") in world.acts()
    with pytest.raises(NotGranted):
        await world.people.fast_readers(reader)
    (stopped,) = await world.people.fast_readers(CONSOLE)
    assert stopped.name == "Rita Reader"
    await world.people.confirm_reading(CONSOLE, stopped.id)
    assert ("changed", "reading-confirmed") in world.acts()
    for study in studies:
        await world.keeper.open_study(reader, study, "look")
    assert await world.people.fast_readers(CONSOLE) == ()
    with pytest.raises(NotFound):
        await world.people.confirm_reading(CONSOLE, stopped.id)


async def test_a_disk_that_fills_up_within_an_entry_leaves_a_journal_that_holds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes a part of the entry and refuses the rest: refused whole, and the chain goes on."""
    write = os.pwrite
    taken: list[int] = []

    def short(descriptor: int, data: bytes, offset: int) -> int:
        if taken:
            raise OSError(errno.ENOSPC, "no room")
        taken.append(write(descriptor, bytes(data)[:20], offset))
        return taken[0]

    await world.core.journal(world.core.entry(Act.TICK))
    with monkeypatch.context() as patched:
        patched.setattr("huisclos.vault.pen.os.pwrite", short)
        with pytest.raises(Full):
            await world.core.journal(world.core.entry(Act.TICK))
    assert (await world.chronicle.verify_now()).holds
    await world.core.journal(world.core.entry(Act.TICK))
    assert (await world.chronicle.verify_now()).holds
    assert len(world.said()) == 2


async def test_an_id_is_an_id_before_it_is_a_place(world: World, reader: Proof) -> None:
    """What a face asks for names a study's key, and never another file of the archive."""
    for wrong in ("../../keys/index", "a" * 31, "A" * 32, ""):
        with pytest.raises(BadIdentifier):
            await world.keeper.open_study(reader, wrong, "look")
        with pytest.raises(BadIdentifier):
            await world.keeper.batch_key(wrong)


async def test_a_second_copy_told_of_again_counts_once(world: World) -> None:
    """The journal names each, so that whoever adds up what came knows them again."""
    study = "5" * 32
    came = Deposit(Source(ActorKind.PEER, "p", "CT01"), study, "", 3, 900, b"")
    await world.keeper.settled((came,))
    for named in (("a" * 32, "b" * 32), ("b" * 32,)):
        await world.keeper.doubled(study, named)
    receipts = Receipts()
    receipts.add(await world.chronicle.lines(0, 100))
    assert receipts.came() == {study: 1}
