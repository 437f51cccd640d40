"""The runner: one connection to one host at a time, twelve in all, hard deadlines, not faster than we said.

Politeness lives here and in `probes.host`, so that no probe can flood a target. A probe that fails is an
attempt with a reason, ours included.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from huisclos.access.addresses import Address, is_loopback
from huisclos.clock import Clock, now, steady
from huisclos.doors.mandate import OutsideMandate
from huisclos.doors.observation import Miss, Seen
from huisclos.doors.probes.host import CONNECTIONS, SILENCES, Host, PortClosed, Rank, Turns
from huisclos.doors.probes.listener import meet
from huisclos.doors.probes.ports import DICOM_PORTS, HL7_PORTS, USUAL_PORTS, after
from huisclos.doors.target import Target
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Outcome, Reason

CONCURRENT: Final = 48
"""hosts at one time: few enough for a home box's table of connections"""
CONCURRENT_HERE: Final = 2048
"""hosts at one time when all are this machine: no box is in between"""
DESCRIPTORS_KEPT: Final = 128
"""that are left for everything but sockets, when this process may not open as many"""
HOSTS_PER_SECOND: Final = 10.0
"""elsewhere than on loopback"""
_STARTED_AT_ONCE: Final = 32
"""hosts that are begun with before the answers of others are looked at"""
_SELDOM: Final = (100_000, 20, 100)
"""objects from one collection to the next, and collections of the young to one of the older"""
_CHANCE: Final = random.SystemRandom()
_KNOCK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How targets are asked."""

    called: str | None = None
    gentle: bool = False
    checks: frozenset[str] | None = None
    default_login: bool = False
    delete_at: Target | None = None
    """where the write test deletes what it stored; None: no write test"""
    two_at_once: bool = False
    hosts_per_second: float = HOSTS_PER_SECOND
    seconds: float = 5.0


async def run(
    targets: Iterable[Target], manners: Manners, clock: Clock = now
) -> AsyncIterator[tuple[Target, list[Seen]]]:
    """What each target showed, as it is known. A target without a port is asked at the usual ones."""
    work = _Work(manners, clock)
    queue = iter(_by_host(targets))
    answers: list[tuple[Target, list[Seen]]] = []
    some, left = asyncio.Event(), at_most(targets)

    async def drain() -> None:
        nonlocal left
        try:
            for hosts in queue:
                answers.extend(await work.host(hosts))
                some.set()
        finally:
            left -= 1
            some.set()

    drains: list[asyncio.Task[None]] = []

    async def start(most: int) -> None:
        for at in range(most):
            drains.append(asyncio.create_task(drain()))
            if not at % _STARTED_AT_ONCE:
                await asyncio.sleep(0)

    starting = asyncio.create_task(start(left))
    try:
        while left or answers:
            await some.wait()
            some.clear()
            known, answers[:] = answers[:], ()
            for answer in known:
                yield answer
        for task in drains:
            task.result()
    finally:
        for task in (starting, *drains):
            task.cancel()


@contextmanager
def many() -> Iterator[None]:
    """While thousands are asked: this process may open that many sockets, and collects garbage seldom.

    What is made then is kept for the report: looking through it over and over finds nothing to throw away.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONCURRENT_HERE + DESCRIPTORS_KEPT
    if 0 <= limits[0] < wanted:
        most = wanted if limits[1] == resource.RLIM_INFINITY else min(wanted, limits[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def at_most(targets: Iterable[Target]) -> int:
    """How many hosts are asked at one time at most."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(CONCURRENT, min(CONCURRENT_HERE, descriptors - DESCRIPTORS_KEPT))
    return min(most, len(targets)) if isinstance(targets, Sized) else most


def spread(targets: Iterable[Target]) -> list[Target]:
    """Host by host in an order of chance: neighbours on one network are not all asked in one second."""
    hosts = _by_host(targets)
    _CHANCE.shuffle(hosts)
    return [one for host in hosts for one in host]


def _by_host(targets: Iterable[Target]) -> list[list[Target]]:
    """Targets with the same address together, hosts in the order they were first named."""
    hosts: dict[Address, list[Target]] = {}
    for one in targets:
        hosts.setdefault(one.address, []).append(one)
    return list(hosts.values())


def _once_each(targets: list[Target]) -> list[Target]:
    """Each listener of one host once, what is named before the usual ports.

    A port that is named by itself as well as in a URL may speak DICOM: it is found by protocol, and on the
    web below the URL's path. URLs by several names stay several: a web server tells its sites apart by them.
    """
    plain = {target.port for target in targets if target.scheme is None and target.port is not None}
    paths = {target.port: target.path for target in targets if target.scheme is not None}
    once: dict[tuple[int | None, str, str, str], Target] = {}
    for target in targets:
        if target.port in plain:
            one = replace(target, scheme=None, path=paths.get(target.port, "/"))
            once.setdefault((one.port, "", "", ""), one)
        else:
            name = target.host if target.scheme is not None else ""
            once.setdefault((target.port, target.scheme or "", target.path, name), target)
    return sorted(once.values(), key=lambda target: target.port is None)


class _Work:
    """One run."""

    def __init__(self, manners: Manners, clock: Clock) -> None:
        self._manners = manners
        self._clock = clock
        self._turns: dict[Address, Turns] = {}
        self._elsewhere = asyncio.Semaphore(CONCURRENT)
        self._next = 0.0

    async def host(self, targets: list[Target]) -> list[tuple[Target, list[Seen]]]:
        """Everything about one host, in its turn; this machine has none to wait for."""
        if is_loopback(targets[0].address):
            return await self._host(targets)
        async with self._elsewhere:
            await self._pace()
            return await self._host(targets)

    async def _pace(self) -> None:
        """Wait for a moment of one's own: it is taken before anything is waited for, and by nobody else."""
        begun = steady()
        step = 1.0 / self._manners.hosts_per_second
        # A beat that is not even, and never faster than we said.
        mine = max(self._next, begun) + _CHANCE.uniform(0.0, step / 5)
        self._next = mine + step
        if mine > begun:
            await asyncio.sleep(mine - begun)

    async def _host(self, targets: list[Target]) -> list[tuple[Target, list[Seen]]]:
        """Everything about one host: each listener is met before any is asked the rest."""
        turns = self._turns.get(targets[0].address)
        if turns is None:
            turns = self._turns[targets[0].address] = Turns(left=1 if self._manners.gentle else CONNECTIONS)
        answers: list[tuple[Target, list[Seen]]] = []
        met: list[Host] = []
        targets = _once_each(targets) if len(targets) > 1 else targets
        named = frozenset(target.port for target in targets if target.port is not None)
        for target in targets:
            if target.port is None:
                answers += await self._usual(target, turns, met, named)
                continue
            host = self._host_at(target, turns)
            answers.append((target, host.seen))
            if not await self._meet(host, met):
                host.missed(("*",), Reason.UNREACHABLE, facts(port=target.port))
        await self._rest(met)
        return answers

    async def _usual(
        self, target: Target, turns: Turns, met: list[Host], named: frozenset[int | None]
    ) -> list[tuple[Target, list[Seen]]]:
        """What listens at the usual ports, but those `named`; which refuse is told of only when all do."""
        answers: list[tuple[Target, list[Seen]]] = []
        usual = (*USUAL_PORTS, *(sorted(HL7_PORTS) if self._wants("DCM-027") else ()))
        gentle = self._manners.gentle
        waiting = tuple(port for port in usual if port not in named and (not gentle or port in DICOM_PORTS))
        while waiting and not (gentle and turns.left <= 0):
            port, waiting = waiting[0], waiting[1:]
            host = self._host_at(target.at(port), turns, _KNOCK_SECONDS)
            if await self._meet(host, met):
                answers.append((host.target, host.seen))
                if not host.silences:
                    waiting = after(port, waiting)
        if not answers and not named.intersection(usual):
            refused = facts(count=len(DICOM_PORTS if gentle else USUAL_PORTS))
            answers.append((target, [Miss(("*",), target.name, None, refused, Outcome.CLOSED)]))
        return answers

    async def _meet(self, host: Host, met: list[Host]) -> bool:
        """Whether something listens there; what it shows at first was seen then."""
        if host.turns.silences == SILENCES - 1:
            # One more would end it all: those that do answer are asked what they were to be asked before.
            await self._rest(met, Rank.LEAST)
        if await self._gather(host, meet(host, self._clock)):
            met.append(host)
            return True
        return False

    async def _rest(self, met: list[Host], until: Rank = Rank.UNKNOWN) -> None:
        """Ask what was left for later, up to `until`; of equals, the listener connected to least often."""
        while waiting := [one for one in met if one.later and one.next_rank <= until]:
            host = min(waiting, key=lambda one: (one.next_rank, one.made))
            if not await self._gather(host, host.next()):
                host.missed(("*",), Reason.UNREACHABLE, facts(port=host.target.port))

    def _wants(self, check: str) -> bool:
        manners = self._manners
        return not manners.gentle and (manners.checks is None or check in manners.checks)

    async def _gather(self, host: Host, asked: Awaitable[None]) -> bool:
        """Let `asked` see what it can; False when nothing listens there."""
        try:
            await asked
        except PortClosed:
            return False
        except OutsideMandate:
            host.missed(("*",), Reason.OUT_OF_SCOPE)
        except Exception:  # noqa: BLE001 - our own mistake is an attempt with a reason, and ends no audit
            host.missed(("*",), Reason.OWN_FAULT)
        return True

    def _host_at(self, target: Target, turns: Turns, knock_seconds: float | None = None) -> Host:
        manners = self._manners
        return Host(
            target,
            turns,
            called=manners.called,
            gentle=manners.gentle,
            checks=manners.checks,
            default_login=manners.default_login,
            delete_at=manners.delete_at,
            two_at_once=manners.two_at_once,
            seconds=manners.seconds,
            knock_seconds=min(manners.seconds, knock_seconds or manners.seconds),
        )
