"""The service's routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.errors import Unreadable
from huisclos.web.dicomweb.bulk import bulk, every_bulk
from huisclos.web.dicomweb.caller import caller_of, site_of_service
from huisclos.web.dicomweb.frames import frames, pixels
from huisclos.web.dicomweb.instances import retrieve
from huisclos.web.dicomweb.query import search
from huisclos.web.dicomweb.rendered import rendered, thumbnail
from huisclos.web.dicomweb.retrieve import metadata
from huisclos.web.dicomweb.store import store
from huisclos.web.problems import NotAcceptable, UnsupportedMedia

Endpoint = Callable[[Request], Awaitable[Response]]

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def _known(endpoint: Endpoint) -> Endpoint:
    """Whoever asks wrongly is told so only once it is known who asks: else 401 comes first."""

    async def known(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (Unreadable, NotAcceptable, UnsupportedMedia):
            await site_of_service(request).keeper.actor(caller_of(request).proof)
            raise

    return known


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
        retrievals[level + "/bulkdata"] = every_bulk
        retrievals[level + "/pixeldata"] = pixels
        retrievals[level + "/rendered"] = rendered
        retrievals[level + "/thumbnail"] = thumbnail
    frame = _INSTANCE + "/frames/{frames}"
    retrievals |= {frame: frames, frame + "/rendered": rendered, frame + "/thumbnail": thumbnail}
    retrievals[_INSTANCE + "/bulkdata/{path:path}"] = bulk
    return [
        *(Route(path, _known(_searching(level)), methods=["GET"]) for path, level in searches.items()),
        *(Route(path, _known(endpoint), methods=["GET"]) for path, endpoint in retrievals.items()),
    ]


def storing_routes() -> list[BaseRoute]:
    """What stores."""
    return [Route(path, _known(store), methods=["POST"]) for path in ("/studies", _STUDY)]


def routes() -> list[BaseRoute]:
    """The whole service."""
    # storing first: a route that only reads would answer a POST with 405
    return [*storing_routes(), *reading_routes()]
