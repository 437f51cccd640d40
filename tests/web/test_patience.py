"""A client that reads steadily is waited for, however long its answer takes; one that does not is cut."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from huisclos.web import serve, tls
from huisclos.web.dicomweb.parts import PIECE, WrittenPart
from huisclos.web.serve import Server
from tests.web.demo import certificates
from tests.web.lines import MEGABYTE, Loop

LENGTH = 6 * MEGABYTE
SLOW = 16 * 1024


def _reads(port: int, trusted: Path | None, least: int, seconds: float, over: threading.Event) -> int:
    """The bytes that a client gets, of which it reads at most `least` every so many `seconds`."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    raw.settimeout(10)
    raw.connect(("127.0.0.1", port))
    with raw:
        made: socket.socket = raw
        if trusted is not None:
            context = ssl.create_default_context(cafile=str(trusted))
            made = context.wrap_socket(raw, server_hostname="localhost")
        made.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = 0
        with suppress(OSError), made:
            while not over.is_set() and (piece := made.recv(least)):
                got += len(piece)
                time.sleep(seconds)
        return got


async def _asked(folder: Path, *, sealed: bool, least: int, seconds: float) -> tuple[int, float]:
    """The bytes that such a client got, and how long the server had it."""
    ca, chain = certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    sent, over = asyncio.Event(), threading.Event()

    async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        head = [(b"content-length", str(LENGTH).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": bytes(LENGTH), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        sent.set()

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    server = Server(at_once, [listener], context if sealed else None, lambda _: True)
    await server.start()
    begun = time.monotonic()
    where = listener.getsockname()[1], ca if sealed else None
    reading = asyncio.create_task(asyncio.to_thread(_reads, *where, least, seconds, over))
    try:
        await asyncio.wait_for(sent.wait(), 15)
        took = time.monotonic() - begun
        if least < SLOW:
            over.set()
        return await reading, took
    finally:
        over.set()
        await server.stop()
        listener.close()


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize(
    ("least", "seconds", "whole"), [(SLOW, 0.004, True), (64, 0.02, False)], ids=["steady", "trickle"]
)
def test_a_slow_client(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sealed: bool,
    least: int,
    seconds: float,
    whole: bool,
) -> None:
    """It takes many times as long as a client that reads nothing is given, and gets all; a trickle is cut."""
    for bound in ((serve, "BODY_SECONDS"), (tls, "FLUSH_SECONDS")):
        monkeypatch.setattr(*bound, 0.4)
    got, took = Loop(name).run(lambda: _asked(tmp_path, sealed=sealed, least=least, seconds=seconds))
    assert whole == (got > LENGTH)
    assert whole == (took > 3 * 0.4)


async def test_what_is_whole_is_sent_in_pieces() -> None:
    """A connection is handed a megabyte at a time."""
    content = bytes(2 * PIECE) + b"end"
    lengths = [len(piece) async for piece in WrittenPart("image/jpeg", "/1", content).pieces()]
    assert [PIECE, PIECE, 3] == lengths
