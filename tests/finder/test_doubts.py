"""Cards of the house's own finding: the quarantine, rivals compared, what nobody remembers."""

from __future__ import annotations

import msgspec
import pytest

from huisclos.access.grants import sign
from huisclos.access.nouns import ActorKind, Grant, Right, Source
from huisclos.archive.finder_ports import Restored, RestoredStudy
from huisclos.archive.layout import new_id
from huisclos.archive.manifest import primary
from huisclos.archive.nouns import Choice, Cut, Doubt, DoubtKind, Level, Quarantined, Side
from huisclos.errors import Conflict, NotFound, NotGranted, StudyNotFound
from huisclos.finder.catalog import FinderCatalog
from tests.finder.house import NOW, World, heading
from tests.finder.test_catalog import put, rows

STRANGER = Source(ActorKind.PEER, "bb" * 16, "STRANGER", "192.168.1.9", quarantine=True)


async def cards(catalog: FinderCatalog, world: World, *, decided: bool = False) -> tuple[Doubt, ...]:
    """What the page lists."""
    return await catalog.doubts(world.grant(Right.DECIDE), decided=decided)


def waiting(instances: int = 2, source: Source = STRANGER) -> Quarantined:
    """What waits of a sender."""
    return Quarantined(source, instances, instances * 1000, 1.7e9)


async def test_a_full_quarantine_comes_back_to_be_decided(world: World) -> None:
    """Left waiting, it could go on sending; once its quota is full that is asked again, once."""
    catalog = world.start()
    await catalog.quarantined((waiting(2),))
    ((card,), grant) = await cards(catalog, world), world.grant(Right.DECIDE)
    await catalog.decide(grant, card.id, Choice.LEAVE)
    full = msgspec.structs.replace(waiting(3), full_since=1.8e9)
    await catalog.quarantined((full,))
    (card,) = await cards(catalog, world)
    assert (card.decided, card.left.full_since, card.left.instances) == (None, 1.8e9, 3)
    await catalog.decide(grant, card.id, Choice.LEAVE)
    await catalog.quarantined((msgspec.structs.replace(full, instances=4),))
    assert await cards(catalog, world) == ()


async def test_a_quarantine_has_one_card_brought_up_to_date(world: World) -> None:
    """Who, how many, since when; another sender has another; it outlives the finder."""
    catalog = world.start()
    other = msgspec.structs.replace(STRANGER, id="dd" * 16, label="OTHER")
    await catalog.quarantined((waiting(2),))
    await catalog.quarantined((waiting(3), waiting(1, other)))
    catalog = world.start()
    listed = {one.left.source: one for one in await cards(catalog, world)}
    assert {title: one.left.instances for title, one in listed.items()} == {"STRANGER": 3, "OTHER": 1}
    card = listed["STRANGER"]
    assert (card.kind, card.since, card.left.address) == (DoubtKind.QUARANTINE, 1.7e9, "192.168.1.9")
    assert card.left.source_id == STRANGER.id
    assert (await catalog.counts()).doubts == 2
    await catalog.quarantined((waiting(1, other),))
    assert [one.left.source for one in await cards(catalog, world)] == ["OTHER"]
    await catalog.quarantined(())
    assert await cards(world.start(), world) == ()
    assert (await catalog.counts()).doubts == 0


async def test_what_a_person_decided_about_a_sender(world: World) -> None:
    """Kept waiting, and brought back; admitted, and remembered once nothing waits; never undone then."""
    catalog, grant = world.start(), world.grant(Right.DECIDE)
    await catalog.quarantined((waiting(),))
    (card,) = await cards(catalog, world)
    await catalog.decide(grant, card.id, Choice.LEAVE)
    await catalog.quarantined((waiting(5),))
    (left,) = await cards(catalog, world, decided=True)
    assert (left.decided, left.left.instances) == (Choice.LEAVE, 5)
    await catalog.decide(grant, card.id, None)
    assert (await catalog.doubt(grant, card.id)).decided is None
    await catalog.decide(grant, card.id, Choice.ADMIT)
    for one in ((waiting(5),), ()):
        await catalog.quarantined(one)
    (admitted,) = await cards(catalog, world, decided=True)
    assert admitted.decided is Choice.ADMIT
    with pytest.raises(Conflict):
        await catalog.decide(grant, card.id, None)


