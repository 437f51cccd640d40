"""The whole journey of promise P1, where nothing can be written unseen; prints what it found as JSON.

Run as a program, in a mount namespace of its own (`unshare --mount`), it makes every file system read-only
but for fresh ones in memory, so that whatever is written lies below /tmp; run where that is not allowed
it watches the folders that programs write to instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from playwright.sync_api import BrowserContext, Page

from tests.journey import living
from tests.journey.browsing import browser, log_in
from tests.journey.living import PASSWORD, PEOPLE, until
from tests.journey.needles import Needles
from tests.journey.patients import BETKA, EVERYBODY, GLAFIRA, TSUBOMI, WILHELMA, ZEPHYRINE
from tests.peers.orthanc import orthanc
from tests.tools import PROJECT, free_port

_WRITABLE: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - in memory, and ours alone
_NOT_DISKS: Final = frozenset(
    {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "tmpfs", "mqueue", "securityfs", "bpf"}
)


def shut_in() -> bool:
    """Make everything read-only but for new file systems in memory; whether that was possible."""
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            place, kind = before.split()[4], after.split()[0]
            if kind not in _NOT_DISKS:
                remount = ["mount", "-o", "remount,bind,ro", place]
                subprocess.run(remount, check=place == "/", capture_output=True)
        project = os.open(PROJECT, os.O_RDONLY | os.O_DIRECTORY)
        for place in _WRITABLE:
            subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True, capture_output=True)
            if PROJECT.is_relative_to(place):
                # a checkout in there would be hidden: it is put back, to be read only
                PROJECT.mkdir(parents=True)
                again = ["mount", "--no-canonicalize", "--bind", f"/proc/self/fd/{project}", str(PROJECT)]
                subprocess.run(again, check=True, capture_output=True, pass_fds=(project,))
                shut = ["mount", "--no-canonicalize", "-o", "remount,bind,ro", str(PROJECT)]
                subprocess.run(shut, check=True, capture_output=True)
        os.close(project)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


class Walk:
    """The journey, and what was found on the way."""

    def __init__(self, ground: Path, *, alone: bool) -> None:
        self.alone = alone
        self.began = time.time()
        self.apart = ground / "apart"
        """What lies in clear by intent: the sources, and the other archive."""
        self.ground = ground / "house"
        self.needles = Needles(EVERYBODY)
        self.leaks: dict[str, list[str]] = {}
        self.facts: dict[str, Any] = {"alone": alone, "values": len(self.needles.values)}
        self.house = living.make(self.ground)

    def sources(self, name: str) -> Path:
        """A folder of files in clear."""
        folder = self.apart / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def search(self, stage: str, *, open_files: bool = False) -> None:
        """Look for every value in everything that was written so far."""
        searched = 0
        for folder in [Path(place) for place in _WRITABLE] if self.alone else [self.ground]:
            for path in sorted(folder.rglob("*")):
                if path.is_relative_to(self.apart) or path.is_relative_to(PROJECT):
                    continue
                here = self.needles.found_in(str(path).encode())
                with suppress(FileNotFoundError):
                    if path.is_file() and not path.is_symlink():
                        searched += path.stat().st_size
                        here |= self.needles.found_in_file(path)
                self._note(stage, str(path), here)
        if open_files:
            for pid in self._ours():
                self._search_open(stage, pid)
        self.facts[f"searched {stage}"] = searched

    def _ours(self) -> list[int]:
        return [child.pid for child in psutil.Process().children(recursive=True)]

    def _search_open(self, stage: str, pid: int) -> None:
        """Files that a process holds open although their names are gone; memory shared by name is not one."""
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                target = str(link.readlink())
                if target.endswith("(deleted)") and not target.startswith(("/memfd:", "/dev/shm/")):  # noqa: S108
                    self._note(stage, f"{pid} {target}", self.needles.found_in(link.read_bytes()))

    def _note(self, stage: str, where: str, values: set[str]) -> None:
        if values:
            self.leaks[f"{stage}: {where}"] = sorted(values)

    # the journey

    def go(self) -> None:
        """All of it."""
        house = self.house
        zephyrine = ZEPHYRINE.write(self.sources("wire"))
        tsubomi = TSUBOMI.write(self.sources("wire"))
        house.serve()
        sent = house.store([*zephyrine, *tsubomi])
        assert sent.returncode == 0, sent.stderr
        glafira = [GLAFIRA.file(number) for number in (1, 2, 3)]
        with house.client("physician") as client:
            self.facts["stow"] = living.stow(client, glafira).status_code
        BETKA.write(self.sources("medium"))
        receipt = house.json("import", str(house.archive), str(self.sources("medium")))
        self.facts["imported"] = receipt["stored"]
        house.settled(12)
        with browser(house, self.ground / "browser") as context:
            self.look(context)
            self.search("looking", open_files=True)
        self.search("looked")
        self.dark()
        self.crash()
        self.facts["verify"] = house.json("verify", str(house.archive))["problems"]
        self.facts["reindex"] = house.json("reindex", str(house.archive))["unattested"]
        self.facts["found"] = self.found()
        self.search("mended", open_files=True)
        house.stop()
        self.search("stopped")
        self.control()

    def look(self, context: BrowserContext) -> None:
        """A physician's morning."""
        page = context.new_page()
        log_in(page, self.house, PEOPLE["physician"], PASSWORD)
        page.wait_for_selector("tr.go")
        self.facts["listed"] = page.locator("tr.go").count()
        page.type("#text", "kerguelen", delay=20)
        until(lambda: page.locator("tr.go").count() == 1, 10, "the list narrows")
        page.click("a.who")
        page.wait_for_selector(".series img")
        until(lambda: bool(page.evaluate(_PICTURES)), 20, "thumbnails")
        self.facts["study page"] = ZEPHYRINE.birth[:4] in page.content()
        self._open_viewer(context, page)
        page.click("a[href$='/patient']")
        page.wait_for_selector("tr.go")
        for path in ("/studies", "/decide", "/state", "/account", "/upload"):
            page.goto(self.house.url() + path)
        page.set_input_files("#files", [str(path) for path in WILHELMA.write(self.sources("key"))[:1]])
        until(lambda: self.found() >= 13, 20, "what was uploaded")
        page.goto(self.house.url() + "/studies")
        page.fill("#text", "Шелковникова")
        until(lambda: page.locator("tr.go").count() == 1, 10, "the list narrows")
        page.evaluate("document.querySelector('#text').form.requestSubmit()")
        page.reload()
        page.fill("#text", "Шелковникова")
        until(lambda: page.locator("tr.go").count() == 1, 10, "the list narrows")
        page.keyboard.press("Enter")
        page.wait_for_selector(".series img")
        page.reload()
        # what a browser keeps for the next start is written some seconds after
        page.wait_for_timeout(3500)

    def _open_viewer(self, context: BrowserContext, page: Page) -> None:
        opening = page.locator("form[action$='/view'] button.main")
        self.facts["viewer"] = bool(opening.count())
        if not self.facts["viewer"]:
            return
        with context.expect_page() as opened:
            opening.first.click()
        viewer = opened.value
        viewer.wait_for_selector("canvas", timeout=60_000)
        until(lambda: "1/3" in viewer.inner_text("body") or "I:" in viewer.inner_text("body"), 40, "an image")
        viewer.mouse.wheel(0, 200)
        viewer.wait_for_timeout(500)
        self.facts["viewer address"] = viewer.url
        viewer.close()

    def dark(self) -> None:
        """Locked, more arrives, unlocked."""
        house = self.house
        house.lock()
        sent = house.store(WILHELMA.write(self.sources("night")))
        assert sent.returncode == 0, sent.stderr
        self.search("locked", open_files=True)
        house.unlock()
        house.settled(15)

    def crash(self) -> None:
        """Killed while it stores, started again."""
        house = self.house
        files = [path for one in EVERYBODY for path in one.write(self.sources("again"), range(100, 130))]
        sending = subprocess.Popen(
            ["dcmsend", "-nuc", "-nh", "-aet", living.SENDER, "-aec", "HUISCLOS", "127.0.0.1",
             str(house.port("dicom")), *map(str, files)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = len(house.objects())
        until(lambda: len(house.objects()) > before + 10, 20, "it stores")
        house.kill()
        sending.wait(30)
        self.facts["killed after"] = len(house.objects()) - before
        self.search("killed")
        house.serve()
        house.settled(15)

    def found(self) -> int:
        """How many instances a physician finds."""
        with self.house.client("physician") as client:
            answer: httpx.Response = client.get("/dicom-web/instances", params={"limit": "1000"})
        return len(answer.json())

    def control(self) -> None:
        """The same sends to an archive that seals nothing: the same search must find every value there."""
        folder = self.sources("orthanc")
        with orthanc(folder, dicom_port=free_port(), http_port=free_port()) as peer:
            files = [path for name in ("wire", "medium", "night") for path in self.sources(name).glob("*")]
            files += GLAFIRA.write(self.sources("stow"))
            ran = subprocess.run(
                ["dcmsend", "-nuc", "-nh", "-aet", living.SENDER, "-aec", peer.title, "127.0.0.1",
                 str(peer.dicom_port), *map(str, files)],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            assert ran.returncode == 0, ran.stderr
        found = set[str]().union(*self.needles.found_below(peer.storage).values())
        self.facts["control missed"] = sorted(self.needles.values - found)


_PICTURES: Final = (
    "[...document.querySelectorAll('.series img')].some(one => one.complete && one.naturalWidth > 0)"
)


def main(argument: str) -> int:
    """The journey below the folder `argument`; JSON on stdout."""
    alone = argument == "alone" and shut_in()
    ground = Path("/tmp/p1") if alone else Path(argument)  # noqa: S108 - ours alone, in memory
    ground.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(ground / "house" / "tmp")
    walk = Walk(ground, alone=alone)
    try:
        walk.go()
    finally:
        if walk.house.process is not None:
            walk.house.stop()
        print(json.dumps({"leaks": walk.leaks, "facts": walk.facts}))
        if not alone:
            shutil.rmtree(ground, ignore_errors=True)
    return 0


if __name__ == "__main__":
    os.chdir(PROJECT)
    sys.exit(main(sys.argv[1]))
