"""Settling: the night drop goes to its studies, once, whatever happens on the way."""

from __future__ import annotations

import os

import pytest

from huisclos.archive.layout import BATCHES, batch_place, instance_place, new_id
from huisclos.archive.nouns import Outcome, StoredObject
from huisclos.archive.ports import SealedAt
from huisclos.archive.settle import BATCH_REST, Settled, Settler
from huisclos.errors import Locked, Unreachable
from huisclos.seal import X25519Identity, seal, unseal
from tests import corpus
from tests.archive.samples import EXPLICIT, data_set, names, uid
from tests.archive.world import MODALITY, STRANGER, World


def settler(world: World, now: float = 2_000.0) -> Settler:
    """As the scribe has one."""
    return Settler(world.store, world.finder, world.vault, timestamp=lambda: now)


def batched(world: World) -> list[str]:
    """What still lies in batches."""
    return [place for place, _ in world.store.list(BATCHES)]


async def drop(world: World, count: int = 3) -> None:
    """A series sent in the dark."""
    world.finder.away = True
    for number in range(1, count + 1):
        await world.send(data_set(1, 1, number, pixels=os.urandom(100_000)), names(1, 1, number), EXPLICIT)
    world.finder.away = False


async def test_what_came_in_the_dark_is_found(house: World) -> None:
    """In its study, openable with the study's key alone, told in sum; the batch is empty."""
    await drop(house)
    settled = await settler(house).batches()
    assert settled == Settled(objects=3)
    assert batched(house) == []
    study = house.open(uid(1))
    assert [entry.number for entry in study.instances()] == [1, 2, 3]
    assert b"".join(study.read_part10(study.instances()[0]))[128:132] == b"DICM"
    assert [entry.source for entry in study.instances()] == [MODALITY] * 3
    assert [one.objects for one in house.vault.settlements] == [3]
    assert await settler(house).batches() == Settled()


async def test_every_file_of_the_corpus_through_the_night(house: World) -> None:
    """Received locked, settled, retrieved: byte for byte."""
    house.finder.away = True
    contents: dict[str, bytes] = {}
    for path in corpus.instances():
        received = await house.import_file(path)
        contents.setdefault(received.stored.heading.instance_uid, path.read_bytes())
    house.finder.away = False
    settled = await settler(house).batches()
    assert settled.objects == len(corpus.instances())
    assert settled.failed == 0
    assert batched(house) == []
    found = set()
    for study_uid in house.finder.by_uid:
        study = house.open(study_uid)
        for entry in study.manifest.instances:
            found.add(b"".join(study.read_part10(entry)))
    assert len(found) == settled.objects - settled.duplicates
    assert set(contents.values()) <= found


async def test_duplicates_and_conflicts_are_settled(house: World) -> None:
    """The same again goes away; other content under one UID is held."""
    await house.send(data_set(), names(), EXPLICIT)
    house.finder.away = True
    await house.send(data_set(), names(), EXPLICIT)
    await house.send(data_set(name=b"AUTRE^CLAUDE"), names(), EXPLICIT)
    house.finder.away = False
    assert await settler(house).batches() == Settled(objects=2, duplicates=1, held=1)
    assert batched(house) == []
    assert len(list(house.store.list("objects"))) == 2


async def test_an_unapproved_senders_batch_waits(house: World) -> None:
    """Until the sender is approved; then it is settled like any other."""
    await house.send(data_set(), names(), EXPLICIT, source=STRANGER)
    first = await settler(house).batches()
    (waiting,) = first.apart.values()
    (place,) = batched(house)
    assert (waiting.source.label, waiting.instances, waiting.since) == ("STRANGER", 1, 1_000.0)
    assert waiting.octets == house.store.open(place).size
    assert first.objects == 0
    await house.send(data_set(1, 1, 2), names(1, 1, 2), EXPLICIT, source=STRANGER)
    assert [one.instances for one in (await settler(house).batches()).apart.values()] == [2]
    house.vault.approved.add(STRANGER.id)
    assert await settler(house).batches() == Settled(objects=2)


async def test_a_batch_key_goes_only_when_nothing_can_be_on_its_way(house: World) -> None:
    """A long reception that began before may still commit into it."""
    await drop(house, 1)
    house.store.put(f"batches/{next(iter(house.vault.batches))}/batch.age", b"key")
    await settler(house, 1_000.0 + BATCH_REST - 1).batches()
    assert house.vault.emptied == []
    await settler(house, 1_000.0 + BATCH_REST + 1).batches()
    assert house.vault.emptied == list(house.vault.batches)


