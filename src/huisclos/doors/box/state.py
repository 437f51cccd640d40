"""What a box told, in one shape for all makers, and what it means: configured and effective kept apart.

Pure. Of a forward only its ports, its transport and three flags are kept: its description, and the machine it
leads to, are compared and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_network
from typing import Final

from huisclos.access.addresses import is_private, parse_address
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.ports import USUAL_PORTS
from huisclos.errors import BadSetting
from huisclos.findings.evidence import Fact, Key, facts
from huisclos.findings.nouns import Reach, Reason

IMAGING: Final = frozenset({*USUAL_PORTS, 22, 445, 3389, 5432, 3306}) - {80, 443}
"""imaging, and what opens the machine it runs on"""
WIDE: Final = 10
"""ports of one forward; more is BOX-008"""
SHOWN: Final = 5
"""forwards of one finding that are shown one by one"""
_SHARED: Final = ip_network("100.64.0.0/10")


class Outside(Enum):
    """What the box's own outside address is."""

    PUBLIC = "outside-public"
    SHARED = "outside-shared"
    """100.64.0.0/10 (RFC 6598): the provider translates once more"""
    PRIVATE = "outside-private"
    """another box stands before this one"""
    PORTS = "outside-ports"
    """public, and only a range of its ports is this house's (RFC 7599)"""
    UNKNOWN = "outside-unknown"


@dataclass(frozen=True, slots=True)
class Forward:
    """An enabled rule that lets the Internet in."""

    outer: tuple[int, int]
    """first and last port outside"""
    inner: int
    """the port inside that the first one leads to"""
    transport: str = "tcp"
    anyone: bool = True
    """whatever the source"""
    here: bool = False
    """it leads to this machine"""

    @property
    def width(self) -> int:
        """How many ports."""
        return self.outer[1] - self.outer[0] + 1

    @property
    def imaging(self) -> bool:
        """Whether one of its ports, outside or inside, is imaging's."""
        inside = range(self.inner, self.inner + self.width)
        outside = range(self.outer[0], self.outer[1] + 1)
        return any(port in inside or port in outside for port in IMAGING)


@dataclass(slots=True)
class Box:
    """What a box told. None: it did not."""

    product: str = ""
    """a word of ours for its model"""
    version: str = ""
    forwards: list[Forward] | None = None
    mappings: list[Forward] | None = None
    """made by programs, through UPnP"""
    pinholes: list[Forward] | None = None
    """IPv6"""
    dmz: bool | None = None
    dmz_here: bool = False
    upnp: bool | None = None
    level: str | None = None
    """of its firewall: off, low, medium, high or custom"""
    six: bool | None = None
    """whether IPv6 is filtered"""
    remote: bool | None = None
    remote_port: int | None = None
    dyndns: bool | None = None
    outside: Outside | None = None
    ports: tuple[int, int] | None = None
    """those of a shared outside address that are this house's"""
    old: bool | None = None
    """its firmware is older than the maker's own mark"""
    misses: dict[str, Reason] = field(default_factory=dict)

    def miss(self, checks: Iterable[str], reason: Reason) -> None:
        """These checks stay open, for `reason`."""
        for check in checks:
            self.misses.setdefault(check, reason)


def class_of(address: str) -> Outside:
    """What an outside address is."""
    try:
        parsed = parse_address(address)
    except BadSetting:
        return Outside.UNKNOWN
    if parsed.is_unspecified:
        return Outside.UNKNOWN  # that line is down
    if parsed in _SHARED:
        return Outside.SHARED
    return Outside.PRIVATE if is_private(parsed) else Outside.PUBLIC


def effective(box: Box, forward: Forward) -> bool | None:
    """Whether a forward can work; None when nothing is known of the outside address."""
    if box.outside in (Outside.SHARED, Outside.PRIVATE):
        return False
    if box.ports is not None:
        return forward.outer[1] >= box.ports[0] and forward.outer[0] <= box.ports[1]
    return True if box.outside is Outside.PUBLIC else None


def observe(box: Box, name: str) -> list[Seen]:
    """Everything that `box` told, as observations about `name`, and what it did not tell."""
    seen = [*_forwards(box, name), *_rules(box, name), *_switches(box, name), *_outside(box, name)]
    left: dict[Reason, list[str]] = {}
    for check, reason in box.misses.items():
        left.setdefault(reason, []).append(check)
    return seen + [Miss(tuple(checks), name, reason) for reason, checks in left.items()]


def _made(box: Box, name: str, word: str, reach: Reach, found: Sequence[Fact] = (), *, is_open: bool) -> Seen:
    head = facts(class_=word, product=box.product or None, value="open" if is_open else "closed")
    return Observation(What.BOX, name, reach, (*head, *found))


