"""WADO-RS: rendered instances and thumbnails, made in the cage (PS3.18 sections 10.4.1.1.3, 10.4.1.1.4)."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from huisclos.archive.nouns import ManifestEntry
from huisclos.errors import BadQuery
from huisclos.web.dicomweb.caller import site_of_service
from huisclos.web.dicomweb.frames import frame_numbers
from huisclos.web.dicomweb.media import pick
from huisclos.web.dicomweb.retrieve import Asked, find
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import Opened, in_thread
from huisclos.web.site import Site

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
QUALITY: Final = 90
THUMBNAIL: Final = 256
MAX_SIDE: Final = 8192
"""Pixels of a side that a picture may be asked for."""
_BEYOND: Final = 2**20
"""Pixels from the corner of a region to beyond any image: as far as it goes."""
_THUMBNAIL_QUALITY: Final = 80


class Viewport(NamedTuple):
    """What of an image is shown, and in what box."""

    size: tuple[int, int]
    """Width and height to fit into."""
    region: tuple[float, float, float, float] | None = None
    """Left, top, width, height in the image's pixels; turned round where width or height is negative."""


async def rendered(request: Request) -> Response:
    """A picture of an instance, or of one of its frames."""
    return await _picture(request, None)


async def thumbnail(request: Request) -> Response:
    """A small picture of a study, series, instance or frame."""
    return await _picture(request, (THUMBNAIL, THUMBNAIL))


async def _picture(request: Request, size: tuple[int, int] | None) -> Response:
    media = pick(request, (JPEG, PNG))
    viewport = _viewport(request.query_params.get("viewport", "")) or (size and Viewport(size))
    window = _window(request.query_params.get("window", ""))
    quality = _quality(
        request.query_params.get("quality", ""), QUALITY if viewport is None else _THUMBNAIL_QUALITY
    )
    numbers = frame_numbers(request.path_params.get("frames", "1"))
    if len(numbers) > 1:
        raise NotAcceptable("one picture at a time", hint="ask for one frame")
    asked = await find(request)
    entry = cover(asked) if "instance" not in request.path_params else asked.entries[0]
    content = await picture(
        site_of_service(request),
        asked.opened,
        entry,
        numbers[0],
        window=window,
        viewport=viewport,
        media=media,
        quality=quality,
    )
    await asked.tally.add(len(content), 1)
    await asked.tally.end()
    return Response(content, media_type=media)


def cover(asked: Asked) -> ManifestEntry:
    """The instance that stands for a series or a study: the middle one that has pixels."""
    pictured = [entry for entry in asked.entries if entry.rows and entry.columns] or asked.entries
    return pictured[len(pictured) // 2]


async def picture(
    site: Site,
    opened: Opened,
    entry: ManifestEntry,
    frame: int,
    *,
    window: tuple[float, float, str] | None = None,
    viewport: Viewport | None = None,
    media: str = JPEG,
    quality: int = QUALITY,
) -> bytes:
    """One frame as a picture: the cage is handed that frame alone. Raises as `Renderer.render`."""
    found = await opened.frames(entry)
    size, region = viewport or (None, None)
    async with opened.pace.cutting:
        cut = await in_thread(lambda: found.cut(frame))
        return await site.renderer.render(
            cut, frame=frame, window=window, size=size, media=media, quality=quality, region=region
        )


def _viewport(text: str) -> Viewport | None:
    """`vw,vh[,sx,sy,sw,sh]`: the box to fit into, and what of the image to show in it.

    A value of the region may be left empty or out: it then begins at the upper left corner, or
    goes to the lower right one (PS3.18 section 8.3.5.1.3).
    """
    if not text:
        return None
    words = text.split(",")
    sides = [_finite(word) for word in words[:2]]
    if not 2 <= len(words) <= 6 or len(sides) < 2 or not all(1 <= side <= MAX_SIDE for side in sides):  # noqa: PLR2004
        raise BadQuery("a viewport is width,height, or width,height,left,top,width,height")
    box = int(sides[0]), int(sides[1])
    if not any(words[2:]):
        return Viewport(box)
    wanted = [*words[2:], "", "", "", ""]
    left, top = (_finite(word or "0") for word in wanted[:2])
    width, height = (_finite(word or str(_BEYOND)) for word in wanted[2:4])
    if left < 0 or top < 0 or not width or not height:
        raise BadQuery("a region begins inside the image and is not empty")
    return Viewport(box, (left, top, width, height))


_SHAPES: Final = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
"""The functions of a window and their VOILUTFunction."""


def _window(text: str) -> tuple[float, float, str] | None:
    """`center,width,function` (PS3.18 section 8.3.5.1.4); without a function, linear."""
    if not text:
        return None
    centre, _, rest = text.partition(",")
    width, _, named = rest.partition(",")
    shape = _SHAPES.get((named or "linear").lower().replace("_", "-"))
    if not rest or shape is None:
        raise BadQuery("a window is center,width,function", hint=", ".join(_SHAPES))
    # a linear window has one value at least (PS3.3 section C.11.2.1.2)
    if _finite(width) <= 0 or (shape == "LINEAR" and _finite(width) < 1):
        raise BadQuery("a window's width is above 0, of a linear one at least 1")
    return _finite(centre), _finite(width), shape


def _quality(text: str, default: int) -> int:
    if not text:
        return default
    value = _finite(text)
    if not 1 <= value <= 100:  # noqa: PLR2004 - the Standard's bounds
        raise BadQuery("a quality is from 1 to 100")
    return int(value)


def _finite(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise BadQuery("this is not a number") from None
    if not math.isfinite(value):
        raise BadQuery("this is not a number")
    return value
