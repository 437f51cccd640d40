"""The doors of this house, as it watches them itself (P11): each with its state, and since when.

What the auditor saw comes in as judged rows; what is kept of them is merged here, without a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from huisclos.access.nouns import Proof
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rules import judge
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Outcome, Reach, Reason, Verdict

CALLING: Final = "HUISCLOS-AUDIT"
"""The AE title of every probe: it says who asks; that nobody knows it is the point."""
OUTSIDE: Final = "BOX-016"
"""who came from a public address, and what the view from outside shows"""
WATCHED_AFTER: Final = 7 * 24 * 3600.0
"""Seconds after the last knock from a public address for which the door in front of the house stands open."""
_NEARLY: Final = frozenset({"DCM-001", "DCM-022"})
"""A house listens, and says by which program: that others do without asking who calls is the door."""


class DoorState(StrEnum):
    """What is known of a door."""

    OPEN = "open"
    UNTESTED = "untested"
    CLOSED = "closed"


class HouseDoor(Struct, frozen=True):
    """One check at one place of the house."""

    check: str
    target: str
    state: DoorState
    since: float = 0.0
    """Seconds since the epoch: in this state since."""
    seen_at: float = 0.0
    what: What | None = None
    verdict: Verdict | None = None
    reach: Reach | None = None
    reason: Reason | None = None
    evidence: tuple[Fact, ...] = ()


class HouseDoors(Struct, frozen=True):
    """Every door that was looked at."""

    looked_at: float = 0.0
    """0: not yet since the start."""
    doors: tuple[HouseDoor, ...] = ()
    looking: bool = False


class Watched(Protocol):
    """What the pages ask of the house about its doors."""

    async def doors(self, proof: Proof) -> HouseDoors:
        """Needs DOORS."""

    async def look(self, proof: Proof) -> HouseDoors:
        """Look again now, and say what was seen. Needs DOORS. Raises `Unreachable`, `Conflict`."""


class Looking(Protocol):
    """What the auditor tells the vault."""

    async def begin(self) -> None:
        """From now on what knocks from this very machine is the auditor."""

    async def looked(self, doors: tuple[HouseDoor, ...]) -> None:
        """Take what it saw; it knocks no more."""


class Looker(Protocol):
    """What the vault asks of the auditor."""

    async def look(self) -> tuple[HouseDoor, ...]:
        """Look now; what was seen was told by `looked` before this answers."""


class PublicKnocks(Struct, frozen=True):
    """Who came to one listener from a public address."""

    listener: str
    """host:port"""
    count: int
    first_at: float
    last_at: float
    nat: bool
    """It came over IPv4 to a private address: something in front of the house passed it on."""


def judged(seen: Iterable[Seen]) -> tuple[HouseDoor, ...]:
    """One door a check and place: open before untested before closed, the strongest verdict."""
    rows: dict[tuple[str, str], HouseDoor] = {}
    seen = list(seen)
    found = [
        HouseDoor(
            one.check,
            one.observation.target,
            DoorState.OPEN if one.open else DoorState.CLOSED,
            what=one.observation.what,
            verdict=one.verdict if one.open else None,
            reach=one.observation.reach,
            evidence=one.observation.facts,
        )
        for one in judge(one for one in seen if isinstance(one, Observation))
    ]
    for miss in seen:
        if isinstance(miss, Miss) and miss.outcome is not Outcome.SKIPPED:
            state = DoorState.CLOSED if miss.outcome is Outcome.CLOSED else DoorState.UNTESTED
            found += [
                HouseDoor(check, miss.target, state, reason=miss.reason, evidence=miss.facts)
                for check in miss.checks
            ]
    for door in found:
        key = door.check, door.target
        if door.check not in _NEARLY and (key not in rows or _rank(door) < _rank(rows[key])):
            rows[key] = door
    return tuple(rows[key] for key in sorted(rows))


def _rank(door: HouseDoor) -> tuple[int, int]:
    return tuple(DoorState).index(door.state), door.verdict.rank if door.verdict is not None else 9


def merged(before: Iterable[HouseDoor], seen: Iterable[HouseDoor], at: float) -> tuple[HouseDoor, ...]:
    """What was seen at `at`, each door in its state since it first was. What was not looked at is gone."""
    known = {(one.check, one.target): one for one in before}
    made = []
    for one in seen:
        old = known.get((one.check, one.target))
        same = old is not None and old.state is one.state
        made.append(replace(one, since=old.since if same and old is not None else at, seen_at=at))
    return tuple(made)


def knocks_as_door(knocks: Iterable[PublicKnocks], now: float) -> tuple[HouseDoor, ...]:
    """The door in front of the house: open while strangers come through, never called closed by silence."""
    doors = [_knocked(one) for one in knocks if now - one.last_at < WATCHED_AFTER]
    if doors:
        return tuple(doors)
    return (HouseDoor(OUTSIDE, "*", DoorState.UNTESTED, reason=Reason.NOT_ASKED),)


def _knocked(one: PublicKnocks) -> HouseDoor:
    word = "public-knock" if one.nat else "public-knock-maybe"
    return HouseDoor(
        OUTSIDE,
        one.listener,
        DoorState.OPEN,
        since=one.first_at,
        seen_at=one.last_at,
        what=What.HOUSE,
        verdict=Verdict.PROVED if one.nat else Verdict.OFFERED,
        reach=Reach.INTERNET,
        evidence=facts(class_=word, count=one.count),
    )


def as_seen(doors: Iterable[HouseDoor]) -> list[Seen]:
    """The same as observations and misses, for a report: it judges them as the house did."""
    seen: list[Seen] = []
    for one in doors:
        if one.what is not None and one.reach is not None and one.state is not DoorState.UNTESTED:
            seen.append(Observation(one.what, one.target, one.reach, one.evidence))
        elif one.state is DoorState.CLOSED:
            seen.append(Miss((one.check,), one.target, None, one.evidence, Outcome.CLOSED))
        else:
            seen.append(Miss((one.check,), one.target, one.reason or Reason.NOT_ASKED, one.evidence))
    return seen
