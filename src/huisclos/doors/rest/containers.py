"""Archives, compressed files and disk images, read as streams within a budget of bytes, members and depth."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final

from huisclos.doors.rest import seven, tars, zips
from huisclos.doors.rest.budget import MEMORY, Budget, TooMuch
from huisclos.doors.rest.heads import HEAD, MORE, is_headerless, is_part10
from huisclos.doors.rest.others import DISK_HEAD, is_disk, may_be_disk, word_of

__all__ = ["Budget", "Filled", "Found", "Metered", "Notes", "TooMuch", "kind_of", "look_into", "scan_image"]

MAX_DEPTH: Final = 4
MAX_NESTED: Final = 64 * 1024 * 1024
"""bytes of a zip or 7z inside something, which has to be held to be read"""
_BLOCK: Final = 1024 * 1024
_SECTOR: Final = 512
_PREAMBLE: Final = 128
_ENCRYPTED: Final = 0x1
_AES: Final = 99
"""compression method that stands for WinZip's AES"""
_BROKEN: Final = (lzma.LZMAError, zlib.error, struct.error, ValueError, OSError, EOFError)
"""what readers of containers raise when one is broken"""

Found = Callable[[bytes, int, bool, Callable[[int], bytes]], None]
"""Told of each image inside: its head, its size, whether it has the usual mark, and how to read on."""
Notes = Callable[[str], None]
"""Told what else is inside: `zip-cipher`, `clear-names`, `sealed`, `unread`, `too-large`, or a word of
`word_of`'s."""


def kind_of(head: bytes) -> str | None:
    """Which container begins like this."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    for magic, kind in (
        (b"\x1f\x8b\x08", "gz"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bz2"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x28\xb5\x2f\xfd", "zst"),
        (b"Rar!\x1a\x07", "rar"),
    ):
        if head.startswith(magic):
            return kind
    return "tar" if tars.is_tar(head) else None


def look_into(file: IO[bytes], kind: str, found: Found, notes: Notes, budget: Budget, depth: int = 0) -> None:
    """Tell of every image in a container, and of what else there is to note.

    Raises `TooMuch` when the budget is spent, `OSError` or `EOFError` when the container is broken.
    """
    if depth > MAX_DEPTH:
        raise TooMuch
    try:
        if kind == "zip":
            _zip(file, found, notes, budget, depth)
        elif kind == "tar":
            _tar(file, found, notes, budget, depth)
        elif kind == "7z":
            _seven(file, found, notes, budget, depth)
        elif kind in ("gz", "bz2", "xz"):
            stream = Metered(_open(file, kind), budget)
            _member(stream, None, found, notes, budget, depth)
        else:
            notes("unread")
    except (lzma.LZMAError, zlib.error, struct.error, ValueError) as error:
        raise OSError("a broken container") from error


def _open(file: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gz":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if kind == "bz2" else io.BufferedReader(_Xz(file))


class _Xz(io.RawIOBase):
    """xz with a bound on its memory, which the library's own reader does not have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._state = lzma.LZMADecompressor(memlimit=MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._state.eof:
            raw = self._file.read(64 * 1024) if self._state.needs_input else b""
            made = self._state.decompress(raw, len(view))
            if made:
                view[: len(made)] = made
                return len(made)
            if not raw and self._state.needs_input:
                raise EOFError
        return 0


