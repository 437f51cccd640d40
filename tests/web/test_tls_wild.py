"""A client and a house that do anything with a TLS line, in any order."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huisclos.web.tls import TlsTransport
from tests.web.lines import MEGABYTE, Bench, Loop, Told


class Wild:
    """A client that does what it was told to, in any order, with TLS in its own hands."""

    def __init__(self, bench: Bench) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = bench.trusting.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.line = socket.create_connection(bench.listener.getsockname(), timeout=5)
        while True:
            try:
                self.session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.line.sendall(self.outgoing.read())
                self.incoming.write(self.line.recv(65536))

    def do(self, what: str) -> None:
        """One thing. Raises `OSError` once the line is gone."""
        if what == "say":
            self.session.write(os.urandom(30_000))
            self.line.sendall(self.outgoing.read())
        elif what == "say by halves":
            self.session.write(os.urandom(20_000))
            whole = self.outgoing.read()
            self.line.sendall(whole[: len(whole) // 2])
            time.sleep(0.002)
            self.line.sendall(whole[len(whole) // 2 :])
        elif what == "listen":
            self.line.settimeout(0.01)
            with suppress(TimeoutError):
                self.line.recv(65536)
            self.line.settimeout(5)
        elif what == "say goodbye":
            with suppress(ssl.SSLWantReadError):
                self.session.unwrap()
            self.line.sendall(self.outgoing.read())
        elif what == "end its half":
            self.line.shutdown(socket.SHUT_WR)
        elif what == "speak in clear":
            self.line.sendall(b"GET / HTTP/1.1\r\n\r\n")
        elif what == "wait":
            time.sleep(0.005)

    def leave(self, *, by_reset: bool) -> None:
        """Close the line."""
        if by_reset:
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.line.close()


CLIENTS = ["say", "say by halves", "listen", "say goodbye", "end its half", "speak in clear", "wait"]
SERVERS = ["nothing", "answer", "answer much", "pause", "close", "abort", "answer and close"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    client=st.lists(st.sampled_from(CLIENTS), max_size=8),
    server=st.lists(st.sampled_from(SERVERS), min_size=1, max_size=6),
    by_reset=st.booleans(),
)
def test_whatever_the_two_do_it_ends_once(
    loop: Loop, bench: Bench, client: list[str], server: list[str], *, by_reset: bool
) -> None:
    """In any order: no error is left unheard, the protocol is told of one end, and of nothing after it."""
    faults: list[dict[str, Any]] = []
    todo = list(server)

    def act(transport: TlsTransport, _data: bytes) -> None:
        what = todo.pop(0) if todo else "nothing"
        if what.startswith("answer"):
            transport.write(bytes(2 * MEGABYTE if what == "answer much" else 500))
        if what == "pause":
            transport.pause_reading()
            asyncio.get_running_loop().call_later(0.01, transport.resume_reading)
        if what.endswith("close"):
            transport.close()
        if what == "abort":
            transport.abort()

    def talk() -> None:
        wild = Wild(bench)
        with suppress(OSError):
            for what in client:
                wild.do(what)
        wild.leave(by_reset=by_reset)

    async def scenario() -> Told | None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            told = await bench.accept(Told(on_data=act))
        except OSError:  # gone before our half of the handshake was
            told = None
        if told is not None:
            await told.ended.wait()
            before = list(told.events)
            await asyncio.sleep(0.03)
            assert told.events == before
        await asyncio.to_thread(thread.join)
        return told

    told = loop.run(scenario)
    assert not faults
    if told is not None:
        assert told.events.count("lost") == 1
        assert told.events[-1] == "lost"
        assert told.events.count("eof") <= 1
        assert told.transport is not None
        assert told.transport.get_write_buffer_size() == 0
