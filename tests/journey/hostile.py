"""What an attacker of a running house has: sockets, bytes written by hand, and a look at what they cost.

Nothing here leans on the house's own protocol code: a bound that is misread there would be misread
here too.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Final

import psutil

from tests.journey.living import SENDER, Living

MEGABYTE: Final = 1024**2
PATIENCE: Final = 5.0
"""seconds: to answer, or to hang up on, what needs no waiting"""
SETTLED: Final = 20.0
"""seconds: for what is idle to be hung up on, and given back"""
ALLOWANCE: Final = 112
"""megabytes that any process may stand above a fresh start: 512 handshakes at once, and pages that are no
longer shared with the process it was forked from; a second round of the same adds at most 4"""

VERIFICATION: Final = "1.2.840.10008.1.1"
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"

REQUEST, ACCEPT, REJECT, DATA, RELEASE, RELEASED, ABORT = range(1, 8)
"""PDU types (PS3.8 section 9.3)."""


# the wire


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU; `length` when it lies."""
    return pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """An item of an A-ASSOCIATE PDU; `length` when it lies."""
    return pack(">BBH", kind, 0, len(body) if length is None else length) + body


def context(number: int, abstract: str, *transfer: str) -> bytes:
    """A proposed presentation context."""
    inside = item(0x30, abstract.encode()) + b"".join(item(0x40, one.encode()) for one in transfer)
    return item(0x20, bytes([number & 0xFF, 0, 0, 0]) + inside)


