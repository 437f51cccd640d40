"""The finder as faces and the house see it: storing, finding, deciding, starting again."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from huisclos.access.nouns import Grant, Right
from huisclos.archive.finder_ports import Restored, RestoredStudy
from huisclos.archive.index_ports import Settling
from huisclos.archive.layout import manifest_place, new_id
from huisclos.archive.nouns import (
    Choice,
    DoubtKind,
    Level,
    Outcome,
    Query,
    Side,
    Standing,
    StoredObject,
)
from huisclos.errors import (
    BadQuery,
    Conflict,
    InstanceNotFound,
    Locked,
    NotFound,
    NotGranted,
    Rebuilding,
    StudyNotFound,
    Tampered,
)
from huisclos.finder.catalog import FinderCatalog
from huisclos.finder.rebuilding import LEASE
from tests.finder.house import JPEG, NOW, World, heading, stored


async def put(
    catalog: FinderCatalog, said: Any, content: bytes = b"", **more: Any
) -> tuple[Outcome, StoredObject]:
    """Store one instance as reception would."""
    placement = await catalog.place(said.study_uid)
    made = stored(placement, said, content, **more)
    return await catalog.register(made), made


async def rows(catalog: FinderCatalog, grant: Grant, level: Level, **match: str) -> list[dict[str, Any]]:
    """The rows of a query's answer."""
    page = await catalog.query(grant, Query(level, match, limit=1000))
    found: list[dict[str, Any]] = msgspec.json.decode(page.rows)
    assert page.total == page.count == len(found)
    return found


async def test_what_is_registered_is_found_at_once(world: World) -> None:
    """Study, series and instances answer before anything is committed, and after."""
    catalog = world.start()
    for series in (1, 2):
        for instance in (1, 2, 3):
            outcome, _ = await put(catalog, heading(1, series, instance))
            assert outcome is Outcome.STORED
    for _ in range(2):
        grant = world.grant()
        (study,) = await rows(catalog, grant, Level.STUDY, PatientName="exemple*")
        assert study["00201208"]["Value"] == [6]
        assert study["00201206"]["Value"] == [2]
        assert len(await rows(catalog, grant, Level.SERIES, StudyInstanceUID=heading().study_uid)) == 2
        found = await rows(catalog, grant, Level.INSTANCE)
        assert [row["00200013"]["Value"] for row in found] == [[1], [2], [3]] * 2
        assert len(await rows(catalog, grant, Level.INSTANCE, InstanceNumber="2")) == 2
        assert len(await rows(catalog, grant, Level.INSTANCE, SOPInstanceUID=heading().instance_uid)) == 1
        page = await catalog.query(grant, Query(Level.INSTANCE, offset=4, limit=1))
        assert (page.total, page.count) == (6, 1)
        await catalog.flush()
    counts = await catalog.counts()
    assert (counts.patients, counts.studies, counts.series, counts.instances) == (1, 1, 2, 6)
    assert counts.last_received_at == 1.7e9


async def test_placing_is_idempotent_under_races(world: World) -> None:
    """Many ask for one new study at once; one is made. Another study is another one."""
    catalog = world.start()
    placements = await asyncio.gather(*(catalog.place("1.2.3") for _ in range(20)))
    assert len(set(placements)) == 1
    assert len(world.identities) == 1
    assert (await catalog.place("1.2.4")).study_id != placements[0].study_id
    assert await world.start().place("1.2.3") == placements[0]


