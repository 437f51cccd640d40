"""TLS lines for tests of the transport: both loops, a protocol that keeps what it is told, clients."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from huisclos.web.tls import Session, TlsTransport
from tests.web.demo import certificates

MEGABYTE = 1024 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True)
class Loop:
    """One of the two loops."""

    name: str

    def run(self, scenario: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What a scenario comes to on it."""
        factory = uvloop.new_event_loop if self.name == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(scenario(), 20))


@dataclass
class Told(asyncio.Protocol):
    """Keeps what it is told."""

    received: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    events: list[str] = field(default_factory=list)
    on_data: Callable[[TlsTransport, bytes], None] = lambda _transport, _data: None
    transport: TlsTransport | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.ended = asyncio.Event()
        self.resumed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        assert self.transport is not None
        self.received += data
        self.pieces += 1
        self.on_data(self.transport, data)

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self.events.append("eof")

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.events.append("pause")

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.events.append("resume")
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.events.append("lost")
        self.error = exc
        self.ended.set()


class Bench:
    """A listener, and clients that are plain threads with Python's own TLS."""

    def __init__(self, folder: Path) -> None:
        ca, chain = certificates(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self.trusting = ssl.create_default_context(cafile=str(ca))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)

    def client(self, talk: Callable[[ssl.SSLSocket], object]) -> threading.Thread:
        """A client that has shaken hands, in a thread of its own."""

        def be() -> None:
            raw = socket.create_connection(self.listener.getsockname(), timeout=10)
            with suppress(OSError), self.trusting.wrap_socket(raw, server_hostname="localhost") as session:
                talk(session)

        thread = threading.Thread(target=be, daemon=True)
        thread.start()
        return thread

    async def accept(self, told: Told | None = None) -> Told:
        """The connection of the next client, after its handshake."""
        peer, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        session = Session(peer, self.context)
        try:
            await session.shake_hands()
        except BaseException:
            peer.close()
            raise
        told = told or Told()
        TlsTransport(session, told)
        return told
