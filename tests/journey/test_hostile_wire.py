"""The DICOM door of a house that is lived in, and somebody who wants it to break.

A good peer is answered throughout, and afterwards every process stands as it stood.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from struct import pack
from typing import Final

import pytest

from tests.journey import hostile
from tests.journey.hostile import (
    ABORT,
    CT_IMAGE,
    DATA,
    EXPLICIT,
    IMPLICIT,
    REJECT,
    RELEASE,
    RELEASED,
    VERIFICATION,
    Line,
    Watch,
    associate,
    context,
    fragment,
    item,
    pdu,
)
from tests.journey.living import SENDER, Living

ARTIM: Final = 10.0
"""seconds that a peer who has no association may stay (PS3.8 section 9.1.5)"""
LATE: Final = 4.0
"""seconds that a busy machine may be late by"""

pytestmark = pytest.mark.usefixtures("watch")


@pytest.fixture(scope="module")
def watch(house: Living) -> Iterator[Watch]:
    """The house before all of it; after all of it nothing may have grown."""
    for _ in range(20):
        hostile.echoes(house)
    watch = Watch(house)
    yield watch
    hostile.echoes(house)
    watch.nothing_grew()


def _knock(line: Line) -> None:
    """Connected, and nothing asked."""


def _associated(line: Line) -> None:
    line.send(associate([context(1, VERIFICATION, IMPLICIT), context(3, CT_IMAGE, EXPLICIT)]))
    assert line.read()[0] == hostile.ACCEPT


def _in_command(line: Line) -> None:
    _associated(line)
    line.send(fragment(3, 1, hostile.store_command("2.25.5")[:20]))


def _in_data(line: Line) -> None:
    _associated(line)
    line.send(fragment(3, 3, hostile.store_command("2.25.5")))
    line.send(fragment(3, 0, hostile.ct("2.25.5")[:90]))


def _in_pdv(line: Line) -> None:
    _associated(line)
    line.send(fragment(3, 3, hostile.store_command("2.25.5")))
    line.send(fragment(3, 0, bytes(5000))[:600])


def _released(line: Line) -> None:
    _associated(line)
    line.send(pdu(RELEASE, bytes(4)))
    assert line.read()[0] == RELEASED


def _rejected(line: Line) -> None:
    line.send(associate(calling="NOBODY"))
    assert line.read()[0] == REJECT


STATES: Final[dict[str, Callable[[Line], None]]] = {
    "knock": _knock,
    "associated": _associated,
    "in a command": _in_command,
    "in a data set": _in_data,
    "released": _released,
    "rejected": _rejected,
}
_HUGE: Final = 0xFFFFFFFF
HOSTILE: Final[dict[str, bytes]] = {
    "a request of 4 GiB": pdu(1, bytes(64), _HUGE),
    "data of 4 GiB": pdu(DATA, bytes(64), _HUGE),
    "a release of 4 GiB": pdu(RELEASE, bytes(64), _HUGE),
    "an abort of 4 GiB": pdu(ABORT, bytes(64), _HUGE),
    "type 0": pdu(0, bytes(4)),
    "type 8": pdu(8, bytes(4)),
    "type 255": pdu(255, bytes(4)),
    "an empty request": pdu(1, b""),
    "a second request": associate(),
    "an acceptance": pdu(2, bytes(68)),
    "a rejection": pdu(3, bytes(4)),
    "a confirmation": pdu(6, bytes(4)),
    "data of nothing": pdu(DATA, b""),
    "a fragment of 4 GiB": fragment(1, 3, bytes(20), _HUGE),
    "a fragment of nothing": pdu(DATA, pack(">I", 0)),
    "a fragment of one byte": pdu(DATA, pack(">IB", 1, 1)),
    "an even context": fragment(2, 3, hostile.echo_command()),
    "a context nobody named": fragment(77, 3, hostile.echo_command()),
    "half a fragment": pdu(DATA, pack(">I", 500) + bytes(10)),
    "a command of noise": fragment(1, 3, bytes(range(256))),
    "a command with a length of 4 GiB": fragment(1, 3, pack("<HHI", 0, 0, _HUGE) + bytes(40)),
    "a response to nothing": fragment(
        1, 3, hostile.command(affected_class=VERIFICATION, field=0x8030, message=1, data_set=0x101, status=0)
    ),
    "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
}
"""Bytes that no peer who means well would send; each ends the association or is harmless to it."""


@pytest.mark.parametrize("state", STATES)
def test_nothing_malformed_stays(house: Living, state: str) -> None:
    """At each state each of them: at most a rejection or an abort comes back, and the line is over."""
    for name, said in HOSTILE.items():
        line = hostile.call(house)
        STATES[state](line)
        line.send(said)
        line.wire.shutdown(socket.SHUT_WR)
        try:
            kinds = line.over()
        except TimeoutError:
            pytest.fail(f"{state}, {name}: the house goes on listening")
        finally:
            line.close()
        assert set(kinds) <= {REJECT, ABORT, hostile.ACCEPT, DATA}, (state, name, kinds)
        assert kinds.count(DATA) <= 1
    assert hostile.echoes(house) < hostile.PATIENCE


REQUESTS: Final[dict[str, bytes]] = {
    "1,000 contexts": associate(context(number * 2 + 1, CT_IMAGE, EXPLICIT) for number in range(1000)),
    "1,000 contexts of one number": associate(context(1, CT_IMAGE, EXPLICIT) for _ in range(1000)),
    "even contexts": associate([context(2, CT_IMAGE, EXPLICIT)]),
    "1,000 transfer syntaxes": associate(
        [context(1, CT_IMAGE, *(f"1.2.3.{number}" for number in range(1000)))]
    ),
    "a context without a syntax": associate([context(1, CT_IMAGE)]),
    "a syntax of 60,000 bytes": associate([context(1, "1" * 60_000, EXPLICIT)]),
    "an item longer than all": associate([item(0x20, bytes(4), 0xFFFF)]),
    "10,000 empty items": associate(more=item(0x55, b"") * 10_000),
    "a thousand role selections": associate(more=item(0x54, pack(">H", 5) + b"1.2.3\1\1") * 1000),
    "a user identity of 60,000 bytes": associate(more=item(0x58, pack(">BBH", 1, 0, 59_990) + bytes(59_992))),
    "a title that is a path": associate(calling="../../../etc/x"),
    "a title of markup": associate(calling="<script>1</sc"),
    "a title that turns round": associate(calling="\x1b[2J\r\nX"),
    "a title of nothing": associate(calling=""),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_beyond_its_bounds(house: Living, name: str) -> None:
    """It is rejected or aborted, or what is too much in it is left out: never gathered, never a hang."""
    line = hostile.call(house)
    line.send(REQUESTS[name])
    kind, _ = line.read()
    assert kind in (0, REJECT, ABORT, hostile.ACCEPT)
    if "title" in name or "1,000 contexts" in name or "longer" in name:
        assert kind in (REJECT, ABORT)
    line.close()


def test_half_open_by_the_hundred(house: Living) -> None:
    """Three hundred who ask for nothing, from twenty addresses and the peer's own, shut nobody out."""
    held = [hostile.call(house, f"127.0.1.{number % 20 + 1}") for number in range(240)]
    held += [hostile.call(house) for _ in range(60)]
    try:
        for _ in range(5):
            assert hostile.echoes(house) < hostile.PATIENCE
    finally:
        for line in held:
            line.close()


