"""TLS as a transport: bytes, bounds, and each way a connection ends; on our loop and on Python's own."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from huisclos.web import tls
from huisclos.web.tls import HIGH_WATER, TlsTransport
from tests.web.lines import MEGABYTE, Bench, Loop, Told


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


def test_who_sends_fast_has_two_turns_at_most(loop: Loop, bench: Bench) -> None:
    """Each time round, whatever lies in the socket: the others are not served less and less."""
    sent = bytes(24 * MEGABYTE)

    async def scenario() -> list[int]:
        told = Told(on_data=lambda _transport, _data: time.sleep(0.002))  # slower than the client

        def talk(session: ssl.SSLSocket) -> None:
            session.sendall(sent)
            session.unwrap()

        thread = bench.client(talk)
        await bench.accept(told)
        turns = list[int]()
        while not told.ended.is_set():
            before = told.pieces
            await asyncio.sleep(0)
            turns.append(told.pieces - before)
        await asyncio.to_thread(thread.join)
        assert len(told.received) == len(sent)
        return turns

    assert max(loop.run(scenario)) <= 2


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


def test_who_asks_for_answers_and_does_not_read_them_is_cut(loop: Loop, bench: Bench) -> None:
    """Renewed keys ask for ours: with content between, and nobody reading, what waits stays bounded."""
    _libssl()

    def talk(session: ssl.SSLSocket) -> None:
        with suppress(OSError):
            for _ in range(4000):
                session.sendall(bytes(2200))
                renew_keys(session, 1000, answered=True)

    async def scenario() -> tuple[Told, int]:
        bench.client(talk)
        told = await bench.accept()
        transport = told.transport
        assert transport is not None
        transport.write(bytes(16 * MEGABYTE))  # never read: the line is full
        most = 0
        while not told.ended.is_set():
            most = max(most, transport._session.outgoing.pending)
            await asyncio.sleep(0.001)
        return told, most

    told, most = loop.run(scenario)
    assert told.events[-1] == "lost"
    assert most < MEGABYTE


def renew_keys(session: ssl.SSLSocket, times: int, *, answered: bool = False) -> int:
    """Renew our sending keys (RFC 8446 section 4.6.3) up to so many times; how often that could be sent."""
    library = ctypes.CDLL(_libssl())
    library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.SSL_do_handshake.argtypes = [ctypes.c_void_p]
    # Python's own module has no word for this; in its object `SSL *` follows the header and the socket
    inner: Any = vars(session)["_sslobj"]
    at = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(at)
    for done in range(times):
        if library.SSL_key_update(pointer, int(answered)) != 1 or library.SSL_do_handshake(pointer) != 1:
            return done
    return times


def _libssl() -> str:
    lines = Path("/proc/self/maps").read_text().splitlines()
    path = next((line.split()[-1] for line in lines if "libssl" in line), "")
    return path or str(pytest.skip("this Python has no OpenSSL that can be called beside it"))


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
