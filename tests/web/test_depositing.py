"""What is sent is written by threads: a slow disk holds up nobody but its sender."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from starlette.requests import Request

from huisclos.access.nouns import ActorKind, Source
from huisclos.archive import behind, receive
from huisclos.archive.ports import Writing
from huisclos.archive.receive import Received, Receiver, Reception
from huisclos.errors import HuisclosError, NotDicom, Unreachable
from huisclos.stores.memory import MemoryStore
from huisclos.web import depositing
from huisclos.web.bodies import Event, PartBegun, PartData, PartEnded
from huisclos.web.depositing import AT_A_TIME, deposit_body, deposit_parts
from tests import corpus
from tests.web.world import World

SLOW = 0.5
"""Seconds that the disk takes for each write and flush."""
LATE = 0.3
"""Seconds that nobody may be held up."""
SENDER = Source(ActorKind.TOKEN, "t", "test")


class Slow:
    """A `Writing` on a disk that is busy; notes how many are flushed at once."""

    under_way = most = 0

    def __init__(self, inner: Writing) -> None:
        self._inner = inner

    def room(self, length: int) -> memoryview:
        """See the port."""
        return self._inner.room(length)

    def write(self) -> None:
        """See the port."""
        time.sleep(SLOW / 10)
        self._inner.write()

    def commit(self, place: str, header: bytes) -> None:
        """See the port."""
        Slow.under_way += 1
        Slow.most = max(Slow.most, Slow.under_way)
        time.sleep(SLOW)
        Slow.under_way -= 1
        self._inner.commit(place, header)

    def abandon(self) -> None:
        """See the port."""
        self._inner.abandon()


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A practice with a slow disk."""
    begin = MemoryStore.begin
    monkeypatch.setattr(MemoryStore, "begin", lambda store, room: Slow(begin(store, room)))
    Slow.most = 0
    return world


async def longest_pause(over: asyncio.Event) -> float:
    """The longest that the loop was held up, in seconds, until `over`."""
    longest = 0.0
    while not over.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - before)
    return longest


async def body(contents: list[bytes], media: str = "application/dicom") -> AsyncIterator[Event]:
    """The events of a body with a part for each."""
    for content in contents:
        yield PartBegun({"content-type": media})
        for at in range(0, len(content), 262_144):
            yield PartData(content[at : at + 262_144])
        yield PartEnded()


def wanted(part: PartBegun) -> bool:
    """Everything but text, and nothing at all of what is called odd."""
    if part.headers["content-type"] == "text/plain":
        raise NotDicom("a part is not a DICOM file")
    return part.headers["content-type"] != "odd"


async def outcomes(world: World, events: AsyncIterator[Event]) -> list[str]:
    """What came of each part."""
    return [
        type(one).__name__ if isinstance(one, HuisclosError) else one.outcome.value
        async for one in deposit_parts(events, wanted, world.receiver, SENDER)
    ]


def instances(count: int) -> list[bytes]:
    """So many instances of one series."""
    content = corpus.named("CT_small.dcm").read_bytes()
    uid = b"1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
    assert content.count(uid) == 2
    return [content.replace(uid, uid[:-5] + b"%05d" % number) for number in range(count)]


async def test_a_slow_disk_holds_up_nobody(slow: World) -> None:
    """While eight instances wait for it, four at once, the loop goes on."""
    over = asyncio.Event()
    watching = asyncio.create_task(longest_pause(over))
    began = time.perf_counter()
    assert await outcomes(slow, body(instances(8))) == ["stored"] * 8
    took = time.perf_counter() - began
    over.set()
    assert await watching < LATE
    assert 1 < Slow.most <= AT_A_TIME + 1
    assert took < 8 * SLOW


