"""Writing multipart/related, as it is read: no part is held whole (RFC 2387, PS3.18 section 8.6.1.2)."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.responses import StreamingResponse


class Part(Protocol):
    """One part: its media type, where it lies, and its bytes."""

    @property
    def media(self) -> str:
        """Content-Type of the part."""

    @property
    def location(self) -> str:
        """Content-Location of the part."""

    def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """Its bytes."""


PIECE: Final = 1024**2
"""Bytes handed to a connection at one time: more would wait in memory beside the whole."""


def in_pieces(content: bytes) -> Iterator[memoryview]:
    """What is ready whole, as it is sent; not a byte is copied."""
    whole = memoryview(content)
    return (whole[at : at + PIECE] for at in range(0, len(content), PIECE))


@dataclass(frozen=True)
class WrittenPart:
    """A part that is ready whole."""

    media: str
    location: str
    content: bytes

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """All of it."""
        for piece in in_pieces(self.content):
            yield piece


@dataclass(frozen=True)
class Announced:
    """What is known of a part before it is read."""

    media: str
    location: str
    length: int


def multipart(
    parts: AsyncIterator[Part], media: str, announced: Sequence[Announced] = ()
) -> StreamingResponse:
    """A response of `parts`, whose root type is `media`.

    With all of them `announced`, it says how long it is: a client can show how far it has come, and the
    server need not copy each piece into a chunk of its own.
    """
    boundary = secrets.token_hex(16)
    headers = {"Content-Type": f'multipart/related; type="{media}"; boundary={boundary}'}
    if announced:
        length = sum(len(_opening(boundary, one)) + one.length for one in announced)
        headers["Content-Length"] = str(length + len(_end(boundary)))
    return StreamingResponse(_body(parts, boundary), headers=headers)


async def _body(parts: AsyncIterator[Part], boundary: str) -> AsyncIterator[bytes | memoryview]:
    async for part in parts:
        yield _opening(boundary, part)
        async for piece in part.pieces():
            yield piece
    yield _end(boundary)


def _opening(boundary: str, part: Part | Announced) -> bytes:
    return (
        f"\r\n--{boundary}\r\nContent-Type: {part.media}\r\nContent-Location: {part.location}\r\n\r\n"
    ).encode()


def _end(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode()


async def begun(parts: AsyncIterator[Part]) -> AsyncIterator[Part] | None:
    """`parts`, of which the first is ready: what is wrong with it is an error and not a broken body.

    None if there are none.
    """
    first = await anext(parts, None)
    if first is None:
        return None

    async def all_of_them() -> AsyncIterator[Part]:
        yield first
        async for part in parts:
            yield part

    return all_of_them()