async def test_whoever_asked_first_may_go_away(world: World) -> None:
    """A cancelled `place` leaves the others their study."""
    catalog = world.start()
    first = asyncio.create_task(catalog.place("1.2.3"))
    second = asyncio.create_task(catalog.place("1.2.3"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == await catalog.place("1.2.3")
    assert len(world.identities) == 1


async def test_a_place_that_fails_is_asked_again(world: World) -> None:
    """When the vault is away no study is made; the next call makes it."""
    catalog = world.start()

    def away() -> None:
        raise Locked("locked")

    world.before_new_study = away
    with pytest.raises(Locked):
        await catalog.place("1.2.3")
    world.before_new_study = lambda: None
    assert (await catalog.place("1.2.3")).study_id in world.identities


async def test_duplicates_alternatives_and_held(world: World) -> None:
    """The same again is a duplicate, another syntax an alternative, other content is held."""
    catalog = world.start()
    _, first = await put(catalog, heading(), b"one")
    assert (await put(catalog, heading(), b"one"))[0] is Outcome.DUPLICATE
    assert (await put(catalog, heading(), b"jpeg", syntax=JPEG))[0] is Outcome.ALTERNATIVE
    assert (await put(catalog, heading(), b"two"))[0] is Outcome.HELD
    assert (await put(catalog, heading(), b"two"))[0] is Outcome.DUPLICATE
    smaller = heading(rows=64)
    assert (await put(catalog, smaller, b"small", syntax="1.2.840.10008.1.2.4.50"))[0] is Outcome.HELD
    assert await catalog.register(first) is Outcome.STORED
    (study,) = await rows(catalog, world.grant(), Level.STUDY)
    assert study["00201208"]["Value"] == [1]
    assert len(await rows(catalog, world.grant(), Level.INSTANCE)) == 1
    assert await catalog.holds(heading().instance_uid, first.digest)
    assert not await catalog.holds(heading().instance_uid, b"x" * 32)
    doubts = await catalog.doubts(world.grant(Right.DECIDE))
    assert [doubt.kind for doubt in doubts] == [DoubtKind.SAME_UID_OTHER_CONTENT] * 2
    assert (await catalog.counts()).doubts == 2


async def test_one_instance_in_two_studies_is_held(world: World) -> None:
    """A SOP Instance UID that comes again in another study is held; that study is not found by it."""
    catalog = world.start()
    await put(catalog, heading())
    other = heading(2)
    twin = msgspec.convert({**_fields(other), "instance_uid": heading().instance_uid}, type(other))
    outcome, _ = await put(catalog, twin, b"other")
    assert outcome is Outcome.HELD
    assert len(await rows(catalog, world.grant(), Level.STUDY)) == 1
    with pytest.raises(StudyNotFound):
        await catalog.study(world.grant(), other.study_uid)


def _fields(said: Any) -> dict[str, Any]:
    return {name: getattr(said, name) for name in said.__dataclass_fields__}


async def test_deciding_and_undoing(world: World) -> None:
    """Keeping the second swaps the two, undo swaps them back; each survives a restart."""
    catalog = world.start()
    await put(catalog, heading(), b"one")
    await put(catalog, heading(), b"jpeg", syntax=JPEG)
    await put(catalog, heading(patient_name="AUTRE^Dominique", instance_number=7), b"two")
    (doubt,) = [
        one
        for one in await catalog.doubts(world.grant(Right.DECIDE))
        if one.kind is DoubtKind.SAME_UID_OTHER_CONTENT
    ]
    for choice, number, name in (
        (Choice.KEEP_SECOND, 7, "AUTRE^Dominique"),
        (Choice.KEEP_SECOND, 7, "AUTRE^Dominique"),
        (None, 1, None),
        (Choice.KEEP_FIRST, 1, None),
    ):
        decided = await catalog.decide(world.grant(Right.DECIDE), doubt.id, choice)
        assert decided.decided is choice
        assert (decided.decided_by == "Camille Exemple") is (choice is not None)
        (row,) = await rows(catalog, world.grant(), Level.INSTANCE)
        assert row["00200013"]["Value"] == [number]
        if name:
            assert row["00100010"]["Value"] == [{"Alphabetic": name}]
        state = await catalog.state_of(world.grant(), heading().study_uid)
        standings = sorted(entry.standing for entry in world.manifest(state).instances)
        beside = Standing.HELD if number == 7 else Standing.ALTERNATIVE
        assert standings == sorted([Standing.PRIMARY, Standing.HELD, beside])
        catalog = world.start()
    assert all(one.id != doubt.id for one in await catalog.doubts(world.grant(Right.DECIDE)))
    assert any(one.id == doubt.id for one in await catalog.doubts(world.grant(Right.DECIDE), decided=True))
    with pytest.raises(BadQuery):
        await catalog.decide(world.grant(Right.DECIDE), doubt.id, Choice.SAME_PERSON)
    with pytest.raises(NotFound):
        await catalog.decide(world.grant(Right.DECIDE), "nothing", None)


async def test_same_id_other_person(world: World) -> None:
    """The same patient id with another name is listed once, and both studies stay apart."""
    catalog = world.start()
    await put(catalog, heading(1))
    await put(catalog, heading(2, patient_name="Éxemple^CAMILLE"))
    assert await catalog.doubts(world.grant(Right.DECIDE)) == ()
    await put(catalog, heading(3, patient_name="AUTRE^Dominique"))
    await put(catalog, heading(3, 1, 2, patient_name="AUTRE^Dominique"))
    await put(catalog, heading(4, patient_name="AUTRE^Dominique"))
    (doubt,) = await catalog.doubts(world.grant(Right.DECIDE))
    assert doubt.kind is DoubtKind.SAME_ID_OTHER_PERSON
    assert {doubt.left.patient_name, doubt.right.patient_name} & {"AUTRE^Dominique"}
    page = await catalog.studies(world.grant(), Query(Level.STUDY, text="p1"))
    assert page.total == 4
    assert sum(row.doubts for row in page.rows) == 2
    assert (await catalog.counts()).patients == 2
    await catalog.decide(world.grant(Right.DECIDE), doubt.id, Choice.SAME_PERSON)
    assert (await catalog.counts()).patients == 1


async def test_two_people_in_one_study(world: World) -> None:
    """A study whose instances say two patients is listed as well."""
    catalog = world.start()
    await put(catalog, heading())
    await put(catalog, heading(1, 1, 2, patient_id="P2", patient_name="AUTRE^Dominique"))
    assert len(await catalog.doubts(world.grant(Right.DECIDE))) == 1


async def test_not_looked_inside(world: World) -> None:
    """What could not be looked into is held, until somebody accepts it."""
    catalog = world.start()
    assert (await put(catalog, heading(), looked_inside=False))[0] is Outcome.HELD
    assert await rows(catalog, world.grant(), Level.STUDY) == []
    (doubt,) = await catalog.doubts(world.grant(Right.DECIDE))
    await catalog.decide(world.grant(Right.DECIDE), doubt.id, Choice.ACCEPT)
    assert len(await rows(catalog, world.grant(), Level.INSTANCE)) == 1
    await catalog.decide(world.grant(Right.DECIDE), doubt.id, None)
    assert await rows(catalog, world.grant(), Level.INSTANCE) == []


async def test_manifests_are_written_when_asked_and_grow(world: World) -> None:
    """`state_of` vouches for the manifest on disk; its version grows, across restarts too."""
    catalog = world.start()
    versions = []
    for instance in range(1, 5):
        await put(catalog, heading(1, 1, instance))
        state = await catalog.state_of(world.grant(), heading().study_uid)
        manifest = world.manifest(state)
        assert len(manifest.instances) == instance
        assert manifest.instances[0].rows == 512
        assert state == await catalog.state_of(world.grant(), heading().study_uid)
        versions.append(state.version)
        if instance % 2:
            catalog = world.start()
    assert versions == sorted(set(versions))


async def test_manifests_are_written_once_a_study_is_quiet(world: World) -> None:
    """Nothing is signed while instances arrive; two seconds later one manifest is written."""
    catalog = world.start()
    keeping_up = asyncio.create_task(catalog.keep_up())
    _, made = await put(catalog, heading())
    await asyncio.sleep(0.3)
    assert world.signed == 0
    with pytest.raises(InstanceNotFound):
        world.store.read(manifest_place(made.study_id))
    assert [row.instance_id for row in world.index.instances(made.study_id)] == [made.instance_id]
    world.moment += 2.5
    await asyncio.sleep(0.4)
    assert world.signed == 1
    assert world.store.read(manifest_place(made.study_id))
    keeping_up.cancel()


async def test_a_locked_vault_loses_nothing(world: World) -> None:
    """Rows are committed when manifests cannot be signed; the next start writes them."""
    catalog = world.start()
    await put(catalog, heading())
    world.locked = True
    with pytest.raises(Locked):
        await catalog.flush()
    with pytest.raises(Locked):
        await catalog.state_of(world.grant(), heading().study_uid)
    world.locked = False
    again = world.start()
    state = await again.state_of(world.grant(), heading().study_uid)
    assert len(world.manifest(state).instances) == 1


async def test_after_a_crash_only_open_studies_are_looked_through(world: World) -> None:
    """What was never committed is found again: its study is OPEN, durably, since it was placed."""
    catalog = world.start()
    for number in (1, 2):
        await put(catalog, heading(number))
    await catalog.flush()
    world.moment += 4_000.0
    await catalog.flush()
    assert {row.state for row in world.index.studies()} == {Settling.SETTLED}
    catalog = world.start()
    assert await catalog.unsettled() == ()
    _, lost = await put(catalog, heading(1, 1, 2))
    # the process dies here: nothing of the last instance was committed
    catalog = world.start()
    assert await catalog.unsettled() == (lost.study_id,)
    known = await catalog.rows(lost.study_id)
    assert await catalog.unknown(lost.study_id, (*known, lost.instance_id)) == (lost.instance_id,)
    assert await catalog.register(lost) is Outcome.STORED
    await catalog.caught_up(lost.study_id)
    assert await catalog.unsettled() == ()
    assert len(await rows(catalog, world.grant(), Level.INSTANCE, StudyInstanceUID=heading().study_uid)) == 2


async def test_registering_where_it_does_not_belong(world: World) -> None:
    """An object of an unknown study, or in the folder of another, is refused."""
    catalog = world.start()
    placement = await catalog.place(heading(1).study_uid)
    with pytest.raises(Conflict):
        await catalog.register(stored(placement, heading(2)))
    nowhere = msgspec.structs.replace(placement, study_id=new_id())
    with pytest.raises(StudyNotFound):
        await catalog.register(stored(nowhere, heading(1)))


@pytest.mark.parametrize("right", [Right.JOURNAL, Right.STATE, Right.STORE])
async def test_reading_needs_the_right(world: World, right: Right) -> None:
    """A grant for something else shows no patient."""
    catalog = world.start()
    await put(catalog, heading())
    grant = world.grant(right)
    for asked in (
        catalog.query(grant, Query(Level.STUDY)),
        catalog.studies(grant, Query(Level.STUDY)),
        catalog.study(grant, heading().study_uid),
        catalog.state_of(grant, heading().study_uid),
        catalog.doubts(grant),
        catalog.decide(grant, "x", None),
    ):
        with pytest.raises(NotGranted):
            await asked


async def test_grants_are_the_vaults_and_end(world: World) -> None:
    """A grant made up, changed, or run out is refused."""
    catalog = world.start()
    good = world.grant()
    for bad in (
        msgspec.structs.replace(good, mac=b"x" * 32),
        msgspec.structs.replace(good, purpose="other"),
        world.grant(until=NOW.timestamp() - 1),
    ):
        with pytest.raises(NotGranted):
            await catalog.query(bad, Query(Level.STUDY))


async def test_a_grant_for_one_study_shows_no_other(world: World) -> None:
    """Whatever is asked under it, only that study answers."""
    catalog = world.start()
    _, one = await put(catalog, heading(1))
    _, two = await put(catalog, heading(2))
    grant = world.grant(Right.READ, one.study_id)
    for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        (row,) = await rows(catalog, grant, level)
        assert row["0020000D"]["Value"] == [heading(1).study_uid]
    assert (await catalog.studies(grant, Query(Level.STUDY))).total == 1
    assert (await catalog.study(grant, one.study_id)).study.study_uid == heading(1).study_uid
    for name in (heading(2).study_uid, two.study_id):
        with pytest.raises(StudyNotFound):
            await catalog.study(grant, name)
        with pytest.raises(StudyNotFound):
            await catalog.state_of(grant, name)


async def test_pages_and_sentences(world: World) -> None:
    """The study page has its series in order; the journal's sentences name who and when."""
    catalog = world.start()
    for series in (2, 1):
        await put(catalog, heading(1, series, series_number=series))
    view = await catalog.study(world.grant(), heading().study_uid)
    assert [one.number for one in view.series] == [1, 2]
    assert view.series[0].cover == heading(1, 1, 1).instance_uid
    assert view.study.birth_date == "19540312"
    sentences = await catalog.resolve(world.grant(Right.JOURNAL), (view.study.study_id, new_id()))
    assert sentences == {view.study.study_id: "EXEMPLE Camille, P1, 2024-02-29, CT"}
    found = await catalog.found_by(world.grant(Right.JOURNAL), "exemple 2024")
    assert found == (view.study.study_id,)
    assert await catalog.found_by(world.grant(Right.JOURNAL), "nobody") == ()
    with pytest.raises(NotGranted):
        await catalog.found_by(world.grant(Right.STORE), "exemple")


async def test_doubts_of_others(world: World) -> None:
    """A doubt noted twice is one; whoever noted it learns what was decided."""
    catalog = world.start()
    _, made = await put(catalog, heading())
    side = Side(study_uid=heading().study_uid)
    choices = (Choice.ACCEPT, Choice.LEAVE)
    ids = {await catalog.note(DoubtKind.UNATTESTED, side, Side(), choices, "key") for _ in range(2)}
    assert len(ids) == 1
    await catalog.decide(world.grant(Right.DECIDE), ids.pop(), Choice.ACCEPT)
    catalog = world.start()
    assert await catalog.decided(DoubtKind.UNATTESTED) == (("key", Choice.ACCEPT),)
    assert made.study_id


async def test_rebuilding(world: World) -> None:
    """Cleared and restored from objects and standings, the index answers as before; doubts stay."""
    catalog = world.start()
    await put(catalog, heading(), b"one")
    _, held = await put(catalog, heading(), b"two")
    _, other = await put(catalog, heading(2))
    state = await catalog.state_of(world.grant(), heading().study_uid)
    manifest = world.manifest(state)
    before = await rows(catalog, world.grant(), Level.INSTANCE)
    found = {entry.instance_id: entry for entry in manifest.instances}
    await catalog.clear()
    assert (await catalog.counts()).studies == 0
    assert (await catalog.counts()).rebuilding
    assert list(world.index.studies()) == []
    with pytest.raises(Locked):
        await catalog.place(heading().study_uid)
    with pytest.raises(Rebuilding):
        await catalog.studies(world.grant(), Query(Level.STUDY))
    series = tuple((one.series_uid, one.series_id) for one in manifest.series)
    recipient = str(world.identities[state.study_id].recipient)
    study = RestoredStudy(
        state.study_id, state.study_uid, recipient, state.version, state.manifest_digest, series
    )
    for _ in range(2):
        await catalog.restore_study(study)
        await catalog.restore(
            tuple(
                Restored(
                    msgspec.structs.replace(
                        held, instance_id=entry.instance_id, digest=entry.digest, heading=heading()
                    ),
                    entry.standing,
                )
                for entry in found.values()
            )
        )
    lost = RestoredStudy(other.study_id, heading(2).study_uid, recipient)
    await catalog.restore_study(lost)
    await catalog.restore((Restored(other),))
    await catalog.rebuilt()
    assert await rows(catalog, world.grant(), Level.INSTANCE) == before
    assert await catalog.state_of(world.grant(), heading().study_uid) == state
    assert len(await catalog.doubts(world.grant(Right.DECIDE))) == 1
    with pytest.raises(Conflict):
        await catalog.restore_study(msgspec.structs.replace(study, study_id=new_id()))


async def test_a_series_learns_what_was_requested_from_any_instance(world: World) -> None:
    """A series is found by a request that only a later instance names, after a restart too."""
    catalog = world.start()
    await put(catalog, heading(), b"one")
    await put(catalog, heading(instance=2, requests=(("PAS-1", "DP-1"),)), b"two")
    await catalog.flush()
    for one in (catalog, world.start()):
        found = await one.query(world.grant(), Query(Level.SERIES, {"00400275.00400009": "PAS-1"}))
        assert found.total == 1
        assert b'"00401001":{"vr":"SH","Value":["DP-1"]}' in found.rows


async def test_quiet_series_and_states(world: World) -> None:
    """A series is to be described once it is quiet, and again after it changed; restarts remember."""
    catalog = world.start()
    await put(catalog, heading())
    await put(catalog, heading(2))
    assert await catalog.quiet_series(5.0) == ()
    world.moment += 6.0
    quiet = await catalog.quiet_series(5.0)
    assert {one.series_uid for one in quiet} == {heading(1).series_uid, heading(2).series_uid}
    for one in quiet:
        await catalog.described(one)
    assert await catalog.quiet_series(5.0) == ()
    await put(catalog, heading(1, 1, 2))
    await catalog.described(quiet[0])
    await catalog.flush()
    catalog = world.start()
    assert [one.series_uid for one in await catalog.quiet_series(5.0)] == [heading(1).series_uid]
    states = await catalog.states()
    assert len(states) == 2
    assert await catalog.states(after=states[0].study_id) == states[1:]
    for state in states:
        assert world.manifest(state).version == state.version


async def test_a_changed_index_does_not_open(world: World) -> None:
    """A row whose clear columns were changed is refused: the index is rebuilt, not believed."""
    catalog = world.start()
    await put(catalog, heading())
    await catalog.flush()
    (row,) = world.index.studies()
    world.index.write([msgspec.structs.replace(row, version=row.version - 1)])
    with pytest.raises(Tampered):
        world.start()


async def test_nothing_in_clear(world: World) -> None:
    """No name, date, id or UID lies in the databases' files."""
    catalog = world.start()
    await put(catalog, heading(), b"one")
    await put(catalog, heading(patient_name="AUTRE^Dominique"), b"two")
    await catalog.flush()
    written = b"".join(path.read_bytes() for path in world.folder.iterdir())
    for text in ("EXEMPLE", "Camille", "19540312", "20240229", "3680043", "SCANNER", "AUTRE", "CT\x00"):
        assert text.encode() not in written


async def test_an_orderly_end_leaves_manifests_alone(world: World) -> None:
    """At the next start the folder is looked through, and what lies there as a manifest is left as it is."""
    catalog = world.start()
    await put(catalog, heading(1))
    await catalog.flush()
    assert {row.state for row in world.index.studies()} == {Settling.RESTED}
    signed = world.signed
    again = world.start()
    assert len(await again.unsettled()) == 1
    before = await again.state_of(world.grant(), heading().study_uid)
    await again.flush()
    assert world.signed == signed
    await put(again, heading(instance=2))
    after = await again.state_of(world.grant(), heading().study_uid)
    assert after.version == before.version + 1
    assert len(world.manifest(after).instances) == 2


async def test_a_study_is_settled_an_hour_after_its_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is kept up: its manifest once it is quiet, SETTLED when nothing can be on its way any more."""
    monkeypatch.setattr("huisclos.finder.catalog.WAIT", 0.001)
    catalog = world.start()
    await put(catalog, heading(1))
    keeping_up = asyncio.create_task(catalog.keep_up())
    for moment, state in ((3.0, Settling.OPEN), (3500.0, Settling.OPEN), (3700.0, Settling.SETTLED)):
        world.moment = 1000.0 + moment
        await asyncio.sleep(0.3)
        assert [state] == [row.state for row in world.index.studies()]
        assert world.signed == 1
    keeping_up.cancel()


async def test_after_a_crash_a_study_is_opened_whole(world: World) -> None:
    """Opening waits for what the scribe finds in the folder, and not for a scribe that does not come."""
    catalog = world.start()
    _, made = await put(catalog, heading())
    await catalog.flush()
    await catalog.place(made.heading.study_uid)
    again = world.start()
    opening = asyncio.create_task(again.state_of(world.grant(), heading().study_uid))
    await asyncio.sleep(0.1)
    assert not opening.done()
    await put(again, heading(instance=2))
    await again.caught_up(made.study_id)
    assert len(world.manifest(await opening).instances) == 2
    late = world.start()
    state = await late.state_of(world.grant(), heading().study_uid)
    assert len(world.manifest(state).instances) == 2


async def test_a_rebuild_that_is_left_is_known_to_the_next_finder(world: World) -> None:
    """Whoever empties the index and goes away leaves a mark; the scribe is told, now and after a restart."""
    catalog = world.start()
    await put(catalog, heading())
    assert not await catalog.abandoned()
    await catalog.clear()
    assert not await catalog.abandoned(), "somebody has just begun"
    world.moment += LEASE + 1
    assert await catalog.abandoned()
    await catalog.rebuilding()
    assert not await catalog.abandoned()
    catalog = world.start()
    assert await catalog.abandoned()
    await catalog.clear()
    await catalog.rebuilt()
    assert not await world.start().abandoned()


async def test_what_was_on_its_way_when_a_rebuild_began_is_looked_for(world: World) -> None:
    """A study placed just before, whose folder nobody saw, is there again, to be looked through."""
    catalog = world.start()
    placed = await catalog.place(heading().study_uid)
    await catalog.clear()
    await catalog.rebuilt()
    assert placed.study_id in await catalog.unsettled()
    assert (await catalog.place(heading().study_uid)).study_id == placed.study_id


async def test_a_face_that_ends_may_have_made_something_durable(world: World) -> None:
    """It answers its sender before it tells the finder: where it may have stored is looked through."""
    catalog = world.start()
    placed = await catalog.place(heading().study_uid)
    catalog.gone("auditor")
    assert await catalog.unsettled() == ()
    catalog.gone("reception")
    assert await catalog.unsettled() == (placed.study_id,)
    await catalog.caught_up(placed.study_id)
    assert await catalog.unsettled() == ()


async def test_a_house_that_stops_writes_its_manifests(world: World) -> None:
    """Its faces end before the finder does: that puts studies in doubt, and keeps no manifest back."""
    catalog = world.start()
    _, made = await put(catalog, heading())
    catalog.gone("web")
    await catalog.flush()
    assert world.store.read(manifest_place(made.study_id))
