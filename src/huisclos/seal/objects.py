"""Whole sealed objects: header, payload nonce, chunks (C2SP age.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from huisclos.errors import Tampered
from huisclos.seal.chunks import (
    SEALED_CHUNK,
    Regroup,
    filled,
    open_chunk,
    payload_aead,
    seal_run,
    sealed_size,
)
from huisclos.seal.header import MAX_HEADER, PAYLOAD_NONCE, Header, header_end, payload_nonce
from huisclos.seal.keys import new_file_key
from huisclos.seal.parties import Identity, Recipient, make_header, unwrap_file_key
from huisclos.seal.payload import Memory, Payload, ReadAt
from huisclos.seal.sealer import Sealer, new_nonce

_FIRST_READ: Final = 4096
"""Bytes asked for first: room for 40 recipients, and one request at a remote store."""


@dataclass(frozen=True)
class Sealed:
    """A sealed object that was opened: what a manifest says of it can be compared, its payload read."""

    header: Header
    header_length: int
    payload_nonce: bytes
    payload: Payload
    file_key: bytes = field(repr=False)

    @property
    def header_mac(self) -> bytes:
        """The 32 bytes that the header ends in."""
        return self.header.mac


def seal(plain: bytes | bytearray | memoryview, recipients: Iterable[Recipient]) -> bytes:
    """The object that holds `plain`, for these recipients. Raises `Usage`, `TooLarge`."""
    file_key, nonce = new_file_key(), new_nonce()
    start = make_header(file_key, recipients).encode() + nonce
    view = memoryview(plain).cast("B")

    def fill(out: memoryview) -> None:
        out[: len(start)] = start
        seal_run(payload_aead(file_key, nonce), 0, view, out[len(start) :], final=True)

    return filled(len(start) + sealed_size(len(view)), fill)


def unseal(sealed: bytes | bytearray | memoryview, identities: Iterable[Identity]) -> bytes:
    """The plaintext, whole and authenticated.

    Raises `NoIdentityMatch` if it is sealed to others, `Tampered` if it was changed,
    `Unreadable` or `TooLarge` if its header is none.
    """
    payload = open_at(Memory(sealed), identities).payload
    return payload.read_at(0, payload.size)


def seal_stream(pieces: Iterable[bytes], recipients: Iterable[Recipient]) -> Iterator[bytes]:
    """Seal pieces of any length as they come; memory is bounded by the longest piece."""
    sealer = Sealer()
    yield sealer.header(recipients)
    for piece in pieces:
        sealed = sealer.update(piece)
        if sealed:
            yield sealed
    yield sealer.finish()


def unseal_stream(pieces: Iterable[bytes], identities: Iterable[Identity]) -> Iterator[bytes]:
    """The plaintext as its sealed pieces come, a chunk at a time, each authenticated.

    All of it is true only when the iterator ends by itself: a payload cut off or changed
    raises `Tampered` after the chunks before that place were released. Raises otherwise
    as `unseal`, before anything is released.
    """
    source = iter(pieces)
    first = bytearray()
    end: int | None = None
    while end is None or len(first) < end + PAYLOAD_NONCE:
        piece = next(source, None)
        if piece is None:
            break
        first += piece
        end = header_end(first)
    header = Header.parse(first)
    nonce = payload_nonce(first, header.length)
    aead = payload_aead(unwrap_file_key(header, identities), nonce)
    yield from _opened(aead, first[header.length + PAYLOAD_NONCE :], source)


def open_at(source: ReadAt, identities: Iterable[Identity]) -> Sealed:
    """Open for reading by range; the last chunk is checked before this returns.

    Raises as `unseal`, and what the source raises.
    """
    first, header = _read_header(source)
    return _sealed(source, first, header, unwrap_file_key(header, identities))


def open_with(source: ReadAt, file_key: bytes) -> Sealed:
    """As `open_at`, for a caller that kept the object's file key: no identity, no X25519.

    The header's MAC is checked. Raises `Tampered` for another object's file key.
    """
    first, header = _read_header(source)
    header.check(file_key)
    return _sealed(source, first, header, file_key)


def _sealed(source: ReadAt, first: bytes | memoryview, header: Header, file_key: bytes) -> Sealed:
    length = header.length
    nonce = payload_nonce(first, length)
    payload = Payload(payload_aead(file_key, nonce), source, length + PAYLOAD_NONCE)
    return Sealed(header, length, nonce, payload, file_key)


def _read_header(source: ReadAt) -> tuple[bytes | memoryview, Header]:
    first = source.read_at(0, min(source.size, _FIRST_READ))
    end = header_end(first)
    if (end is None or end + PAYLOAD_NONCE > len(first)) and source.size > _FIRST_READ:
        first = source.read_at(0, min(source.size, MAX_HEADER + PAYLOAD_NONCE))
    return first, Header.parse(first)


def _opened(aead: ChaCha20Poly1305, begun: bytearray, rest: Iterator[bytes]) -> Iterator[bytes]:
    regroup = Regroup(SEALED_CHUNK)
    number = 0
    piece: bytes | bytearray | None = begun
    while piece is not None:
        for run in regroup.push(piece):
            for at in range(0, len(run), SEALED_CHUNK):
                yield from _more(aead, number, run[at : at + SEALED_CHUNK])
                number += 1
        piece = next(rest, None)
    yield from _last(aead, number, regroup.rest())


def _more(aead: ChaCha20Poly1305, number: int, sealed: bytes | memoryview) -> Iterator[bytes]:
    """A chunk with something after it; released even when it turns out to be the true end."""
    opened = open_chunk(aead, number, sealed, last=False)
    if opened is not None:
        yield opened
        return
    opened = open_chunk(aead, number, sealed, last=True)
    if opened is not None:
        yield opened
        raise Tampered("something was appended to the payload")
    raise Tampered(f"chunk {number} of the payload does not open")


def _last(aead: ChaCha20Poly1305, number: int, sealed: bytes | memoryview) -> Iterator[bytes]:
    """The chunk at the end; released even when it is a true one that is not the end."""
    opened = open_chunk(aead, number, sealed, last=True)
    if opened is not None:
        if not opened and number:
            raise Tampered("the payload ends in an empty chunk, which sealing never makes")
        yield opened
        return
    opened = open_chunk(aead, number, sealed, last=False) if len(sealed) == SEALED_CHUNK else None
    if opened is not None:
        yield opened
        raise Tampered("the payload was cut off between two chunks")
    raise Tampered(f"chunk {number}, the end of the payload, does not open")
