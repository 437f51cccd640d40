"""How many hosts are asked at one time, and what this process may open for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
from collections.abc import Iterator

import pytest

from huisclos.clock import Clock, steady
from huisclos.doors.observation import Miss, Seen
from huisclos.doors.probes.host import Host
from huisclos.doors.runner import (
    CONCURRENT,
    CONCURRENT_HERE,
    DESCRIPTORS_KEPT,
    Manners,
    at_most,
    many,
    run,
    spread,
)
from huisclos.doors.target import parse_target
from huisclos.findings.nouns import Reason


@contextlib.contextmanager
def _descriptors(count: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_hosts_are_made_room_for_and_the_room_is_given_back() -> None:
    """The limit of open files is raised as far as the system lets it, the collector slowed, both undone."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    threshold = gc.get_threshold()
    with _descriptors(256):
        with many():
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            assert min(CONCURRENT_HERE + DESCRIPTORS_KEPT, hard) == soft
            assert gc.get_threshold() > threshold
        assert (256, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert gc.get_threshold() == threshold


@pytest.mark.parametrize(
    ("descriptors", "targets", "most"),
    [
        (4096, 5000, CONCURRENT_HERE),
        (1024, 5000, 1024 - DESCRIPTORS_KEPT),
        (128, 5000, CONCURRENT),
        (1024, 3, 3),
    ],
)
def test_no_more_are_asked_at_a_time_than_can_be(descriptors: int, targets: int, most: int) -> None:
    """Nothing is called unreachable because no descriptor was left to reach it with."""
    with _descriptors(descriptors):
        assert most == at_most([parse_target("127.0.0.1:9")] * targets)


def test_each_target_is_answered_once() -> None:
    """Whatever order they come in, however many are asked at a time, and however often they are named."""
    targets = [parse_target(f"127.9.0.{number % 90 + 1}:9") for number in range(180)]

    async def ask() -> list[tuple[str, Reason | None]]:
        answers = [(target, seen) async for target, seen in run(targets, Manners())]
        return [
            (target.name, one.reason) for target, seen in answers for one in seen if isinstance(one, Miss)
        ]

    names = {one.name for one in targets}
    assert sorted((name, Reason.UNREACHABLE) for name in names) == sorted(asyncio.run(ask()))


def test_hosts_come_in_an_order_of_chance() -> None:
    """Each once, with all its listeners one after the other."""
    targets = [
        parse_target(f"10.0.{low}.{high}:{port}") for port in (1, 2) for low in range(9) for high in range(9)
    ]
    orders = [spread(targets) for _ in range(3)]
    assert all(sorted(map(str, targets)) == sorted(map(str, one)) for one in orders)
    assert all([1, 2] * 81 == [target.port for target in one] for one in orders)
    assert all(one[at].address == one[at + 1].address for one in orders for at in range(0, 162, 2))
    assert orders[0] != orders[1] or orders[1] != orders[2]


def test_hosts_elsewhere_are_begun_with_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait for their turn, no two of them have the same."""
    monkeypatch.setattr("huisclos.doors.runner.is_loopback", lambda _: False)
    begun: list[float] = []

    async def asked(_host: Host, _clock: Clock) -> list[Seen]:
        begun.append(steady())
        return []

    monkeypatch.setattr("huisclos.doors.runner.meet", asked)

    async def ask() -> None:
        targets = [parse_target(f"127.9.0.{number}:9") for number in range(1, 13)]
        async for _ in run(targets, Manners(hosts_per_second=50.0)):
            pass

    asyncio.run(ask())
    assert len(begun) == 12
    # Each waits for a moment that was given to it alone; a busy machine can only be late.
    assert all(at - begun[0] >= number * 0.02 - 0.005 for number, at in enumerate(begun))
