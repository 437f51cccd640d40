"""A house as its users meet it: its command line, its listeners, its end by a signal.

Every listener takes a free port, every folder the house may write to is the test's own, so that suites
run beside each other and everything written can be found.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from tests.peers.house import program
from tests.tools import program as tool

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
LISTENERS: Final = ("http", "gate", "viewer", "dicom", "dicom-tls")
PASSPHRASE: Final = "lantern-oyster-granite-velvet-77"
PASSWORD: Final = "Quartz-Zebra-Lamp-4711!"
PEOPLE: Final = {
    "owner": "Olga Owner",
    "physician": "Phil Physician",
    "secretary": "Sara Secretary",
    "technician": "Tom Technician",
    "auditor": "Aude Auditor",
}
"""One user of each role, all with `PASSWORD`."""
UNTIL: Final = "2099-12-31"
SENDER: Final = "STORESCU"
"""The title of the plain peer that every house of the tests admits from loopback."""


@dataclass
class Living:
    """One archive and, while it is served, the house around it."""

    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    """Role to a token of that role's user."""
    prefix: tuple[str, ...] = ()
    """What starts the house, before its own command: `nsenter` into a namespace..."""
    ready: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    faked: dict[str, str] = field(default_factory=dict)
    """More of the environment: another clock..."""

    @property
    def archive(self) -> Path:
        """The folder of the archive."""
        return self.folder / "archive"

    @property
    def passphrase(self) -> str:
        """What `--unlock-with` is given."""
        return f"file:{self.folder / 'secrets' / 'passphrase'}"

    @property
    def recovery(self) -> str:
        """The recovery key, for `--unlock-with`: it opens without the second that a passphrase costs."""
        return f"file:{self.folder / 'secrets' / 'recovery'}"

    @property
    def environment(self) -> dict[str, str]:
        """What the house sees: folders of its own, and nothing of the machine's."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "TZ": "Europe/Paris",
            **self.faked,
        }

    # commands

    def try_(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command; how it ended."""
        return subprocess.run(
            [*self.prefix, program(), arguments[0], *arguments[1:]],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=120,
        )

    def run(self, *arguments: str) -> str:
        """What one command prints; fails with its words when it fails."""
        ran = self.try_(*arguments)
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The document one command prints with --json."""
        ran = self.try_(*arguments, "--json")
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return json.loads(ran.stdout)

    # the house

    def serve(self, *, locked: bool = False, options: Sequence[str] = ()) -> Living:
        """Serve until `stop` or `kill`; returns once every listener accepts."""
        assert self.process is None
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [*self.prefix, program(), "serve", str(self.archive), "--ready-file", str(ready), *options]
        command += ["--unlock-with", "none" if locked else self.passphrase]
        for name in LISTENERS:
            command += [f"--{name}", "127.0.0.1:0"]
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        until(lambda: ready.exists() or self._gave_up(), START_SECONDS)
        self.ready = json.loads(ready.read_text())
        return self

    def _gave_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the house did not open:\n{self.said()}"
        return False

    def said(self) -> str:
        """What the house printed."""
        return (self.folder / "serve.log").read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """End it as a service manager does; its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        os.kill(self.supervisor_of(process), signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def kill(self) -> None:
        """Kill the supervisor, as a power cut would end it."""
        assert self.process is not None
        process, self.process = self.process, None
        os.kill(self.supervisor_of(process), signal.SIGKILL)
        process.wait(STOP_SECONDS)

    def supervisor_of(self, process: subprocess.Popen[bytes]) -> int:
        """The process id of the supervisor itself, below whatever started it."""
        return int(self.ready["pid"]) if self.prefix and self.ready else process.pid

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor."""
        assert self.process is not None
        return self.supervisor_of(self.process)

    def processes(self) -> dict[str, int]:
        """Role to process id of the supervisor's children."""
        found = {}
        for child in psutil.Process(self.supervisor).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[role_of(child)] = child.pid
        return found

    def port(self, name: str) -> int:
        """The port of one listener."""
        return int(str(self.ready[name]).rpartition(":")[2])

    def url(self, name: str = "http") -> str:
        """The address of one of its origins, by the name its certificate holds."""
        return f"https://localhost:{self.port(name)}"

    def client(self, role: str = "") -> httpx.Client:
        """A client of the DICOMweb service with the token of `role`, trusting the house's own authority."""
        context = ssl.create_default_context(cafile=str(self.archive / "tls" / "ca.pem"))
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return httpx.Client(base_url=self.url(), verify=context, headers=headers, timeout=60)

    def person(self, role: str, origin: str = "http") -> Person:
        """A browser in which the user of `role` is logged in."""
        person = Person(self, origin)
        person.login(PEOPLE[role], PASSWORD)
        return person

    def lock(self) -> None:
        """Lock the archive from the command line."""
        self.run("lock", str(self.archive))

    def unlock(self) -> str:
        """Unlock it; what the command tells a person."""
        ran = self.try_("unlock", str(self.archive), "--unlock-with", self.passphrase)
        assert ran.returncode == 0, ran.stderr
        return ran.stderr

    def status(self) -> Any:
        """`huisclos status --json`."""
        return self.json("status", str(self.archive))

    def settled(self, instances: int, seconds: float = 30.0) -> None:
        """Wait until so many instances are found and nothing waits in a batch."""

        def there() -> bool:
            contents = self.status()["contents"]
            return contents is not None and contents["instances"] >= instances and not self.batched()

        until(there, seconds)

    def batched(self) -> list[Path]:
        """Objects that wait in batches."""
        return sorted((self.archive / "batches").glob("*/*.dcm.age"))

    def objects(self) -> list[Path]:
        """Objects that lie in their studies."""
        return sorted((self.archive / "objects").glob("*/*/*.dcm.age"))

    # sending

    def store(self, files: Sequence[Path], title: str = SENDER) -> subprocess.CompletedProcess[str]:
        """Send files with DCMTK's dcmsend, in the syntaxes they have; how it ended."""
        return subprocess.run(
            [
                tool("dcmsend"), "-nuc", "-nh", "-dn", "+ma", "-aet", title, "-aec", "HUISCLOS",
                "127.0.0.1", str(self.port("dicom")), *map(str, files),
            ],
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def stow(self, files: Sequence[Path], role: str = "physician") -> httpx.Response:
        """Send files by STOW-RS in one request."""
        with self.client(role) as client:
            return stow(client, [path.read_bytes() for path in files])


class Person:
    """A browser without a window: cookies, form posts with the headers that browsers add."""

    def __init__(self, house: Living, origin: str = "http") -> None:
        self._origin = house.url(origin)
        self._context = ssl.create_default_context(cafile=str(house.archive / "tls" / "ca.pem"))
        self.cookies = httpx.Cookies()

    def get(self, path: str) -> httpx.Response:
        """A page, as a person opens it."""
        return self._send("GET", path, {"Sec-Fetch-Mode": "navigate"})

    def ask(self, path: str, **headers: str) -> httpx.Response:
        """What a script of a page reads."""
        return self._send("GET", path, {"Accept": "application/json", **headers})

    def post(self, path: str, form: Mapping[str, str] | None = None) -> httpx.Response:
        """A form, as a browser posts it."""
        return self._send("POST", path, {"Origin": self._origin}, data=dict(form or {}))

    def upload(self, content: bytes) -> httpx.Response:
        """A file dropped on the page."""
        headers = {
            "Origin": self._origin,
            "Content-Type": "application/octet-stream",
            "Accept": "application/json",
        }
        return self._send("POST", "/upload", headers, content=content)

    def _send(self, method: str, path: str, headers: Mapping[str, str], **body: Any) -> httpx.Response:
        always = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html", "Accept-Language": "en"}
        with httpx.Client(
            base_url=self._origin, verify=self._context, cookies=self.cookies, timeout=60
        ) as client:
            answer = client.request(method, path, headers={**always, **headers}, **body)
            self.cookies = client.cookies
        return answer

    def login(self, name: str, password: str) -> None:
        """Log in; fails unless it works."""
        answer = self.post("/login", {"name": name, "password": password})
        assert answer.status_code == 303, answer.text[:2000]


def make(folder: Path) -> Living:
    """A new archive below `folder` with one user and one token of each role, and one peer, not served."""
    house = Living(folder)
    for name in ("secrets", "home", "tmp", "run"):
        (folder / name).mkdir(mode=0o700, parents=True)
    secret_file(folder / "secrets" / "passphrase", PASSPHRASE)
    secret_file(folder / "secrets" / "password", PASSWORD)
    archive, recovery = str(house.archive), str(folder / "secrets" / "recovery")
    house.run(
        "init", archive, "--holder", "first", "--passphrase-file", str(folder / "secrets" / "passphrase"),
        "--recovery-file", recovery,
    )  # fmt: skip
    house.run("recovery", "confirm", archive, "--recovery-file", recovery)
    house.serve()
    try:
        for role, name in PEOPLE.items():
            password = str(folder / "secrets" / "password")
            house.run("user", "add", archive, name, "--role", role, "--password-file", password)
        for role, may in (("owner", "read,store"), ("physician", "read,store"), ("secretary", "store")):
            made = house.run("token", "add", archive, "--user", PEOPLE[role], "--may", may, "--until", UNTIL)
            house.tokens[role] = made.strip()
        house.run("peer", "add", archive, SENDER, "--address", "127.0.0.1")
    finally:
        house.stop()
    (folder / "tokens.json").write_text(json.dumps(house.tokens))
    return house


def copy(template: Living, folder: Path) -> Living:
    """A house of its own, with all that `template` has."""
    shutil.copytree(template.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    return Living(folder, dict(template.tokens))


def secret_file(path: Path, secret: str) -> Path:
    """A file with a secret in its first line, for its owner alone."""
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")
    return path


def role_of(child: psutil.Process) -> str:
    """What a child of the supervisor is."""
    name = child.name()
    return name.removeprefix("hc-") if name.startswith("hc-") else "cage"


def until(done: Callable[[], bool], seconds: float, what: str = "") -> None:
    """Wait until `done`; fails when it takes longer."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, f"not after {seconds} seconds {what}"
        time.sleep(0.05)


def multipart(parts: Sequence[bytes], boundary: str = "journey-boundary") -> tuple[bytes, str]:
    """The body of a STOW-RS request and its content type (PS3.18 section 8.6)."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="application/dicom"; boundary={boundary}'


def stow(client: httpx.Client, parts: Sequence[bytes], path: str = "/dicom-web/studies") -> httpx.Response:
    """Store parts by STOW-RS."""
    body, content_type = multipart(parts)
    headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
    return client.post(path, content=body, headers=headers)


def stopping(house: Living) -> Iterator[Living]:
    """Give the house to a fixture, and end what still runs of it after."""
    try:
        yield house
    finally:
        if house.process is not None:
            house.stop()
