"""A Protocol served at one end and called at the other."""

from __future__ import annotations

import socket
from typing import Protocol

import msgspec
import pytest

from huisclos.channel import Channel, Methods, remote, serve
from huisclos.errors import NotGranted


class Thing(msgspec.Struct, frozen=True):
    """A struct that crosses."""

    name: str
    parts: frozenset[str] = frozenset()


class Maker(Protocol):
    """A port."""

    async def make(self, name: str, *, parts: frozenset[str], twice: bool = False) -> tuple[Thing, ...]:
        """Things."""

    async def forget(self, name: str) -> None:
        """Nothing."""

    async def perhaps(self, name: str) -> Thing | None:
        """A thing or none."""


class Workshop:
    """An implementation."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def make(self, name: str, *, parts: frozenset[str], twice: bool = False) -> tuple[Thing, ...]:
        """Things."""
        return (Thing(name, parts),) * (2 if twice else 1)

    async def forget(self, name: str) -> None:
        """Remember that it was forgotten."""
        self.forgotten.append(name)

    async def perhaps(self, name: str) -> Thing | None:
        """None for an empty name."""
        return Thing(name) if name else None


async def test_a_port_crosses_a_channel() -> None:
    """Positional, keyword and default arguments arrive; None comes back as None."""
    left, right = socket.socketpair()
    workshop, methods = Workshop(), Methods()
    serve(methods, Maker, workshop)
    server, caller = await Channel.over(left, methods), await Channel.over(right)
    maker = remote(Maker, caller)
    parts = frozenset({"a", "b"})
    assert (Thing("x", parts), Thing("x", parts)) == await maker.make("x", parts=parts, twice=True)
    assert (Thing("x", parts),) == await maker.make(name="x", parts=parts)
    await maker.forget("y")
    assert ["y"] == workshop.forgotten
    assert await maker.perhaps("") is None
    assert Thing("z") == await maker.perhaps("z")
    caller.close()
    server.close()
    await caller.closed()
    await server.closed()


async def test_only_what_a_role_may_call_is_answered() -> None:
    """A method left out of the table is refused, whatever the caller sends."""
    left, right = socket.socketpair()
    methods = Methods()
    serve(methods, Maker, Workshop(), only=frozenset({"forget"}))
    server, caller = await Channel.over(left, methods), await Channel.over(right)
    with pytest.raises(NotGranted):
        await remote(Maker, caller).perhaps("x")
    caller.close()
    server.close()
    await caller.closed()
    await server.closed()
