"""The viewer's origin: its files, and one study under a grant that lives in the page's memory.

No cookie is read or set here. The page exchanges a ticket (single use, in the fragment) for a grant
and reads DICOMweb below it; whatever is asked is about the one study it was opened for. Its address
bar shows that study under an alias made of random bits, since browsers keep addresses on disk (P1).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from huisclos.access.sessions import Viewing
from huisclos.clock import steady, timestamp
from huisclos.errors import HuisclosError, NotFound, Unreachable
from huisclos.web.bodies import read_form
from huisclos.web.dicomweb.caller import PREFIX, alias_of
from huisclos.web.dicomweb.routes import reading_routes
from huisclos.web.problems import document
from huisclos.web.security import WORKER_CSP
from huisclos.web.site import Site, address_of
from huisclos.web.templating import fragment

FRESH_SECONDS: Final = 5.0
"""A viewing is used this long before the vault is asked again whether it lives."""
KEPT: Final = 256
_SCRIPT: Final = re.compile(r'<script[^>]*\sdefer[^>]*\ssrc="(/[^"]+\.js)"')
_SHEET: Final = re.compile(r'<link[^>]*href="(/[^"]+\.css)"')
_DIGEST: Final = re.compile(r"[.-]?[0-9a-f]{16,20}\.")
_MEDIA: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
}
_LEFT_OUT: Final = frozenset({"app-config.js", "sw.js", "init-service-worker.js", "google.js", "index.html"})


class Built(Struct, frozen=True):
    """The built viewer: what its page loads, and every file it may load later."""

    scripts: tuple[str, ...]
    sheets: tuple[str, ...]
    files: Mapping[str, Path]

    @classmethod
    def at(cls, folder: Path) -> Built:
        """Read a folder once. Raises `NotFound` when it is not a built viewer."""
        try:
            index = (folder / "index.html").read_text(encoding="utf-8")
        except OSError:
            raise NotFound("the viewer is not installed", hint="run: huisclos viewer install") from None
        files = {
            "/" + path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file() and path.suffix in _MEDIA and path.name not in _LEFT_OUT
        }
        scripts = tuple(name for name in _SCRIPT.findall(index) if name in files)
        if not scripts:
            raise NotFound("this folder holds no built viewer", hint="run: huisclos viewer install")
        sheets = tuple(name for name in _SHEET.findall(index) if name in files)
        return cls(scripts, sheets, MappingProxyType(files))


class Viewer:
    """The endpoints of the viewer's origin."""

    def __init__(self, site: Site, built: Built) -> None:
        self._site = site
        self._built = built
        self._router = Router(reading_routes())
        self._fresh: OrderedDict[str, tuple[Viewing, float]] = OrderedDict()
        site.locked.append(self._fresh.clear)

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/open", self.page, methods=["GET"]),
            Route("/open", self.exchange, methods=["POST"]),
            Route("/viewer", self.page, methods=["GET"]),
            Route("/warning", self.warning, methods=["GET"]),
            Route("/grant/{secret}/awake", self.awake, methods=["POST"]),
            Mount("/grant/{secret}" + PREFIX, app=self.service),
            Route("/{path:path}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """The page that becomes the viewer once its ticket is exchanged."""
        return fragment(
            request,
            "viewer.html",
            scripts=self._built.scripts,
            sheets=self._built.sheets,
            unconfirmed=await self._unconfirmed(),
        )

    async def warning(self, request: Request) -> Response:
        """What stands above the viewer until the recovery key is confirmed; nothing from then on."""
        return fragment(request, "_warning.html", unconfirmed=await self._unconfirmed())

    async def _unconfirmed(self) -> bool:
        try:
            return not (await self._site.house.glance()).recovery_confirmed
        except Unreachable:
            return False

    async def exchange(self, request: Request) -> Response:
        """A ticket for a grant, once."""
        form = await read_form(request)
        viewing = await self._site.door.exchange(form.get("ticket", ""), address_of(request))
        return JSONResponse({"secret": viewing.secret, "study": alias_of(viewing.study_id)})

    async def awake(self, request: Request) -> Response:
        """Renew a grant; `active` when its person did something."""
        active = bool((await read_form(request)).get("active"))
        secret = request.path_params["secret"]
        self._fresh.pop(secret, None)
        await self._site.door.viewing(secret, address_of(request), active=active)
        return Response(status_code=204)

    async def service(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DICOMweb, reading only, below a grant."""
        request = Request(scope)
        secret = scope["path_params"]["secret"]
        try:
            scope["huisclos.viewing"] = await self._living(secret, address_of(request))
        except HuisclosError as error:
            await document(error)(scope, receive, send)
            return
        scope["huisclos.base"] = f"/grant/{secret}{PREFIX}"
        await self._router(scope, receive, send)

    async def _living(self, secret: str, address: str) -> Viewing:
        kept = self._fresh.get(secret)
        if kept is not None and steady() - kept[1] < FRESH_SECONDS and timestamp() < kept[0].until:
            return kept[0]
        viewing = await self._site.door.viewing(secret, address, active=False)
        self._fresh[secret] = (viewing, steady())
        if len(self._fresh) > KEPT:
            self._fresh.popitem(last=False)
        return viewing

    async def file(self, request: Request) -> Response:
        """A file of the built viewer, known by its whole name: no path is ever put together."""
        path = self._built.files.get(request.url.path)
        if path is None:
            raise NotFound("there is nothing here")
        lasting = "public, max-age=31536000, immutable" if _DIGEST.search(path.name) else "no-cache"
        headers = {"Cache-Control": lasting}
        if path.suffix == ".js":
            headers["Content-Security-Policy"] = WORKER_CSP
        return FileResponse(path, headers=headers, media_type=_MEDIA[path.suffix])


def viewer_of(site: Site) -> Viewer | None:
    """The viewer of a site, when it is installed."""
    return Viewer(site, Built.at(site.viewer)) if site.viewer else None


async def not_installed(request: Request) -> Response:
    """What is here while there is no viewer."""
    del request
    raise NotFound("the viewer is not installed", hint="run: huisclos viewer install")
