"""TLS as a transport: bytes, bounds, and each way a connection ends; on our loop and on Python's own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huisclos.web import tls
from huisclos.web.tls import HIGH_WATER, Session, TlsTransport
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


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """Both, one after the other."""
    return Loop(request.param)


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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """See `Bench`."""
    bench = Bench(tmp_path)
    with bench.listener:
        yield bench


def _all_of(session: ssl.SSLSocket) -> bytes:
    got = bytearray()
    while piece := session.recv(65536):
        got += piece
    return bytes(got)


def test_both_ways(loop: Loop, bench: Bench) -> None:
    """Megabytes to us, megabytes back, and an end that both have heard."""
    sent, answers = bytes(range(256)) * 4 * 4096, list[bytes]()

    def talk(session: ssl.SSLSocket) -> None:
        session.sendall(sent)
        answers.append(_all_of(session))
        session.unwrap()

    heard = bytearray()

    def answer(transport: TlsTransport, data: bytes) -> None:
        heard.extend(data)
        if len(heard) == len(sent):
            transport.write(heard)
            transport.close()

    async def scenario() -> Told:
        thread = bench.client(talk)
        told = await bench.accept(Told(on_data=answer))
        await told.ended.wait()
        await asyncio.to_thread(thread.join)
        return told

    told = loop.run(scenario)
    assert bytes(told.received) == sent
    assert answers == [sent]
    assert told.error is None


def test_who_does_not_read_is_not_written_to_without_end(loop: Loop, bench: Bench) -> None:
    """The protocol is asked to pause, and to go on once the client has read."""
    go, got = threading.Event(), list[bytes]()

    def talk(session: ssl.SSLSocket) -> None:
        go.wait(10)
        got.append(_all_of(session))

    async def scenario() -> Told:
        thread = bench.client(talk)
        told = await bench.accept()
        transport = told.transport
        assert transport is not None
        written = 0
        while "pause" not in told.events:
            transport.write(b"x" * MEGABYTE)
            written += MEGABYTE
        assert transport.get_write_buffer_size() > HIGH_WATER
        go.set()
        await told.resumed.wait()
        transport.write(b"y" * 8 * MEGABYTE)
        transport.close()  # with a backlog: it leaves first
        await told.ended.wait()
        await asyncio.to_thread(thread.join)
        assert got == [b"x" * written + b"y" * 8 * MEGABYTE]
        return told

    told = loop.run(scenario)
    assert told.error is None


def test_who_never_reads_is_cut(loop: Loop, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the end, what waits for the client waits so long and no longer."""
    monkeypatch.setattr(tls, "FLUSH_SECONDS", 0.3)
    over = threading.Event()

    async def scenario() -> None:
        bench.client(lambda _session: over.wait(10))
        told = await bench.accept()
        assert told.transport is not None
        told.transport.write(bytes(32 * MEGABYTE))
        told.transport.close()
        await told.ended.wait()
        over.set()

    loop.run(scenario)


