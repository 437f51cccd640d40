"""The chunks of a payload: 64 KiB each, sealed on their own (C2SP age.md, "Payload").

A chunk's nonce is its number and whether it is the last, so that chunks cannot be dropped,
repeated, reordered or cut off unnoticed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from huisclos.errors import Tampered
from huisclos.seal.keys import derive

CHUNK: Final = 64 * 1024
"""Plaintext bytes in every chunk but the last."""
TAG: Final = 16
SEALED_CHUNK: Final = CHUNK + TAG


def payload_aead(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    """The cipher of one payload; `nonce` is the 16 bytes before its first chunk."""
    return ChaCha20Poly1305(derive(file_key, nonce, b"payload"))


def chunk_count(plain_size: int) -> int:
    """Chunks that `plain_size` bytes take: one at least, and none empty but that one."""
    return max(1, -(-plain_size // CHUNK))


def sealed_size(plain_size: int) -> int:
    """Bytes of all chunks of a payload of `plain_size` bytes, without header and nonce."""
    return plain_size + chunk_count(plain_size) * TAG


def plain_size(sealed: int) -> int:
    """Plaintext bytes in chunks of `sealed` bytes in all. Raises `Tampered` if no sealing gives that."""
    full, rest = divmod(sealed, SEALED_CHUNK)
    last = (rest or SEALED_CHUNK) - TAG
    chunks = full + bool(rest)
    if chunks == 0 or last < 0 or (last == 0 and chunks > 1):
        raise Tampered("the payload's length is not one that sealing can produce")
    return (chunks - 1) * CHUNK + last


def seal_run(
    aead: ChaCha20Poly1305, number: int, plain: bytes | memoryview, out: memoryview, *, final: bool
) -> None:
    """Seal chunk `number` and those after it into `out`, which is exactly large enough.

    All chunks are full, except the last one of the payload when `final` says it is here.
    """
    view, count = memoryview(plain), chunk_count(len(plain))
    for place in range(count):
        begin, to = place * CHUNK, place * SEALED_CHUNK
        nonce = chunk_nonce(number + place, last=final and place == count - 1)
        aead.encrypt_into(nonce, view[begin : begin + CHUNK], None, out[to : to + SEALED_CHUNK])


def open_run(
    aead: ChaCha20Poly1305, number: int, sealed: memoryview, out: memoryview, *, final: bool
) -> None:
    """Open chunk `number` and those after it into `out`, the counterpart of `seal_run`.

    Raises `Tampered` at the first chunk that does not open; what `out` holds then was not
    authenticated and must not be used.
    """
    count = -(-len(sealed) // SEALED_CHUNK)
    for place in range(count):
        begin, to = place * SEALED_CHUNK, place * CHUNK
        nonce = chunk_nonce(number + place, last=final and place == count - 1)
        try:
            aead.decrypt_into(nonce, sealed[begin : begin + SEALED_CHUNK], None, out[to : to + CHUNK])
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise Tampered(f"chunk {number + place} of the payload does not open") from None


def open_chunk(
    aead: ChaCha20Poly1305, number: int, sealed: bytes | memoryview, *, last: bool
) -> bytes | None:
    """The plaintext of one chunk, or None when it does not open as this chunk."""
    try:
        return aead.decrypt(chunk_nonce(number, last=last), sealed, None)
    except InvalidTag:
        return None


def chunk_nonce(number: int, *, last: bool) -> bytes:
    """The chunk's number, 11 bytes big-endian, and one byte that marks the last."""
    return (number << 8 | last).to_bytes(12, "big")


def filled(length: int, fill: Callable[[memoryview], None]) -> bytes:
    """`length` bytes written in place by `fill`, without a copy at the end.

    A `BytesIO` that holds the only reference to its bytes lends them out for writing and
    gives the same object back; CPython has `bytes(length)` zeroed by the system, page by
    page as it is touched. Against a bytearray and a copy this halves the time of 16 MiB.
    """
    if length == 0:
        return b""
    room = io.BytesIO(bytes(length))
    with room.getbuffer() as out:
        fill(out)
    return room.getvalue()


class Regroup:
    """Turns pieces of any length into runs of whole groups, and holds the end back.

    Only the end of all pieces tells which group is the last, so a whole group is let go
    when something follows it. What is held is a group and the pieces it came in at most;
    no byte is copied more than once, those of a long immutable piece not at all.
    """

    __slots__ = ("_group", "_held", "_length")

    def __init__(self, group: int) -> None:
        self._group = group
        self._held: list[bytes | memoryview] = []
        self._length = 0

    def push(self, piece: bytes | bytearray | memoryview) -> list[bytes | memoryview]:
        """Runs of whole groups, in order, ready now; they may look into `piece` itself."""
        rest = memoryview(piece).cast("B")
        length = len(rest)
        if self._length + length <= self._group:
            self._hold(rest)
            return []
        runs: list[bytes | memoryview] = []
        if self._length:
            lacking = self._group - self._length
            if lacking:
                self._held.append(rest[:lacking])
            runs.append(self.rest())
            rest = rest[lacking:]
            self._held = []
            self._length = 0
        whole = (len(rest) - 1) // self._group * self._group
        if whole:
            runs.append(rest[:whole])
        self._hold(rest[whole:])
        return runs

    def rest(self) -> bytes | memoryview:
        """What is held back: after the last piece, the last group."""
        return self._held[0] if len(self._held) == 1 else b"".join(self._held)

    def _hold(self, piece: memoryview) -> None:
        if piece:  # a piece that may change in its owner's hands is held as it is now
            self._held.append(piece if isinstance(piece.obj, bytes) else bytes(piece))
            self._length += len(piece)
