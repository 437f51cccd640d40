"""The view from outside, on loopback: whose address may be tested, and what hostile ends can do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.doors.assemble import Audit
from huisclos.doors.outside import (
    PORTS,
    OutsideRefused,
    PortSeen,
    Spoken,
    Token,
    View,
    observe,
    proof,
    read_asked,
    read_view,
    source_of,
)
from huisclos.doors.outside_ask import ask, read_pin, trust
from huisclos.doors.outside_look import look
from huisclos.doors.outside_service import HOUR, TOKENS, OutsideService, Tempo
from huisclos.doors.probes.tls import throwaway
from huisclos.doors.target import parse_target
from huisclos.errors import BadSetting, HuisclosError, PeerTooSlow, PeerUnreachable, Unreadable
from huisclos.findings.nouns import Language, Reach, Reason, Verdict
from tests.doors.auditing import started
from tests.tools import program

FAR = ip_address("203.0.113.9")
NOW = datetime(2030, 1, 2, tzinfo=UTC)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with throwaway(NOW) as files:
        context.load_cert_chain(*files)
    return context


def _blind() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_only_who_connects_is_tested() -> None:
    """A header that speaks for somebody else is refused, unless the declared proxy wrote exactly one name."""
    proxy = ip_address("192.0.2.1")
    assert FAR == source_of("203.0.113.9", [])
    assert FAR == source_of("::ffff:203.0.113.9", [("User-Agent", "x")])
    assert FAR == source_of("192.0.2.1", [("X-Forwarded-For", "203.0.113.9")], proxy)
    for peer, headers in (
        ("203.0.113.9", [("X-Forwarded-For", "198.51.100.1")]),
        ("203.0.113.9", [("forwarded", "for=198.51.100.1")]),
        ("203.0.113.9", [("Via", "1.1 somebody")]),
        ("203.0.113.9", [("CF-Connecting-IP", "198.51.100.1")]),
        ("192.0.2.1", []),
        ("192.0.2.1", [("X-Forwarded-For", "198.51.100.1, 203.0.113.9")]),
        ("192.0.2.1", [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")]),
        ("192.0.2.1", [("X-Forwarded-For", "203.0.113.9"), ("X-Real-IP", "198.51.100.1")]),
        ("192.0.2.1", [("X-Forwarded-For", "somebody")]),
        ("192.168.1.5", []),
        ("100.64.0.1", [("X-Real-IP", "203.0.113.9")]),
        ("2002:c633:6401::1", []),
        ("64:ff9b::c633:6401", []),
        ("", []),
    ):
        with pytest.raises(OutsideRefused):
            source_of(peer, headers, proxy)


@given(
    st.ip_addresses(), st.lists(st.tuples(st.sampled_from(["X-Forwarded-For", "Host"]), st.text(max_size=20)))
)
def test_nobody_names_another_address(peer: object, headers: list[tuple[str, str]]) -> None:
    """Whatever the headers say, what is tested is who connects, or nobody."""
    with contextlib.suppress(OutsideRefused):
        found = source_of(str(peer), headers)
        assert str(found) in {str(peer), str(getattr(peer, "ipv4_mapped", None))}


@given(st.binary(max_size=200))
def test_requests_and_answers_are_read_strictly(raw: bytes) -> None:
    """Whatever is sent, it is a request or an answer of ours, or it is unreadable."""
    for read in (read_asked, read_view):
        with contextlib.suppress(Unreadable):
            read(raw)


def test_a_lying_answer_is_not_believed() -> None:
    """Ports that nobody asked about, ports named twice, results without the token: not a view."""
    good = View(address="203.0.113.9", token=Token.SERVED, ports=(PortSeen(104, Spoken.DICOM),))
    assert good == read_view(msgspec.json.encode(good))
    for wrong in (
        msgspec.structs.replace(good, ports=(PortSeen(22, Spoken.OTHER),)),
        msgspec.structs.replace(good, ports=(PortSeen(104, Spoken.DICOM), PortSeen(104, Spoken.CLOSED))),
        msgspec.structs.replace(good, token=Token.CLOSED),
        msgspec.structs.replace(good, address="the pavement"),
        msgspec.structs.replace(good, schema="huisclos-outside/2"),
    ):
        with pytest.raises(Unreadable):
            read_view(msgspec.json.encode(wrong))


def test_what_a_view_shows() -> None:
    """DICOM is proved, another speaker on an imaging port offered, a page on a web port nobody's verdict."""
    ports = [PortSeen(port, Spoken.CLOSED) for port in PORTS if port not in (104, 8042, 443)]
    ports += [PortSeen(104, Spoken.DICOM), PortSeen(8042, Spoken.HTTP), PortSeen(443, Spoken.HTTPS)]
    view = View(address="203.0.113.9", token=Token.SERVED, ports=tuple(ports), ssdp=True)
    audit = Audit("outside", Language.EN, NOW)
    audit.take(observe(view, ip_address("203.0.113.9")), NOW)
    report = audit.report()
    found = {(one.check, one.target): (one.verdict, one.reach) for one in report.findings}
    assert {
        ("BOX-016", "203.0.113.9:104"): (Verdict.PROVED, Reach.INTERNET),
        ("BOX-016", "203.0.113.9:8042"): (Verdict.OFFERED, Reach.INTERNET),
        ("BOX-015", "203.0.113.9"): (Verdict.PROVED, Reach.INTERNET),
    } == found
    assert {("BOX-016", "203.0.113.9:443", Reason.NOT_IDENTIFIED)} == {
        (one.check, one.target, one.reason) for one in report.untested
    }


