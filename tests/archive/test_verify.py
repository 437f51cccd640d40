"""Verifying and rebuilding: everything that was done to the disk is named, and nothing else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import msgspec
import pytest

from huisclos.archive.layout import (
    batch_place,
    instance_place,
    key_place,
    manifest_place,
    new_id,
    study_folder,
)
from huisclos.archive.nouns import DoubtKind, Placement, Standing, StoredObject
from huisclos.archive.reindex import Reindexed, reindex
from huisclos.archive.settle import Settled, Settler
from huisclos.archive.verify import Problem, ProblemKind, Verification, Verifier
from huisclos.errors import SealError, WrongObject
from huisclos.seal import X25519Identity, seal
from tests import corpus
from tests.archive.samples import EXPLICIT, data_set, names, uid
from tests.archive.world import World


async def fill(world: World, studies: int = 2, count: int = 3) -> None:
    """Some studies, settled."""
    for study in range(1, studies + 1):
        for number in range(1, count + 1):
            pixels = os.urandom(100_000)
            await world.send(data_set(study, 1, number, pixels=pixels), names(study, 1, number), EXPLICIT)
    await world.finder.flush()


async def verify(world: World) -> Verification:
    """As the command does."""
    return await verifier_of(world).run()


def verifier_of(world: World, **options: Any) -> Verifier:
    """With the receipts of the world's journal."""

    async def receipts() -> dict[str, int]:
        await world.receiver.deposits.flush()
        came: Counter[str] = Counter()
        for deposit in (*world.vault.deposits, *world.vault.settlements):
            came[deposit.study_id] += deposit.objects if deposit.study_id else 0
        for study, _ in {(study, one) for study, some in world.vault.doubles for one in some}:
            came[study] -= 1
        return came

    return Verifier(
        world.store, world.finder, world.vault, world.vault.verify_key, receipts=receipts, **options
    )


async def rebuild(world: World) -> Reindexed:
    """As the command does."""
    return await reindex(world.store, world.finder, world.vault, world.vault.verify_key)


def study_id(world: World, study: int = 1) -> str:
    """The id of a study."""
    return world.finder.by_uid[uid(study)].placement.study_id


def object_ids(world: World, study: int = 1) -> list[str]:
    """The ids of its objects."""
    return list(world.finder.by_uid[uid(study)].objects)


async def test_a_whole_archive_has_no_problems(house: World) -> None:
    """Every chunk read; what waits in a batch counted apart."""
    await fill(house)
    house.finder.away = True
    await house.send(data_set(7), names(7), EXPLICIT)
    house.finder.away = False
    seen: list[tuple[int, int]] = []
    found = await verifier_of(house, progress=lambda done, total: seen.append((done, total))).run()
    assert found.problems == []
    assert (found.studies, found.objects, found.batched) == (2, 6, 1)
    assert found.octets > 600_000
    assert seen[-1] == (2, 2)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verification) == found


async def test_in_a_process_pool(house: World) -> None:
    """The work can be sent to other processes."""
    await fill(house)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = await verifier_of(house, executor=pool).run()
        assert (found.objects, found.problems) == (6, [])
        again = await reindex(house.store, house.finder, house.vault, house.vault.verify_key, executor=pool)
        assert (again.objects, again.problems) == (6, [])


async def test_two_objects_swapped(house: World) -> None:
    """Within a study, and between studies."""
    await fill(house)
    one, two = object_ids(house)[:2]
    other = object_ids(house, 2)[0]
    places = [instance_place(study_id(house), value) for value in (one, two)]
    exchange(house, *places)
    found = await verify(house)
    assert {(problem.kind, problem.instance_id) for problem in found.problems} == {
        (ProblemKind.SWAPPED, one),
        (ProblemKind.SWAPPED, two),
    }
    exchange(house, *places)
    exchange(house, places[0], instance_place(study_id(house, 2), other))
    found = await verify(house)
    assert {(problem.kind, problem.instance_id) for problem in found.problems} == {
        (ProblemKind.SWAPPED, one),
        (ProblemKind.SWAPPED, other),
    }


def exchange(world: World, one: str, other: str) -> None:
    """Swap two files."""
    first, second = world.store.read(one), world.store.read(other)
    world.store.put(one, second)
    world.store.put(other, first)


