"""Asking 2,000 DICOM servers whether they stand open, beside nmap's dicom-ping: both commands whole.

nmap comes to one verdict a server, whether any title is taken, from the first byte of one answer; ours to
six, each proved by an answer, over one association that is released: five answers are waited for, not one.

How long servers take over an answer decides who is ahead, so that there are several kinds: 5 ms is a quick
one beside us, 50 ms a busy one or one behind a line, 200 ms one that is slow or far; those that answer at
once show what is left when all time is the programs' own and the kernel's. nmap is run as one would, without
a word on how much at once, which is 20 sockets of scripts; and as fast as it goes. The goal of ten times is
one of servers a second beside the first, and is missed where servers are quick; proved verdicts a second, six
a server beside nmap's one, are shown with it and have no goal: docs/performance.md.
"""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.dicom_servers import address

SERVERS: Final = 2000
RUNS: Final = 5
CHECKS: Final = ("DCM-002", "DCM-003", "DCM-005", "DCM-006", "DCM-009", "DCM-015")
GOAL: Final = 10.0
MILLISECONDS: Final = (200, 50, 5, 0)
"""that a server takes over an answer"""
_FOUND: Final = "DICOM Service Provider discovered"
# As the goal words it, but for names: where no resolver answers, nmap waits two minutes for theirs.
_PLAIN: Final = ("-n",)
# No host to wait for, not twenty at a time: the fastest of eight sets of options, on each kind of server.
_FASTEST: Final = ("-Pn", "-n", "-sT", "--max-parallelism", "1000")
_HERE: Final = Path(__file__).resolve().parent


def run() -> list[dict[str, Any]]:
    """Proved verdicts and servers a second, for each kind of server."""
    if shutil.which("nmap") is None:
        return []
    with tempfile.TemporaryDirectory(prefix="huisclos-") as folder:
        return [figure for milliseconds in MILLISECONDS for figure in _figures(Path(folder), milliseconds)]


def _figures(folder: Path, milliseconds: int) -> list[dict[str, Any]]:
    ours: list[float] = []
    plain: list[float] = []
    fastest: list[float] = []
    with _servers(milliseconds) as (port, at_once):
        for _ in range(RUNS):
            at_once()
            ours.append(_ours(folder, port))
            if twice := at_once():
                raise RuntimeError(f"{twice} connections to a server while another stood")
            plain.append(_nmap(folder, port, _PLAIN))
            fastest.append(_nmap(folder, port, _FASTEST))
    name = f"doors probe, {SERVERS} servers that answer " + (
        f"in {milliseconds} ms" if milliseconds else "at once"
    )
    quick = {"peer_name": "nmap dicom-ping at its fastest"}
    verdicts = (ours, len(CHECKS))
    return [
        _figure(f"{name}, verdicts", "verdicts/s", verdicts, (plain, 1)),
        _figure(f"{name}, verdicts, beside the fastest", "verdicts/s", verdicts, (fastest, 1)) | quick,
        _figure(f"{name}, servers", "servers/s", (ours, 1), (plain, 1)) | {"goal": GOAL},
        _figure(f"{name}, servers, beside the fastest", "servers/s", (ours, 1), (fastest, 1)) | quick,
    ]


def _figure(
    name: str, unit: str, ours: tuple[list[float], int], peer: tuple[list[float], int]
) -> dict[str, Any]:
    rates = [[round(SERVERS * each / seconds, 1) for seconds in times] for times, each in (ours, peer)]
    medians = [statistics.median(one) for one in rates]
    return {
        "name": name,
        "ours": medians[0],
        "peer": medians[1],
        "peer_name": "nmap dicom-ping",
        "ratio": round(medians[0] / medians[1], 2),
        "goal": None,
        "unit": unit,
        "runs": {"ours": rates[0], "peer": rates[1]},
    }


def _ours(folder: Path, port: int) -> float:
    """Seconds of the whole command; raises `RuntimeError` unless each verdict is there, and proved."""
    report = folder / "report.json"
    targets = [f"{address(number)}:{port}" for number in range(SERVERS)]
    command = [sys.executable, "-m", "huisclos", "doors", "probe", *targets]
    started = time.perf_counter()
    with report.open("wb") as file:
        subprocess.run([*command, "--checks", ",".join(CHECKS), "--json", "-"], stdout=file, check=False)
    seconds = time.perf_counter() - started
    proved = sum(one["verdict"] == "proved" for one in json.loads(report.read_bytes())["findings"])
    if proved != SERVERS * len(CHECKS):
        raise RuntimeError(f"{proved} of {SERVERS * len(CHECKS)} verdicts were proved")
    return seconds


def _nmap(folder: Path, port: int, options: tuple[str, ...]) -> float:
    """Seconds of the whole command; raises `RuntimeError` unless it found each server."""
    targets = folder / "targets"
    targets.write_text("\n".join(address(number) for number in range(SERVERS)))
    command = ["nmap", *options, "--script", "dicom-ping", "-p", str(port), "-iL", str(targets)]
    started = time.perf_counter()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - started
    if said.count(_FOUND) != SERVERS:
        raise RuntimeError(f"nmap found {said.count(_FOUND)} of {SERVERS}")
    return seconds


@contextmanager
def _servers(milliseconds: int) -> Iterator[tuple[int, Callable[[], int]]]:
    """The servers' port; and how many connections came to one while another stood, since the last time."""
    # dicom-ping looks at this port, and at no free one.
    port = 11112
    command = [sys.executable, str(_HERE / "dicom_servers.py"), str(port), str(SERVERS), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout
        assert said is not None  # noqa: S101 - asked for above

        def at_once() -> int:
            process.send_signal(signal.SIGUSR1)
            return int(said.readline().removeprefix("at once "))

        try:
            if said.readline() != "ready\n":
                raise RuntimeError("the servers did not start")
            yield port, at_once
        finally:
            process.terminate()
