"""The three applications, one per origin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huisclos.errors import HuisclosError
from huisclos.web import gate
from huisclos.web.dicomweb.caller import PREFIX
from huisclos.web.dicomweb.routes import routes as dicomweb_routes
from huisclos.web.gate import GateSite
from huisclos.web.pages import (
    account,
    decide,
    doors,
    entry,
    journal,
    peers,
    people,
    set_up,
    state,
    studies,
    upload,
)
from huisclos.web.pages.problem import problem_page
from huisclos.web.problems import Catch, on_bug, on_error, on_http
from huisclos.web.reading import Reading
from huisclos.web.security import PAGES_CSP, VIEWER_CSP, Guard
from huisclos.web.site import Origins, Site
from huisclos.web.templating import STATIC
from huisclos.web.viewer import not_installed, viewer_of

Problem = Callable[[Request, HuisclosError], Awaitable[Response]]


def house_routes() -> list[BaseRoute]:
    """Every route of the pages and of the DICOMweb service."""
    return [
        Mount(PREFIX, routes=dicomweb_routes()),
        _static(),
        *entry.routes(),
        *set_up.routes(),
        *studies.routes(),
        *upload.routes(),
        *decide.routes(),
        *peers.routes(),
        *people.routes(),
        *journal.routes(),
        *state.routes(),
        *doors.routes(),
        *account.routes(),
    ]


def make_app(site: Site) -> ASGIApp:
    """The pages and the DICOMweb service: the `http` origin."""
    app = _application(house_routes(), site, Reading(site), problem_page)
    return _guarded(app, site.origins, site.origins.http, PAGES_CSP)


def make_gate_app(site: GateSite) -> ASGIApp:
    """The gate's origin, in a process of its own."""
    routes: list[BaseRoute] = [
        _static(),
        Route("/", gate.gate_page, methods=["GET"]),
        Route("/unlock", gate.unlock, methods=["POST"]),
        Route("/language", gate.language, methods=["POST"]),
    ]
    app = _application(routes, site, None, None)
    return _guarded(app, site.origins, site.origins.gate, PAGES_CSP)


def make_viewer_app(site: Site) -> ASGIApp:
    """The viewer's origin; without an installed viewer it says how to get it."""
    viewer = viewer_of(site)
    own = viewer.routes() if viewer else [Route("/{path:path}", not_installed, methods=["GET"])]
    app = _application([_static(), *own], site, Reading(site), None)
    return _guarded(app, site.origins, site.origins.viewer, VIEWER_CSP)


def _application(
    routes: Sequence[BaseRoute], site: Site | GateSite, reading: Reading | None, problem: Problem | None
) -> Starlette:
    app = Starlette(
        routes=list(routes),
        exception_handlers={HuisclosError: on_error, HTTPException: on_http, Exception: on_bug},
    )
    app.router.redirect_slashes = False
    app.state.site = site
    app.state.reading = reading
    app.state.problem_page = problem
    return app


def _guarded(app: ASGIApp, origins: Origins, port: int, csp: str) -> ASGIApp:
    return Catch(Guard(app, origins, port, csp=csp))


def _static() -> Mount:
    return Mount("/static", app=_Kept(StaticFiles(directory=STATIC)))


class _Kept:
    """Our own files carry their digest in their address: browsers may keep those, and nothing else."""

    def __init__(self, files: StaticFiles) -> None:
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                lasting = b"public, max-age=31536000, immutable" if scope["query_string"] else b"no-cache"
                message["headers"].append((b"cache-control", lasting))
            await send(message)

        await self._files(scope, receive, kept)
