"""Every address of the house: who is not known is asked who it is, who is known and may not is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from huisclos.access.nouns import Right
from huisclos.web.app import make_app
from huisclos.web.dicomweb.routes import routes as dicomweb_routes
from huisclos.web.security import Guard
from tests import corpus
from tests.web.browser import ORIGIN, Browser
from tests.web.world import World

OPEN: Final = (
    "/", "/login", "/login/code", "/confirm", "/logout", "/language", "/line", "/static", "/trust", "/set-up",
)  # fmt: skip
"""What somebody without a session may ask for; what begins like one of these, too."""
PIXELS: Final = ("/rendered", "/thumbnail", "/metadata", "/bulkdata", "/pixeldata")


def of_pages(app: object) -> Iterator[tuple[str, str]]:
    """Method and path of every page route."""
    while not hasattr(app, "routes"):
        app = app.__dict__["_app"]
    for route in app.routes:
        if isinstance(route, Route) and not _open(route.path):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, filled(route.path)


def _open(path: str) -> bool:
    return path == "/" or any(path == one or path.startswith(one + "/") for one in OPEN if one != "/")


def filled(path: str) -> str:
    """A path with something in the place of each parameter."""
    out = path
    while "{" in out:
        before, _, rest = out.partition("{")
        out = before + "1" * 32 + rest.partition("}")[2]
    return out


def of_service(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of every route of the DICOMweb service."""
    for route in routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, "/dicom-web" + filled(route.path)


async def ask(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> httpx.Response:
    """One request, with a body where there is one."""
    return await client.request(method, path, content=b"x" if method == "POST" else None, headers=headers)


async def test_the_service_asks_who_it_is(program: httpx.AsyncClient) -> None:
    """Nothing shown, or nothing that is known: 401 on each route, with what is wanted."""
    for method, path in of_service(dicomweb_routes()):
        for shown in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
            answer = await ask(program, method, path, **shown)
            assert answer.status_code == 401, (method, path, shown)
            assert answer.headers["www-authenticate"] == 'Bearer realm="huisclos"'
            assert answer.json()["type"].endswith("not-admitted")


async def test_the_service_refuses_who_may_not(program: httpx.AsyncClient, world: World) -> None:
    """A token that stores does not read, one that reads does not store: 403."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    study = world.books.seen()[0].study_uid
    may = {"POST": world.token(Right.LIST, Right.READ), "GET": world.token(Right.STORE)}
    for method, path in of_service(dicomweb_routes()):
        asked = path.replace("1" * 32, study, 1).replace("frames/" + "1" * 32, "frames/1")
        answer = await ask(program, method, asked, Authorization=f"Bearer {may[method]}")
        assert answer.status_code == 403, (method, path)
        assert "www-authenticate" not in answer.headers


async def test_pages_ask_who_it_is(world: World) -> None:
    """A person is sent to log in; a script, or a form, is told 401 and what is wanted."""
    app = make_app(world.site)
    found = list(of_pages(app))
    assert len(found) > 30
    async with Browser(app, ORIGIN, world) as browser:
        for method, path in found:
            if method == "GET":
                answer = await browser.see(path)
                assert (answer.status_code, answer.headers.get("location")) == (303, "/login"), path
                answer = await browser.fetch(path, **{"X-Piece": "yes"})
            else:
                answer = await browser.submit(path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("name", ["Lou Accueil", "Sam Technique", "Noa Controle"])
async def test_pages_refuse_who_may_not(world: World, name: str) -> None:
    """Who may not take images out, or see them, is refused, and nothing is opened."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    study = world.study_ids()[0]
    async with Browser(make_app(world.site), ORIGIN, world) as browser:
        browser.be(name)
        for action in ("export", "view"):
            assert (await browser.submit(f"/studies/{study}/{action}")).status_code == 403
        base = f"/dicom-web/studies/{world.books.seen()[0].study_uid}"
        for what in ("", *PIXELS):
            assert (await browser.fetch(base + what)).status_code == 403
    assert not world.keys.opened


def test_no_application_stands_without_its_guard(world: World) -> None:
    """What the tests above walk through is what is served."""
    inner = make_app(world.site).__dict__["_app"]
    assert isinstance(inner, Guard)
    assert any(isinstance(route, Mount) for route in inner.__dict__["_app"].routes)