class Crash(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["commit", "after commit", "register", "after register", "delete"])
async def test_a_crash_at_any_step_is_made_good(
    house: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next run ends with each object once in its study and none in the batch."""
    await drop(house)
    with monkeypatch.context() as patched:
        crash_at(house, patched, step)
        with pytest.raises(Crash):
            await settler(house).batches()
    settled = await settler(house).batches()
    assert settled.failed == 0
    assert batched(house) == []
    study = house.open(uid(1))
    assert len(study.instances()) == 3
    assert len(list(house.store.list(f"objects/{study.manifest.study_id[:2]}"))) == 4
    for entry in study.instances():
        assert len(b"".join(study.read_part10(entry))) == entry.length


def end_if(now: bool) -> None:
    """The process ends here, if it is the moment."""
    if now:
        raise Crash


def crash_at(house: World, patched: pytest.MonkeyPatch, step: str) -> None:
    """Have the second object end the process at this step."""
    real_begin, real_register, real_delete = house.store.begin, house.finder.register, house.store.delete
    count = 0

    def second() -> bool:
        nonlocal count
        count += 1
        return count == 2

    def begin(room: int) -> object:
        writing = real_begin(room)
        real_commit = writing.commit

        def commit(place: str, header: bytes) -> None:
            crash = second()
            end_if(crash and step == "commit")
            real_commit(place, header)
            end_if(crash and step == "after commit")

        patched.setattr(writing, "commit", commit)
        return writing

    async def register(stored: StoredObject) -> Outcome:
        crash = second()
        end_if(crash and step == "register")
        outcome = await real_register(stored)
        end_if(crash and step == "after register")
        return outcome

    def delete(place: str) -> None:
        end_if(second())
        real_delete(place)

    doubles: dict[str, tuple[object, str, object]] = {
        "commit": (house.store, "begin", begin),
        "register": (house.finder, "register", register),
        "delete": (house.store, "delete", delete),
    }
    patched.setattr(*doubles[step.rsplit(maxsplit=1)[-1]])


async def test_something_else_laid_where_an_object_goes_is_not_taken_for_it(house: World) -> None:
    """The batch's copy stays, and the planted one is not told of."""
    await drop(house, 1)
    placement = await house.finder.place(uid(1))
    place = batched(house)[0]
    instance_id = place.rsplit("/", 1)[1].split(".")[0]
    planted = instance_place(placement.study_id, instance_id)
    true = house.store.read(place)
    house.store.put(planted, seal(b"planted", [X25519Identity.generate().recipient]))
    assert (await settler(house).batches()).failed == 1
    house.store.put(planted, true[:-1] + bytes([true[-1] ^ 1]))
    assert (await settler(house).batches()).failed == 1
    assert house.store.read(place) == true
    assert house.finder.study_of(placement.study_id).objects == {}


async def test_what_does_not_open_is_left_and_the_rest_goes_on(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged object, and a batch whose key is gone."""
    await drop(house)
    place = batched(house)[0]
    damaged = bytearray(house.store.read(place))
    damaged[-1] ^= 1
    house.store.put(place, bytes(damaged))
    house.store.put(batch_place(new_id(), new_id()), b"nobody's")
    settling = settler(house)
    assert await settling.batches() == Settled(objects=2, failed=2)
    assert len(batched(house)) == 2
    reads: list[str] = []
    opened = house.store.open

    def read(place: str) -> SealedAt:
        reads.append(place)
        return opened(place)

    monkeypatch.setattr(house.store, "open", read)
    assert (await settling.batches()).failed == 2
    assert place not in reads  # what failed is not read whole again in each round


async def test_locked_again_meanwhile(house: World) -> None:
    """The round is given up; nothing is lost."""
    await drop(house)
    house.vault.locked = True
    with pytest.raises(Locked):
        await settler(house).batches()
    house.vault.locked = False
    house.finder.away = True
    with pytest.raises(Locked):
        await settler(house).batches()
    house.finder.away = False
    assert (await settler(house).batches()).objects == 3


async def test_the_payload_is_not_sealed_again(house: World) -> None:
    """Only the header changes: rewrapped, not resealed."""
    await drop(house, 1)
    before = house.store.read(batched(house)[0])
    await settler(house).batches()
    ((after, _),) = house.store.list("objects")
    now = house.store.read(after)
    assert now[168:] == before[168:]
    assert now[:168] != before[:168]
    study_id = after.split("/")[2]
    assert unseal(now, [house.vault.studies[study_id]])


async def test_catching_up_after_a_crash(house: World) -> None:
    """Durable and acknowledged, but no row knows: told again, from the object alone."""

    def die(_stored: StoredObject) -> None:
        raise Unreachable("gone")

    house.finder.before_register = die
    received = await house.send(data_set(), names(), EXPLICIT)
    again = await house.send(data_set(), names(), EXPLICIT)
    house.finder.before_register = lambda _: None
    both = {received.stored.instance_id, again.stored.instance_id}
    assert received.outcome is again.outcome is Outcome.STORED
    house.finder.open.add(received.stored.study_id)
    assert await settler(house).catch_up() == Settled(objects=2, duplicates=1)
    study = house.open(uid(1))
    (entry,) = study.instances()
    assert house.vault.doubles == [(received.stored.study_id, tuple(both - {entry.instance_id}))]
    assert entry.digest == received.stored.digest
    assert (entry.length, entry.data_set_offset) == (received.stored.length, received.stored.data_set_offset)
    assert house.finder.open == set()
    assert await settler(house).catch_up() == Settled()
    assert len(list(house.store.list("objects"))) == 2


async def test_one_study_that_does_not_open_holds_up_nothing(house: World) -> None:
    """Its key is gone, or an object of another study lies in it: the others, and the batches, are settled."""
    keyless = (await house.send(data_set(1), names(1), EXPLICIT)).stored
    mixed = (await house.send(data_set(2), names(2), EXPLICIT)).stored
    recipient = house.vault.studies[mixed.study_id].recipient
    study = house.open(uid(1))
    content = b"".join(study.read_part10(study.instances()[0]))
    house.store.put(instance_place(mixed.study_id, new_id()), seal(content, [recipient]))
    del house.vault.studies[keyless.study_id]
    house.finder.by_uid[uid(1)].objects.clear()
    house.finder.open.update({keyless.study_id, mixed.study_id})
    assert await settler(house).catch_up() == Settled(failed=2)
    assert house.finder.open == set()
    house.finder.away = True
    await house.send(data_set(3), names(3), EXPLICIT)
    house.finder.away = False
    assert await settler(house).batches() == Settled(objects=1)


@pytest.mark.parametrize("step", ["before it is told of", "told of", "deleted"])
async def test_a_double_is_told_of_before_it_goes(
    house: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever the process ends, the next run ends with one copy, and the journal names the other."""
    house.finder.before_register = _away
    received = await house.send(data_set(), names(), EXPLICIT)
    again = await house.send(data_set(), names(), EXPLICIT)
    house.finder.before_register = lambda _: None
    study_id = received.stored.study_id
    house.finder.open.add(study_id)
    with monkeypatch.context() as patched:
        end_at(house, patched, step)
        with pytest.raises(Crash):
            await settler(house).catch_up()
    await settler(house).catch_up()
    (kept,) = {place for place, _ in house.store.list("objects")} & {
        instance_place(study_id, one.stored.instance_id) for one in (received, again)
    }
    named = {one for study, some in house.vault.doubles for one in some if study == study_id}
    assert {instance_place(study_id, one) for one in named} | {kept} == {
        instance_place(study_id, one.stored.instance_id) for one in (received, again)
    }
    assert kept not in {instance_place(study_id, one) for one in named}


def end_at(house: World, patched: pytest.MonkeyPatch, step: str) -> None:
    """Have the process end before or after a double is told of, or once it is deleted."""
    real_doubled, real_delete = house.vault.doubled, house.store.delete

    async def doubled(study_id: str, instance_ids: tuple[str, ...]) -> None:
        end_if(step == "before it is told of")
        await real_doubled(study_id, instance_ids)
        end_if(step == "told of")

    def delete(place: str) -> None:
        real_delete(place)
        end_if(step == "deleted")

    patched.setattr(house.vault, "doubled", doubled)
    patched.setattr(house.store, "delete", delete)


def _away(_stored: StoredObject) -> None:
    raise Unreachable("gone")
