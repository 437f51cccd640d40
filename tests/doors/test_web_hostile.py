"""Web and TLS servers that mean harm: bounded in time and in memory, never followed, never believed."""

from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from huisclos.access.addresses import parse_address
from huisclos.doors.record import only, watched
from huisclos.doors.target import parse_target
from huisclos.findings.nouns import Reason
from tests.doors.auditing import open_doors, probe, untested
from tests.doors.scripted import Scripted, scripted

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
MOST_BYTES = 32 * 1024 * 1024
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(12))
    + b"]><l>&m;</l>"
)


def _asked(
    script: Callable[[socket.socket], None], scheme: str = "http", seconds: float = 0.7
) -> tuple[Any, Scripted, float]:
    """The report, the server's count, and the seconds it took; memory is bounded."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with scripted(script) as server:
            port = server.port
            report = probe(f"{scheme}://127.0.0.1:{port}" if scheme else f"127.0.0.1:{port}", seconds=seconds)
            took = time.monotonic() - started
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert server.connections <= 12
    assert "MARTIN" not in str(report)
    return report, server, took


def _page(body: bytes, headers: bytes = b"") -> Callable[[socket.socket], None]:
    whole = HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def script(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(whole)

    return script


def test_headers_without_end() -> None:
    """A flood of headers is no HTTP once it is over its bound."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-Patient: MARTIN^LEA\r\n" * 1000)

    report, _, took = _asked(script)
    assert {} == open_doors(report)
    assert "*" in untested(report)
    assert took < 10


def test_chunks_without_end() -> None:
    """A chunked body is read to its bound, and the connection given up."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"<" * 4096 + b"\r\n")

    report, _, took = _asked(script)
    assert {} == open_doors(report)
    assert Reason.CONNECTIONS in untested(report).values()
    assert took < 15


def test_a_chunk_of_four_gigabytes() -> None:
    """A chunk's announced length allocates nothing."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"<" * 100)
        connection.recv(65536)

    report, _, took = _asked(script)
    assert {} == open_doors(report)
    assert took < 15


def test_a_body_that_comes_a_byte_at_a_time() -> None:
    """Each question has its deadline, whatever drips; after three it is left alone."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"<")
            time.sleep(0.05)

    report, _, took = _asked(script)
    assert {} == open_doors(report)
    assert untested(report)
    assert took < 15


def test_a_bomb_of_gzip_is_never_unpacked() -> None:
    """We ask for bytes as they are, and unpack none that come otherwise."""
    bomb = gzip.compress(b'{"ApiVersion": 1, "x": "' + b" " * 50_000_000, 9)
    report, _, took = _asked(_page(bomb, b"Content-Encoding: gzip\r\n"))
    assert {} == open_doors(report)
    assert took < 15


def test_a_billion_laughs_are_never_expanded() -> None:
    """No page is read as XML: what it would grow to does not matter."""
    report, _, took = _asked(_page(LAUGHS, b"DAV: 1\r\n"))
    assert {} == open_doors(report)
    assert took < 15


def test_json_nested_deep_is_no_statistics() -> None:
    """Brackets without end where sums are expected say nothing, and stop nothing."""
    body = b'{"ApiVersion": 1, "Version": "1.12.1", "CountInstances": ' + b"[" * 60_000
    report, _, _ = _asked(_page(body))
    assert "WEB-001" in open_doors(report)
    assert "WEB-003" not in open_doors(report)


def test_tls_that_stalls_in_its_handshake() -> None:
    """The first half of a ServerHello, then silence: nothing is known, in good time."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(20))
        connection.recv(65536)
        time.sleep(5)

    report, _, took = _asked(script, "https")
    assert {} == open_doors(report)
    assert {"*": Reason.TIMED_OUT} == untested(report)
    assert took < 12


def test_a_server_that_hangs_up_after_each_answer_is_asked_what_the_budget_allows() -> None:
    """One connection a question: the gravest are asked first, the rest is said to be untested."""

    def script(connection: socket.socket) -> None:
        asked = connection.recv(65536)
        body = b'{"ApiVersion": 1, "Version": "1.12.1"}' if b" /system" in asked else b""
        status = b"200 OK" if body else b"404 Not Found"
        connection.sendall(
            b"HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (status, len(body), body)
        )

    report, server, _ = _asked(script, seconds=3.0)
    assert "WEB-001" in open_doors(report)
    assert Reason.CONNECTIONS in untested(report).values()
    assert server.connections == 12


def test_a_name_is_looked_up_once() -> None:
    """What a name resolves to later does not matter: everything goes to the address of the start."""
    answers = iter(("127.0.0.1", "203.0.113.9"))
    asked: list[str] = []

    def resolver(name: str) -> Any:
        asked.append(name)
        return parse_address(next(answers))

    with scripted(_page(b"<title>Welcome</title>")) as server:
        target = parse_target(f"http://pacs.invalid:{server.port}", resolver)
        with watched(None, only(frozenset())):
            report = probe(target, seconds=2.0)
    assert ["pacs.invalid"] == asked
    assert server.connections > 0
    assert Reason.OUT_OF_SCOPE not in untested(report).values()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirection_leaves_the_scope(status: int) -> None:
    """Wherever an answer points, no packet leaves but to the target: the watch would stop it."""
    where = (
        b"Location: http://203.0.113.9/\r\nRefresh: 0; url=http://203.0.113.9/\r\nContent-Length: 0\r\n\r\n"
    )

    def script(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 %d Moved\r\n" % status + where)

    with watched(None, only(frozenset())):
        report, _, _ = _asked(script)
    assert {} == open_doors(report)
    assert Reason.OUT_OF_SCOPE not in untested(report).values()


@pytest.mark.parametrize("scheme", ["", "https"])
def test_what_no_right_covers_is_stopped_and_said(scheme: str) -> None:
    """A target that the watch refuses is an attempt out of scope, whatever would have been spoken."""
    target = f"{scheme}://203.0.113.9:104" if scheme else "203.0.113.9:104"
    with watched(None, only(frozenset())):
        report = probe(target, seconds=2.0)
    assert {"*": Reason.OUT_OF_SCOPE} == untested(report)