def _shown(forwards: Sequence[Forward], works: bool | None) -> tuple[Fact, ...]:  # noqa: FBT001 - a flag of evidence
    found = list(facts(count=len(forwards), effective=works))
    for one in forwards[:SHOWN]:
        wide = one.width if one.width > 1 else None
        self_ = True if one.here else None
        found += facts(
            port=one.outer[0], internal_port=one.inner, transport=one.transport, width=wide, self=self_
        )
    return tuple(found)


def _forwards(box: Box, name: str) -> Iterator[Seen]:
    """BOX-002, BOX-005, BOX-011: what leads to imaging, apart by whether it can work."""
    for word, rules in (("mapping", box.mappings), ("forward", box.forwards)):
        if rules is None:
            continue
        imaging = [one for one in rules if one.imaging]
        working = [one for one in imaging if effective(box, one) is not False]
        idle = [one for one in imaging if effective(box, one) is False]
        if working:
            known = effective(box, working[0])
            yield _made(box, name, word, Reach.INTERNET, _shown(working, known), is_open=True)
        if idle:
            yield _made(box, name, word, Reach.LAN, _shown(idle, works=False), is_open=True)
        if not imaging:
            yield _made(box, name, word, Reach.LAN, is_open=False)
    if box.pinholes is not None:
        found = [one for one in box.pinholes if one.imaging]
        reach = Reach.INTERNET if found else Reach.LAN
        # IPv6 is not translated: a pinhole works whatever the IPv4 address is.
        yield _made(box, name, "pinhole", reach, _shown(found, None) if found else (), is_open=bool(found))


def _rules(box: Box, name: str) -> Iterator[Seen]:
    """BOX-007 and BOX-008, of the forwards made by hand."""
    if box.forwards is None:
        return
    for word, found in (
        ("any-source", [one for one in box.forwards if one.anyone]),
        ("wide", [one for one in box.forwards if one.width > WIDE]),
    ):
        works = any(effective(box, one) is not False for one in found)
        reach = Reach.INTERNET if works else Reach.LAN
        shown = _shown(found, None if works else False) if found else ()
        yield _made(box, name, word, reach, shown, is_open=bool(found))


def _switches(box: Box, name: str) -> Iterator[Seen]:
    """What is on or off."""
    shared = box.outside in (Outside.SHARED, Outside.PRIVATE)
    if box.dmz is not None:
        idle = box.dmz and shared
        found = facts(effective=False if idle else None, self=True if box.dmz and box.dmz_here else None)
        reach = Reach.INTERNET if box.dmz and not idle else Reach.LAN
        yield _made(box, name, "dmz", reach, found, is_open=box.dmz)
    if box.upnp is not None:
        yield _made(box, name, "upnp", Reach.LAN, is_open=box.upnp)
    if box.six is not None:
        yield _made(box, name, "ipv6", Reach.LAN if box.six else Reach.INTERNET, is_open=not box.six)
    if box.level is not None:
        low = box.level in ("off", "low")
        yield _made(box, name, "firewall", Reach.LAN, facts(mode=box.level), is_open=low)
    if box.remote is not None:
        reach = Reach.INTERNET if box.remote and not shared else Reach.LAN
        found = facts(effective=False if shared else None, port=box.remote_port) if box.remote else ()
        yield _made(box, name, "remote-admin", reach, found, is_open=box.remote)
    if box.dyndns is not None:
        yield _made(box, name, "dyndns", Reach.LAN, is_open=box.dyndns)
    if box.old is not None:
        yield _made(box, name, "firmware", Reach.LAN, facts(version=box.version or None), is_open=box.old)


def _outside(box: Box, name: str) -> Iterator[Seen]:
    """BOX-018: what explains that something configured does not work."""
    if box.outside is None:
        return
    word = box.outside
    found: tuple[Fact, ...] = ()
    if box.ports is not None:
        word = Outside.PORTS
        found = facts(port=box.ports[0], width=box.ports[1] - box.ports[0] + 1)
    if word is not Outside.UNKNOWN:
        yield _made(box, name, word.value, Reach.LAN, found, is_open=word is not Outside.PUBLIC)


def leads_here(seen: Iterable[Seen]) -> frozenset[int]:
    """The ports of this machine that a box passes on from the Internet, by what was seen of it."""
    ports: set[int] = set()
    for one in seen:
        if not isinstance(one, Observation) or one.what is not What.BOX or one.reach is not Reach.INTERNET:
            continue
        first, width = 0, 1
        for fact in one.facts:
            if fact.key is Key.INTERNAL_PORT:
                first, width = int(fact.value), 1
            elif fact.key is Key.WIDTH:
                width = int(fact.value)
            elif fact.key is Key.SELF and first:
                ports.update(range(first, first + width))
    return frozenset(ports)


def is_here(address: str, own: str) -> bool:
    """Whether a rule leads to this machine."""
    return bool(own) and address.strip() == own


def product_of(evidence: Iterable[Fact]) -> str:
    """The model that an observation names; empty without one."""
    return next((str(one.value) for one in evidence if one.key is Key.PRODUCT), "")
