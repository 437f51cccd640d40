"""7z archives as streams, in bounded memory: the folders of a header, each unpacked piece by piece.

Written from the format's public description (7zFormat.txt of the LZMA SDK). What the standard library cannot
unpack (PPMd, BCJ2) is said to be unread; AES is told from its coder, with the header in clear or without.
"""

from __future__ import annotations

import io
import lzma
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from huisclos.doors.rest.budget import TooMuch
from huisclos.doors.rest.seven_header import (
    Coder,
    Folder,
    NotUnpacked,
    Reader,
    Streams,
    read_header,
    read_streams,
)
from huisclos.doors.rest.unpack import (
    BLOCK,
    Deflate,
    Step,
    Unpacked,
    bzip2,
    dictionary,
    lzma1,
    raw_lzma,
)

__all__ = ["NotUnpacked", "Sealed", "members"]

MAX_HEADER: Final = 16 * 1024 * 1024
"""bytes of a header, unpacked"""
_START: Final = 32
_HEADER, _ENCODED = 0x01, 0x17

_COPY, _LZMA, _LZMA2, _DELTA = b"\x00", b"\x03\x01\x01", b"\x21", b"\x03"
_DEFLATE, _BZIP2, _AES = b"\x04\x01\x08", b"\x04\x02\x02", b"\x06\xf1\x07\x01"
_BRANCHES: Final = {
    b"\x03\x03\x01\x03": lzma.FILTER_X86,
    b"\x04": lzma.FILTER_X86,
    b"\x03\x03\x02\x05": lzma.FILTER_POWERPC,
    b"\x03\x03\x04\x01": lzma.FILTER_IA64,
    b"\x03\x03\x05\x01": lzma.FILTER_ARM,
    b"\x03\x03\x07\x01": lzma.FILTER_ARMTHUMB,
    b"\x03\x03\x08\x05": lzma.FILTER_SPARC,
}


class Sealed(Exception):
    """AES: nothing can be read; the argument says whether the list of names is in clear."""


def members(file: IO[bytes], spend: Callable[[int], None]) -> Iterator[tuple[io.RawIOBase, int]]:
    """Each member with content, as a stream, and its length; every unpacked byte is paid for.

    Raises `Sealed`, `NotUnpacked`, `TooMuch` (for a header or a dictionary too large); for a broken archive
    `ValueError`, `OSError`, `EOFError` or an unpacker's own error.
    """
    streams, clear = _open_header(file, spend)
    at, first = _START + streams.position, 0
    for folder in streams.folders:
        if any(coder.method == _AES for coder in folder.coders):
            raise Sealed(clear)
        count = folder.inputs - len(folder.binds)
        if count != 1 or first >= len(streams.packed):
            raise NotUnpacked
        source = Unpacked(file, at, streams.packed[first], _steps(folder), spend)
        for left, length in enumerate(folder.lengths, 1 - len(folder.lengths)):
            part = _Part(source, length)
            yield part, length
            try:
                part.drain()
            except EOFError:
                # A filter keeps the last bytes of all until it is told of the end, and it is not told.
                if left:
                    raise
        at, first = at + streams.packed[first], first + 1


def _open_header(file: IO[bytes], spend: Callable[[int], None]) -> tuple[Streams, bool]:
    """The streams, and whether the names were in clear."""
    file.seek(0)
    start = file.read(_START)
    if len(start) < _START:
        raise EOFError
    offset, size = (int.from_bytes(start[at : at + 8], "little") for at in (12, 20))
    if size > MAX_HEADER:
        raise TooMuch
    file.seek(_START + offset)
    raw = file.read(size)
    if len(raw) < size:
        raise EOFError
    if not size:
        return Streams(), True
    for _ in range(4):
        reader = Reader(raw)
        kind = reader.byte()
        if kind == _HEADER:
            return read_header(reader), True
        if kind != _ENCODED:
            raise ValueError("not a header of 7z")
        raw = _unpack_header(file, read_streams(reader), spend)
    raise ValueError("a header in a header in a header")


def _unpack_header(file: IO[bytes], streams: Streams, spend: Callable[[int], None]) -> bytes:
    if len(streams.folders) != 1 or len(streams.packed) != 1:
        raise ValueError("a packed header has one folder")
    (folder,) = streams.folders
    if any(coder.method == _AES for coder in folder.coders):
        raise Sealed(False)
    if folder.size > MAX_HEADER:
        raise TooMuch
    source = Unpacked(file, _START + streams.position, streams.packed[0], _steps(folder), spend)
    raw = b"".join(iter(lambda: source.read(BLOCK), b""))
    if len(raw) < folder.size:
        raise EOFError
    return raw[: folder.size]


class _Part(io.RawIOBase):
    """One member: so many bytes of its folder."""

    def __init__(self, source: Unpacked, length: int) -> None:
        self._source = source
        self._left = length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        made = self._source.read(self._left if size < 0 else min(size, self._left)) if self._left else b""
        self._left -= len(made)
        return made

    def drain(self) -> None:
        """Come to the end, so that the next member can begin."""
        while self._left:
            if not self.read(BLOCK):
                raise EOFError


def _chain(folder: Folder) -> list[list[Coder]]:
    """The coders in the order they are undone; filters go with the LZMA before them."""
    bound = set(folder.binds.values())
    at = next((one for one in range(len(folder.coders)) if one not in bound), 0)
    order = [folder.coders[at]]
    while at in folder.binds and len(order) <= len(folder.coders):
        at = folder.binds[at]
        if at >= len(folder.coders):
            raise ValueError("a coder that is not there")
        order.append(folder.coders[at])
    if len(order) != len(folder.coders):
        raise NotUnpacked
    steps: list[list[Coder]] = []
    for coder in reversed(order):
        if steps and (coder.method in _BRANCHES or coder.method == _DELTA) and steps[-1][-1].method != _COPY:
            steps[-1].append(coder)
        else:
            steps.append([coder])
    if len(steps) > 1:
        raise NotUnpacked
    return steps


def _steps(folder: Folder) -> list[Step]:
    return [_step(coders) for coders in _chain(folder)]


def _step(coders: list[Coder]) -> Step:
    """What undoes one method with its filters."""
    method = coders[0].method
    if method in (_LZMA, _LZMA2):
        return raw_lzma([_filter(coder) for coder in reversed(coders)])
    if len(coders) > 1:
        raise NotUnpacked
    if method == _COPY:
        return Step()
    if method == _DEFLATE:
        return Deflate()
    if method == _BZIP2:
        return bzip2()
    raise NotUnpacked


def _filter(coder: Coder) -> dict[str, Any]:
    """A filter as liblzma takes it. Raises `TooMuch` for a dictionary beyond the bound."""
    found = coder.properties
    if coder.method in _BRANCHES:
        return {"id": _BRANCHES[coder.method]}
    if coder.method == _DELTA:
        return {"id": lzma.FILTER_DELTA, "dist": (found[0] if found else 0) + 1}
    if coder.method == _LZMA2:
        bits = found[0] if found else 0
        return {"id": lzma.FILTER_LZMA2, "dict_size": dictionary((2 | (bits & 1)) << (bits // 2 + 11))}
    return lzma1(found)