async def test_no_prepared_file_lies_about(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are made ahead while one sends; a while after the last there are none."""
    begin, ready = MemoryStore.begin, set[int]()

    def begun(store: MemoryStore, room: int) -> Writing:
        writing = begin(store, room)
        ready.add(id(writing))
        abandon = writing.abandon

        def abandoned() -> None:
            ready.discard(id(writing))
            abandon()

        monkeypatch.setattr(writing, "abandon", abandoned)
        return writing

    monkeypatch.setattr(MemoryStore, "begin", begun)
    monkeypatch.setattr(receive, "REST_SECONDS", 0.2)
    monkeypatch.setattr(Receiver, "waits_itself", lambda _: True)
    for content in instances(3):

        async def whole(content: bytes = content) -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        await deposit_body(Request({"type": "http"}, whole), world.receiver, SENDER)
    assert ready, "none was made ahead: this test looks at nothing"
    async with asyncio.timeout(5):
        while ready:
            await asyncio.sleep(0.02)


async def test_what_is_cut_before_it_began_to_end_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last instance is whole, and the request is cancelled before its end has had a turn."""
    begun: list[Reception] = []
    abandoned: list[Reception] = []
    finish, abandon = Reception.finish, Reception.abandon

    def finishing(self: Reception) -> Coroutine[Any, Any, Received]:
        begun.append(self)
        return finish(self)

    def abandoning(self: Reception) -> None:
        abandoned.append(self)
        abandon(self)

    monkeypatch.setattr(Reception, "finish", finishing)
    monkeypatch.setattr(Reception, "abandon", abandoning)

    async def cut() -> AsyncIterator[Event]:
        async for event in body(instances(1)):
            yield event
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(outcomes(world, cut()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun
    assert begun == abandoned


async def test_a_single_body_neither(slow: World) -> None:
    """The page's way to send, one file a request, is no other."""
    (content,) = instances(1)
    pieces = [content[at : at + 4096] for at in range(0, len(content), 4096)]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    over = asyncio.Event()
    watching = asyncio.create_task(longest_pause(over))
    received: Received = await deposit_body(Request({"type": "http"}, receive), slow.receiver, SENDER)
    over.set()
    assert received.stored.length == len(content)
    assert await watching < LATE


async def test_the_sender_waits_when_the_disk_is_behind(slow: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the bound waits in memory, whatever the length of the instance."""
    monkeypatch.setattr(behind, "RUN", 64 * 1024)
    monkeypatch.setattr(behind, "BACKLOG", 256 * 1024)
    most = 0
    push = behind.WriteBehind.push

    def watched(self: behind.WriteBehind, length: int) -> Any:
        nonlocal most
        waits = push(self, length)
        most = max(most, self._held)
        return waits

    monkeypatch.setattr(behind.WriteBehind, "push", watched)
    (content,) = instances(1)
    assert await outcomes(slow, body([content + bytes(4_000_000)])) in (["stored"], ["NotDicom"])
    assert 0 < most <= 256 * 1024 + 2 * 262_144


async def test_outcomes_come_in_their_order(world: World) -> None:
    """What is refused, what is passed over, and what is stored."""
    good = instances(2)

    async def mixed() -> AsyncIterator[Event]:
        for contents, media in (
            (good[:1], "application/dicom"),
            ([b"letter"], "text/plain"),
            ([b"more"], "odd"),
            ([b"no image" * 9000], "application/dicom"),
            (good[1:] + good[:1], "application/dicom"),
        ):
            async for event in body(contents, media):
                yield event

    assert await outcomes(world, mixed()) == ["stored", "NotDicom", "NotDicom", "stored", "duplicate"]


async def test_a_body_that_breaks_off(slow: World) -> None:
    """What was whole is kept, the rest leaves no trace, and nothing goes on afterwards."""

    async def broken() -> AsyncIterator[Event]:
        async for event in body(instances(2)):
            yield event
        yield PartBegun({"content-type": "application/dicom"})
        yield PartData(instances(1)[0][:20_000])
        raise Unreachable("the client is gone")

    with pytest.raises(Unreachable):
        await outcomes(slow, broken())
    assert Slow.under_way == 0
    assert len(slow.books.seen()) == 1
    assert slow.books.seen()[0].instances == 2


def test_memory_of_one_request_is_bounded() -> None:
    """The figure that the documents name."""
    assert depositing.MOST_HELD + behind.BACKLOG <= 20 * 1024**2
