"""STOW-RS, WADO-RS and metadata, ours over TLS, beside Debian's Orthanc and nginx in the same run.

curl is the client of everybody, and the two of a pair take turns, so that whatever else the machine does
falls on both. Orthanc speaks plain HTTP, as it comes, and takes uploads its own way, one instance for each
request; nginx serves from a file, over TLS with our certificate, the very bytes that we answered.
"""

from __future__ import annotations

import io
import os
import shutil
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.uid import UID

from bench.ground import at_rest, desk, ground
from bench.images import template, write_series
from bench.store import free_ports
from tests.peers import house, orthanc
from tests.tools import need, program

SLICES: Final = 100
"""Instances of one upload, 512 KB each."""
STUDY: Final = 200
"""Instances of the study that is retrieved: 105 MB."""
DESCRIBED: Final = 1000
"""Instances of the series whose metadata is read."""
ROUNDS: Final = 7
SMALL_SIDE: Final = 32
"""Pixels of a side where pixels are not what is measured: small, which spares Orthanc most."""
WAIT_SECONDS: Final = 120.0
_BOUNDARY: Final = "a-line-between-parts"
_AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_MEGA: Final = 1e6

Figure = dict[str, Any]


@dataclass(frozen=True)
class Ours:
    """A running house, and how to speak to it."""

    url: str
    archive: Path
    token: str

    @property
    def client(self) -> list[str]:
        """What curl is told each time: whom to trust, and who asks."""
        trusted = str(self.archive / "tls" / "ca.pem")
        return ["--cacert", trusted, "-H", f"Authorization: Bearer {self.token}"]


def run() -> list[Figure]:
    """Uploads, a study's retrieval, a series' metadata; medians of `ROUNDS`."""
    need("curl", "Orthanc", "nginx")
    with ground() as folder, desk() as sent, ExitStack() as running:
        ours = running.enter_context(_house(folder / "ours"))
        dicom, http = free_ports(2)
        # every round has a series of its own: what is refused as a duplicate would be no upload
        peer = running.enter_context(orthanc.orthanc(folder / "peer", dicom_port=dicom, http_port=http))
        figures = _uploads(sent, ours, peer)
        figures.append(_metadata(folder, ours, peer))
        figures.append(_study(folder, ours, running))
    return figures


@contextmanager
def _house(folder: Path) -> Iterator[Ours]:
    archive, kept = house.make_archive(folder)
    unlock = ("--unlock-with", f"file:{kept / 'passphrase'}")
    password = kept / "password"
    password.touch(mode=0o600)
    password.write_text("Quartz-Zebra-Lamp-4711!\n")
    person = "Bench Person"
    house.huisclos(
        "user", "add", str(archive), person, "--role", "physician", "--password-file", str(password), *unlock
    )
    may = ("--may", "read,store", "--until", "2099-12-31")
    token = house.huisclos("token", "add", str(archive), "--user", person, *may, *unlock)
    with house.serve(archive, kept, free_ports(len(house.LISTENERS))) as served:
        yield Ours(f"{served.url}/dicom-web", archive, token.strip())


def _uploads(folder: Path, ours: Ours, peer: orthanc.Orthanc) -> list[Figure]:
    """Ours in one request, ours one instance a request, and Orthanc's own, in turns."""
    together: list[float] = []
    apart: list[float] = []
    theirs: list[float] = []
    for number in range(ROUNDS + 1):  # the first round warms everybody
        first = write_series(folder / f"together-{number}", SLICES, 2 * number)
        second = write_series(folder / f"apart-{number}", SLICES, 2 * number + 1)
        whole = _as_multipart(first, folder / f"whole-{number}")
        rates = (
            SLICES / _timed(partial(_stow, ours, whole)),
            SLICES / _timed(partial(_stow_each, ours, second)),
            SLICES / _timed(partial(_upload, peer, first)),
        )
        for series in (first[0].parent, second[0].parent):
            shutil.rmtree(series)
        whole.unlink()
        if number:
            for kept, rate in zip((together, apart, theirs), rates, strict=True):
                kept.append(rate)
    name = "Orthanc (Debian), POST /instances"
    return [
        _figure("STOW-RS over TLS, 512 KB CT, one request", together, theirs, name, 2.0, "instances/s"),
        _figure("STOW-RS over TLS, 512 KB CT, a request each", apart, theirs, name, 2.0, "instances/s"),
    ]


def _study(folder: Path, ours: Ours, running: ExitStack) -> Figure:
    """One study of 105 MB, in parts, beside a file of the same bytes."""
    paths = write_series(folder / "study", STUDY, 10_000)
    _stow(ours, _as_multipart(paths, folder / "study.parts"))
    answer = folder / "served" / "study"
    answer.parent.mkdir()
    url = f"{ours.url}/studies/{_uid(paths[0], 'StudyInstanceUID')}"
    asked = [*ours.client, "-H", f"Accept: {_AS_STORED}", url]
    _curl("-o", str(answer), *asked)
    beside = running.enter_context(_nginx(folder / "nginx", answer.parent, ours.archive / "tls" / "leaf.pem"))
    same = ["--cacert", str(ours.archive / "tls" / "ca.pem"), f"{beside}/{answer.name}"]
    size = answer.stat().st_size / _MEGA
    mine, theirs = _in_turns(lambda: _curl("-o", os.devnull, *asked), lambda: _curl("-o", os.devnull, *same))
    return _figure(
        f"WADO-RS over TLS, a study of {size:.0f} MB",
        [size / seconds for seconds in mine],
        [size / seconds for seconds in theirs],
        "nginx (Debian), the same bytes from a file over TLS",
        0.5,
        "MB/s",
    )