async def test_only_an_owner_decides_for_good(world: World) -> None:
    """Whoever may decide doubts, and not admit people and peers, does not decide about a sender."""
    catalog = world.start()
    await catalog.quarantined((waiting(),))
    (card,) = await cards(catalog, world)
    owner = world.grant(Right.DECIDE)
    rights = frozenset(Right) - {Right.PEOPLE}
    actor = msgspec.structs.replace(owner.actor, rights=rights)
    grant = sign(Grant(new_id(), actor, Right.DECIDE, "", NOW.timestamp() + 60), world.grant_key)
    for choice in (Choice.ADMIT, Choice.REFUSE):
        with pytest.raises(NotGranted):
            await catalog.decide(grant, card.id, choice)
    assert (await catalog.decide(grant, card.id, Choice.LEAVE)).decided is Choice.LEAVE


@pytest.mark.parametrize("cut", [Cut.FIRST, Cut.SECOND, Cut.SAME])
async def test_the_whole_one_answers_where_one_was_cut_short(world: World, cut: Cut) -> None:
    """The house decides it, says so on the card, and lets a person undo it for good."""
    catalog, grant = world.start(), world.grant(Right.DECIDE)
    _, first = await put(catalog, heading(rows=10), b"one")
    _, second = await put(catalog, heading(rows=20), b"two")
    (rivals,) = await catalog.uncompared()
    assert (rivals.first.instance_id, rivals.second.instance_id) == (first.instance_id, second.instance_id)
    manifest = world.manifest(rivals.first.state)
    assert {entry.instance_id for entry in manifest.instances} == {first.instance_id, second.instance_id}
    assert await catalog.compared(rivals.doubt_id, cut)
    (card,) = await cards(catalog, world, decided=True)
    kept = Choice.KEEP_SECOND if cut is Cut.FIRST else Choice.KEEP_FIRST
    assert (card.cut, card.decided, card.decided_by) == (cut, kept, "")
    assert (card.left.instance_id, card.right.instance_id) == (first.instance_id, second.instance_id)
    answering = await rows(catalog, world.grant(), Level.INSTANCE)
    assert [row["00280010"]["Value"] for row in answering] == [[20 if cut is Cut.FIRST else 10]]
    await catalog.decide(grant, card.id, None)
    catalog = world.start()
    assert await catalog.uncompared() == ()
    (card,) = await cards(catalog, world)
    assert card.cut is cut


async def test_two_contents_are_compared_once_and_left_to_people(world: World) -> None:
    """When neither is the beginning of the other, or a person was quicker, or the doubt is gone."""
    catalog, grant = world.start(), world.grant(Right.DECIDE)
    for content in (b"one", b"two", b"three"):
        await put(catalog, heading(), content)
    first, second = await catalog.uncompared()
    assert not await catalog.compared(first.doubt_id, Cut.NEITHER)
    await catalog.decide(grant, first.doubt_id, Choice.KEEP_SECOND)
    assert not await catalog.compared(second.doubt_id, Cut.FIRST)
    assert (await catalog.doubt(grant, second.doubt_id)).decided is None
    assert await catalog.uncompared() == ()
    assert not await catalog.compared("0" * 32, Cut.FIRST)
    with pytest.raises(NotFound):
        await catalog.doubt(grant, "0" * 32)


async def test_who_decides_finds_what_nothing_answers_in(world: World) -> None:
    """A study that holds only what could not be looked into is opened to decide, and not otherwise."""
    catalog = world.start()
    said = heading()
    await put(catalog, said, looked_inside=False)
    with pytest.raises(StudyNotFound):
        await catalog.state_of(world.grant(), said.study_uid)
    state = await catalog.state_of(world.grant(Right.DECIDE), said.study_uid)
    (entry,) = world.manifest(state).instances
    (card,) = await cards(catalog, world)
    assert card.left.instance_id == card.right.instance_id == entry.instance_id