@pytest.mark.parametrize(
    ("own", "told"),
    [("100.70.0.1", True), ("192.168.1.2", True), ("203.0.113.77", True), ("203.0.113.9", False)],
)
def test_shared_addresses_are_told(own: str, told: bool) -> None:
    """A box whose own outside address is not the one that the Internet sees explains why nothing comes in."""
    view = View(address="203.0.113.9", token=Token.SILENT)
    audit = Audit("outside", Language.EN, NOW)
    audit.take(observe(view, ip_address(own)), NOW)
    report = audit.report()
    assert told == ("BOX-018" in {one.check for one in report.findings})
    assert {Reason.NOT_OURS} == {one.reason for one in report.untested}, "nothing is called closed"


def test_once_an_hour_and_nothing_kept() -> None:
    """An address is tested once an hour and shows its token a few times; a full table lets nobody new in."""
    moment = [0.0]
    tempo = Tempo(lambda: moment[0], most=4)
    assert all(tempo.may_show(FAR) for _ in range(TOKENS))
    assert not tempo.may_show(FAR)
    moment[0] += HOUR
    assert tempo.may_show(FAR)
    tempo.looked(FAR)
    assert not tempo.may_show(FAR)
    others = [ip_address(f"203.0.113.{number}") for number in range(20, 30)]
    assert 3 == sum(tempo.may_show(one) for one in others)
    moment[0] += HOUR
    assert tempo.may_show(FAR)
    assert tempo.may_show(others[9]), "what is over is forgotten"
    assert b"203.0.113.9" not in repr(vars(tempo)).encode()
    first, second = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    assert tempo.digest(first) == tempo.digest(second), "a practice has a /64"


Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _asked_of(serving: Serving, seconds: float = 20.0) -> View:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serving(reader, writer)
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=_context())
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.timeout(seconds):
        return await ask(parse_target(f"https://127.0.0.1:{port}"), _blind())


def _says(answer: bytes) -> Serving:
    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(answer)
        await writer.drain()

    return serving


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n" + b"{" * 200_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://198.51.100.7/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
    ],
)
def test_a_hostile_service(answer: bytes) -> None:
    """What is no view ends in one sentence: bounded, followed nowhere, and it opens no door."""
    with pytest.raises((OutsideRefused, Unreadable, PeerUnreachable, PeerTooSlow)):
        asyncio.run(_asked_of(_says(answer)))


def test_a_service_of_another_certificate() -> None:
    """With --pin the token is shown to nobody else; without a pin only who is vouched for is asked."""
    asked = []

    async def serving(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))

    async def work(tls: ssl.SSLContext, pin: str) -> None:
        server = await asyncio.start_server(serving, "127.0.0.1", 0, ssl=_context())
        port = server.sockets[0].getsockname()[1]
        async with server:
            await ask(parse_target(f"https://127.0.0.1:{port}"), tls, pin=pin)

    for tls, pin in ((trust(pin="0" * 64), "0" * 64), (trust(), "")):
        with pytest.raises(BadSetting):
            asyncio.run(work(tls, pin))
    assert b"" == b"".join(asked)
    with pytest.raises(BadSetting):
        read_pin("abc")


