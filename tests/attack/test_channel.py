"""Between processes: a callee's bug, and descriptors that nobody asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path

import msgspec
import pytest

from huisclos.channel import Channel, Message, Methods, receive_message
from huisclos.channel.frames import CALL, Frame, encode_frame
from huisclos.errors import HuisclosError


class Asked(msgspec.Struct, frozen=True):
    """A request."""

    text: str


async def _fails(asked: Asked) -> Asked:
    raise ValueError(asked.text)


async def test_a_bug_of_the_callee_does_not_hang_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """The caller is told; neither it nor the log learns what the bug held."""
    methods = Methods()
    methods.add("fails", Asked, _fails)
    left, right = socket.socketpair()
    caller, callee = await Channel.over(left), await Channel.over(right, methods)
    with caplog.at_level(logging.DEBUG), pytest.raises(HuisclosError) as told:
        await asyncio.wait_for(caller.call("fails", Asked("DUPONT^MARIE"), Asked), 2)
    assert "DUPONT" not in f"{told.value.message}{told.value.hint}{caplog.text}"
    assert "ValueError" in caplog.text
    for end in (caller, callee):
        end.close()
        await end.closed()


async def _echoes(asked: Asked) -> Asked:
    return asked


@pytest.mark.parametrize("length", [0, 1024**2])
async def test_who_asks_and_never_listens_is_not_read_for_ever(length: int) -> None:
    """A face that was taken over cannot grow the vault by calls whose answers it leaves lying."""
    methods = Methods()
    methods.add("echoes", Asked, _echoes)
    left, right = socket.socketpair()
    callee = await Channel.over(right, methods)
    left.setblocking(False)
    call = encode_frame(Frame(CALL, 1, "echoes", msgspec.msgpack.encode(Asked("x" * length))))
    call *= 1 + 4096 // len(call)
    taken = 0
    with left, contextlib.suppress(TimeoutError):
        while taken < 512 * 1024**2:
            async with asyncio.timeout(1):
                await asyncio.get_running_loop().sock_sendall(left, call)
            taken += len(call)
    assert taken < 256 * 1024**2
    assert len(asyncio.all_tasks()) < 20_000
    callee.close()
    await callee.closed()


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_descriptors_that_are_no_sockets_are_not_left_lying(tmp_path: Path) -> None:
    """A child that was taken over must not be able to use up the supervisor's descriptors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        before = _descriptors()
        for _ in range(20):
            socket.send_fds(theirs, [msgspec.msgpack.encode(Message("ready"))], [file.fileno()] * 8)
            assert receive_message(ours) == (Message("ready"), [])
        assert _descriptors() == before
