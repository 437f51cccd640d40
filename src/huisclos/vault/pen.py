"""The journal's only pen: seals entries, chains them, makes them durable, forgets the key it used.

Files under ARCHIVE/journal: `entries.log` (records), `pen` (where the chain stands, and the key
for the next record only), `key.age` (the first key, sealed to the archive), `heads.log`.
The pen may lag behind the log after a power cut; it then catches up by walking the records it
missed, each of which must hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from pathlib import Path
from typing import Final

from huisclos.errors import HuisclosError, JournalBroken, NotFound
from huisclos.journal.chain import BOOT, KEY, MAC, Nib, Record, first_nib, read_records
from huisclos.journal.entries import Entry, encode_entry
from huisclos.journal.heads import Head, decode_head, encode_head
from huisclos.seal import Recipient, seal

_APPENDED: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_SLOT: Final = 128
_PEN_BODY: Final = 8 + 8 + MAC + KEY


class Pen:
    """Appends entries. Safe from several threads; one process only (an exclusive lock says so)."""

    def __init__(self, folder: Path, recipient: Recipient) -> None:
        self._folder = folder
        self._recipient = recipient
        self._boot = secrets.token_bytes(BOOT)
        self._lock = threading.Lock()
        self._log = os.open(folder / "entries.log", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pen = os.open(folder / "pen", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slot = 0
        self.problem = ""
        """Why the journal does not hold, as far as can be seen without a secret; empty when it does."""
        self._nib, self._end = self._stand()

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return self._nib.sequence

    @property
    def nib(self) -> Nib:
        """Where the chain stands."""
        return self._nib

    def write(self, *entries: Entry) -> None:
        """Append and make durable; returns once all would survive power loss. Blocks about 1 ms."""
        with self._lock:
            nib, wire = self._nib, bytearray()
            for entry in entries:
                record, nib = nib.append(self._boot, seal(encode_entry(entry), [self._recipient]))
                wire += record.encode()
            self._append(wire)
            self._nib, self._end = nib, self._end + len(wire)
            self._settle()

    def seal_to(self, recipient: Recipient) -> None:
        """From now on; what is written stays as it is, since the chain is over the sealed bytes."""
        with self._lock:
            self._recipient = recipient

    def _append(self, wire: bytearray) -> None:
        """All of it, durably, or nothing: a disk that fills up takes a part and says so only then."""
        done, view = 0, memoryview(wire)
        try:
            while done < len(wire):
                done += os.pwrite(self._log, view[done:], self._end + done)
            os.fdatasync(self._log)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._log, self._end)
            raise

    def records(self) -> list[Record]:
        """Every whole record, from the first. Raises `JournalBroken`."""
        return [record for _, record in read_records(self._read_log())]

    def stand(self) -> tuple[Nib, int]:
        """Where the chain stands, and how many bytes the log's file has, at one moment."""
        with self._lock:
            return self._nib, os.fstat(self._log).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the log's file from `offset`; fewer than `length` at its end."""
        return os.pread(self._log, length, offset)

    def sign_head(self, head: Head) -> None:
        """Keep a signed head beside the journal."""
        with os.fdopen(os.open(self._folder / "heads.log", _APPENDED, 0o600), "ab") as heads:
            heads.write(encode_head(head))
            heads.flush()
            os.fdatasync(heads.fileno())

    def heads(self) -> list[Head]:
        """The heads kept beside the journal; a line that is none is left out."""
        try:
            lines = (self._folder / "heads.log").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [head for line in lines if (head := _head_of(line)) is not None]

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._log)
        os.close(self._pen)

    def _stand(self) -> tuple[Nib, int]:
        stood = self._read_pen()
        if stood is None:
            raise NotFound(
                "the journal's pen is missing",
                hint="restore the journal folder from a backup; images and keys are not touched",
            )
        nib, end = stood
        log = self._read_log()
        if len(log) < end:
            self.problem = "the journal's end was cut off"
            return nib, len(log)
        try:
            for after, record in read_records(log, end):
                nib, end = nib.follow(record), after
        except JournalBroken as broken:
            self.problem = broken.message
        if len(log) > end:
            self._set_aside(log[end:], end)
        return nib, end

    def _set_aside(self, rest: bytes, end: int) -> None:
        # a last record cut short by a power loss was never acknowledged; anything else is evidence
        (self._folder / f"set-aside-{end}").write_bytes(rest)
        os.ftruncate(self._log, end)

    def _read_log(self) -> bytes:
        size = os.fstat(self._log).st_size
        parts, at = [], 0
        while at < size:
            part = os.pread(self._log, size - at, at)
            if not part:
                break
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def _read_pen(self) -> tuple[Nib, int] | None:
        return decode_pen(os.pread(self._pen, 2 * _SLOT, 0))

    def _settle(self) -> None:
        # both slots, one after the other: a torn write spoils one, and the used key stays in neither
        slot = _encode_slot(self._nib, self._end)
        os.pwrite(self._pen, slot, 0)
        os.pwrite(self._pen, slot, _SLOT)


def create_journal(folder: Path, key: bytes) -> None:
    """Files of an empty journal whose first key is `key`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "entries.log").touch(mode=0o600)
    slot = _encode_slot(first_nib(key), 0)
    pen = os.open(folder / "pen", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(pen, slot + slot, 0)
        os.fsync(pen)
    finally:
        os.close(pen)


def decode_pen(pen: bytes) -> tuple[Nib, int] | None:
    """Where the bytes of a `pen` file say the chain and the log's end stand; None when they say nothing."""
    found = [slot for at in (0, _SLOT) if (slot := _decode_slot(pen[at : at + _SLOT])) is not None]
    return max(found, key=lambda slot: slot[0].sequence, default=None)


def _encode_slot(nib: Nib, end: int) -> bytes:
    body = nib.sequence.to_bytes(8, "big") + end.to_bytes(8, "big") + nib.mac + nib.key
    return (body + hashlib.sha256(body).digest()).ljust(_SLOT, b"\0")


def _decode_slot(slot: bytes) -> tuple[Nib, int] | None:
    body, digest = slot[:_PEN_BODY], slot[_PEN_BODY : _PEN_BODY + 32]
    if len(slot) < _SLOT or hashlib.sha256(body).digest() != digest:
        return None
    nib = Nib(int.from_bytes(body[:8], "big"), body[16 : 16 + MAC], body[16 + MAC :])
    return nib, int.from_bytes(body[8:16], "big")


def _head_of(line: bytes) -> Head | None:
    try:
        return decode_head(line)
    except HuisclosError:
        return None
