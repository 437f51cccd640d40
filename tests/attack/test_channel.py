"""Between processes: a callee's bug, and descriptors that nobody asked for."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import msgspec
import pytest

from huisclos.channel import Channel, Message, Methods, receive_message
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
