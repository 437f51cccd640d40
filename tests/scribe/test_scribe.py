"""The scribe: the house's own work, in rounds that may break off anywhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from huisclos.archive.layout import metadata_place
from huisclos.archive.nouns import Cut, Located, Outcome, Quarantined, QuietSeries, Rivals
from huisclos.errors import Unreachable
from huisclos.scribe.main import Scribe, run_scribe
from huisclos.stores.local import LocalStore
from tests.archive.samples import EXPLICIT, data_set, element, names, uid
from tests.archive.world import STRANGER, World


@pytest.fixture
def house(tmp_path: Path) -> World:
    """A house over a real folder."""
    return World(LocalStore(tmp_path / "archive"))


def scribe(house: World) -> Scribe:
    """As its process has one."""
    return Scribe(house.store, house.finder, house.vault, house.vault.verify_key)


async def test_a_round_settles_and_describes(house: World) -> None:
    """What came in the dark is in its study, and its series has fresh metadata."""
    house.finder.away = True
    for number in (1, 2):
        await house.send(data_set(1, 1, number), names(1, 1, number), EXPLICIT)
    house.finder.away = False
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_scribe(
            house.store,
            house.finder,
            house.vault,
            house.vault.verify_key,
            stop=stop,
            interval=0.02,
        )
    )
    while not house.finder.written:
        await asyncio.sleep(0.01)
    stop.set()
    await task
    study = house.open(uid(1))
    assert len(study.manifest.instances) == 2
    assert study.sealed_metadata(study.series(uid(1, 1))) is not None


async def test_metadata_is_written_once_and_again_after_a_change(house: World) -> None:
    """Fresh metadata is left as it is; a blob that is there already is not written again."""
    await house.send(data_set(), names(), EXPLICIT)
    stop = asyncio.Event()
    assert await scribe(house).describe(stop) == 1
    assert await scribe(house).describe(stop) == 0
    study = house.open(uid(1))
    place = metadata_place(study.manifest.study_id, study.manifest.series[0].series_id)
    first = house.store.read(place)
    house.finder.written.clear()
    assert await scribe(house).describe(stop) == 1
    assert house.store.read(place) == first
    await house.send(data_set(1, 1, 2), names(1, 1, 2), EXPLICIT)
    assert await scribe(house).describe(stop) == 1
    assert house.store.read(place) != first


async def test_a_study_that_is_not_what_it_should_be_does_not_stop_the_others(house: World) -> None:
    """It is given up for this version, and the rest is described."""
    await house.send(data_set(1), names(1), EXPLICIT)
    await house.send(data_set(2), names(2), EXPLICIT)
    await house.finder.flush()
    study = house.finder.by_uid[uid(1)]
    (entry,) = study.objects
    folder = f"objects/{study.placement.study_id[:2]}/{study.placement.study_id}"
    damaged = f"{folder}/{entry}.dcm.age"
    house.store.put(damaged, house.store.read(damaged)[:-1])
    one, stop = scribe(house), asyncio.Event()
    assert await one.describe(stop) == 1
    assert await one.describe(stop) == 0
    assert len(house.finder.written) == 1


async def test_it_outlasts_everybody_being_away(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round breaks off, the next one ends it."""
    await house.send(data_set(), names(), EXPLICIT)
    real, failures = house.finder.quiet_series, 3

    async def quiet(seconds: float) -> tuple[QuietSeries, ...]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise Unreachable("away")
        return await real(seconds)

    monkeypatch.setattr(house.finder, "quiet_series", quiet)
    stop = asyncio.Event()
    work = run_scribe(
        house.store, house.finder, house.vault, house.vault.verify_key, stop=stop, interval=0.01
    )
    task = asyncio.create_task(work)
    while not house.finder.written:
        await asyncio.sleep(0.01)
    stop.set()
    await task
    assert failures < 0


async def test_the_finder_is_told_what_waits_apart(house: World) -> None:
    """Once, again when it changes, and that nothing waits any more."""
    one = scribe(house)
    await one.settle()
    assert not house.finder.quarantine
    await house.send(data_set(), names(), EXPLICIT, source=STRANGER)
    await one.settle()
    told: tuple[Quarantined, ...] | None = house.finder.quarantine
    (waiting,) = told or ()
    assert (waiting.source.id, waiting.instances) == (STRANGER.id, 1)
    house.finder.quarantine = None
    await one.settle()
    assert house.finder.quarantine is None
    house.vault.approved.add(STRANGER.id)
    await one.settle()
    assert house.finder.quarantine == ()


@pytest.mark.parametrize("whole_first", [True, False])
async def test_a_cut_instance_gives_way(house: World, whole_first: bool) -> None:
    """Two rivals are compared once, with the keys of the house; what the house decided is journalled."""
    whole = data_set(pixels=bytes(range(256)) * 40)
    contents = [whole, whole[:-500]] if whole_first else [whole[:-500], whole]
    received = [await house.send(content, names(), EXPLICIT) for content in contents]
    assert received[1].outcome is Outcome.HELD
    state = house.finder.settle(house.finder.by_uid[uid(1)])
    located = [Located(state, one.stored.instance_id) for one in received]
    house.finder.rivals = [Rivals("doubt", *located)]
    one = scribe(house)
    assert await one.compare() == 1
    cut = Cut.SECOND if whole_first else Cut.FIRST
    assert house.finder.comparisons == [("doubt", cut)]
    assert house.vault.cut == [(state.study_id, cut)]
    assert await one.compare() == 0


async def test_the_same_written_anew_is_no_doubt(house: World) -> None:
    """As when a toolkit leaves out the padding that a file ends with: the first goes on answering."""
    contents = [data_set() + element(0xFFFCFFFC, "OB", bytes(120)), data_set()]
    received = [await house.send(content, names(), EXPLICIT) for content in contents]
    assert received[1].outcome is Outcome.HELD
    state = house.finder.settle(house.finder.by_uid[uid(1)])
    house.finder.rivals = [Rivals("doubt", *(Located(state, one.stored.instance_id) for one in received))]
    assert await scribe(house).compare() == 1
    assert house.finder.comparisons == [("doubt", Cut.SAME)]
    assert house.vault.cut == [(state.study_id, Cut.SAME)]


async def test_rivals_that_do_not_open_are_left_to_people(house: World) -> None:
    """Damaged, or gone: nobody is preferred, and the scribe goes on."""
    first = await house.send(data_set(), names(), EXPLICIT)
    second = await house.send(data_set(name=b"AUTRE^C"), names(), EXPLICIT)
    state = house.finder.settle(house.finder.by_uid[uid(1)])
    place = f"objects/{state.study_id[:2]}/{state.study_id}/{second.stored.instance_id}.dcm.age"
    house.store.put(place, house.store.read(place)[:-1])
    ids = (first.stored.instance_id, second.stored.instance_id)
    house.finder.rivals = [
        Rivals("damaged", *(Located(state, value) for value in ids)),
        Rivals("gone", Located(state, ids[0]), Located(state, "0" * 32)),
    ]
    assert await scribe(house).compare() == 0
    assert {cut for _, cut in house.finder.comparisons} == {Cut.NEITHER}
    assert not house.vault.cut


async def test_a_rebuild_that_was_left_is_done_again(house: World) -> None:
    """Whoever emptied the index went away: the house makes it anew by itself, and once."""
    await house.send(data_set(), names(), EXPLICIT)
    await house.finder.flush()
    await house.finder.clear()
    assert await scribe(house).rebuild()
    assert len(house.open(uid(1)).manifest.instances) == 1
    assert not await scribe(house).rebuild()
