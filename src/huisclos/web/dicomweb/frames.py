"""WADO-RS: frames and bulk data (PS3.18 sections 10.4.1.1.5 and 10.4.1.1.6)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.nouns import ManifestEntry
from huisclos.archive.retrieve import BulkValue
from huisclos.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.errors import BadQuery, UnknownTransferSyntax
from huisclos.web.dicomweb.caller import site_of_service
from huisclos.web.dicomweb.media import ANY_SYNTAX, OCTETS, takes, wishes
from huisclos.web.dicomweb.parts import Part, multipart
from huisclos.web.dicomweb.retrieve import Asked, find, told
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import Tally, in_thread, pieces
from huisclos.web.site import Site

MAX_FRAMES: Final = 1_000
"""Frames in one request."""
_NATIVE: Final = frozenset({EXPLICIT_LE, IMPLICIT_LE})
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


@dataclass(frozen=True)
class _How:
    """How frames are given."""

    media: str
    multipart: bool
    decoded: bool


async def frames(request: Request) -> Response:
    """One or more frames, by number from 1: as stored, or decoded in the cage when octets are asked."""
    numbers = frame_numbers(request.path_params["frames"])
    asked = await find(request)
    entry = asked.entries[0]
    how = _how(request, transfer_syntax(entry.transfer_syntax), len(numbers))
    site = site_of_service(request)
    first = await _read(site, asked, entry, numbers[0], how)
    await asked.tally.add(0, 1)
    if not how.multipart:
        await asked.tally.add(len(first))
        await asked.tally.end()
        return Response(first, media_type=how.media)

    async def parts() -> AsyncIterator[Part]:
        for place, number in enumerate(numbers):
            content = first if not place else await _read(site, asked, entry, number, how)
            await asked.tally.add(len(content))
            yield _FramePart(how.media, f"{asked.url(entry)}/frames/{number + 1}", content)

    response = multipart(parts(), how.media.partition(";")[0])
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


def frame_numbers(text: str) -> list[int]:
    """Frame numbers from 0, of a list from 1. Raises `BadQuery`."""
    words = text.split(",")
    if len(words) > MAX_FRAMES or not all(_NUMBER.fullmatch(word) for word in words):
        raise BadQuery("frames are numbers from 1, separated by commas")
    numbers = [int(word) - 1 for word in words]
    if min(numbers) < 0:
        raise BadQuery("frames are numbered from 1")
    return numbers


def _how(request: Request, syntax: TransferSyntax, count: int) -> _How:
    """Whether frames go as they are or decoded, by the best wish that can be met (section 8.7.3)."""
    wanted = False
    for wish in wishes(request):
        if not wish.multipart and wish.media != "*/*" and count > 1:
            continue
        parts = wish.multipart or wish.media == "*/*"
        media = syntax.frame_media
        stated = f"{media};transfer-syntax={syntax.uid}"
        if not syntax.encapsulated:
            if takes(wish, OCTETS) and wish.syntax in ("", ANY_SYNTAX, EXPLICIT_LE, syntax.uid):
                return _How(f"{OCTETS};transfer-syntax={_stated(syntax)}", parts, syntax.big_endian)
            wanted = True
            continue
        if wish.syntax in (ANY_SYNTAX, syntax.uid) and (takes(wish, media) or takes(wish, OCTETS)):
            return _How(stated, parts, decoded=False)
        if wish.syntax == "" and takes(wish, media) and wish.media != "*/*":
            return _How(stated, parts, decoded=False)
        if wish.media == "*/*" and wish.syntax == "":
            return _How(stated, parts, decoded=False)
        if takes(wish, OCTETS) and wish.syntax in ("", *_NATIVE):
            return _How(f"{OCTETS};transfer-syntax={EXPLICIT_LE}", parts, decoded=True)
        wanted = True
    if wanted:
        raise UnknownTransferSyntax("these frames are not held that way", hint=f"{OCTETS}; transfer-syntax=*")
    raise NotAcceptable("frames are given in parts", hint=f'multipart/related; type="{OCTETS}"')


def _stated(syntax: TransferSyntax) -> str:
    # native frames are the same bytes under each little-endian syntax
    return EXPLICIT_LE if syntax.big_endian or syntax.deflated else syntax.uid


async def _read(site: Site, asked: Asked, entry: ManifestEntry, number: int, how: _How) -> bytes:
    study = asked.opened.study
    if not how.decoded:
        return await in_thread(lambda: study.frames(entry).read(number))
    cut = await in_thread(lambda: study.cut_frame(entry, number))
    return await site.renderer.decode_frame(cut, frame=number)


@dataclass(frozen=True)
class _FramePart:
    media: str
    location: str
    content: bytes

    async def pieces(self) -> AsyncIterator[bytes]:
        """The frame."""
        yield self.content


async def bulk(request: Request) -> Response:
    """The value of one attribute, whole or one range of it (RFC 9110 section 14)."""
    asked = await find(request)
    entry = asked.entries[0]
    study, path = asked.opened.study, request.path_params["path"]
    value = await in_thread(lambda: study.bulk(entry, path))
    wish = next((wish for wish in wishes(request) if takes(wish, OCTETS)), None)
    if wish is None:
        raise NotAcceptable("bulk data are octets", hint=OCTETS)
    await asked.tally.add(0, 1)
    if wish.multipart:
        part = _BulkPart(OCTETS, str(request.url.path), _counted(value, asked.tally))

        async def one() -> AsyncIterator[Part]:
            yield part

        response = multipart(one(), OCTETS)
        response.body_iterator = told(response.body_iterator, asked.tally)
        return response
    return await _ranged(request, asked, value)


@dataclass(frozen=True)
class _BulkPart:
    media: str
    location: str
    value: AsyncIterator[bytes]

    def pieces(self) -> AsyncIterator[bytes]:
        """The value, as it is read."""
        return self.value


async def _counted(value: BulkValue, tally: Tally) -> AsyncIterator[bytes]:
    async for piece in pieces(value.pieces()):
        await tally.add(len(piece))
        yield piece


async def _ranged(request: Request, asked: Asked, value: BulkValue) -> Response:
    headers = {"Content-Type": OCTETS, "Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or not any(wanted.groups()):
        headers["Content-Length"] = str(value.length)
        return StreamingResponse(told(_counted(value, asked.tally), asked.tally), headers=headers)
    first, last = _bounds(wanted.group(1), wanted.group(2), value.length)
    if first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{value.length}"})
    content = await in_thread(lambda: value.read_at(first, last - first + 1))
    await asked.tally.add(len(content))
    await asked.tally.end()
    headers["Content-Range"] = f"bytes {first}-{first + len(content) - 1}/{value.length}"
    return Response(content, 206, headers)


def _bounds(first: str, last: str, length: int) -> tuple[int, int]:
    if not first:
        return max(0, length - int(last)), length - 1
    # one answer is held in memory: a longer range is cut, which a client sees in Content-Range
    end = min(int(last) if last else length - 1, length - 1, int(first) + MAX_RANGE - 1)
    return int(first), end


MAX_RANGE: Final = 64 * 1024 * 1024
"""Bytes of one range."""
