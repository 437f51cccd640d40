"""What a few bytes can make the house think about for long, before it knows who sent them."""

from __future__ import annotations

import time

import httpx
import pytest

from huisclos.web.app import make_app
from huisclos.web.dicomweb.media import _ranges
from tests.web.browser import ORIGIN
from tests.web.world import World

LONG = 60_000
"""Characters: what a header may have."""
QUICK = 1.0
"""Seconds."""


HEADERS = ("Accept", "Accept-Language", "Cookie", "Content-Type", "Range", "Authorization")
TEXTS = (",", ',"', '";', "; ", ";a=", ';a="', "a", "\\", ", q=", "=", " ", "bytes=1-,")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("text", TEXTS)
async def test_no_header_takes_long(header: str, text: str) -> None:
    """Not one that is nothing but commas and quotes: an expression that looks back takes time squared."""
    world = World()
    transport = httpx.ASGITransport(make_app(world.site))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as program:
        headers = {"Authorization": "Bearer x", header: "x" + text * (LONG // len(text)) + "x"}
        begun = time.perf_counter()
        await program.get("/dicom-web/studies", headers=headers)
        await program.post("/dicom-web/studies", headers=headers, content=b"x")
        await program.get("/login", headers=headers)
        assert time.perf_counter() - begun < QUICK


def test_ranges_are_cut_outside_quotes() -> None:
    """A comma in a quoted parameter does not end a media range (RFC 9110 section 5.6.4)."""
    assert _ranges('a/b;x="1,2",c/d') == ['a/b;x="1,2"', "c/d"]
    assert _ranges("a/b") == ["a/b"]
    assert _ranges('a/b;x="1,c/d') == ['a/b;x="1,c/d"']
