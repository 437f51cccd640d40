"""tar archives as streams, in bounded memory: POSIX, GNU and the oldest, whole or sparse.

The standard library's reader holds every member's header, and a long name of any length that one asks for.
Names are not read at all: they hold names of people.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, Final

from huisclos.doors.rest.budget import TooMuch

_BLOCK: Final = 512
_STEP: Final = 1024 * 1024
_MAX_RECORDS: Final = 1024 * 1024
"""bytes of one member's extended header, or of its map of holes"""
_SUM: Final = slice(148, 156)
_REGULAR: Final = b"0\0" + b"7S"
_WITHOUT_DATA: Final = b"123456"
_EXTENDED, _SPARSE = b"x", b"S"
_RECORD: Final = re.compile(rb"\d{1,9} (size|GNU\.sparse\.major)=(\d{1,19})\n")


def is_tar(head: bytes) -> bool:
    """Whether a file begins with a member's header: by its mark or, the oldest having none, by its sum."""
    if len(head) < _BLOCK:
        return False
    return head[257:262] == b"ustar" or (head[_SUM].strip(b" \0").isdigit() and _sums_up(head))


def members(file: IO[bytes]) -> Iterator[tuple[io.RawIOBase, int]]:
    """Each file in it, as a stream, and its length.

    Raises `TooMuch` for a header beyond its bound; `ValueError`, `EOFError` for a broken archive.
    """
    tape, records = _Tape(file), b""
    while (header := tape.header()) is not None:
        kind, size = header[156:157], _number(header[124:136])
        found = dict(_RECORD.findall(records))
        if kind == _EXTENDED:
            if size > _MAX_RECORDS:
                raise TooMuch
            records = tape.take(size)
            tape.skip(-size % _BLOCK)
            continue
        size = int(found.get(b"size", size))
        if kind == _SPARSE:
            _skip_map(tape, header)
        begun = tape.at
        if kind in _REGULAR:
            if found.get(b"GNU.sparse.major") == b"1":
                _skip_lines(tape)
            yield _Part(tape, begun + size), size
        if kind not in _WITHOUT_DATA:
            tape.skip(begun + size - tape.at)
            tape.skip(-size % _BLOCK)
        if kind not in b"gLK":
            records = b""


class _Tape:
    """The bytes of the archive, in order."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._seeks = file.seekable()
        self.at = 0

    def header(self) -> bytes | None:
        """The next header; None at the end."""
        raw = self._read(_BLOCK)
        if not raw and self._seeks and self.at > self._file.seek(0, 2):
            raise EOFError
        if not raw or not any(raw):
            return None
        if len(raw) < _BLOCK:
            raise EOFError
        if not _sums_up(raw):
            raise ValueError("a header that does not sum up")
        return raw

    def take(self, length: int) -> bytes:
        """So many bytes. Raises `EOFError`."""
        raw = self._read(length)
        if len(raw) < length:
            raise EOFError
        return raw

    def part(self, length: int) -> bytes:
        """Some of so many bytes. Raises `EOFError`."""
        raw = self._file.read(min(length, _STEP))
        if not raw and length:
            raise EOFError
        self.at += len(raw)
        return raw

    def skip(self, length: int) -> None:
        """Go on; where the file can be gone through in any order, without reading."""
        if length < 0:
            raise ValueError("a member that ends before it begins")
        if self._seeks:
            self._file.seek(length, 1)
            self.at += length
            return
        while length:
            length -= len(self.part(length))

    def _read(self, length: int) -> bytes:
        made = b""
        while len(made) < length and (raw := self._file.read(length - len(made))):
            made += raw
        self.at += len(made)
        return made


class _Part(io.RawIOBase):
    """One member, up to where it ends."""

    def __init__(self, tape: _Tape, end: int) -> None:
        self._tape = tape
        self._end = end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        left = self._end - self._tape.at
        return self._tape.part(left if size < 0 else min(size, left)) if left > 0 and size else b""


def _sums_up(header: bytes) -> bool:
    text = header[_SUM].strip(b" \0")
    try:
        said = int(text, 8)
    except ValueError:
        return False
    rest = header[: _SUM.start] + header[_SUM.stop : _BLOCK]
    plain = sum(rest) + 8 * 0x20
    return said in (plain, plain - 256 * sum(byte > 0x7F for byte in rest))  # noqa: PLR2004 - some took bytes as signed


def _number(field: bytes) -> int:
    """Octal digits or, with the first bit set, a number of base 256. Raises `ValueError`."""
    if field[0] & 0x80:
        if field[0] != 0x80:  # noqa: PLR2004 - a negative length
            raise ValueError("a length that is none")
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _skip_map(tape: _Tape, header: bytes) -> None:
    """GNU's map of holes goes on in blocks of its own."""
    more, taken = header[482], 0
    while more:
        taken += _BLOCK
        if taken > _MAX_RECORDS:
            raise TooMuch
        more = tape.take(_BLOCK)[504]


def _skip_lines(tape: _Tape) -> None:
    """POSIX's map of holes: a count, and two numbers for each, in lines, filled up to a block."""
    raw = tape.take(_BLOCK)
    first = raw.partition(b"\n")[0]
    if not first.isdigit() or len(first) > len(str(_MAX_RECORDS)):
        raise ValueError("a map of holes without its length")
    lines = 1 + 2 * int(first)
    left = lines - raw.count(b"\n")
    taken = _BLOCK
    while left > 0:
        taken += _BLOCK
        if taken > _MAX_RECORDS:
            raise TooMuch
        left -= tape.take(_BLOCK).count(b"\n")