async def replace_object(world: World) -> Problem:
    """Another object sealed to the same study."""
    instance_id = object_ids(world)[0]
    recipient = world.vault.studies[study_id(world)].recipient
    world.store.put(instance_place(study_id(world), instance_id), seal(b"x" * 1000, [recipient]))
    return Problem(ProblemKind.REPLACED, study_id(world), instance_id=instance_id)


async def replace_by_stranger(world: World) -> Problem:
    """An object sealed to somebody else."""
    instance_id = object_ids(world)[0]
    foreign = seal(b"x" * 1000, [X25519Identity.generate().recipient])
    world.store.put(instance_place(study_id(world), instance_id), foreign)
    return Problem(ProblemKind.REPLACED, study_id(world), instance_id=instance_id)


async def older_manifest(world: World) -> Problem:
    """The manifest of an earlier day."""
    place = manifest_place(study_id(world))
    older = world.store.read(place)
    await world.send(data_set(1, 1, 9), names(1, 1, 9), EXPLICIT)
    await world.finder.flush()
    world.store.put(place, older)
    return Problem(ProblemKind.OLDER_MANIFEST, study_id(world))


async def delete_object(world: World) -> Problem:
    """One file gone."""
    instance_id = object_ids(world)[0]
    world.store.delete(instance_place(study_id(world), instance_id))
    return Problem(ProblemKind.DELETED, study_id(world), instance_id=instance_id)


async def plant_object(world: World) -> Problem:
    """One file more."""
    instance_id = new_id()
    recipient = world.vault.studies[study_id(world)].recipient
    world.store.put(instance_place(study_id(world), instance_id), seal(b"x", [recipient]))
    return Problem(ProblemKind.UNATTESTED, study_id(world), instance_id=instance_id)


async def damage_chunk(world: World) -> Problem:
    """One bit of a payload."""
    return flip(world, 70_000)


async def damage_header(world: World) -> Problem:
    """One bit of a stanza."""
    return flip(world, 100)


async def damage_mac(world: World) -> Problem:
    """One bit of the header's MAC."""
    return flip(world, 140)


def flip(world: World, at: int) -> Problem:
    """One bit of an object."""
    instance_id = object_ids(world)[0]
    place = instance_place(study_id(world), instance_id)
    changed = bytearray(world.store.read(place))
    changed[at] ^= 1
    world.store.put(place, bytes(changed))
    return Problem(ProblemKind.DAMAGED, study_id(world), instance_id=instance_id)


async def lose_key(world: World) -> Problem:
    """A study's key is gone."""
    del world.vault.studies[study_id(world)]
    return Problem(ProblemKind.MISSING_KEY, study_id(world))


async def delete_manifest(world: World) -> Problem:
    """A study's manifest is gone."""
    world.store.delete(manifest_place(study_id(world)))
    return Problem(ProblemKind.DELETED, study_id(world))


async def foreign_file(world: World) -> Problem:
    """Something that is no object."""
    place = f"objects/{study_id(world)[:2]}/{study_id(world)}/thumbs.db"
    world.store.put(place, b"x")
    return Problem(ProblemKind.FOREIGN, place=place)


async def lost_batch_key(world: World) -> Problem:
    """A batch without its key."""
    batch_id = new_id()
    world.store.put(batch_place(batch_id, new_id()), b"x")
    return Problem(ProblemKind.MISSING_KEY, batch_id=batch_id)


async def damaged_batch(world: World) -> Problem:
    """One bit of an object that waits in a batch."""
    world.finder.away = True
    stored = (await world.send(data_set(8), names(8), EXPLICIT)).stored
    world.finder.away = False
    place = batch_place(stored.batch_id, stored.instance_id)
    world.store.put(place, world.store.read(place)[:-1] + b"?")
    return Problem(ProblemKind.DAMAGED, batch_id=stored.batch_id, instance_id=stored.instance_id)


async def unindexed(world: World) -> Problem:
    """A study that the index lost."""
    problem = Problem(ProblemKind.UNINDEXED, study_id(world))
    del world.finder.by_uid[uid(1)]
    return problem


