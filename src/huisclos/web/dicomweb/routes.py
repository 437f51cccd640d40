"""The service's routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.web.dicomweb.frames import bulk, frames
from huisclos.web.dicomweb.instances import retrieve
from huisclos.web.dicomweb.query import search
from huisclos.web.dicomweb.rendered import rendered, thumbnail
from huisclos.web.dicomweb.retrieve import metadata
from huisclos.web.dicomweb.store import store

Endpoint = Callable[[Request], Awaitable[Response]]

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def _searching(level: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        request.scope["huisclos.search"] = level
        return await search(request)

    return endpoint


def reading_routes() -> list[BaseRoute]:
    """What only reads: all that the viewer has."""
    searches = {
        "/studies": "studies",
        "/series": "series",
        "/instances": "instances",
        _STUDY + "/series": "series",
        _STUDY + "/instances": "instances",
        _SERIES + "/instances": "instances",
    }
    retrievals: dict[str, Endpoint] = {}
    for level in (_STUDY, _SERIES, _INSTANCE):
        retrievals[level] = retrieve
        retrievals[level + "/metadata"] = metadata
        retrievals[level + "/rendered"] = rendered
        retrievals[level + "/thumbnail"] = thumbnail
    frame = _INSTANCE + "/frames/{frames}"
    retrievals |= {frame: frames, frame + "/rendered": rendered, frame + "/thumbnail": thumbnail}
    retrievals[_INSTANCE + "/bulkdata/{path:path}"] = bulk
    return [
        *(Route(path, _searching(level), methods=["GET"]) for path, level in searches.items()),
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in retrievals.items()),
    ]


def storing_routes() -> list[BaseRoute]:
    """What stores."""
    return [Route("/studies", store, methods=["POST"]), Route(_STUDY, store, methods=["POST"])]


def routes() -> list[BaseRoute]:
    """The whole service."""
    # storing first: a route that only reads would answer a POST with 405
    return [*storing_routes(), *reading_routes()]
