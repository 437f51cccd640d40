"""The test echo: every way it can go has its word, and none takes longer than it may."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from huisclos.access.peers import EchoOutcome
from huisclos.dimse.handling import Admission
from huisclos.dimse.requestor import Timeouts
from huisclos.reception.echoing import Echoing
from tests.dimse.listening import TITLE, Book, listening
from tests.dimse.test_dcmtk import serving
from tests.tools import need


async def test_it_answers(tmp_path: Path) -> None:
    """DCMTK's server answers, in some milliseconds."""
    need("storescp")
    async with serving("storescp", "-od", str(tmp_path)) as port:
        result = await Echoing().echo("127.0.0.1", port, "STORESCP", TITLE)
    assert result.outcome is EchoOutcome.ANSWERED
    assert 0 <= result.milliseconds < 5000


async def test_it_refuses(tmp_path: Path) -> None:
    """The code is the one on the wire."""
    need("storescp")
    async with serving("storescp", "--refuse", "-od", str(tmp_path)) as port:
        result = await Echoing().echo("127.0.0.1", port, "STORESCP", TITLE)
    assert result.outcome is EchoOutcome.REFUSED
    assert result.code.startswith("A-ASSOCIATE-RJ 1/1/")


async def test_it_takes_no_echo() -> None:
    """An association without the Verification context."""
    async with listening(Book(admission=Admission(lambda _: False))) as (_, port):
        result = await Echoing().echo("127.0.0.1", port, "PEER", TITLE)
    assert result.outcome is EchoOutcome.NO_ECHO
    assert result.code == "C-ECHO-RSP 0122H"


async def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No port known, nobody listening, somebody who hangs up, somebody who says nothing."""
    echoing = Echoing()
    assert (await echoing.echo("127.0.0.1", 0, "PEER", TITLE)).outcome is EchoOutcome.NO_PORT
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert (await echoing.echo("127.0.0.1", port, "PEER", TITLE)).outcome is EchoOutcome.UNREACHABLE
    assert (await echoing.echo("192.168.0.0/16", 104, "PEER", TITLE)).outcome is EchoOutcome.UNREACHABLE
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        result = await echoing.echo("127.0.0.1", server.sockets[0].getsockname()[1], "PEER", TITLE)
        assert result.outcome is EchoOutcome.REFUSED
    monkeypatch.setattr("huisclos.reception.echoing._PATIENCE", Timeouts(connect=0.2, associate=0.2, total=1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = await echoing.echo("127.0.0.1", silent.getsockname()[1], "PEER", TITLE)
    assert result.outcome is EchoOutcome.UNREACHABLE


async def test_before_there_is_a_reception() -> None:
    """The vault may call at any time: nothing is there to end, nothing to let through."""
    echoing = Echoing()
    await echoing.end_peer("aa" * 16)
    await echoing.pin(b"anything")
