"""Debian's chromium, trusting the practice's authority; it never ignores a certificate error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from huisclos.web.site import SESSION_COOKIE
from tests.tools import program
from tests.web.demo import Running

FLAGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-background-networking",
    "--no-first-run",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
"""Root in a container has no sandbox; the viewer draws with WebGL, here in software."""


class Chromium:
    """A browser and the practice it looks at; what its console said is kept."""

    def __init__(self, browser: Browser, house: Running) -> None:
        self._browser = browser
        self._house = house
        self.console: list[str] = []
        self.asked: list[str] = []

    def page(self, name: str = "", *, width: int = 1280, **options: Any) -> Page:
        """A fresh page in a context of its own, logged in as `name`."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 800}, **{"locale": "en-GB", **options}
        )
        if name:
            secret = self._house.world.house.session_for(name)
            cookie: Any = {
                "name": SESSION_COOKIE,
                "value": secret,
                "url": self._house.url,
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
            context.add_cookies([cookie])
        context.on("page", self._listen)
        return context.new_page()

    @staticmethod
    def leave(page: Page) -> None:
        """Done with `page`: it asks nothing more.

        Its context goes with the browser: to close one has no deadline, and was seen not to come back.
        """
        page.goto("about:blank")

    def _listen(self, page: Page) -> None:
        page.on("console", lambda said: self.console.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))


@contextmanager
def chromium(folder: Path, house: Running) -> Iterator[Chromium]:
    """Start it with a home of its own, in which the authority is trusted."""
    store = folder / "home" / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-t", "C,,", "-n", "practice", "-i", str(house.authority)],
    ):
        subprocess.run([program("certutil"), "-d", f"sql:{store}", *arguments], check=True)
    environment = os.environ | {"HOME": str(folder / "home")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=FLAGS, env={**environment}
        )
        try:
            yield Chromium(browser, house)
        finally:
            browser.close()
