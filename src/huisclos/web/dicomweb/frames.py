"""WADO-RS: frames, and all the pixel data of an instance, a series or a study (PS3.18 section 10.4.1.1.6)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from huisclos.archive.nouns import ManifestEntry
from huisclos.archive.retrieve import Frames
from huisclos.dicom.uids import EXPLICIT_LE, GE_PIXELS, IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.errors import BadQuery, InstanceNotFound, UnknownTransferSyntax, Unreadable
from huisclos.web.dicomweb.caller import site_of_service
from huisclos.web.dicomweb.media import ANY_SYNTAX, OCTETS, Wish, takes, wishes
from huisclos.web.dicomweb.parts import Part, WrittenPart, begun, multipart
from huisclos.web.dicomweb.retrieve import Asked, find, told
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import in_thread
from huisclos.web.site import Site

MAX_FRAMES: Final = 1_000
"""Frames in one request."""
_NATIVE: Final = frozenset({EXPLICIT_LE, IMPLICIT_LE})
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)


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
    how = _how(wishes(request), transfer_syntax(entry.transfer_syntax), len(numbers))
    found = await asked.opened.frames(entry)
    found.check(numbers)
    site = site_of_service(request)
    if asked.caller.only and not how.decoded:
        how = await _for_viewer(found, numbers[0], how)
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
            yield WrittenPart(how.media, f"{asked.url(entry)}/frames/{number + 1}", content)

    response = multipart(parts(), how.media.partition(";")[0])
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


async def _for_viewer(found: Frames, number: int, how: _How) -> _How:
    """Decoded, where the viewer's own decoder would take air for bone: see `sign_differs`."""
    if await in_thread(lambda: found.sign_differs(number)):
        return _How(f"{OCTETS};transfer-syntax={EXPLICIT_LE}", how.multipart, decoded=True)
    return how


def frame_numbers(text: str) -> list[int]:
    """Frame numbers from 0, of a list from 1. Raises `BadQuery`."""
    words = text.split(",")
    if len(words) > MAX_FRAMES or not all(_NUMBER.fullmatch(word) for word in words):
        raise BadQuery("frames are numbers from 1, separated by commas")
    numbers = [int(word) - 1 for word in words]
    if min(numbers) < 0:
        raise BadQuery("frames are numbered from 1")
    return numbers


def _how(wanting: Sequence[Wish], syntax: TransferSyntax, count: int) -> _How:
    """Whether frames go as they are or decoded, by the best wish that can be met (section 8.7.3)."""
    wanted = False
    for wish in wanting:
        if not wish.multipart and wish.media != "*/*" and count > 1:
            continue
        parts = wish.multipart or wish.media == "*/*"
        media = syntax.frame_media
        stated = f"{media};transfer-syntax={syntax.uid}"
        if not syntax.encapsulated:
            if takes(wish, OCTETS) and wish.syntax in ("", ANY_SYNTAX, EXPLICIT_LE, syntax.uid):
                return _How(f"{OCTETS};transfer-syntax={_stated(syntax)}", parts, decoded=False)
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
    turned = syntax.big_endian or syntax.uid == GE_PIXELS
    return EXPLICIT_LE if turned or syntax.deflated else syntax.uid


async def _read(site: Site, asked: Asked, entry: ManifestEntry, number: int, how: _How) -> bytes:
    found = await asked.opened.frames(entry)
    if not how.decoded:
        return await in_thread(lambda: found.read(number))
    async with asked.opened.pace.cutting:
        cut = await in_thread(lambda: found.cut(number))
        return await site.renderer.decode_frame(cut, frame=number)


async def pixels(request: Request) -> Response:
    """All frames of all that is meant, in parts, one frame at a time; what has no pixels has no part.

    206 if some instances cannot be given the way that is asked for, as `instances.retrieve` does.
    """
    asked = await find(request)
    ways, refused = _ways(wishes(request), asked.entries)
    if not ways:
        raise refused or NotAcceptable(
            "frames are given in parts", hint=f'multipart/related; type="{OCTETS}"'
        )
    parts = await begun(_every_frame(site_of_service(request), asked, ways))
    if parts is None:
        raise InstanceNotFound("nothing of this has pixel data")
    media = {how.media.partition(";")[0] for _, how in ways}
    response = multipart(parts, media.pop() if len(media) == 1 else OCTETS)
    if len(ways) < len(asked.entries):
        response.status_code = 206
        left = f"{len(asked.entries) - len(ways)} of {len(asked.entries)} instances are not held that way"
        response.headers["Warning"] = f'299 - "{left}"'
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


def _ways(
    wanting: Sequence[Wish], entries: Sequence[ManifestEntry]
) -> tuple[list[tuple[ManifestEntry, _How]], UnknownTransferSyntax | NotAcceptable | None]:
    """How the frames of each instance are given, in parts; and why some are not."""
    in_parts = [wish for wish in wanting if wish.multipart or wish.media == "*/*"]
    ways: list[tuple[ManifestEntry, _How]] = []
    refused: UnknownTransferSyntax | NotAcceptable | None = None
    for entry in entries:
        try:
            ways.append((entry, _how(in_parts, transfer_syntax(entry.transfer_syntax), 1)))
        except (UnknownTransferSyntax, NotAcceptable) as error:
            refused = refused or error
    return ways, refused


async def _every_frame(
    site: Site, asked: Asked, ways: Sequence[tuple[ManifestEntry, _How]]
) -> AsyncIterator[Part]:
    study = asked.opened.study
    for entry, how in ways:
        try:
            found = await asked.opened.frames(entry)
        except InstanceNotFound:
            continue  # a report, a presentation state
        await asked.tally.add(0, 1)
        for number in range(len(found)):
            study.check()
            given, content = await _given(site, asked, entry, found, number, how)
            await asked.tally.add(len(content))
            yield WrittenPart(given.media, f"{asked.url(entry)}/frames/{number + 1}", content)


async def _given(
    site: Site, asked: Asked, entry: ManifestEntry, found: Frames, number: int, how: _How
) -> tuple[_How, bytes]:
    """One frame among others; as stored if it does not decode: no image goes missing in silence."""
    if how.decoded:
        try:
            return how, await _read(site, asked, entry, number, how)
        except Unreadable:
            how = _as_stored(transfer_syntax(entry.transfer_syntax))
    return how, await in_thread(lambda: found.read(number))


def _as_stored(syntax: TransferSyntax) -> _How:
    return _How(f"{syntax.frame_media};transfer-syntax={syntax.uid}", multipart=True, decoded=False)
