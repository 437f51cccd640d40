"""ZIP archives as streams, in bounded memory: the central directory entry by entry (PKWARE APPNOTE 6.3).

The standard library's reader holds the whole directory, and unpacks bzip2 without a bound: a kilobyte can ask
for gigabytes of it. Names are not kept: they hold names of people.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from huisclos.doors.rest.unpack import Deflate, Step, Unpacked, bzip2, lzma1, raw_lzma

_END: Final = struct.Struct("<4s4H2IH")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR: Final = struct.Struct("<4sIQI")
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_LONGEST_COMMENT: Final = 0xFFFF
_ELSEWHERE: Final = 0xFFFFFFFF
_MANY_ELSEWHERE: Final = 0xFFFF
_ZIP64: Final = 0x0001
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
_LZMA_HEAD: Final = 9


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the directory that is a file."""

    flags: int
    method: int
    packed: int
    size: int
    at: int
    """where its own header stands"""


class NotUnpacked(Exception):
    """A method that we cannot unpack."""


def members(file: IO[bytes]) -> Iterator[Member]:
    """Each file of the archive, as its directory has it. Raises `ValueError`, `EOFError`, `OSError`."""
    at, size, before = _directory(file)
    end = at + size
    while at < end:
        file.seek(at)
        raw = file.read(_ENTRY.size)
        if len(raw) < _ENTRY.size or raw[:4] != b"PK\x01\x02":
            raise ValueError("the list of members is broken")
        entry = _ENTRY.unpack(raw)
        name, extra, comment = entry[10:13]
        named, more = file.read(name), file.read(extra)
        at += _ENTRY.size + name + extra + comment
        if not named.endswith(b"/"):
            unpacked, packed, place = _wide([entry[9], entry[8], entry[16]], more)
            yield Member(entry[3], entry[4], packed, unpacked, place + before)


def unpacked(file: IO[bytes], member: Member, spend: Callable[[int], None]) -> Unpacked:
    """What is in a member. Raises `NotUnpacked`, `TooMuch`; `ValueError`, `EOFError` for a broken one."""
    file.seek(member.at)
    raw = file.read(_LOCAL.size)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
        raise ValueError("a member without its header")
    name, extra = _LOCAL.unpack(raw)[9:11]
    at, length = member.at + _LOCAL.size + name + extra, member.packed
    if member.method == _LZMA:
        file.seek(at)
        head = file.read(_LZMA_HEAD)
        at, length = at + _LZMA_HEAD, length - _LZMA_HEAD
        return Unpacked(file, at, length, [raw_lzma([lzma1(head[4:])])], spend)
    return Unpacked(file, at, length, [_step(member.method)], spend)


def _step(method: int) -> Step:
    if method == _STORED:
        return Step()
    if method == _DEFLATED:
        return Deflate()
    if method == _BZIP2:
        return bzip2()
    raise NotUnpacked


def _directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Where the list of members is, its length, and how many bytes stand before the archive."""
    whole = file.seek(0, 2)
    start = max(whole - _END.size - _LONGEST_COMMENT, 0)
    file.seek(start)
    tail = file.read(_END.size + _LONGEST_COMMENT)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise ValueError("a ZIP file without its end")
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, found)
    end = start + found
    if _ELSEWHERE in (size, offset) or count == _MANY_ELSEWHERE:
        end, size, offset = _beyond(file, end, size, offset)
    if size > end:
        raise ValueError("a list of members longer than the file")
    return end - size, size, end - size - offset


def _beyond(file: IO[bytes], end: int, size: int, offset: int) -> tuple[int, int, int]:
    """The same of a ZIP64 file; what there is when it is none."""
    if end < _LOCATOR.size:
        return end, size, offset
    file.seek(end - _LOCATOR.size)
    mark, _, place, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if mark != b"PK\x06\x07":
        return end, size, offset
    for at in (place, end - _LOCATOR.size - _END_64.size):
        file.seek(max(at, 0))
        raw = file.read(_END_64.size)
        if len(raw) == _END_64.size and raw[:4] == b"PK\x06\x06":
            found = _END_64.unpack(raw)
            return at, found[8], found[9]
    raise ValueError("a ZIP64 file without its end")


def _wide(values: list[int], extra: bytes) -> list[int]:
    """Lengths and a place, those that 32 bits do not hold taken from the entry's ZIP64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64:
            more = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            return [next(more, one) if one == _ELSEWHERE else one for one in values]
        at += 4 + length
    return values
