"""The chain of the journal: sealed entries, each bound to all before it under a key that only goes forward.

Record: 4-byte length, then sequence (8), boot id (16), MAC (32), sealed entry. The MAC is
HMAC-SHA256 under the key of that sequence over the MAC before it, sequence, boot id and sealed
bytes. The key of the next record is derived one way and the old one is forgotten, so whoever
takes the machine tonight cannot rewrite this morning (Bellare and Yee, "Forward integrity for
secure audit logs", 1997). The first key is sealed to the archive; whoever unlocks can verify all.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from huisclos.errors import JournalBroken

KEY: Final = 32
MAC: Final = 32
BOOT: Final = 16
_HEAD: Final = 8 + BOOT + MAC
MAX_RECORD: Final = 1024 * 1024
"""Bytes; an entry is some hundreds."""
FIRST_MAC: Final = bytes(MAC)


@dataclass(frozen=True, slots=True)
class Record:
    """One sealed entry as it lies in the file."""

    sequence: int
    boot: bytes
    mac: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """The record with its length, as it is appended."""
        body = self.sequence.to_bytes(8, "big") + self.boot + self.mac + self.sealed
        return len(body).to_bytes(4, "big") + body


@dataclass(frozen=True, slots=True)
class Nib:
    """The writing end: where the chain stands and the key for the next record."""

    sequence: int
    """Of the next record; the first is 0."""
    mac: bytes
    """Of the last record."""
    key: bytes

    def __repr__(self) -> str:
        return f"Nib({self.sequence})"

    def append(self, boot: bytes, sealed: bytes) -> tuple[Record, Nib]:
        """The next record and the end after it."""
        mac = _mac(self.key, self.mac, self.sequence, boot, sealed)
        return Record(self.sequence, boot, mac, sealed), Nib(self.sequence + 1, mac, next_key(self.key))

    def follow(self, record: Record) -> Nib:
        """The end after `record`, which must be the next one. Raises `JournalBroken`."""
        if record.sequence != self.sequence:
            raise JournalBroken(f"entry {self.sequence} is missing: {record.sequence} stands in its place")
        mac = _mac(self.key, self.mac, self.sequence, record.boot, record.sealed)
        if not hmac.compare_digest(mac, record.mac):
            raise JournalBroken(f"entry {self.sequence} was changed, or the one before it was")
        return Nib(self.sequence + 1, mac, next_key(self.key))


def first_nib(key: bytes) -> Nib:
    """The end of an empty journal."""
    return Nib(0, FIRST_MAC, key)


def next_key(key: bytes) -> bytes:
    """One step forward; there is none back."""
    return hashlib.sha256(b"huisclos journal next\0" + key).digest()


def read_records(log: bytes, offset: int = 0) -> Iterator[tuple[int, Record]]:
    """(offset after it, record) of each whole record from `offset`; stops at a last one that is not whole.

    Raises `JournalBroken` where a length cannot be one.
    """
    while offset + 4 <= len(log):
        length = int.from_bytes(log[offset : offset + 4], "big")
        if not _HEAD < length <= MAX_RECORD:
            raise JournalBroken(f"the journal is damaged at byte {offset}")
        end = offset + 4 + length
        if end > len(log):
            return
        body = log[offset + 4 : end]
        yield (
            end,
            Record(int.from_bytes(body[:8], "big"), body[8 : 8 + BOOT], body[8 + BOOT : _HEAD], body[_HEAD:]),
        )
        offset = end


def _mac(key: bytes, before: bytes, sequence: int, boot: bytes, sealed: bytes) -> bytes:
    return hmac.digest(key, before + sequence.to_bytes(8, "big") + boot + sealed, "sha256")
