"""The first half hour by the real program: set up over HTTPS, ended, started again, opened to the network."""

from __future__ import annotations

import html
import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import Program, served
from tests.cli.test_run import ANYWHERE
from tests.tools import PROJECT

PASSWORD = "Quartz-Zebra-Lamp-4711!"


def _client(archive: Path, pages: str) -> httpx.Client:
    trust = ssl.create_default_context(cafile=archive / "tls" / "ca.pem")
    origin = pages.rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    return httpx.Client(verify=trust, base_url=origin, headers=headers, timeout=60)


def _set_up(archive: Path, pages: str, link: str) -> None:
    """The five steps, as a browser sends them."""
    with _client(archive, pages) as browser:
        assert browser.post("/set-up/start", data={"secret": link}).status_code == 303
        browser.post("/set-up/who", data={"name": "Camille Neuve", "password": PASSWORD})
        drawn = re.search(r'id="passphrase-shown">([^<]+)<', browser.get("/set-up").text)
        assert drawn is not None
        browser.post("/set-up/passphrase", data={"passphrase": html.unescape(drawn[1])})
        card = browser.post("/recovery/new").text
        words = re.findall(r"<li>(\w+)</li>", card)
        assert browser.post("/recovery", data={"typed": " ".join(words)}).headers["location"] == "/set-up"
        assert browser.post("/set-up/finish").status_code == 303
        assert browser.get("/studies").status_code == 200


def test_a_second_run_after_the_set_up_serves_locked(tmp_path: Path, program: Program) -> None:
    """The set-up done, the next run shows no link: it says that it is locked, and where to unlock it."""
    folder = tmp_path / "no-viewer"
    folder.mkdir()
    (folder / "file").touch()
    archive = tmp_path / "an archive"
    with served("run", archive, *ANYWHERE, HUISCLOS_VIEWER=str(folder)) as told:
        link = next(line.partition("#")[2] for line in told if "set-up#" in line)
        assert f"peer add '{archive}' CT01" in "\n".join(told), "a path with a space is quoted"
        _set_up(archive, next(line for line in told if line.startswith("https://")), link)
    with served("run", archive, *ANYWHERE, HUISCLOS_VIEWER=str(folder)) as told:
        pages = next(line for line in told if line.startswith("https://"))
        text = "\n".join(told)
        assert "set-up#" not in text
        assert "The archive is locked: it receives, and shows nothing. Unlock it here:\n  https://" in text
        status = json.loads(program("status", archive, "--json").stdout)
        assert (status["served"], status["locked"], status["recovery_confirmed"]) == (True, True, True)
        with _client(archive, pages) as browser:
            for path in ("/set-up", "/studies"):
                shown = browser.get(path)
                assert shown.status_code == 503
                assert "The archive is locked" in shown.text


def test_the_network_waits_for_the_recovery_key(
    desk: Path, private: tuple[str, ...], program: Program
) -> None:
    """`--lan` before the recovery key was typed back is refused; after it, the private address listens."""
    archive = desk / "archive"
    unlock = ("--unlock-with", f"file:{desk / 'passphrase'}")
    command: list[Any] = [*private, sys.executable, "-m", "huisclos", "serve", archive, "--lan", *unlock]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(PROJECT / "src")}, capture_output=True, text=True,
        timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "until the recovery key was typed back, only loopback listens" in ran.stderr
    assert "huisclos recovery confirm" in ran.stderr
    assert program("recovery", "confirm", archive, "--recovery-file", desk / "recovery").returncode == 0
    with served("serve", archive, "--lan", *unlock, prefix=private) as told:
        text = "\n".join(told)
        assert "https://10.9.8.7:8443/" in text, "what is typed into another machine is said"
        assert "HUISCLOS at 127.0.0.1:11112, 10.9.8.7:11112; over TLS" in text
        pid = json.loads(Path(f"{archive}.ready").read_text())["pid"]
        assert "0708090A:2B68" in Path(f"/proc/{pid}/net/tcp").read_text(), "10.9.8.7:11112 listens"
