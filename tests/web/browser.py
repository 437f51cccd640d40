"""A browser as far as headers and cookies go: what a page of ours sends, and nothing a page could not."""

from __future__ import annotations

from typing import Any, Self

import httpx
from starlette.types import ASGIApp

from huisclos.web.site import SESSION_COOKIE
from tests.web.world import World

ORIGIN = "https://localhost:8443"


class Browser(httpx.AsyncClient):
    """GETs navigate, POSTs come from a page of the same origin; redirects are not followed."""

    def __init__(self, app: ASGIApp, origin: str, world: World) -> None:
        super().__init__(transport=httpx.ASGITransport(app), base_url=origin)
        self.origin = origin
        self.world = world
        self.headers["Accept"] = "text/html"
        self.headers["Accept-Language"] = "en"

    async def __aenter__(self) -> Self:
        """See httpx."""
        await super().__aenter__()
        return self

    def be(self, name: str) -> Self:
        """Log in without the page."""
        return self.show(self.world.house.session_for(name))

    def show(self, secret: str) -> Self:
        """Show this session from now on."""
        self.headers["Cookie"] = f"{SESSION_COOKIE}={secret}"
        return self

    async def see(self, path: str, **more: Any) -> httpx.Response:
        """Navigate."""
        headers = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", **more}
        return await self.get(path, headers=headers)

    async def fetch(self, path: str, **more: str) -> httpx.Response:
        """A script of our own page asks."""
        headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Accept": "*/*", **more}
        return await self.get(path, headers=headers)

    async def submit(self, path: str, fields: dict[str, str] | None = None, **more: str) -> httpx.Response:
        """A form of our own page."""
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self.origin, **more}
        return await self.post(path, data=fields or {"": ""}, headers=headers)