def test_who_never_says_goodbye_is_cut(loop: Loop, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does an idle one hold its place after ours."""
    monkeypatch.setattr(tls, "SHUTDOWN_SECONDS", 0.3)
    over = threading.Event()

    async def scenario() -> None:
        bench.client(lambda _session: over.wait(10))
        told = await bench.accept()
        assert told.transport is not None
        told.transport.close()
        await told.ended.wait()
        over.set()

    loop.run(scenario)


def test_an_answer_to_half_a_request_arrives(loop: Loop, bench: Bench) -> None:
    """The client goes on sending what nobody reads any more, and still gets its answer whole."""
    answers = list[bytes]()

    def talk(session: ssl.SSLSocket) -> None:
        session.sendall(b"x" * 200_000)
        with suppress(OSError):
            session.sendall(b"x" * 2 * MEGABYTE)
        answers.append(session.recv(100))

    def refuse(transport: TlsTransport, _data: bytes) -> None:
        transport.write(b"too long")
        transport.close()

    async def scenario() -> None:
        thread = bench.client(talk)
        told = await bench.accept(Told(on_data=refuse))
        await told.ended.wait()
        await asyncio.to_thread(thread.join)

    loop.run(scenario)
    assert answers == [b"too long"]


def test_paused_it_reads_nothing_and_then_the_rest(loop: Loop, bench: Bench) -> None:
    """Also what OpenSSL had taken from the socket before the pause, of which the socket says nothing."""
    sent = bytes(range(256)) * 4096

    def talk(session: ssl.SSLSocket) -> None:
        session.sendall(sent)
        session.recv(1)

    async def scenario() -> Told:
        def stop(transport: TlsTransport, _data: bytes) -> None:
            transport.pause_reading()

        told = Told(on_data=stop)
        thread = bench.client(talk)
        await bench.accept(told)
        transport = told.transport
        assert transport is not None
        while len(told.received) < len(sent):
            before = told.pieces
            await asyncio.sleep(0.02)
            assert told.pieces <= before + 1
            transport.resume_reading()
            await asyncio.sleep(0.02)
        transport.abort()
        await told.ended.wait()
        await asyncio.to_thread(thread.join)
        return told

    told = loop.run(scenario)
    assert bytes(told.received) == sent
    assert told.pieces >= len(sent) // (256 * 1024)


def test_a_client_that_ends(loop: Loop, bench: Bench) -> None:
    """By a goodbye, by the end of the line alone, by a reset: it is over, and nothing waits."""

    def say_goodbye(session: ssl.SSLSocket) -> None:
        session.unwrap()

    def reset(session: ssl.SSLSocket) -> None:
        session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        socket.socket.close(session)

    def hang_up(session: ssl.SSLSocket) -> None:
        socket.socket.shutdown(session, socket.SHUT_RDWR)

    async def scenario() -> list[list[str]]:
        seen = []
        for talk in (say_goodbye, hang_up, reset):
            bench.client(talk)
            try:
                told = await bench.accept()
            except ConnectionResetError:  # before the end of our half of the handshake
                seen.append(["lost"])
                continue
            await told.ended.wait()
            seen.append(told.events)
        return seen

    goodbye, end, broken = loop.run(scenario)
    assert goodbye == ["eof", "lost"]
    # who shuts its line at once may answer our session tickets by a reset
    assert end in (["eof", "lost"], ["lost"])
    assert broken[-1] == "lost"


def test_half_a_line_costs_nothing(loop: Loop, bench: Bench) -> None:
    """Who said that nothing more will come, and does not read, keeps no processor busy; then gets all."""
    go, got = threading.Event(), list[int]()

    def talk() -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = bench.trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(bench.listener.getsockname(), timeout=10) as line:
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    line.sendall(outgoing.read())
                    incoming.write(line.recv(65536))
            session.write(b"all of it")
            with suppress(ssl.SSLWantReadError):
                session.unwrap()  # ours only: the other half is not waited for
            line.sendall(outgoing.read())
            line.shutdown(socket.SHUT_WR)
            go.wait(10)
            octets = 0
            while piece := line.recv(65536):
                incoming.write(piece)
                with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                    while more := session.read(65536):
                        octets += len(more)
            got.append(octets)

    async def scenario() -> float:
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        told = await bench.accept(
            Told(on_data=lambda transport, _data: transport.write(bytes(16 * MEGABYTE)))
        )
        while "eof" not in told.events:
            await asyncio.sleep(0.01)
        began = time.thread_time()
        await asyncio.sleep(0.5)
        cost = time.thread_time() - began
        go.set()
        await told.ended.wait()
        await asyncio.to_thread(thread.join)
        return cost

    assert loop.run(scenario) < 0.1
    assert got == [16 * MEGABYTE]


def test_what_is_altered_on_the_way_is_not_received(loop: Loop, bench: Bench) -> None:
    """A byte that is no record ends the connection, and the protocol gets nothing of it."""

    def talk(session: ssl.SSLSocket) -> None:
        session.sendall(b"well")
        socket.socket.send(session, b"\x17\x03\x03\x00\x20" + bytes(32))
        session.recv(1)

    async def scenario() -> Told:
        bench.client(talk)
        told = await bench.accept()
        await told.ended.wait()
        return told

    told = loop.run(scenario)
    assert bytes(told.received) in (b"", b"well")
    assert isinstance(told.error, ssl.SSLError)


def test_who_sends_records_that_carry_nothing_is_cut(loop: Loop, bench: Bench) -> None:
    """And holds up nobody before: renewed keys by the hundred thousand cost as much as a few."""
    _libssl()
    renewed, turns = list[int](), list[float]()

    def talk(session: ssl.SSLSocket) -> None:
        session.sendall(b"well")
        renewed.append(renew_keys(session, 200_000))

    async def scenario() -> Told:
        thread = bench.client(talk)
        told = await bench.accept()
        while not told.ended.is_set():
            began = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - began)
        await asyncio.to_thread(thread.join)
        return told

    told = loop.run(scenario)
    assert bytes(told.received) == b"well"
    assert told.events == ["lost"]
    assert 0 < renewed[0] < 200_000
    assert max(turns) < 0.25


def test_records_that_carry_little_are_read(loop: Loop, bench: Bench) -> None:
    """A byte in each: a client may be slow, or a person."""
    _libssl()
    sent = bytes(range(256)) * 64

    def talk(session: ssl.SSLSocket) -> None:
        for octet in sent:
            session.send(bytes([octet]))
            if not octet:
                renew_keys(session, 1)
        session.unwrap()

    async def scenario() -> Told:
        thread = bench.client(talk)
        told = await bench.accept()
        await told.ended.wait()
        await asyncio.to_thread(thread.join)
        return told

    told = loop.run(scenario)
    assert bytes(told.received) == sent
    assert told.events == ["eof", "lost"]


def renew_keys(session: ssl.SSLSocket, times: int) -> int:
    """Renew our sending keys (RFC 8446 section 4.6.3) up to so many times; how often that could be sent."""
    library = ctypes.CDLL(_libssl())
    library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.SSL_do_handshake.argtypes = [ctypes.c_void_p]
    # Python's own module has no word for this; in its object `SSL *` follows the header and the socket
    inner: Any = vars(session)["_sslobj"]
    at = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(at)
    for done in range(times):
        if library.SSL_key_update(pointer, 0) != 1 or library.SSL_do_handshake(pointer) != 1:
            return done
    return times


def _libssl() -> str:
    lines = Path("/proc/self/maps").read_text().splitlines()
    path = next((line.split()[-1] for line in lines if "libssl" in line), "")
    return path or str(pytest.skip("this Python has no OpenSSL that can be called beside it"))


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


def test_a_handshake_that_stalls(loop: Loop, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given up, and its socket is closed by whoever began it."""
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.2)

    async def scenario() -> None:
        with socket.create_connection(bench.listener.getsockname()) as silent:
            silent.send(b"\x16\x03\x01")
            with pytest.raises(TimeoutError):
                await bench.accept()

    loop.run(scenario)


def test_after_the_end_nothing_is_sent(loop: Loop, bench: Bench) -> None:
    """Neither sealed nor in clear."""
    got = list[bytes]()

    async def scenario() -> None:
        thread = bench.client(lambda session: got.append(_all_of(session)))
        told = await bench.accept()
        transport = told.transport
        assert transport is not None
        transport.write(b"first")
        transport.close()
        transport.write(b"second")
        assert transport.is_closing()
        await told.ended.wait()
        transport.write(b"third")
        await asyncio.to_thread(thread.join)

    loop.run(scenario)
    assert got == [b"first"]