def associate(
    contexts: Iterable[bytes] = (context(1, VERIFICATION, IMPLICIT),),
    *,
    calling: str = SENDER,
    called: str = "HUISCLOS",
    more: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    head = pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    user = item(0x50, item(0x51, pack(">I", 16384)) + item(0x52, b"2.25.1") + more)
    return pdu(REQUEST, head + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user)


def fragment(number: int, control: int, body: bytes, length: int | None = None) -> bytes:
    """A P-DATA-TF with one PDV; control 3 is the last of a command, 2 of a data set, 0 goes on."""
    value = pack(">IBB", len(body) + 2 if length is None else length, number, control) + body
    return pdu(DATA, value)


def command(**fields: int | str) -> bytes:
    """A command set (PS3.7 section 6.3.1); names are those of its attributes."""
    body = b"".join(_element(_TAGS[name], value) for name, value in sorted(fields.items(), key=_by_tag))
    return pack("<HHII", 0, 0, 4, len(body)) + body


_TAGS: Final = {
    "affected_class": 0x0002, "field": 0x0100, "message": 0x0110, "priority": 0x0700,
    "data_set": 0x0800, "status": 0x0900, "affected_instance": 0x1000,
}  # fmt: skip


def _by_tag(one: tuple[str, int | str]) -> int:
    return _TAGS[one[0]]


def _element(tag: int, value: int | str) -> bytes:
    raw = pack("<H", value) if isinstance(value, int) else value.encode("latin-1")
    raw += b"\0" * (len(raw) % 2)
    return pack("<HHI", 0, tag, len(raw)) + raw


def echo_command() -> bytes:
    """C-ECHO-RQ."""
    return command(affected_class=VERIFICATION, field=0x30, message=1, data_set=0x0101)


def store_command(instance: str, message: int = 1) -> bytes:
    """C-STORE-RQ of a CT."""
    return command(
        affected_class=CT_IMAGE, field=1, message=message, priority=0, data_set=1, affected_instance=instance
    )


@dataclass
class Line:
    """One connection, and what the house says on it."""

    wire: socket.socket

    def send(self, data: bytes) -> None:
        """Send it, though nobody may listen any more."""
        with contextlib.suppress(OSError):
            self.wire.sendall(data)

    def read(self, seconds: float = PATIENCE) -> tuple[int, bytes]:
        """The next PDU; type 0 when the house hung up. Fails when nothing comes in time."""
        self.wire.settimeout(seconds)
        head = self._exactly(6)
        return (head[0], self._exactly(int.from_bytes(head[2:], "big"))) if len(head) == 6 else (0, b"")

    def over(self, seconds: float = PATIENCE) -> list[int]:
        """The types of the PDUs that come until the house hangs up. Fails when it does not."""
        kinds: list[int] = []
        ends = time.monotonic() + seconds
        while True:
            kind, _ = self.read(max(0.1, ends - time.monotonic()))
            if not kind:
                return kinds
            kinds.append(kind)

    def close(self) -> None:
        """Hang up."""
        self.wire.close()

    def _exactly(self, count: int) -> bytes:
        got = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while len(got) < count and (piece := self.wire.recv(count - len(got))):
                got += piece
        return got


def call(house: Living, source: str = "127.0.0.1", door: str = "dicom") -> Line:
    """A connection from `source`, any address of this machine."""
    return Line(socket.create_connection(("127.0.0.1", house.port(door)), 10, (source, 0)))


@contextlib.contextmanager
def association(house: Living, *contexts: bytes) -> Iterator[Line]:
    """An accepted association of the admitted peer."""
    line = call(house)
    try:
        line.send(associate(contexts) if contexts else associate())
        assert line.read()[0] == ACCEPT
        yield line
    finally:
        line.close()


def echoes(house: Living) -> float:
    """A good peer asks whether the house is there; how many seconds it took."""
    began = time.monotonic()
    with association(house) as line:
        line.send(fragment(1, 3, echo_command()))
        kind, body = line.read()
        assert kind == DATA
        assert _status(body) == 0
        line.send(pdu(RELEASE, bytes(4)))
        assert line.read()[0] == RELEASED
    return time.monotonic() - began


def store(house: Living, data_set: bytes, instance: str, syntax: str = EXPLICIT) -> int | None:
    """C-STORE of these very bytes; the status, None when the house ended the association."""
    with association(house, context(1, CT_IMAGE, syntax)) as line:
        line.send(fragment(1, 3, store_command(instance)))
        for at in range(0, len(data_set), 65536):
            piece = data_set[at : at + 65536]
            line.send(fragment(1, 2 if at + 65536 >= len(data_set) else 0, piece))
        kind, body = line.read(30)
        return _status(body) if kind == DATA else None


def _status(body: bytes) -> int:
    at = body.index(pack("<HHI", 0, 0x0900, 2)) + 8
    return int.from_bytes(body[at : at + 2], "little")


# what it costs


@dataclass(frozen=True)
class Cost:
    """What one process holds."""

    role: str
    descriptors: int
    memory: int
    """bytes of its own, shared ones left out"""


class Watch:
    """Every process of a house before an attack, to be compared with after."""

    def __init__(self, house: Living) -> None:
        self._house = house
        self._said = self._log()
        self._before = self._costs()

    def nothing_grew(self) -> None:
        """The same processes, no more descriptors, no more memory than caches, and not a line in the log."""
        ends = time.monotonic() + SETTLED
        while (grown := self._grown()) and time.monotonic() < ends:
            time.sleep(0.2)
        assert not grown, [f"{was} -> {now}" for was, now in grown]
        assert self._log() == self._said

    def _log(self) -> str:
        return (self._house.folder / "serve.log").read_text(errors="replace")

    def _grown(self) -> list[tuple[Cost, Cost]]:
        after = self._costs()
        assert set(after) == set(self._before), "a process died"
        return [
            (was, after[pid])
            for pid, was in self._before.items()
            if after[pid].descriptors > was.descriptors + 4
            or after[pid].memory > was.memory + ALLOWANCE * MEGABYTE
        ]

    def _costs(self) -> dict[int, Cost]:
        living = {**self._house.processes(), "supervisor": self._house.supervisor}
        return {pid: Cost(role, *_held(psutil.Process(pid))) for role, pid in living.items()}


def _held(process: psutil.Process) -> tuple[int, int]:
    """Descriptors and bytes of its own; of a process that is not dumpable, root alone may see these."""
    if os.geteuid() == 0:
        return process.num_fds(), process.memory_full_info().uss
    return 0, process.memory_info().rss


# a data set


def value(tag: int, kind: str, raw: bytes) -> bytes:
    """An element in Explicit VR Little Endian."""
    raw += (b"\0" if kind in ("UI", "OB") else b" ") * (len(raw) % 2)
    head = pack("<HH2s", tag >> 16, tag & 0xFFFF, kind.encode())
    long = kind in ("OB", "OW", "SQ", "UN", "UT")
    return head + (pack("<HI", 0, len(raw)) if long else pack("<H", len(raw))) + raw


def ct(
    instance: str,
    *,
    study: str = "2.25.7001",
    series: str = "2.25.7002",
    name: bytes = b"Hostile^Peer",
    identifier: bytes = b"HOSTILE-1",
    private: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """A data set of a CT without pixels; `private` lies before the UIDs of the study, `more` at the end."""
    return b"".join(
        [
            value(0x00080005, "CS", b"ISO_IR 192"),
            value(0x00080016, "UI", CT_IMAGE.encode()),
            value(0x00080018, "UI", instance.encode("latin-1")),
            value(0x00080020, "DA", b"20240131"),
            value(0x00080060, "CS", b"CT"),
            private,
            value(0x00100010, "PN", name),
            value(0x00100020, "LO", identifier),
            value(0x0020000D, "UI", study.encode("latin-1")),
            value(0x0020000E, "UI", series.encode("latin-1")),
            *more,
        ]
    )


def nested(depth: int) -> bytes:
    """A private sequence in a sequence in a sequence, without lengths."""
    inside = pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ends = pack("<HHI", 0xFFFE, 0xE00D, 0) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return inside * depth + ends * depth


def file_of(
    data_set: bytes, instance: str, *, syntax: str = EXPLICIT, preamble: bytes = b"", sop: str = CT_IMAGE
) -> bytes:
    """A Part 10 file."""
    meta = (
        value(0x00020001, "OB", b"\0\1")
        + value(0x00020002, "UI", sop.encode())
        + value(0x00020003, "UI", instance.encode("latin-1"))
        + value(0x00020010, "UI", syntax.encode())
    )
    length = value(0x00020000, "UL", pack("<I", len(meta)))
    return preamble.ljust(128, b"\0") + b"DICM" + length + meta + data_set
