"""Reading a sealed object by range: one frame opens without unsealing the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from huisclos.errors import Tampered
from huisclos.seal.chunks import CHUNK, SEALED_CHUNK, filled, open_chunk, open_run, plain_size

WINDOW: Final = 16
"""Chunks asked of the source at a time, 1 MiB: sealed bytes are opened while still in the cache."""


class ReadAt(Protocol):
    """Somewhere sealed bytes lie that can be read by range: a file, an object store, memory.

    `size` never changes while the source is in use. Reading is idempotent, in any order,
    and, where the source says so, from several threads.
    """

    @property
    def size(self) -> int:
        """Bytes in all, header included."""

    def read_at(self, offset: int, length: int, /) -> bytes | memoryview:
        """Exactly `length` bytes from `offset`; fewer only where the source ends.

        Raises a `StoreError` when the source fails; a short answer before the end is
        taken for a truncated object.
        """


class Memory:
    """A `ReadAt` over bytes already here; nothing is copied."""

    __slots__ = ("_view", "size")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).cast("B")
        self.size = len(self._view)

    def read_at(self, offset: int, length: int) -> memoryview:
        """A view of the bytes asked for, fewer at the end."""
        return self._view[offset : offset + length]


class Payload:
    """The plaintext of a sealed object, readable from any offset.

    Opening checks the last chunk first, so that `size` is known to be true before a single
    byte is released; a payload that was cut short never opens. Holds the one chunk opened
    last, for reads that go on from there. Reading from several threads is safe if the
    source's is.
    """

    def __init__(self, aead: ChaCha20Poly1305, source: ReadAt, start: int) -> None:
        """`start` is where the first chunk lies in `source`. Raises `Tampered`."""
        self.size = plain_size(source.size - start)
        """Plaintext bytes."""
        self._aead = aead
        self._source = source
        self._start = start
        self._final = (self.size - 1) // CHUNK if self.size else 0
        self._held: tuple[int, bytes] = (-1, b"")
        self._chunk(self._final)

    def read_at(self, offset: int, length: int) -> bytes:
        """Plaintext bytes from `offset`, fewer than `length` only at the end.

        Raises `Tampered` if any chunk it touches was changed; then nothing is returned,
        and `ValueError` for a negative offset or length.
        """
        if offset < 0 or length < 0:
            raise ValueError("offset and length are not negative")
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        first, final = offset // CHUNK, (end - 1) // CHUNK
        if first == final:
            opened = self._chunk(first)
            return opened[offset - first * CHUNK : end - first * CHUNK]
        return filled(end - offset, lambda out: self._fill(out, offset, end))

    def pieces(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The plaintext from `offset` in pieces of at most 1 MiB, for bodies that stream."""
        end = self.size if length is None else min(offset + length, self.size)
        at = offset
        while at < end:
            until = min((at // CHUNK + WINDOW) * CHUNK, end)
            yield self.read_at(at, until - at)
            at = until

    def _fill(self, out: memoryview, offset: int, end: int) -> None:
        """Write the plaintext from `offset` to `end`, more than one chunk, into `out`."""
        number, at = divmod(offset, CHUNK)
        done = 0
        if at:
            head = self._chunk(number)[at:]
            out[: len(head)] = head
            done, number = len(head), number + 1
        whole = min(end // CHUNK, self._final)  # the last chunk, even if full, was opened already
        while number < whole:
            count = min(WINDOW, whole - number)
            size = count * CHUNK
            open_run(self._aead, number, self._read(number, count), out[done : done + size], final=False)
            done, number = done + size, number + count
        if done < len(out):
            out[done:] = self._chunk(number)[: len(out) - done]

    def _chunk(self, number: int) -> bytes:
        held, opened = self._held
        if held == number:
            return opened
        last = number == self._final
        found = open_chunk(self._aead, number, self._read(number, 1), last=last)
        if found is None:
            raise Tampered(f"chunk {number} of the payload does not open")
        self._held = (number, found)
        return found

    def _read(self, number: int, count: int) -> memoryview:
        offset = self._start + number * SEALED_CHUNK
        wanted = min(count * SEALED_CHUNK, self._source.size - offset)
        sealed = memoryview(self._source.read_at(offset, wanted))
        if len(sealed) != wanted:
            raise Tampered("the payload was cut off while it was being read")
        return sealed