@pytest.mark.parametrize(
    "harm",
    [
        replace_object,
        replace_by_stranger,
        older_manifest,
        delete_object,
        plant_object,
        damage_chunk,
        damage_header,
        damage_mac,
        lose_key,
        delete_manifest,
        foreign_file,
        lost_batch_key,
        damaged_batch,
        unindexed,
    ],
)
async def test_each_harm_is_named(house: World, harm: Callable[[World], Awaitable[Problem]]) -> None:
    """That one, by its ids, and no other; and it says nothing of anybody."""
    await fill(house)
    expected = await harm(house)
    found = await verify(house)
    assert found.problems == [expected]
    assert found.counts() == {expected.kind.value: 1}
    assert uid(1) not in repr(found)


async def test_a_manifest_of_another_study(house: World) -> None:
    """It does not open here; copied between studies that share a key it would not be taken either."""
    await fill(house)
    house.store.put(manifest_place(study_id(house)), house.store.read(manifest_place(study_id(house, 2))))
    found = await verify(house)
    assert found.problems == [Problem(ProblemKind.REPLACED, study_id(house))]


async def test_an_archive_that_goes_on_receiving_is_no_problem(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came between the listing and the look is judged again."""
    await fill(house)
    real_rows = house.finder.rows
    asked = 0

    async def rows(study_id: str) -> tuple[str, ...]:
        nonlocal asked
        asked += 1
        known = await real_rows(study_id)
        if asked == 1:
            await house.send(data_set(1, 1, 50), names(1, 1, 50), EXPLICIT)
            await house.send(data_set(2, 1, 50), names(2, 1, 50), EXPLICIT)
        return known

    monkeypatch.setattr(house.finder, "rows", rows)
    assert (await verify(house)).problems == []


async def test_the_index_is_built_again(house: World) -> None:
    """From objects, manifests and keys: the same rows, standings and versions (P4)."""
    for path in corpus.instances():
        await house.import_file(path)
    await house.send(data_set(), names(), EXPLICIT)
    await house.send(data_set(name=b"AUTRE^CLAUDE"), names(), EXPLICIT)
    await house.finder.flush()
    before = snapshot(house)
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert found.problems == []
    assert snapshot(house) == before
    assert found.objects == sum(len(known.objects) for known in before.values())
    assert set(found.versions) == {study.placement.study_id for study in house.finder.by_uid.values()}
    assert (await verify(house)).problems == []
    standings = {standing for known in before.values() for _, standing in known.objects.values()}
    assert Standing.HELD in standings


class Known(NamedTuple):
    """All that the finder knows of a study."""

    placement: Placement
    version: int
    objects: dict[str, tuple[StoredObject, Standing]]
    series_ids: dict[str, str]


def snapshot(world: World) -> dict[str, Known]:
    """All that the finder knows, by study UID."""
    return {
        study_uid: Known(study.placement, study.version, dict(study.objects), dict(study.series_ids))
        for study_uid, study in sorted(world.finder.by_uid.items())
    }


async def test_what_nothing_attests_is_said(house: World) -> None:
    """An object no manifest lists is restored, and put before a person; so is a study without a manifest."""
    await fill(house, 2, 2)
    manifest = house.store.read(manifest_place(study_id(house)))
    await house.send(data_set(1, 1, 9), names(1, 1, 9), EXPLICIT)
    await house.finder.flush()
    late = object_ids(house)[-1]
    house.store.put(manifest_place(study_id(house)), manifest)
    house.store.delete(manifest_place(study_id(house, 2)))
    unattested = {late, *object_ids(house, 2)}
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert (found.studies, found.objects, found.unattested) == (2, 5, 3)
    assert {problem.instance_id for problem in found.problems} == unattested
    assert {problem.kind for problem in found.problems} == {ProblemKind.UNATTESTED}
    assert set(house.finder.notes) == {(DoubtKind.UNATTESTED, value) for value in unattested}
    assert found.versions[study_id(house, 2)] == 0


async def test_rebuilding_takes_in_nothing_false(house: World) -> None:
    """Neither a swapped object, nor a damaged one, nor one whose key is gone; each is named."""
    await fill(house, 3, 3)
    exchange(house, *(instance_place(study_id(house), value) for value in object_ids(house)[:2]))
    damaged = instance_place(study_id(house, 2), object_ids(house, 2)[0])
    house.store.put(damaged, house.store.read(damaged)[:100])
    house.store.delete(instance_place(study_id(house, 2), object_ids(house, 2)[1]))
    del house.vault.studies[study_id(house, 3)]
    house.store.put(key_place(new_id()), b"a key that nobody ever used")
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert sorted(problem.kind.value for problem in found.problems) == [
        "damaged",
        "deleted",
        "missing-key",
        "replaced",
        "replaced",
    ]
    assert (found.studies, found.objects) == (2, 2)


async def test_what_a_rebuild_missed_stays_named(house: World) -> None:
    """What lay in the place of a listed object is not taken for it later; verifying names it as before."""
    await fill(house, 2, 2)
    exchange(house, *(instance_place(study_id(house), value) for value in object_ids(house)))
    house.store.delete(instance_place(study_id(house, 2), object_ids(house, 2)[0]))
    before = (await verify(house)).counts()
    assert before == {"swapped": 2, "deleted": 1}
    house.finder.by_uid.clear()
    await rebuild(house)
    house.finder.open.update(study_id(house, study) for study in (1, 2))
    assert await Settler(house.store, house.finder, house.vault).catch_up() == Settled()
    assert (await verify(house)).counts() == before
    study = house.open(uid(1))
    for value in object_ids(house):
        with pytest.raises(WrongObject):
            study.data_set(study.listed(value))


async def test_a_folder_that_somebody_made_takes_no_study_s_place(house: World) -> None:
    """Sealed to a key of its own, under the UID of a study, first in the list: named, and left out."""
    await fill(house, 1, 2)
    true = snapshot(house)
    forged = X25519Identity.generate()
    house.vault.studies["0" * 32] = forged
    content = b"".join(house.open(uid(1)).read_part10(house.open(uid(1)).instances()[0]))
    house.store.put(instance_place("0" * 32, "0" * 32), seal(content, [forged.recipient]))
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert found.problems == [Problem(ProblemKind.UNATTESTED, "0" * 32)]
    assert snapshot(house) == true


async def test_a_folder_with_two_studies_ends_no_rebuild(house: World) -> None:
    """Nobody but the archive puts objects there: the one that does not belong is named."""
    await fill(house, 2, 1)
    first, second = (instance_place(study_id(house, n), object_ids(house, n)[0]) for n in (1, 2))
    content = b"".join(house.open(uid(2)).read_part10(house.open(uid(2)).instances()[0]))
    recipient = house.vault.studies[study_id(house)].recipient
    stray = instance_place(study_id(house), "f" * 32)
    house.store.put(stray, seal(content, [recipient]))
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert found.problems == [Problem(ProblemKind.UNATTESTED, study_id(house), instance_id="f" * 32)]
    assert (found.studies, found.objects) == (2, 2)
    assert {first, second, stray} <= {place for place, _ in house.store.list()}


async def test_a_study_that_is_gone_with_its_row_is_missing(house: World) -> None:
    """Folder, key and row taken away, or all of it as it once was: only the journal knows, and says so."""
    await fill(house, 2, 2)
    gone = study_id(house)
    for place, _ in list(house.store.list(study_folder(gone))):
        house.store.delete(place)
    del house.vault.studies[gone], house.finder.by_uid[uid(1)]
    assert (await verify(house)).problems == [Problem(ProblemKind.MISSING, gone)]


async def test_a_study_put_back_as_it_was_is_missing_what_came_since(house: World) -> None:
    """Manifest, row and folder agree, and the journal says that more came; a second copy is no more."""
    await fill(house, 1, 2)
    kept = house.finder.by_uid[uid(1)].objects.popitem()[0]
    house.store.delete(instance_place(study_id(house), kept))
    house.finder.by_uid[uid(1)].dirty = True
    await house.finder.flush()
    assert (await verify(house)).problems == [Problem(ProblemKind.MISSING, study_id(house))]
    await house.vault.doubled(study_id(house), (kept,))
    assert (await verify(house)).problems == []


async def test_a_forged_manifest_is_not_believed(house: World) -> None:
    """Its objects are restored as unattested."""
    await fill(house, 1, 1)
    recipient = house.vault.studies[study_id(house)].recipient
    house.store.put(manifest_place(study_id(house)), seal(b"x" * 200, [recipient]))
    with pytest.raises(SealError):
        house.open(uid(1))
    house.finder.by_uid.clear()
    found = await rebuild(house)
    assert [problem.kind for problem in found.problems] == [ProblemKind.DAMAGED, ProblemKind.UNATTESTED]
