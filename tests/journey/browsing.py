"""Debian's chromium as a physician's: it trusts the house's authority, and never ignores an error."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.journey.living import Living
from tests.tools import program

SECONDS: Final = 30.0


def trust(home: Path, authority: Path) -> None:
    """Tell chromium, whose HOME is `home`, to trust a certificate authority, as `/trust` says for Linux."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True, exist_ok=True)
    certutil = program("certutil")
    if not (database / "cert9.db").exists():
        subprocess.run([certutil, "-N", "--empty-password", "-d", f"sql:{database}"], check=True)
    subprocess.run(
        [certutil, "-A", "-t", "C,,", "-n", "house", "-d", f"sql:{database}", "-i", str(authority)],
        check=True,
    )


@contextmanager
def browser(house: Living, folder: Path) -> Iterator[BrowserContext]:
    """A chromium with its home and profile below `folder`, kept between two uses."""
    home, profile = folder / "home", folder / "profile"
    for made in (home, profile):
        made.mkdir(parents=True, exist_ok=True)
    trust(home, house.archive / "tls" / "ca.pem")
    environment = {**house.environment, "HOME": str(home)}
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program("chromium"),
            # the tests run as root in a container, where chromium's own sandbox does not start
            args=["--no-sandbox", "--disable-gpu", "--no-first-run"],
            env=dict(environment),
            locale="en-GB",
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(SECONDS * 1000)
        try:
            yield context
        finally:
            context.close()


def log_in(page: Page, house: Living, name: str, password: str) -> None:
    """From the first page to where this person's work is."""
    page.goto(house.url() + "/")
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("form button.main")
    page.wait_for_url(lambda url: not url.endswith("/login"))


def clean(folder: Path) -> None:
    """Take a browser's folder away."""
    shutil.rmtree(folder, ignore_errors=True)
