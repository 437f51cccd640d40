"""The accept loop, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from huisclos.web import serve
from huisclos.web.serve import Server
from tests.web.demo import certificates


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and answers how long it was."""
    assert scope["type"] == "http"
    octets, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        octets, more = octets + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": f"{octets:08d}".encode()})


@asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None = None, admits: Callable[[str], bool] = lambda _: True
) -> AsyncIterator[int]:
    """A server on a free port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(hello, [listener], tls, admits)
    await server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        await server.stop()
        listener.close()


async def ask(port: int, request: bytes) -> bytes:
    """What comes back until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_it_answers() -> None:
    """A request, a body, a date, no name of the program."""
    async with serving() as port:
        answer = await ask(
            port, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        )
    assert answer.endswith(b"00000003")
    assert b"date: " in answer.lower()
    assert b"server:" not in answer.lower()


async def test_a_source_is_refused_before_a_byte(tmp_path: Path) -> None:
    """Not even the handshake begins."""
    asked: list[str] = []
    _, chain = certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)

    def admits(address: str) -> bool:
        asked.append(address)
        return False

    async with serving(tls, admits) as port:
        assert await ask(port, b"\x16\x03\x01\x00\x05hello") == b""
    assert asked == ["127.0.0.1"]


async def test_endless_headers() -> None:
    """Cut at the bound."""
    async with serving() as port:
        line = b"X-Filler: " + b"y" * 1000 + b"\r\n"
        assert await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + line * 200) == b""


async def test_slow_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dawdles over the headers is cut, also before the first byte."""
    monkeypatch.setattr(serve, "HEADERS_SECONDS", 0.2)
    async with serving() as port:
        assert await ask(port, b"GET / HTTP/1.1\r\nHost:") == b""
        assert await ask(port, b"") == b""


async def test_slow_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause in the body is bounded, a long body is not."""
    monkeypatch.setattr(serve, "BODY_SECONDS", 0.3)
    async with serving() as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"
        assert await ask(port, head + b"abc") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        assert (await reader.read()).endswith(b"00000010")
        writer.close()


_HALF = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"


async def test_connections_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address cannot have more requests under way than its places, and gets those back."""
    monkeypatch.setattr(serve, "MAX_PER_ADDRESS", 3)
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving() as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for _, writer in held:
            writer.write(_HALF)
        await asyncio.sleep(0.1)
        assert await ask(port, request) == b""
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await ask(port, request)).endswith(b"00000000")


@pytest.mark.parametrize("bound", ["MAX_PER_ADDRESS", "MAX_CONNECTIONS"])
async def test_who_asks_nothing_makes_room(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """The oldest goes that is silent or slow over its headers; what is under way is not cut."""
    monkeypatch.setattr(serve, bound, 3)
    async with serving() as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        held[0][1].write(_HALF)
        held[1][1].write(_HALF[:20])
        await asyncio.sleep(0.1)
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for _ in range(4):
            assert (await ask(port, request)).endswith(b"00000000")
        assert await held[1][0].read() == b""
        held[0][1].write(b"whole")
        assert (await held[0][0].read(4096)).endswith(b"00000009")
        for _, writer in held:
            writer.close()


async def test_tls_and_a_new_certificate(tmp_path: Path) -> None:
    """Over TLS, and a client that only knocks does not disturb."""
    authority, chain = certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    trusting = ssl.create_default_context(cafile=str(authority))
    async with serving(tls) as port:
        await ask(port, b"GET / HTTP/1.1\r\n\r\n")
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trusting)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"00000000")
        writer.close()


async def test_stopping_lets_what_is_under_way_end() -> None:
    """A request that has begun is answered; nobody new is."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(hello, [listener], None, lambda _: True)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.1)
    writer.write(b"c")
    assert (await reader.read()).endswith(b"00000003")
    await stopping
    listener.close()
    writer.close()


async def test_a_socket_that_takes_no_option_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some systems say of a peer that has left already: its place is free again."""

    def refused(*_: object) -> None:
        raise OSError(errno.EINVAL, "invalid")

    async with serving() as port:
        with socket.socket() as client:
            client.setblocking(False)
            with monkeypatch.context() as patched:
                patched.setattr(socket.socket, "setsockopt", refused)
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5)
        assert answer == b""
        assert b" 200 " in await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


async def test_who_comes_in_the_moment_of_the_end_is_closed() -> None:
    """Cancelled before its first step: the end does not wait for a connection that nobody serves."""
    ends: list[asyncio.Task[None]] = []

    def admits(_: str) -> bool:
        ends.append(asyncio.ensure_future(server.stop()))  # its turn is before that of who was admitted
        return True

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        server = Server(hello, [listener], None, admits)
        await server.start()
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, listener.getsockname())
        assert await asyncio.wait_for(loop.sock_recv(client, 1), serve.STOP_SECONDS / 2) == b""
        await asyncio.wait_for(ends[0], serve.STOP_SECONDS / 2)
