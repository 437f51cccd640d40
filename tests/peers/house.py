"""A house of our own, started through its command line as a user would, over a folder of the test's."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
TITLE: Final = "HUISCLOS"
LISTENERS: Final = ("http", "gate", "viewer", "dicom", "dicom-tls")


@dataclass(frozen=True)
class House:
    """A running house, its listeners as `host:port`."""

    archive: Path
    secrets: Path
    ready: Mapping[str, Any]
    title: str = TITLE

    @property
    def dicom_port(self) -> int:
        """The port that takes plain DICOM."""
        return int(str(self.ready["dicom"]).rpartition(":")[2])

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"https://{self.ready['http']}"


def huisclos(*arguments: str) -> str:
    """What one command of the house prints; raises `CalledProcessError`, with its words, when it fails."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        [program(), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    return ran.stdout


def program() -> str:
    """The installed command of this environment."""
    return str(Path(sys.executable).with_name("huisclos"))


def make_archive(folder: Path, *, senders: Sequence[str] = ("STORESCU",)) -> tuple[Path, Path]:
    """Make an archive below `folder` that admits `senders` from this machine.

    Returns it and the folder of its secrets, `passphrase` and `recovery`, which lies beside it.
    """
    archive, kept = folder / "archive", folder / "secrets"
    kept.mkdir(mode=0o700, parents=True)
    passphrase = kept / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(f"{secrets.token_hex(16)}\n")
    recovery = str(kept / "recovery")
    huisclos(
        "init",
        str(archive),
        "--holder",
        "owner",
        "--passphrase-file",
        str(passphrase),
        "--recovery-file",
        recovery,
    )
    huisclos("recovery", "confirm", str(archive), "--recovery-file", recovery)
    for title in senders:
        unlock = ("--unlock-with", f"file:{passphrase}")
        huisclos("peer", "add", str(archive), title, "--address", "127.0.0.1", *unlock)
    return archive, kept


@contextmanager
def serve(archive: Path, kept: Path, ports: Sequence[int], *, locked: bool = False) -> Iterator[House]:
    """Serve `archive` on loopback at `ports`, one for each of `LISTENERS`, until the end."""
    ready = kept / "ready.json"
    ready.unlink(missing_ok=True)
    unlock = "none" if locked else f"file:{kept / 'passphrase'}"
    command = [program(), "serve", str(archive), "--unlock-with", unlock, "--ready-file", str(ready)]
    for name, port in zip(LISTENERS, ports, strict=True):
        command += [f"--{name}", f"127.0.0.1:{port}"]
    with (kept / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield House(archive, kept, _wait(process, ready, kept))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], ready: Path, kept: Path) -> Mapping[str, Any]:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        if ready.exists():
            found: Mapping[str, Any] = json.loads(ready.read_text())
            return found
        time.sleep(0.05)
    said = (kept / "serve.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the house did not open:\n{said}")