def _trickle(line: Line, number: int) -> None:
    line.send(associate()[number : number + 1])


STALLS: Final[dict[str, tuple[str, bytes]]] = {
    "nothing": ("dicom", b""),
    "half a head": ("dicom", associate()[:3]),
    "half a request": ("dicom", associate()[:90]),
    "all but the last byte": ("dicom", associate()[:-1]),
    "no handshake": ("dicom_tls", b""),
    "half a handshake": ("dicom_tls", bytes.fromhex("16030100c8010000c40303")),
    "a request without TLS": ("dicom_tls", associate()),
}


def test_whoever_stalls_is_hung_up_on(house: Living) -> None:
    """Before an association, after its end, in the handshake, byte by byte: ten seconds, and it is over."""
    began = time.monotonic()
    lines = {}
    for name, (door, said) in STALLS.items():
        lines[name] = hostile.call(house, "127.0.2.1", door)
        lines[name].send(said)
    for name in ("released", "rejected"):
        lines[name] = hostile.call(house)
        STATES[name](lines[name])
    lines["byte by byte"] = trickling = hostile.call(house, "127.0.2.2")
    for number in range(int(ARTIM)):
        _trickle(trickling, number)
        time.sleep(max(0.0, began + number + 1 - time.monotonic()))
    for name, line in lines.items():
        left = began + ARTIM + LATE - time.monotonic()
        try:
            assert set(line.over(left)) <= {ABORT, 0x15}, name
        except TimeoutError:
            pytest.fail(f"{name}: still there after {ARTIM + LATE} s")
        finally:
            line.close()


def test_tls_alone_proves_nobody(house: Living) -> None:
    """Without a certificate TLS gives what plain DICOM gives: nothing to a title that nobody enrolled."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for title, answer in ((SENDER, hostile.ACCEPT), ("NOBODY", REJECT)):
        raw = socket.create_connection(("127.0.0.1", house.port("dicom_tls")), 10)
        line = Line(context.wrap_socket(raw))
        line.send(associate(calling=title))
        assert line.read()[0] == answer
        line.close()
