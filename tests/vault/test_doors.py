"""The doors of the house: who came from outside, since when each is as it is, and what stays sealed."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.admission import AssociationAsked
from huisclos.access.peers import KnockReason
from huisclos.doors.assemble import Audit
from huisclos.doors.house import (
    WATCHED_AFTER,
    DoorState,
    HouseDoor,
    as_seen,
    judged,
    merged,
)
from huisclos.doors.observation import Miss, Observation, What
from huisclos.errors import Unreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Language, Reach, Reason, Verdict
from huisclos.journal.entries import Act
from huisclos.vault import places
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.doors import DoorsService
from tests.vault.world import CONSOLE, World

NOW = datetime(2030, 1, 2, tzinfo=UTC)
AT = "192.168.1.20:11112"
OPEN = Observation(What.FILES, "/srv", Reach.LAN, facts(class_="clear", images=3))
SHUT = Observation(What.FILES, "/srv", Reach.LAN, facts(class_="clear", images=0))


def _service(world: World) -> DoorsService:
    made = DoorsService(world.core, world.sessions, None)
    made.listeners = {"dicom": AT, "http": "127.0.0.1:8443"}
    return made


def _told(world: World) -> list[tuple[str, str]]:
    return [(one.what, one.subject) for one in world.said() if one.act is Act.DOOR and one.what != "looked"]


async def test_a_stranger_from_the_internet_is_a_finding(world: World) -> None:
    """Public IPv4 at a private address proves a forwarded port; over IPv6, or to loopback, it is offered."""
    doors = _service(world)
    assert not doors.stands_open
    await doors.join()
    keeper = Doorkeeper(world.core, world.people, doors)
    for _ in range(3):
        await keeper.turned_away("203.0.113.9", "dicom")
    await keeper.turned_away("2001:db8::7", "http")
    assert keeper.strangers_come
    found = {one.target: one for one in doors.now().doors}
    assert Verdict.PROVED is found[AT].verdict
    assert Verdict.OFFERED is found["127.0.0.1:8443"].verdict
    assert [("opened", f"BOX-016 {AT}"), ("opened", "BOX-016 127.0.0.1:8443")] == _told(world)
    audit = Audit("check", Language.EN, NOW)
    audit.take(as_seen(doors.now().doors), NOW)
    told = {(one.check, one.target, one.reach.value) for one in audit.report().findings}
    assert {("BOX-016", AT, "internet"), ("BOX-016", "127.0.0.1:8443", "internet")} == told
    assert 2 == len(keeper.knocks()), "each is in the list of knocks, too"


async def test_silence_closes_nothing(world: World) -> None:
    """When nobody came for a week nobody knows: the view from outside is the other half."""
    doors = _service(world)
    await doors.knocked("203.0.113.9", "dicom")
    world.time.pass_(WATCHED_AFTER + 1)
    state = doors.now().doors
    assert [(DoorState.UNTESTED, Reason.NOT_ASKED)] == [(one.state, one.reason) for one in state]
    assert not doors.stands_open


async def test_since_when_outlives_a_restart(world: World) -> None:
    """A door is open since it first was, whatever was restarted; it is told once, and kept sealed."""
    doors = _service(world)
    await doors.join()
    await doors.looked(judged([OPEN]))
    await doors.knocked("203.0.113.9", "dicom")
    first = world.core.now()
    assert b"RST-001" not in world.store.read(places.DOORS)
    world.time.pass_(3600)
    again = _service(world)
    await again.looked(judged([OPEN]))
    assert again.now().doors[-1].since > first, "nothing is known before somebody unlocks"
    await again.join()
    known = {one.check: one for one in again.now().doors}
    assert first == known["RST-001"].since
    assert first == known["BOX-016"].since
    assert [("opened", "RST-001 /srv"), ("opened", f"BOX-016 {AT}")] == _told(world)
    world.time.pass_(60)
    await again.looked(judged([SHUT]))
    assert ("closed", "RST-001 /srv") == _told(world)[-1]


async def test_what_somebody_else_wrote_is_not_believed(world: World) -> None:
    """Whoever writes the disk can seal to the archive; without its signature the house knows since today."""
    doors = _service(world)
    await doors.join()
    await doors.looked(judged([SHUT]))
    world.store.put(places.DOORS, world.store.read(places.DOORS)[:-1] + b"x")
    again = _service(world)
    await again.join()
    assert ["BOX-016"] == [one.check for one in again.now().doors]


async def test_the_auditor_is_no_knock(world: World) -> None:
    """While the house looks at itself, its own question is refused like any, and is nobody's knock."""
    doors = _service(world)
    keeper = Doorkeeper(world.core, world.people, doors)
    asked = AssociationAsked("HUISCLOS-AUDIT", "HUISCLOS", "127.0.0.1", tls=False)
    await doors.begin()
    assert KnockReason.TITLE_UNKNOWN is (await keeper.admit(asked)).reason
    assert not keeper.knocks()
    other = AssociationAsked("STRANGER", "HUISCLOS", "127.0.0.1", tls=False)
    await keeper.admit(other)
    far = AssociationAsked("HUISCLOS-AUDIT", "HUISCLOS", "192.168.1.77", tls=False)
    await keeper.admit(far)
    assert 2 == len(keeper.knocks())
    await doors.looked(())
    await keeper.admit(asked)
    assert 3 == len(keeper.knocks()), "it looks no more"


async def test_who_may_ask(world: World) -> None:
    """Where nobody serves the archive there is nobody to look; what is known is still told."""
    doors = _service(world)
    try:
        await doors.look(CONSOLE)
    except Unreachable:
        pass
    else:
        raise AssertionError("somebody looked")
    assert 1 == len((await doors.look_from_console()).doors)


@given(st.lists(st.sampled_from([OPEN, SHUT, Miss(("RST-001",), "/srv", Reason.TIMED_OUT)]), min_size=1))
def test_a_door_is_never_better_than_what_was_seen(seen: list[Observation | Miss]) -> None:
    """Open wins over untested, untested over closed; and what is told of it judges the same again."""
    row = judged(seen)
    assert 1 == len(row)
    expected = (
        DoorState.OPEN
        if OPEN in seen
        else DoorState.UNTESTED
        if any(isinstance(one, Miss) for one in seen)
        else DoorState.CLOSED
    )
    assert expected is row[0].state
    assert row == judged(as_seen(row))


@given(st.lists(st.sampled_from(DoorState), min_size=1, max_size=20))
def test_since_is_when_it_became_so(states: list[DoorState]) -> None:
    """Over any run of looks, `since` is the moment of the last change."""
    kept: tuple[HouseDoor, ...] = ()
    changed = 0
    for at, state in enumerate(states, 1):
        if not kept or kept[0].state is not state:
            changed = at
        kept = merged(kept, (HouseDoor("RST-001", "/srv", state),), float(at))
        assert float(changed) == kept[0].since
