"""Debian's Orthanc, started on loopback over a folder of the test's: the peer we are measured beside.

It takes DICOM only from the titles named, from this machine, and answers HTTP only to this machine; it is
also the control of the search for names in clear: what it stores lies open in `storage`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.tools import program

TITLE: Final = "ORTHANC"
PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    dicom_port: int
    http_port: int
    storage: Path
    title: str = TITLE

    @property
    def url(self) -> str:
        """The address of its REST interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """The address of its DICOMweb plugin."""
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> Any:
        """What its REST interface answers at `path`."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@contextmanager
def orthanc(
    folder: Path,
    *,
    dicom_port: int,
    http_port: int,
    senders: Sequence[str] = ("STORESCU",),
    settings: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Orthanc]:
    """Run Orthanc with its store and settings below `folder`; stopped at the end.

    A store that is there already is gone on with.
    Skips, or fails in CI, when it is not installed (`tests.tools.need`). `settings` go over ours. It sees
    nothing but `environment`: DCMTK, which it is built on, reads TCP_NODELAY and TCP_BUFFER_LENGTH there.
    """
    server = program("Orthanc")
    storage = folder / "store"
    for made in (storage, folder / "temporary"):
        made.mkdir(parents=True, exist_ok=True)
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(_settings(folder, dicom_port, http_port, senders) | dict(settings or {}))
    )
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [server, str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.defpath, **(environment or {})},
        )
    try:
        running = Orthanc(dicom_port, http_port, storage)
        _wait(process, running, folder)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settings(folder: Path, dicom_port: int, http_port: int, senders: Sequence[str]) -> dict[str, Any]:
    modalities = {title: [title, "127.0.0.1", dicom_port] for title in senders}
    return {
        "Name": TITLE,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "TemporaryDirectory": str(folder / "temporary"),
        "DicomAet": TITLE,
        "DicomPort": dicom_port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": modalities,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)] if PLUGIN.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def _wait(process: subprocess.Popen[bytes], running: Orthanc, folder: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        try:
            running.get("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    said = (folder / "orthanc.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"Orthanc did not start:\n{said}")
