"""Request bodies as streams: multipart and forms, bounded, and never spooled to disk (P1).

`Multipart` is sans-IO: bytes in, events out (RFC 2046 section 5.1, RFC 7578, RFC 2387). It holds
back at most one delimiter and one block of part headers, whatever the length of a part.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.requests import Request

from huisclos.errors import TooLarge, Unreadable

MAX_PART_HEADERS: Final = 16 * 1024
"""Bytes of one part's header block."""
MAX_PARTS: Final = 100_000
MAX_BOUNDARY: Final = 70
"""Characters (RFC 2046 section 5.1.1)."""
MAX_FORM: Final = 64 * 1024
"""Bytes of a form of ours."""
MAX_FIELDS: Final = 100
SMALL_SECONDS: Final = 30.0
"""For the whole of a small body: whoever trickles one, before any password, holds no place for hours."""

_PADDING: Final = 64
"""Bytes of white space behind a delimiter at most (RFC 2046 leaves it open)."""
_PARAMETER: Final = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


class PartBegun(Struct, frozen=True):
    """A part starts; header names are lower case."""

    headers: dict[str, str]


class PartData(Struct, frozen=True):
    """Some bytes of the part, as they arrived."""

    data: bytes


class PartEnded(Struct, frozen=True):
    """The part is whole."""


Event = PartBegun | PartData | PartEnded


class _State(Enum):
    PREAMBLE = 1
    HEADERS = 2
    DATA = 3
    DONE = 4


class Multipart:
    """A multipart body cut into its parts as it arrives.

    Bytes of a part that came as one piece leave as that piece, without a copy. Read the events of
    one `feed` to their end before the next.
    """

    def __init__(self, boundary: str) -> None:
        if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii():
            raise Unreadable("the multipart boundary is missing or not one")
        self._delimiter = b"\r\n--" + boundary.encode()
        # the first delimiter may stand at the very start: it is then as if a line ended before it
        self._held = b"\r\n"
        self._state = _State.PREAMBLE
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes. Raises `Unreadable`, `TooLarge`."""
        here = self._held + data if self._held else data
        at = 0
        while self._state is not _State.DONE:
            if self._state is _State.HEADERS:
                found = self._headers(here, at)
                if found is None:
                    break
                begun, at = found
                yield begun
                continue
            end, next_at, state = self._until_delimiter(here, at)
            if end > at and self._state is _State.DATA:
                yield PartData(here[at:end])
            at = next_at
            if state is None:
                break
            if self._state is _State.DATA:
                yield PartEnded()
            self._state = state
        self._held = b"" if self._state is _State.DONE else here[at:]

    def end(self) -> None:
        """The body is over. Raises `Unreadable` when its last delimiter has not come."""
        if self._state is not _State.DONE:
            raise Unreadable("the multipart body breaks off", hint="send it again")

    def _until_delimiter(self, here: bytes, at: int) -> tuple[int, int, _State | None]:
        """Where the bytes before the next delimiter end, where to go on, and the state there.

        The state is None while no delimiter is there; what may become one is gone on from later.
        """
        start = at
        while (found := here.find(self._delimiter, start)) >= 0:
            verdict = _after(here, found + len(self._delimiter))
            if verdict is None:
                return found, found, None
            end, state = verdict
            if state is not None:
                return found, end, state
            start = found + 1
        keep = max(start, len(here) - self._begun(here))
        return keep, keep, None

    def _begun(self, here: bytes) -> int:
        """How many bytes at the end of `here` may be the beginning of a delimiter."""
        tail = here[-len(self._delimiter) + 1 :]
        begin = tail.find(b"\r")
        while begin >= 0 and not self._delimiter.startswith(tail[begin:]):
            begin = tail.find(b"\r", begin + 1)
        return len(tail) - begin if begin >= 0 else 0

    def _headers(self, here: bytes, at: int) -> tuple[PartBegun, int] | None:
        # a part without headers begins with an empty line
        empty = here[at : at + 2] == b"\r\n"
        end = at if empty else here.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(here) - 3) - at > MAX_PART_HEADERS:
            raise TooLarge("the headers of a part are too long")
        if end < 0:
            return None
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge("the multipart body has too many parts")
        lines = here[at:end].decode("utf-8", "replace").split("\r\n")
        self._state = _State.DATA
        return PartBegun(_header_dict(lines)), end + (2 if empty else 4)


def _after(here: bytes, at: int) -> tuple[int, _State | None] | None:
    """What stands behind a delimiter: (end, state), (.., None) if it is none, None if unknown yet."""
    tail = here[at : at + _PADDING]
    if tail[:2] == b"--":
        return at + 2, _State.DONE
    stripped = tail.lstrip(b" \t")
    if stripped[:2] == b"\r\n":
        return at + len(tail) - len(stripped) + 2, _State.HEADERS
    if tail in (b"", b"-") or (stripped in (b"", b"\r") and len(tail) < _PADDING):
        return None
    return at, None


def _header_dict(lines: list[str]) -> dict[str, str]:
    """Header lines as a mapping, names in lower case; folded lines are joined (RFC 5322 section 2.2.3)."""
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        before, colon, value = line.partition(":")
        name = before.strip().lower() if colon else ""
        if name:
            headers[name] = value.strip()
    return headers


def parse_media(value: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, both with names in lower case (RFC 9110 section 8.3.1)."""
    media, semicolon, rest = value.partition(";")
    parameters = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
        for name, quoted, plain in _PARAMETER.findall(semicolon + rest)
    }
    return media.strip().lower(), parameters


def boundary_of(content_type: str) -> str:
    """The boundary of a multipart content type. Raises `Unreadable`."""
    media, parameters = parse_media(content_type)
    if not media.startswith("multipart/") or not parameters.get("boundary"):
        raise Unreadable("this is not a multipart body", hint="name its boundary in Content-Type")
    return parameters["boundary"]


async def events(request: Request, boundary: str) -> AsyncIterator[Event]:
    """The events of a request's body; ends after the last delimiter. Raises as `Multipart` does."""
    parser = Multipart(boundary)
    async for chunk in request.stream():
        for event in parser.feed(chunk):
            yield event
    parser.end()


async def read_all(request: Request, limit: int) -> bytes:
    """The whole of a small body. Raises `TooLarge` beyond `limit` bytes, `Unreadable` when it is slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(SMALL_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise TooLarge("this request is too long")
    except TimeoutError:
        raise Unreadable("this request came too slowly", hint="send it again") from None
    return bytes(body)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body; of a repeated field, the last value.

    Raises `Unreadable`, `TooLarge`.
    """
    media, _ = parse_media(request.headers.get("content-type", ""))
    if media != "application/x-www-form-urlencoded":
        raise Unreadable("this is not a form")
    body = await read_all(request, MAX_FORM)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise Unreadable("this form cannot be read") from None
