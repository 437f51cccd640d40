"""Which of our media types a client takes (PS3.18 section 8.7, RFC 9110 section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from starlette.requests import Request

from huisclos.errors import BadQuery
from huisclos.web.bodies import parse_media
from huisclos.web.problems import NotAcceptable

DICOM: Final = "application/dicom"
JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
OCTETS: Final = "application/octet-stream"
ANY_SYNTAX: Final = "*"
MAX_RANGES: Final = 64
MAX_ACCEPT: Final = 4096
"""Characters of an Accept header: this is read before anybody has shown who they are."""


class Wish(Struct, frozen=True):
    """One media range a client takes."""

    media: str
    """Of the part when `multipart`."""
    multipart: bool = False
    syntax: str = ""
    """Transfer syntax asked for; `*` for any; empty when not named."""
    weight: float = 1.0


def wishes(request: Request) -> list[Wish]:
    """What the client takes, best first; the query parameter `accept` counts as the header does."""
    named = request.query_params.get("accept") or request.headers.get("accept") or "*/*"
    ranges = _ranges(named) if len(named) <= MAX_ACCEPT else []
    if not 0 < len(ranges) <= MAX_RANGES:
        raise BadQuery("Accept names too many media types")
    found = [_wish(text.strip()) for text in ranges if text.strip()]
    return sorted((wish for wish in found if wish.weight > 0), key=lambda wish: -wish.weight)


def _ranges(text: str) -> list[str]:
    """The media ranges of `text`, cut at the commas outside quotes, in time that grows as its length does."""
    ranges = [""]
    for number, piece in enumerate(text.split('"')):
        if number % 2:
            ranges[-1] += f'"{piece}"'
        else:
            first, *others = piece.split(",")
            ranges[-1] += first
            ranges += others
    return ranges


def _wish(text: str) -> Wish:
    media, parameters = parse_media(text)
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        weight = 0.0
    multipart = media == "multipart/related"
    inner = parameters.get("type", "*/*").lower() if multipart else media
    return Wish(inner, multipart, parameters.get("transfer-syntax", ""), weight)


def takes(wish: Wish, media: str) -> bool:
    """Whether a wish covers a media type."""
    if wish.media in ("*/*", media):
        return True
    kind, _, rest = wish.media.partition("/")
    return rest == "*" and media.startswith(kind + "/")


def pick(request: Request, offered: Sequence[str]) -> str:
    """The best of `offered` (ours first) as a single part. Raises `NotAcceptable`."""
    for wish in wishes(request):
        if not wish.multipart:
            for media in offered:
                if takes(wish, media):
                    return media
    raise NotAcceptable("none of the media types asked for can be given", hint=", ".join(offered))


def data_set_media(request: Request) -> str:
    """How data sets are told: `JSON`, `application/json`, or `XML`, which is always in parts.

    Raises `NotAcceptable`.
    """
    for wish in wishes(request):
        if wish.multipart and takes(wish, XML):
            return XML
        for media in (JSON, "application/json"):
            if not wish.multipart and takes(wish, media):
                return media
    hint = f'{JSON}, multipart/related; type="{XML}"'
    raise NotAcceptable("metadata and query results are given as JSON or XML", hint=hint)