def _metadata(folder: Path, ours: Ours, peer: orthanc.Orthanc) -> Figure:
    """The JSON of a series, once the house has had its few seconds to write it down."""
    paths = _small_series(folder / "described")
    _stow(ours, _as_multipart(paths, folder / "described.parts"))
    _upload(peer, paths)
    _until(lambda: _described(ours.archive, DESCRIBED))
    first = pydicom.dcmread(paths[0], stop_before_pixels=True)
    path = f"/studies/{first.StudyInstanceUID}/series/{first.SeriesInstanceUID}/metadata"
    accept = ("-H", "Accept: application/dicom+json")
    mine, theirs = _in_turns(
        lambda: _curl("-o", os.devnull, *ours.client, *accept, ours.url + path),
        lambda: _curl("-o", os.devnull, *accept, peer.dicomweb + path),
    )
    return _figure(
        f"metadata of a series of {DESCRIBED:,} instances",
        [1 / seconds for seconds in mine],
        [1 / seconds for seconds in theirs],
        "Orthanc (Debian), DICOMweb plugin",
        5.0,
        "answers/s",
    )


def _stow(ours: Ours, body: Path) -> None:
    """One STOW-RS request with all instances."""
    media = f'Content-Type: multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    _curl("-o", os.devnull, *ours.client, "-X", "POST", "-H", media, "-T", str(body), f"{ours.url}/studies")


def _stow_each(ours: Ours, paths: Sequence[Path]) -> None:
    """One STOW-RS request for each instance, over one connection."""
    media = "Content-Type: application/dicom"
    address = f"{ours.url}/studies"
    _curl("-o", os.devnull, *ours.client, "-X", "POST", "-H", media, "-T", _all(paths), address)


def _upload(peer: orthanc.Orthanc, paths: Sequence[Path]) -> None:
    """Orthanc's own upload: one request for each instance, over one connection."""
    _curl("-o", os.devnull, "-X", "POST", "-T", _all(paths), f"{peer.url}/instances")


def _all(paths: Sequence[Path]) -> str:
    return "{" + ",".join(str(path) for path in paths) + "}"


def _curl(*arguments: str) -> None:
    command = [
        program("curl"),
        "--silent",
        "--show-error",
        "--fail",
        "--http1.1",
        "-H",
        "Expect:",
        *arguments,
    ]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": os.defpath})


def _timed(work: Callable[[], None]) -> float:
    at_rest()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _in_turns(mine: Callable[[], None], theirs: Callable[[], None]) -> tuple[list[float], list[float]]:
    """Seconds of each, after one time that warms both."""
    pairs = [(_timed(mine), _timed(theirs)) for _ in range(ROUNDS + 1)][1:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _as_multipart(paths: Sequence[Path], to: Path) -> Path:
    with to.open("wb") as body:
        for path in paths:
            body.write(f"\r\n--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode())
            body.write(path.read_bytes())
        body.write(f"\r\n--{_BOUNDARY}--\r\n".encode())
    return to


def _small_series(folder: Path) -> list[Path]:
    """`DESCRIBED` small instances of one series."""
    slice_ = pydicom.dcmread(io.BytesIO(template()))
    slice_.Rows = slice_.Columns = SMALL_SIDE
    slice_.PixelData = bytes(SMALL_SIDE * SMALL_SIDE * 2)
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = "2.25.4000000001", "2.25.4000000002"
    folder.mkdir()
    paths = []
    for number in range(DESCRIBED):
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.5{number:09}")
        slice_.InstanceNumber = number + 1
        paths.append(folder / f"{number:04}.dcm")
        slice_.save_as(paths[-1], enforce_file_format=True)
    return paths


def _uid(path: Path, keyword: str) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True)[keyword].value)


def _described(archive: Path, instances: int) -> bool:
    """Whether the metadata of the study of so many instances is written; all names are random."""
    folders = (archive / "objects").glob("??/*")
    found = [folder for folder in folders if len(list(folder.glob("*.dcm.age"))) == instances]
    return any(any(folder.glob("*.meta.age")) for folder in found)


def _until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > ends:
            raise RuntimeError("the house did not write the metadata of a quiet series")
        time.sleep(0.5)


@contextmanager
def _nginx(folder: Path, root: Path, certificate: Path) -> Iterator[str]:
    """Serve a folder by nginx over TLS, with our certificate and everything else as it comes; its address."""
    folder.mkdir()
    (port,) = free_ports(1)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes auto;
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl; root {root}; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};
  }}
}}
"""
    )
    for readable in (folder.parent, root):
        readable.chmod(0o711)
    process = subprocess.Popen(
        [program("nginx"), "-c", str(configuration), "-p", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: _speaks(port))
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _speaks(port: int) -> bool:
    try:
        ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    except OSError:
        return False
    return True


def _figure(
    name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, goal: float, unit: str
) -> Figure:
    middle, beside = statistics.median(ours), statistics.median(peer)
    return {
        "name": name,
        "ours": round(middle, 1),
        "peer": round(beside, 1),
        "peer_name": peer_name,
        "ratio": round(middle / beside, 2),
        "goal": goal,
        "unit": unit,
        "runs": {"ours": [round(rate, 1) for rate in ours], "peer": [round(rate, 1) for rate in peer]},
    }
