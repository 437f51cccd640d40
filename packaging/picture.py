"""Make the README's picture anew: the list of studies of `huisclos demo`, as chromium shows it.

Run from the project's root: `make picture`. It needs chromium and certutil (Debian: chromium, libnss3-tools).
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

ROOT: Final = Path(__file__).resolve().parents[1]
TO: Final = ROOT / "docs" / "images" / "studies.png"
SIZE: Final[ViewportSize] = {"width": 1280, "height": 800}
SECONDS: Final = 300
FILLED: Final = "Log in now."
"""The end of what the demonstration says once it has sent everything."""
LISTENERS: Final = ("http", "gate", "viewer", "dicom", "dicom-tls")


def main() -> int:
    """Serve a demonstration of its own, log in as its owner, and keep what is seen."""
    missing = [name for name in ("chromium", "certutil") if shutil.which(name) is None]
    if missing:
        print(f"{' and '.join(missing)} needed for the picture, and not here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        told, ready = folder / "told", folder / "ready.json"
        command: list[str | Path] = [
            Path(sys.executable).parent / "huisclos",
            "demo",
            folder / "demo",
            "--ready-file",
            ready,
        ]
        command += [f"--{name}=127.0.0.1:0" for name in LISTENERS]
        with told.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as served:
            try:
                said = _filled(told, served)
                url = "https://" + json.loads(ready.read_text("utf-8"))["http"]
                _take(folder, url, _shown(said, "name"), _shown(said, "password"))
            finally:
                served.terminate()
    print(TO)
    return 0


def _filled(told: Path, served: subprocess.Popen[bytes]) -> str:
    """What the demonstration said, once everything is in it."""
    until = time.monotonic() + SECONDS
    while FILLED not in (said := told.read_text("utf-8")):
        if served.poll() is not None or time.monotonic() > until:
            raise SystemExit(said)
        time.sleep(0.5)
    return said


def _shown(said: str, word: str) -> str:
    found = re.search(rf"^ +{word} +(.+)$", said, re.MULTILINE)
    if found is None:
        raise SystemExit(said)
    return found.group(1)


def _take(folder: Path, url: str, name: str, password: str) -> None:
    home = folder / "home"
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    authority = folder / "demo" / "tls" / "ca.pem"
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "house", "-i", str(authority)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *arguments], check=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # root in a container has no sandbox
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            env={**os.environ, "HOME": str(home)},
        )
        page = browser.new_page(viewport=SIZE, locale="en-GB", color_scheme="light")
        page.goto(url + "/")
        page.fill("#name", name)
        page.fill("#password", password)
        page.click("form button.main")
        page.wait_for_url("**/studies")
        page.evaluate("document.activeElement.blur()")
        seen = page.screenshot(animations="disabled")
        browser.close()
    # 256 colours are all such a page has, and a third of the bytes
    Image.open(io.BytesIO(seen)).convert("RGB").quantize(256).save(TO, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main())
