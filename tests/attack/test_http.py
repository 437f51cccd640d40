"""What a client nobody knows can make a web worker hold: memory by trailers, places by silence."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from huisclos.web import serve
from huisclos.web.serve import Server

_CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
_FLOOD = 4 * 1024 * 1024
"""Bytes; far over what headers may have."""

_PIECE = 256 * 1024
_LONG = 64 * _PIECE
"""Bytes of a long answer: more than the buffers on its way take."""


class _House:
    """An application that says which headers it was given once the body is read, or answers at length."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while scope["path"] != "/long":
            message = await receive()
            if message["type"] != "http.request":
                return
            if not message.get("more_body", False):
                break
        self.headers = list(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(_LONG // _PIECE if scope["path"] == "/long" else 1):
            await send({"type": "http.response.body", "body": bytes(_PIECE), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def _serving(house: _House) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(house, [listener], None, lambda _: True)
    await server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        await server.stop()
        listener.close()


@asynccontextmanager
async def _calling(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flood: bytes) -> bool:
    """Whether the house ends the connection while, or after, it is flooded."""
    try:
        for at in range(0, len(flood), 64 * 1024):
            writer.write(flood[at : at + 64 * 1024])
            await writer.drain()
        await asyncio.wait_for(reader.read(), 2)
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"X: " + b"a" * _FLOOD, id="one endless trailer"),
        pytest.param(b"X: aaaaaaaaaaaa\r\n" * (_FLOOD // 16), id="endlessly many trailers"),
    ],
)
async def test_trailers_are_bounded(flood: bytes) -> None:
    """What stands behind a body counts as headers do: nothing makes a worker gather it without end."""
    async with _serving(_House()) as port, _calling(port) as (reader, writer):
        writer.write(_CHUNKED)
        assert await _cut(reader, writer, flood)


async def test_an_endless_chunk_size_is_cut() -> None:
    """Chunk extensions are no body: they are bounded too."""
    async with _serving(_House()) as port, _calling(port) as (reader, writer):
        writer.write(_CHUNKED.removesuffix(b"1\r\na\r\n0\r\n") + b"1;")
        assert await _cut(reader, writer, b"a" * _FLOOD)


async def test_a_trailer_is_no_header() -> None:
    """A header that arrives behind the body was judged by nobody, and nobody sees it."""
    house = _House()
    async with _serving(house) as port, _calling(port) as (reader, writer):
        writer.write(_CHUNKED + b"Authorization: Bearer x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    assert [name for name, _ in house.headers] == [b"host", b"transfer-encoding"]


async def test_whoever_does_not_read_is_cut_whatever_waits_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second request behind the first pauses our reading; that keeps no unread answer open for ever."""
    monkeypatch.setattr(serve, "BODY_SECONDS", 0.3)
    async with _serving(_House()) as port, _calling(port) as (reader, writer):
        writer.write(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        await asyncio.sleep(1.0)
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := await asyncio.wait_for(reader.read(1 << 20), 2):
                got += len(piece)
        assert got < _LONG


async def test_whoever_stops_in_a_body_is_cut_also_after_we_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first piece so large that our reading pauses, and then silence, holds no place for ever."""
    monkeypatch.setattr(serve, "BODY_SECONDS", 0.3)
    async with _serving(_House()) as port, _calling(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + bytes(200_000))
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(1), 3) == b""
