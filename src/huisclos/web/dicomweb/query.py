"""QIDO-RS: searching (PS3.18 section 10.6).

No match is 200 with an empty array, which every client we know reads; 204 is allowed, and trips some.
Of XML no match is 204: a body of parts has at least one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from huisclos.access.nouns import Right
from huisclos.archive.nouns import Level, Query
from huisclos.dicom.dictionary import keyword_of, tag_of, vr_of
from huisclos.dicom.values import Json
from huisclos.dicom.xml import to_xml
from huisclos.errors import BadQuery
from huisclos.web.dicomweb.caller import Caller, caller_of, reading_of, site_of_service
from huisclos.web.dicomweb.media import XML, data_set_media
from huisclos.web.dicomweb.parts import Part, WrittenPart, multipart

MAX_LIMIT: Final = 10_000
DEFAULT_LIMIT: Final = 100
MAX_OFFSET: Final = 100_000_000
MAX_PARAMETERS: Final = 64
MAX_VALUE: Final = 16 * 1024
"""Characters of one value: a list of 200 UIDs fits."""

_ATTRIBUTE: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9]*|[0-9A-Fa-f]{8})(?:\.(?:[A-Za-z][A-Za-z0-9]*|[0-9A-Fa-f]{8}))*"
)


async def search(request: Request) -> Response:
    """Any of the searches; the route's name says the level."""
    caller = caller_of(request)
    media = data_set_media(request)
    query = query_of(request, caller, _LEVELS[request.scope["huisclos.search"]])
    site = site_of_service(request)
    grant = await reading_of(request).grant(caller.proof, Right.LIST, caller.purpose)
    page = await site.catalog.query(grant, query)
    headers = {"X-Total-Count": str(page.total)}
    left = page.total - query.offset - page.count
    if left > 0:
        # the text is the Standard's own (section 8.3.4.4)
        headers["Warning"] = f'299 {caller.base}: "There are {left} additional results that can be requested"'
    rows = caller.told(page.rows)
    return _in_xml(rows, headers) if media == XML else Response(rows, 200, headers, media_type=media)


def _in_xml(rows: bytes, headers: dict[str, str]) -> Response:
    """Each row a part (section 10.6.3), written as it is sent; 204 without any."""
    models: list[Json] = msgspec.json.decode(rows)
    if not models:
        return Response(status_code=204, headers=headers)

    async def parts() -> AsyncIterator[Part]:
        for model in models:
            yield WrittenPart(XML, model["00081190"]["Value"][0], to_xml(model))

    response = multipart(parts(), XML)
    response.headers.update(headers)
    return response


_LEVELS: Final = {"studies": Level.STUDY, "series": Level.SERIES, "instances": Level.INSTANCE}


def query_of(request: Request, caller: Caller, level: Level) -> Query:
    """The query of a request's parameters and path. Raises `BadQuery`, `StudyNotFound`."""
    parameters = request.query_params.multi_items()
    if len(parameters) > MAX_PARAMETERS:
        raise BadQuery("the query has too many parameters")
    asked: dict[str, list[str]] = {}
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        if len(value) > MAX_VALUE:
            raise BadQuery("a value of the query is too long")
        own = _OWN.get(name.lower())
        if own is None:
            asked.setdefault(_one_name(_attribute(name)), []).append(value)
        else:
            given.setdefault(own, []).append(value)
    match = {name: _one_value(name, values) for name, values in asked.items()}
    for place, keyword in (("study", "StudyInstanceUID"), ("series", "SeriesInstanceUID")):
        if place in request.path_params:
            match[keyword] = request.path_params[place]
    if caller.only:
        # whatever the viewer asks, it is about the study it was opened for
        match["StudyInstanceUID"] = caller.study(match.get("StudyInstanceUID") or caller.only)
    return Query(
        level,
        match,
        fuzzy=_flag(given.get("fuzzy", ["false"])[-1]),
        include=tuple(_attribute(one) for one in _listed(given.get("include"))),
        sort=tuple(_sorted(one) for one in _listed(given.get("sort"))),
        offset=min(_number(given.get("offset", ["0"])[-1]), MAX_OFFSET),
        limit=min(_number(given.get("limit", [str(DEFAULT_LIMIT)])[-1]), MAX_LIMIT),
        base=caller.base,
    )


_OWN: Final = {
    "limit": "limit",
    "offset": "offset",
    "fuzzymatching": "fuzzy",
    "includefield": "include",
    "sort": "sort",
    "orderby": "sort",
    "accept": "unused",
    "charset": "unused",
    "emptyvaluematching": "unused",
    "multiplevaluematching": "unused",
}
"""Parameters that are not attributes (PS3.18 section 8.3.4); sorting is ours, the Standard has none."""


def _listed(values: list[str] | None) -> list[str]:
    return [one for value in values or () for one in value.split(",") if one]


def _attribute(name: str) -> str:
    if len(name) > 256 or not _ATTRIBUTE.fullmatch(name):  # noqa: PLR2004 - far beyond any path of keywords
        raise BadQuery("a query names attributes by keyword or by eight hexadecimal digits")
    return name


def _one_name(attribute: str) -> str:
    """One name for an attribute however it is written, so that no condition stands beside another unseen."""
    return ".".join(
        keyword_of(int(part, 16)) or part.upper() if _TAG.fullmatch(part) else part
        for part in attribute.split(".")
    )


def _one_value(name: str, values: list[str]) -> str:
    """What one attribute is asked to be; UIDs and codes given several times are a list of them.

    Raises `BadQuery` for any other attribute that is asked to be two things.
    """
    different = list(dict.fromkeys(value for value in values if value)) or [""]
    if len(different) > 1 and vr_of(tag_of(name) or 0) not in _LISTED:
        raise BadQuery("an attribute is asked for once (PS3.18 section 8.3.4.1)")
    return ",".join(different)


_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_LISTED: Final = frozenset({"UI", "CS"})
"""VRs of what is asked for as a list."""


def _sorted(name: str) -> str:
    return "-" + _attribute(name[1:]) if name.startswith("-") else _attribute(name.removeprefix("+"))


def _number(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 12:  # noqa: PLR2004 - far beyond the bounds
        raise BadQuery("limit and offset are whole numbers")
    return int(value)


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadQuery("fuzzymatching is true or false")
    return value.lower() == "true"
