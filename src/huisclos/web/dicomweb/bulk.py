"""WADO-RS: bulk data, one value of an instance or all there are (PS3.18 section 10.4.1.1.5)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.retrieve import BulkValue
from huisclos.dicom.values import Json
from huisclos.errors import InstanceNotFound
from huisclos.web.dicomweb.media import OCTETS, takes, wishes
from huisclos.web.dicomweb.parts import Part, begun, multipart
from huisclos.web.dicomweb.retrieve import Asked, described, find, told
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import Tally, in_thread, pieces

MAX_RANGE: Final = 64 * 1024 * 1024
"""Bytes of one range."""
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


async def bulk(request: Request) -> Response:
    """The value of one attribute, whole or one range of it (RFC 9110 section 14)."""
    asked = await find(request)
    entry = asked.entries[0]
    study, path = asked.opened.study, request.path_params["path"]
    value = await asked.opened.pace.look(lambda: study.bulk(entry, path))
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


async def every_bulk(request: Request) -> Response:
    """Each value that the metadata gives by its address, in parts, as that address gives it.

    A range is of one value: here it says nothing.
    """
    if not any((wish.multipart or wish.media == "*/*") and takes(wish, OCTETS) for wish in wishes(request)):
        raise NotAcceptable("bulk data are given in parts", hint=f'multipart/related; type="{OCTETS}"')
    asked = await find(request)
    parts = await begun(_every_part(asked, request.path_params))
    if parts is None:
        raise InstanceNotFound("nothing of this has bulk data")
    response = multipart(parts, OCTETS)
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


async def _every_part(asked: Asked, path: Mapping[str, str]) -> AsyncIterator[Part]:
    study = asked.opened.study
    async for entry, addresses in described(asked, path, lambda model: list(_addresses(model))):
        await asked.tally.add(0, 1)
        for address in addresses:
            place = address.partition("/bulkdata/")[2]
            value = await asked.opened.pace.look(lambda one=entry, there=place: study.bulk(one, there))  # type: ignore[misc]
            yield _BulkPart(OCTETS, address, _counted(value, asked.tally))


def _addresses(model: Json) -> Iterator[str]:
    """What a data set's JSON gives by address, in its order, in its items too."""
    for attribute in model.values():
        if "BulkDataURI" in attribute:
            yield attribute["BulkDataURI"]
        elif attribute["vr"] == "SQ":
            for item in attribute.get("Value", ()):
                yield from _addresses(item)


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