class Metered(io.RawIOBase):
    """A stream whose every byte is paid for."""

    def __init__(self, file: IO[bytes] | io.RawIOBase, budget: Budget) -> None:
        self._file = file
        self._budget = budget

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Some bytes. Raises `TooMuch`."""
        raw = self._file.read(size if size >= 0 else _BLOCK) or b""
        self._budget.spend(len(raw))
        return raw


class Filled(io.RawIOBase):
    """A file without its holes, as far as whole blocks go: nothing lies in those."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Some bytes; none at the end."""
        try:
            data = os.lseek(self._file.fileno(), self._at, os.SEEK_DATA)
        except OSError:
            return b""  # Nothing but a hole is left.
        self._at = max(self._at, data // _BLOCK * _BLOCK)
        raw = os.pread(self._file.fileno(), size if size >= 0 else _BLOCK, self._at)
        self._at += len(raw)
        return raw


def _seekable(file: IO[bytes]) -> IO[bytes]:
    """`file`, held in memory when it cannot be read in any order. Raises `TooMuch`."""
    if file.seekable():
        return file
    raw = b""
    while len(raw) <= MAX_NESTED and (more := file.read(_BLOCK)):
        raw += more
    if len(raw) > MAX_NESTED:
        raise TooMuch
    return io.BytesIO(raw)


def _zip(file: IO[bytes], found: Found, notes: Notes, budget: Budget, depth: int) -> None:
    file = _seekable(file)
    for member in zips.members(file):
        budget.spend(0, 1)
        if member.flags & _ENCRYPTED:
            notes("clear-names" if member.method == _AES else "zip-cipher")
            continue
        try:
            stream = zips.unpacked(file, member, budget.spend)
        except zips.NotUnpacked:
            notes("unread")
        except TooMuch:
            notes("too-large")
        except _BROKEN:
            notes("unread")
        else:
            _each(stream, member.size, found, notes, budget, depth)


def _seven(file: IO[bytes], found: Found, notes: Notes, budget: Budget, depth: int) -> None:
    try:
        for stream, size in seven.members(_seekable(file), budget.spend):
            budget.spend(0, 1)
            _each(stream, size, found, notes, budget, depth)
    except seven.Sealed as sealed:
        notes("clear-names" if sealed.args[0] else "sealed")
    except seven.NotUnpacked:
        notes("unread")


def _tar(file: IO[bytes], found: Found, notes: Notes, budget: Budget, depth: int) -> None:
    for stream, size in tars.members(file):
        budget.spend(0, 1)
        _each(stream, size, found, notes, budget, depth)


def _each(stream: io.RawIOBase, size: int, found: Found, notes: Notes, budget: Budget, depth: int) -> None:
    """One member of several: what is wrong with it is noted, and the others are looked at."""
    try:
        _member(Metered(stream, budget), size, found, notes, budget, depth)
    except TooMuch:
        if budget.is_spent:
            raise
        notes("too-large")
    except _BROKEN:
        notes("unread")


def _member(
    stream: IO[bytes] | io.RawIOBase,
    size: int | None,
    found: Found,
    notes: Notes,
    budget: Budget,
    depth: int,
) -> None:
    head = _take(stream, HEAD)
    part10 = is_part10(head)
    if part10 or is_headerless(head):
        head += _take(stream, MORE)
        found(head, size if size is not None else len(head), part10, lambda more: _take(stream, more))
        return
    inner = kind_of(head)
    if inner is not None:
        look_into(_Rest(head, stream), inner, found, notes, budget, depth + 1)  # type: ignore[arg-type]
    elif word := word_of(head, lambda: _take(stream, MORE)):
        notes(word)
    elif may_be_disk(head) and is_disk(head := head + _take(stream, DISK_HEAD - len(head))):
        for image, part10 in scan_image(_Rest(head, stream)):
            found(image, 0, part10, lambda _: b"")


def _take(stream: IO[bytes] | io.RawIOBase, size: int) -> bytes:
    made = b""
    while len(made) < size and (raw := stream.read(size - len(made))):
        made += raw
    return made


class _Rest(io.RawIOBase):
    """A stream with its first bytes put back."""

    def __init__(self, head: bytes, stream: IO[bytes] | io.RawIOBase) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._head:
            cut = len(self._head) if size < 0 else size
            made, self._head = self._head[:cut], self._head[cut:]
            return made
        return self._stream.read(size if size >= 0 else _BLOCK) or b""


def scan_image(file: IO[bytes] | io.RawIOBase, step: int = _SECTOR) -> Iterator[tuple[bytes, bool]]:
    """The head of each image at a multiple of `step` bytes: a sector of a disk, whatever its file system.

    And whether it has the usual mark; those without one are looked for where a sector begins only.
    """
    held, more = b"", True
    while more:
        raw = file.read(_BLOCK) or b""
        more = bool(raw)
        held += raw
        # What begins near the end is left for the next read, which has its whole head.
        until = max((len(held) - MORE) // step * step, 0) if more else len(held)
        at = held.find(b"DICM")
        while at >= 0:
            start = at - _PREAMBLE
            if 0 <= start < until and start % step == 0 and held[at + 4 : at + 6] == b"\x02\x00":
                yield held[start : start + MORE], True
            at = held.find(b"DICM", at + 4)
        if step > 1:
            yield from ((held[start : start + MORE], False) for start in _bare(held[:until], step))
        held = held[until:]


def _bare(held: bytes, step: int) -> Iterator[int]:
    """Where a sector begins with the elements of an image."""
    first = held[::step]
    at = first.find(b"\x08")
    while at >= 0:
        start = at * step
        if is_headerless(held[start : start + step]):
            yield start
        at = first.find(b"\x08", at + 1)
