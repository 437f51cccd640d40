"""The header of a 7z archive: how its streams are packed. Names and times are not read.

Written from the format's public description (7zFormat.txt of the LZMA SDK).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from huisclos.doors.rest.budget import TooMuch

MAX_CODERS: Final = 32

_END, _STREAMS, _PACK, _UNPACK, _SUB = 0x00, 0x04, 0x06, 0x07, 0x08
_SIZE, _CRC, _FOLDER, _CODERS_SIZE, _COUNT = 0x09, 0x0A, 0x0B, 0x0C, 0x0D
_ATTRIBUTES, _COMPLEX, _ATTRIBUTED = 0x02, 0x10, 0x20


class NotUnpacked(Exception):
    """A method or a layout that we cannot unpack."""


@dataclass(slots=True)
class Coder:
    """A method, and what it was set to."""

    method: bytes
    properties: bytes


@dataclass(slots=True)
class Folder:
    """Methods one behind the other, and the members that went through them together."""

    coders: list[Coder]
    binds: dict[int, int]
    """in stream to out stream"""
    inputs: int = 0
    sizes: list[int] = field(default_factory=list)
    parts: int = 1
    """members in it"""
    lengths: list[int] = field(default_factory=list)
    """unpacked length of each member"""

    @property
    def size(self) -> int:
        """Bytes unpacked: those of the one out stream that nothing takes in."""
        bound = set(self.binds.values())
        return next((size for at, size in enumerate(self.sizes) if at not in bound), 0)


@dataclass(slots=True)
class Streams:
    """What the archive holds, packed."""

    position: int = 0
    packed: list[int] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)


class Reader:
    """The bytes of a header, in order."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, length: int) -> bytes:
        """The next bytes. Raises `EOFError`."""
        made = self._raw[self._at : self._at + length]
        if length < 0 or len(made) < length:
            raise EOFError
        self._at += length
        return made

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """A number of one to nine bytes: the leading ones of the first say how many follow."""
        first = self.byte()
        mask, value = 0x80, 0
        for shift in range(0, 64, 8):
            if not first & mask:
                return value + ((first & (mask - 1)) << shift)
            value |= self.byte() << shift
            mask >>= 1
        return value

    def count(self, limit: int) -> int:
        """A number of things to follow, each of a byte or more."""
        value = self.number()
        if value > min(limit, len(self._raw) * 8):
            raise TooMuch
        return value

    def flags(self, count: int) -> int:
        """How many of `count` flags are set; one byte of 1 says all."""
        if self.byte():
            return count
        return sum(one.bit_count() for one in self.take((count + 7) // 8))


_MANY: Final = 200_000
"""folders, methods or members of one archive: each is an object in memory"""


def read_header(reader: Reader) -> Streams:
    """The streams of a header, its kind already read."""
    while (kind := reader.byte()) != _END:
        if kind == _STREAMS:
            return read_streams(reader)
        if kind != _ATTRIBUTES:
            break  # The names of files that are all empty, or streams of a kind that no program writes.
        while reader.byte() != _END:
            reader.take(reader.number())
    return Streams()


def read_streams(reader: Reader) -> Streams:
    """A description of streams, as far as it is needed."""
    streams = Streams()
    while (kind := reader.byte()) != _END:
        if kind == _PACK:
            _packed(reader, streams)
        elif kind == _UNPACK:
            _unpacked(reader, streams)
        elif kind == _SUB:
            # What follows are checks, and then names and times: nothing that is needed here.
            _parts(reader, streams)
            break
        else:
            raise ValueError("an unknown part of a header")
    for folder in streams.folders:
        if not folder.lengths and folder.parts == 1:
            folder.lengths = [folder.size]
    return streams


def _packed(reader: Reader, streams: Streams) -> None:
    streams.position = reader.number()
    count = reader.count(_MANY)
    while (kind := reader.byte()) != _END:
        if kind == _SIZE:
            streams.packed = [reader.number() for _ in range(count)]
        elif kind == _CRC:
            reader.take(4 * reader.flags(count))
        else:
            raise ValueError("an unknown part of the packed streams")


def _unpacked(reader: Reader, streams: Streams) -> None:
    if reader.byte() != _FOLDER:
        raise ValueError("folders are missing")
    count = reader.count(_MANY)
    if reader.byte():
        raise NotUnpacked  # Folders described elsewhere: no program writes that.
    left = _MANY
    for _ in range(count):
        folder = _folder(reader)
        left -= len(folder.coders)
        if left < 0:
            raise TooMuch
        streams.folders.append(folder)
    while (kind := reader.byte()) != _END:
        if kind == _CODERS_SIZE:
            for folder in streams.folders:
                folder.sizes = [reader.number() for _ in folder.coders]
        elif kind == _CRC:
            reader.take(4 * reader.flags(count))
        else:
            raise ValueError("an unknown part of the folders")


def _folder(reader: Reader) -> Folder:
    coders: list[Coder] = []
    inputs = 0
    for _ in range(reader.count(MAX_CODERS)):
        flag = reader.byte()
        method = reader.take(flag & 0x0F)
        ins = outs = 1
        if flag & _COMPLEX:
            ins, outs = reader.count(MAX_CODERS), reader.count(MAX_CODERS)
        properties = reader.take(reader.number()) if flag & _ATTRIBUTED else b""
        if outs != 1:
            raise NotUnpacked
        coders.append(Coder(method, properties))
        inputs += ins
    if not coders:
        raise ValueError("a folder without a method")
    binds = {reader.number(): reader.number() for _ in range(len(coders) - 1)}
    packed = inputs - len(binds)
    if packed > 1:
        for _ in range(packed):
            reader.number()
    return Folder(coders, binds, inputs)


def _parts(reader: Reader, streams: Streams) -> None:
    kind, left = reader.byte(), _MANY
    if kind == _COUNT:
        for folder in streams.folders:
            folder.parts = reader.count(left)
            left -= folder.parts
        kind = reader.byte()
    for folder in streams.folders:
        if not folder.parts:
            continue
        known = [reader.number() for _ in range(folder.parts - 1)] if kind == _SIZE else []
        folder.lengths = [*known, max(folder.size - sum(known), 0)]
