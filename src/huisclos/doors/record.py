"""The packet record: each decision to send or not to send, append-only and chained by hash.

It is kept at the one place that every library must pass: Python's own audit events for sockets
(`sys.addaudithook`, PEP 578). No probe can forget to write, and what no right covers is stopped there, before
a packet leaves. A line names a system, a port and a time; nothing that came back is ever in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from huisclos.access.addresses import Address, is_loopback, parse_address
from huisclos.clock import Clock, now
from huisclos.doors.mandate import OutsideMandate
from huisclos.errors import BadSetting, Unreadable

NOTHING: Final = "0" * 64
"""what the first line says of the line before"""
MAX_LINE: Final = 1024
"""bytes"""
_SENDS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKS_UP: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})

Allowed = Callable[[Address, int], bool]
"""Whether a packet to this address and port may leave."""
Veil = Callable[[str], str]
"""How an address is written; itself, or a token where none may be kept."""


class RecordBroken(Unreadable):
    """A line of the record was changed, moved or removed."""

    kind = "record-broken"


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One decision."""

    n: int
    """from 1"""
    at: str
    """UTC, ISO 8601"""
    what: str
    """begin, send, refuse, resolve, canary, end"""
    to: str = ""
    """address:port of the system that was asked"""
    about: str = ""
    before: str
    """SHA-256 of the line before, hex"""


class Record:
    """One file of decisions. A second run goes on where the first one ended."""

    def __init__(self, path: Path, clock: Clock = now) -> None:
        """Raises `RecordBroken` when what is there does not hold, `BadSetting` when it cannot be written."""
        self._clock = clock
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadSetting(f"the record cannot be written: {error.strerror}") from None
        self._read, self._count, self.head = 0, 0, NOTHING
        lines = read_record(path)
        if lines:
            self._count, self.head = lines[-1][0].n, lines[-1][1]
        self._read = os.fstat(self._file).st_size

    def write(self, what: str, to: str = "", about: str = "") -> None:
        """Add a line, before the packet it is about."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._catch_up()
            self._count += 1
            line = Line(
                n=self._count,
                at=self._clock().isoformat(timespec="milliseconds"),
                what=what,
                to=to[:256],
                about=about[:256],
                before=self.head,
            )
            raw = msgspec.json.encode(line)
            os.write(self._file, raw + b"\n")
            self.head = hashlib.sha256(raw).hexdigest()
            self._read += len(raw) + 1
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Make it durable and let go."""
        os.fsync(self._file)
        os.close(self._file)

    def _catch_up(self) -> None:
        # A process that was forked while this one was open writes to the same file.
        size = os.fstat(self._file).st_size
        if size == self._read:
            return
        tail = os.pread(self._file, 2 * MAX_LINE, max(0, size - 2 * MAX_LINE))
        raw = tail.rstrip(b"\n").rpartition(b"\n")[2]
        self._count, self.head = _decode(raw).n, hashlib.sha256(raw).hexdigest()
        self._read = size


def read_record(path: Path, head: str = "") -> list[tuple[Line, str]]:
    """Every line with its digest. With `head`, the last one must have it, so that a cut end shows.

    Raises `RecordBroken` naming the first line that does not follow, `BadSetting` for an absent file.
    """
    lines: list[tuple[Line, str]] = []
    before = NOTHING
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = _decode(raw.rstrip(b"\n"), number)
                if not raw.endswith(b"\n") or line.n != number or line.before != before:
                    raise RecordBroken(f"line {number} of the record does not follow the line before it")
                before = hashlib.sha256(raw[:-1]).hexdigest()
                lines.append((line, before))
    except OSError as error:
        raise BadSetting(f"the record cannot be read: {error.strerror}") from None
    if head and before != head:
        raise RecordBroken(
            "the record does not end where the report says", hint="its end is gone, or it went on"
        )
    return lines


def _decode(raw: bytes, number: int = 0) -> Line:
    try:
        return msgspec.json.decode(raw, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RecordBroken(f"line {number} of the record is not one") from None


class _Watch:
    """What the audit hook does now. A hook stays until the process ends; what it looks at comes and goes."""

    def __init__(self) -> None:
        self.installed = False
        self.record: Record | None = None
        self.allowed: Allowed | None = None
        self.veil: Veil = str

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event in _SENDS and (self.record is not None or self.allowed is not None):
            self._send(given[1])
        elif event in _LOOKS_UP and self.record is not None and given[0]:
            host = given[0].decode("ascii", "replace") if isinstance(given[0], bytes) else str(given[0])
            if _literal(host) is None and host != "localhost":
                self.record.write("resolve", self.veil(host))

    def _send(self, where: object) -> None:
        if not isinstance(where, tuple) or len(where) < 2:  # noqa: PLR2004 - not an Internet socket
            return
        address, port = _literal(str(where[0])), int(where[1])
        may = address is not None and (self.allowed is None or self.allowed(address, port))
        if self.record is not None:
            to = self.veil(f"[{where[0]}]:{port}" if ":" in str(where[0]) else f"{where[0]}:{port}")
            self.record.write("send" if may else "refuse", to)
        if not may:
            raise OutsideMandate("a packet that no right covers was stopped before it left")


_WATCH: Final = _Watch()


def _literal(text: str) -> Address | None:
    with suppress(BadSetting):
        return parse_address(text)
    return None


@contextmanager
def watched(record: Record | None, allowed: Allowed | None = None, veil: Veil = str) -> Iterator[None]:
    """Until the end, each packet of this process is written down, and only those `allowed` leave."""
    if not _WATCH.installed:
        sys.addaudithook(_WATCH)
        _WATCH.installed = True
    before = _WATCH.record, _WATCH.allowed, _WATCH.veil
    _WATCH.record, _WATCH.allowed, _WATCH.veil = record, allowed, veil
    try:
        yield
    finally:
        _WATCH.record, _WATCH.allowed, _WATCH.veil = before


def noted(what: str, about: str) -> None:
    """A decision that is no packet of its own, such as which identifier is asked for."""
    if _WATCH.record is not None:
        _WATCH.record.write(what, about=about)


def only(addresses: frozenset[Address]) -> Allowed:
    """Packets to these addresses and to this machine; nothing else."""
    return only_at((address, None) for address in addresses)


def only_at(places: Iterable[tuple[Address, int | None]]) -> Allowed:
    """The same, at one port of an address where one is named."""
    named = frozenset(places)
    return lambda address, port: is_loopback(address) or (address, port) in named or (address, None) in named