async def test_what_nobody_remembers_is_set_apart_and_brought_back(world: World) -> None:
    """The decision has its effect, and undoing it too."""
    catalog, grant = world.start(), world.grant(Right.DECIDE)
    _, made = await put(catalog, heading())
    side = Side(study_uid=made.heading.study_uid, sop_instance_uid=made.heading.instance_uid)
    choices = (Choice.ACCEPT, Choice.SET_APART)
    doubt_id = await catalog.note(DoubtKind.UNATTESTED, side, Side(), choices, made.instance_id)
    for choice, answering in ((Choice.SET_APART, 0), (None, 1), (Choice.SET_APART, 0), (Choice.ACCEPT, 1)):
        await catalog.decide(grant, doubt_id, choice)
        assert len(await rows(catalog, world.grant(), Level.INSTANCE)) == answering
    assert (await catalog.doubt(grant, doubt_id)).left.instance_id == made.instance_id


async def test_both_sides_tell_of_their_own_series(world: World) -> None:
    """Not of the study's other series: what is shown as different is."""
    catalog = world.start()
    await put(catalog, heading(1, 2, 9, series_description="Scout", modality="DX"))
    said = heading(series_description="Axial")
    await put(catalog, said, b"one")
    await put(catalog, said, b"two")
    (card,) = await cards(catalog, world)
    assert (card.left.description, card.left.modality) == ("Axial", "CT")
    assert (card.right.description, card.right.modality) == ("Axial", "CT")


async def test_two_persons_under_one_number_are_two_patients(world: World) -> None:
    """The patient page shows one of them, until a person says that they are the same; undone, as before."""
    catalog, grant = world.start(), world.grant(Right.DECIDE)
    mine, same = heading(1), heading(2, study_date="20250101", patient_name="Exemple^CAMILLE")
    other = heading(3, patient_birth_date="20010101")
    for said in (mine, same, other):
        await put(catalog, said)

    async def listed(study_uid: str) -> list[str]:
        return [row.study_uid for row in (await catalog.patient(world.grant(), study_uid)).rows]

    assert await listed(mine.study_uid) == [same.study_uid, mine.study_uid]
    assert await listed(other.study_uid) == [other.study_uid]
    doubts = await cards(catalog, world)
    for choice, together in ((Choice.OTHER_PERSON, False), (Choice.SAME_PERSON, True), (None, False)):
        for doubt in doubts:
            await catalog.decide(grant, doubt.id, choice)
        assert (other.study_uid in await listed(mine.study_uid)) is together
        assert (mine.study_uid in await listed(other.study_uid)) is together
    with pytest.raises(StudyNotFound):
        await listed("1.2.3")
    bound = world.grant(study_id=(await catalog.study(world.grant(), mine.study_uid)).study.study_id)
    assert len((await catalog.patient(bound, mine.study_uid)).rows) == 1


async def test_a_rebuild_without_a_manifest_asks_nothing_anew(world: World) -> None:
    """Taken back as they lie, last first: what stood, stands, decided or not, and no card is new."""
    catalog = world.start()
    said, other = heading(), heading(2)
    first = [(await put(catalog, one, b"one"))[1] for one in (said, other)]
    second = [(await put(catalog, one, b"two"))[1] for one in (said, other)]
    chosen = next(
        one for one in await cards(catalog, world) if one.right.sop_instance_uid == other.instance_uid
    )
    await catalog.decide(world.grant(Right.DECIDE), chosen.id, Choice.KEEP_SECOND)
    answering = {said.instance_uid: first[0].digest, other.instance_uid: second[1].digest}
    before = [await cards(catalog, world, decided=decided) for decided in (False, True)]
    await catalog.clear()
    for one in (*second, *first):
        recipient = str(world.identities[one.study_id].recipient)
        await catalog.restore_study(RestoredStudy(one.study_id, one.heading.study_uid, recipient))
        await catalog.restore((Restored(one),))
    await catalog.rebuilt()
    assert [await cards(catalog, world, decided=decided) for decided in (False, True)] == before
    for asked in (said, other):
        state = await catalog.state_of(world.grant(), asked.study_uid)
        (answers,) = primary(world.manifest(state))
        assert answers.digest == answering[asked.instance_uid]
