"""Compressed bytes as a stream, in bounded memory: each method asked for a block at a time."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from huisclos.doors.rest.budget import MEMORY, TooMuch

BLOCK: Final = 256 * 1024
_FED: Final = 64 * 1024
_LZMA_PROPERTIES: Final = 5


class Step:
    """One method of a chain; takes bytes and gives what it can. Without a state it changes nothing."""

    def __init__(self, state: Any = None) -> None:
        self._state = state

    @property
    def hungry(self) -> bool:
        """Whether it needs more before it can give more."""
        return self._state is None or bool(self._state.needs_input) or bool(self._state.eof)

    def unpack(self, raw: bytes) -> bytes:
        """What `raw` comes to, a block at most."""
        if self._state is None:
            return raw
        if self._state.eof:
            return b""
        made: bytes = self._state.decompress(raw, BLOCK)
        return made


class Deflate(Step):
    """Deflate without a wrapper, which keeps what it did not take."""

    def __init__(self) -> None:
        super().__init__()
        self._inflate = zlib.decompressobj(-15)

    @property
    def hungry(self) -> bool:
        """Whether it needs more before it can give more."""
        return not self._inflate.unconsumed_tail

    def unpack(self, raw: bytes) -> bytes:
        """What `raw` comes to, a block at most."""
        return self._inflate.decompress(self._inflate.unconsumed_tail + raw, BLOCK)


def bzip2() -> Step:
    """What undoes bzip2, of which forty bytes can stand for as many megabytes."""
    return Step(bz2.BZ2Decompressor())


def raw_lzma(filters: Sequence[dict[str, Any]]) -> Step:
    """What undoes LZMA without a wrapper."""
    return Step(lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters))


def lzma1(properties: bytes) -> dict[str, Any]:
    """LZMA's five bytes of properties as liblzma takes them. Raises `TooMuch`, `ValueError`."""
    if len(properties) < _LZMA_PROPERTIES:
        raise ValueError("LZMA without its properties")
    rest, low = divmod(properties[0], 9)
    size = dictionary(int.from_bytes(properties[1:5], "little"))
    return {"id": lzma.FILTER_LZMA1, "lc": low, "lp": rest % 5, "pb": rest // 5, "dict_size": size}


def dictionary(size: int) -> int:
    """The size, if memory is given for it. Raises `TooMuch`."""
    if size > MEMORY:
        raise TooMuch
    return max(size, 4096)


class Unpacked(io.RawIOBase):
    """`length` bytes of a file from `at` on, unpacked as they are asked for; each is paid for."""

    def __init__(
        self, file: IO[bytes], at: int, length: int, steps: Sequence[Step], spend: Callable[[int], None]
    ) -> None:
        self._file = file
        self._at = at
        self._left = length
        self._steps = steps
        self._spend = spend
        self._held = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        size = BLOCK if size < 0 else min(size, BLOCK)
        while not self._held:
            raw = b""
            if self._steps[0].hungry and self._left:
                self._file.seek(self._at)
                raw = self._file.read(min(self._left, _FED))
                if not raw:
                    raise EOFError
                self._at, self._left = self._at + len(raw), self._left - len(raw)
            made = raw
            for step in self._steps:
                made = step.unpack(made)
            self._spend(len(made))
            self._held = made
            if not made and not raw:
                return b""
        made, self._held = self._held[:size], self._held[size:]
        return made
