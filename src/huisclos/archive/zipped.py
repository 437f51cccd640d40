"""A ZIP file written front to back, of members as they are (PKWARE APPNOTE 6.3).

Nothing is compressed and every length is known beforehand, so the length of the whole is known too: a
browser shows how far a download has come. ZIP64 where sizes, places or counts go beyond 32 or 16 bits.
No member has a time of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from struct import pack
from typing import Final

_LARGE: Final = 0xFFFFFFFF
"""From here on a length or a place is told in 64 bits."""
_MANY: Final = 0xFFFF
_ELSEWHERE: Final = 0xFFFFFFFF
"""Stands where 32 bits do not do."""
_MANY_ELSEWHERE: Final = 0xFFFF
_VERSION: Final = 20
_VERSION_64: Final = 45
_LATER: Final = 0x0008
"""General purpose bit 3: the checksum stands behind the member."""
_DAY: Final = 0x0021
"""1980-01-01, the first day that a ZIP file knows."""
_ZIP64: Final = 0x0001
_UNIX: Final = 3 << 8
_MODE: Final = 0o100600 << 16
_ZEROS: Final = bytes(64 * 1024)


class Zip:
    """One file in the making. What its methods give, in order, is the file.

    `total` is its whole length, made of `member_length` of every member and `end_length`.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._at = 0
        self._listed: list[bytes] = []

    def held(self, name: str, content: bytes) -> Iterator[bytes]:
        """A member that is in memory: its checksum stands before it, which the oldest readers need."""
        checksum = zlib.crc32(content)
        begin = self._at
        yield self._moved(_local(name, len(content), checksum, later=False))
        yield self._moved(content)
        self._list(name, len(content), checksum, begin, later=False)

    def streamed(self, name: str, length: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """A member of `length` bytes that comes in pieces: its checksum stands behind it."""
        begin, checksum, given = self._at, 0, 0
        yield self._moved(_local(name, length, 0, later=True))
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
            given += len(piece)
            yield self._moved(piece)
        if given != length:
            raise ValueError("a member is of another length than was said")
        wide = "<IIQQ" if length >= _LARGE else "<IIII"
        yield self._moved(pack(wide, 0x08074B50, checksum, length, length))
        self._list(name, length, checksum, begin, later=True)

    def gap(self, length: int) -> Iterator[bytes]:
        """Bytes that belong to no member, where one was expected: no reader looks at them."""
        for at in range(0, length, len(_ZEROS)):
            yield self._moved(_ZEROS[: length - at])

    def end(self) -> Iterator[bytes]:
        """The list of members. Fills up before it what members that did not come would have taken."""
        size = sum(map(len, self._listed))
        wide = _wide(self._total, len(self._listed))
        yield from self.gap(self._total - self._at - size - (76 if wide else 0) - 22)
        begin = self._at
        yield self._moved(b"".join(self._listed))
        count = len(self._listed)
        if wide:
            at = self._at
            record = (0x06064B50, 44, _UNIX | _VERSION_64, _VERSION_64, 0, 0, count, count, size, begin)
            yield self._moved(pack("<IQHHIIQQQQ", *record) + pack("<IIQI", 0x07064B50, 0, at, 1))
        few = _MANY_ELSEWHERE if wide else count
        low, place = (_ELSEWHERE, _ELSEWHERE) if wide else (size, begin)
        yield self._moved(pack("<IHHHHIIH", 0x06054B50, 0, 0, few, few, low, place, 0))

    def _moved(self, piece: bytes) -> bytes:
        self._at += len(piece)
        return piece

    def _list(self, name: str, length: int, checksum: int, begin: int, *, later: bool) -> None:
        extra = b"".join(pack("<Q", value) for value in (length, length, begin) if value >= _LARGE)
        extra = pack("<HH", _ZIP64, len(extra)) + extra if extra else b""
        needed = _VERSION_64 if extra else _VERSION
        fixed = pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50,
            _UNIX | needed,
            needed,
            _LATER if later else 0,
            0,
            0,
            _DAY,
            checksum,
            _short(length),
            _short(length),
            len(name),
            len(extra),
            0,
            0,
            0,
            _MODE,
            _short(begin),
        )
        self._listed.append(fixed + name.encode("ascii") + extra)


def member_length(name: str, length: int, *, streamed: bool) -> int:
    """Bytes that a member takes where it stands."""
    behind = (24 if length >= _LARGE else 16) if streamed else 0
    return len(_local(name, length, 0, later=streamed)) + length + behind


def end_length(members: Iterable[tuple[str, int, int]]) -> int:
    """Bytes behind the last member; each is its name, its length, and the bytes it takes where it stands."""
    size = at = count = 0
    for name, length, taken in members:
        beyond = 2 * (length >= _LARGE) + (at >= _LARGE)
        size += 46 + len(name) + (4 + 8 * beyond if beyond else 0)
        at += taken
        count += 1
    total = at + size + 22
    return size + 22 + (76 if _wide(total, count) else 0)


def _wide(total: int, count: int) -> bool:
    """Whether the list ends in ZIP64; a little before it must, so that it does not depend on itself."""
    return total >= _LARGE - 76 or count >= _MANY


def _local(name: str, length: int, checksum: int, *, later: bool) -> bytes:
    wide = length >= _LARGE
    # behind a member that is streamed stand the lengths as well: readers that do not seek take both
    said = _short(length)
    extra = pack("<HHQQ", _ZIP64, 16, length, length) if wide else b""
    return (
        pack(
            "<IHHHHHIIIHH",
            0x04034B50,
            _VERSION_64 if wide else _VERSION,
            _LATER if later else 0,
            0,
            0,
            _DAY,
            checksum,
            said,
            said,
            len(name),
            len(extra),
        )
        + name.encode("ascii")
        + extra
    )


def _short(value: int) -> int:
    return _ELSEWHERE if value >= _LARGE else value
