"""A practice in memory, a browser that behaves as one, and TLS lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from huisclos.web.app import make_app, make_gate_app, make_viewer_app
from tests.web.browser import ORIGIN, Browser
from tests.web.lines import Bench, Loop
from tests.web.world import World


@pytest.fixture
def world() -> World:
    """An empty practice with five people."""
    return World()


@pytest.fixture
async def browser(world: World) -> AsyncIterator[Browser]:
    """At the pages, nobody logged in."""
    async with Browser(make_app(world.site), ORIGIN, world) as one:
        yield one


@pytest.fixture
async def gate(world: World) -> AsyncIterator[Browser]:
    """At the gate."""
    async with Browser(make_gate_app(world.gate_site), "https://localhost:8444", world) as one:
        yield one


@pytest.fixture
async def viewer(world: World) -> AsyncIterator[Browser]:
    """At the viewer's origin."""
    async with Browser(make_viewer_app(world.site), "https://localhost:8445", world) as one:
        yield one


@pytest.fixture
async def program(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A program without the headers of a browser."""
    transport = httpx.ASGITransport(make_app(world.site))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as one:
        yield one


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """Both, one after the other."""
    return Loop(request.param)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """See `Bench`."""
    bench = Bench(tmp_path)
    with bench.listener:
        yield bench
