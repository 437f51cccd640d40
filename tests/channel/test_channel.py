"""Channels: calls both ways, errors as the same class, ends that vanish, hostile frames."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.channel import Channel, Methods, Sibling
from huisclos.channel.calls import NOTHING, Nothing, locked_when_away
from huisclos.channel.frames import CALL, Frame, FrameReader, encode_frame
from huisclos.channel.handover import Message, receive_message, send_message
from huisclos.errors import Locked, NotGranted, StudyNotFound, TooLarge, Unreachable, Unreadable


class Asked(msgspec.Struct, frozen=True):
    """A request."""

    number: int


class Answered(msgspec.Struct, frozen=True):
    """A reply."""

    twice: int


def _methods() -> Methods:
    methods = Methods()

    async def double(asked: Asked) -> Answered:
        await asyncio.sleep(0)
        return Answered(asked.number * 2)

    async def refuse(_: Nothing) -> None:
        raise StudyNotFound("no such study", hint="look elsewhere")

    async def never(_: Nothing) -> None:
        await asyncio.Event().wait()

    methods.add("double", Asked, double)
    methods.add("refuse", Nothing, refuse)
    methods.add("never", Nothing, never)
    return methods


async def _pair() -> tuple[Channel, Channel]:
    left, right = socket.socketpair()
    return await Channel.over(left, _methods()), await Channel.over(right, _methods())


async def _end(*ends: Channel) -> None:
    for end in ends:
        end.close()
    for end in ends:
        await end.closed()


async def test_many_calls_both_ways() -> None:
    """A hundred calls each way, in flight together, find their own replies."""
    left, right = await _pair()
    answers = await asyncio.gather(
        *(end.call("double", Asked(n), Answered) for n in range(100) for end in (left, right))
    )
    assert [n * 2 for n in range(100) for _ in range(2)] == [answer.twice for answer in answers]
    await _end(left, right)


async def test_errors_keep_class_message_and_hint() -> None:
    """What the callee raises is what the caller catches."""
    left, right = await _pair()
    with pytest.raises(StudyNotFound) as caught:
        await left.call("refuse", NOTHING, Nothing)
    assert ("no such study", "look elsewhere") == (caught.value.message, caught.value.hint)
    with pytest.raises(NotGranted):
        await left.call("unheard-of", NOTHING, Nothing)
    with pytest.raises(Unreadable):
        await left.call("double", NOTHING, Answered)
    await _end(left, right)


async def test_a_broken_channel_ends_pending_calls() -> None:
    """Nobody waits for ever for a process that died."""
    left, right = await _pair()
    waiting = asyncio.create_task(left.call("never", NOTHING, Nothing))
    await asyncio.sleep(0.01)
    right.close()
    with pytest.raises(Unreachable):
        await waiting
    with pytest.raises(Unreachable):
        await left.call("double", Asked(1), Answered)
    await _end(left, right)


async def test_a_sibling_away_says_so() -> None:
    """Before it arrives and after it leaves, its own error is raised."""
    sibling = Sibling("finder", locked_when_away)
    with pytest.raises(Locked):
        await sibling.call("double", Asked(1), Answered)
    left, right = await _pair()
    sibling.arrive(left)
    assert Answered(4) == await sibling.call("double", Asked(2), Answered)
    await _end(left, right)
    with pytest.raises(Locked):
        await sibling.call("double", Asked(1), Answered)


@given(
    st.lists(st.builds(Frame, st.integers(0, 2), st.integers(0, 2**31), st.text(), st.binary())), st.data()
)
def test_frames_survive_any_split(frames: list[Frame], data: st.DataObject) -> None:
    """However the bytes are cut, the same frames come out."""
    wire = b"".join(encode_frame(frame) for frame in frames)
    reader, out, at = FrameReader(), [], 0
    while at < len(wire):
        step = data.draw(st.integers(1, len(wire) - at))
        out += reader.feed(wire[at : at + step])
        at += step
    assert frames == out


@given(st.binary(min_size=4, max_size=200))
def test_foreign_bytes_are_refused_or_wait(wire: bytes) -> None:
    """Nothing but a frame comes out, nothing but the two errors is raised."""
    try:
        for frame in FrameReader().feed(wire):
            assert isinstance(frame, Frame)
    except (TooLarge, Unreadable):
        pass


def test_a_length_over_the_bound_is_refused_before_it_is_awaited() -> None:
    """Four bytes are enough to refuse."""
    with pytest.raises(TooLarge):
        FrameReader().feed(b"\xff\xff\xff\xff")
    with pytest.raises(TooLarge):
        encode_frame(Frame(CALL, 1, "x", bytes(65 * 1024 * 1024)))


def test_sockets_are_handed_over() -> None:
    """A descriptor sent with a message works at the other end."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left, right = socket.socketpair()
    send_message(here, Message("sibling", "finder"), right.fileno())
    right.close()
    received = receive_message(there)
    assert received is not None
    message, (handed,) = received
    assert Message("sibling", "finder") == message
    handed.sendall(b"hello")
    assert b"hello" == left.recv(5)
    here.close()
    assert receive_message(there) is None
    for sock in (there, left, handed):
        sock.close()