Answer = TypeVar("Answer")


def _quietly(work: Awaitable[Answer]) -> Answer:
    """Run without a word about connections that hostile ends break off."""

    async def run() -> Answer:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        return await work

    return asyncio.run(run())


async def _raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_blind())
    writer.write(request)
    try:
        async with asyncio.timeout(15):
            return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


def _post(body: bytes, *headers: str) -> bytes:
    lines = [
        "POST /view HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def test_a_hostile_asker() -> None:
    """Proxies, pages, nonsense, somebody else's listener: each gets an answer, and nothing is tested."""
    body = json.dumps({"token": "ab" * 32, "port": 9}).encode()

    async def work() -> tuple[list[bytes], list[bytes], bytes]:
        service = OutsideService()
        heard: list[bytes] = []

        async def another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(200))
            writer.write(b"220 mail.example.org ESMTP " * 10)
            writer.close()

        server = await service.listen("127.0.0.1", 0, _context())
        other = await asyncio.start_server(another, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        theirs = json.dumps({"token": "ab" * 32, "port": other.sockets[0].getsockname()[1]}).encode()
        async with server, other:
            answers = [
                await _raw(port, request)
                for request in (
                    _post(body, "X-Forwarded-For: 198.51.100.1"),
                    _post(body, "Origin: https://evil.example"),
                    _post(body).replace(b"application/json", b"text/plain"),
                    _post(b'{"token": "zz", "port": 1}'),
                    _post(b"{" * 400),
                    b"GET /view HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /" + b"a" * 50_000,
                    _post(b"a" * 100_000),
                    b"\0" * 1000,
                )
            ]
            return answers, heard, await _raw(port, _post(theirs))

    answers, heard, wrong = _quietly(work())
    codes = [one.split(b" ")[1] if one else b"" for one in answers]
    assert [b"403", b"403", b"403", b"400", b"400", b"404", b"", b"", b""] == codes
    assert 1 == len(heard)
    assert heard[0].startswith(b"huisclos-outside ")
    assert View(address="127.0.0.1", token=Token.WRONG) == read_view(wrong.split(b"\r\n\r\n", 1)[1])


def test_a_token_is_worth_nothing_elsewhere() -> None:
    """The listener answers nonces only, so that who reads an answer cannot give the next one."""
    assert proof("ab" * 32, "1" * 32) != proof("ab" * 32, "2" * 32)
    assert 64 == len(proof("ab" * 32, "1" * 32))


def test_ports_by_their_protocol(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A DICOM server on an odd port is DICOM, a web server on a DICOM port is not."""
    dicom, page, none = free_port(), free_port(), free_port()
    command = [program("python3"), "-m", "http.server", "--bind", "127.0.0.1", str(page)]
    with (
        started([program("storescp"), "--ignore", str(dicom)], dicom, tmp_path),
        started(command, page, tmp_path),
    ):
        seen = asyncio.run(look(ip_address("127.0.0.1"), (dicom, page, none)))
    assert [Spoken.DICOM, Spoken.HTTP, Spoken.CLOSED] == [one.spoken for one in seen]


def test_tls_ports() -> None:
    """TLS with a page behind it is told from TLS that shows nothing."""

    async def work() -> list[Spoken]:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                await reader.read(1)
                writer.close()

        async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            writer.close()

        found = []
        for serving in (silent, page):
            server = await asyncio.start_server(serving, "127.0.0.1", 0, ssl=_context())
            async with server:
                seen = await look(ip_address("127.0.0.1"), (server.sockets[0].getsockname()[1],))
                found.append(seen[0].spoken)
        return found

    assert [Spoken.TLS, Spoken.HTTPS] == _quietly(work())


def test_errors_name_nobody() -> None:
    """What a person is told of a refusal holds no address."""
    with pytest.raises(HuisclosError) as caught:
        source_of("192.168.3.4", [])
    assert "192.168.3.4" not in caught.value.message
