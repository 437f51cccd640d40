"""Asking 2,000 DICOM servers whether they stand open, beside nmap's dicom-ping: both commands whole.

nmap comes to one verdict a server, whether any title is taken, from the first byte of one answer; ours to
six, each proved by an answer, over one association that is released. Servers that take 5 ms over each answer
are like those there are; those that answer at once show what is left of the difference when all time is the
programs' own and the kernel's. The goal of ten times is one of servers a second, and is missed:
docs/performance.md says what the floor is.
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
LEAST: Final = 0.4
"""times nmap's servers a second, at six verdicts each instead of one, also where others load the machine"""
_FOUND: Final = "DICOM Service Provider discovered"
# No name to look up, no host to wait for: the fastest of six sets of options tried, on both kinds of server.
_NMAP: Final = ("-Pn", "-n", "-sT", "--script", "dicom-ping")
_HERE: Final = Path(__file__).resolve().parent


def run() -> list[dict[str, Any]]:
    """Proved verdicts and servers a second, for both kinds of server."""
    if shutil.which("nmap") is None:
        return []
    with tempfile.TemporaryDirectory(prefix="huisclos-") as folder:
        return [figure for milliseconds in (5, 0) for figure in _figures(Path(folder), milliseconds)]


def _figures(folder: Path, milliseconds: int) -> list[dict[str, Any]]:
    ours: list[float] = []
    peer: list[float] = []
    with _servers(milliseconds) as (port, at_once):
        for _ in range(RUNS):
            at_once()
            ours.append(_ours(folder, port))
            if twice := at_once():
                raise RuntimeError(f"{twice} connections to a server while another stood")
            peer.append(_nmap(folder, port))
    name = f"doors probe, {SERVERS} servers that answer " + (
        f"in {milliseconds} ms" if milliseconds else "at once"
    )
    goal = GOAL if milliseconds else None
    return [
        _figure(f"{name}, servers", "servers/s", goal, (ours, 1), (peer, 1))
        | ({"least": LEAST} if goal else {}),
        _figure(f"{name}, verdicts", "verdicts/s", None, (ours, len(CHECKS)), (peer, 1)),
    ]


def _figure(
    name: str, unit: str, goal: float | None, ours: tuple[list[float], int], peer: tuple[list[float], int]
) -> dict[str, Any]:
    rates = [[round(SERVERS * each / seconds, 1) for seconds in times] for times, each in (ours, peer)]
    medians = [statistics.median(one) for one in rates]
    return {
        "name": name,
        "ours": medians[0],
        "peer": medians[1],
        "peer_name": "nmap dicom-ping",
        "ratio": round(medians[0] / medians[1], 2),
        "goal": goal,
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


def _nmap(folder: Path, port: int) -> float:
    """Seconds of the whole command; raises `RuntimeError` unless it found each server."""
    targets = folder / "targets"
    targets.write_text("\n".join(address(number) for number in range(SERVERS)))
    command = ["nmap", *_NMAP, "-p", str(port), "-iL", str(targets)]
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
