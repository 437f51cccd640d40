"""C-STORE from DCMTK's stock sender: one association, 100 slices of 512 KB, ours beside Debian's Orthanc.

The two take turns, so that whatever else the machine does falls on both. In a clean environment, which is
a modality's, the sender's Nagle algorithm meets the delayed acknowledgement of a receiver that does nothing
about it: 40 ms for each image. With TCP_NODELAY=1 in the environment of both ends, Orthanc is at its best;
ours is started in a clean environment for both figures.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench.images import write_series
from tests.peers import house, orthanc
from tests.tools import program

SLICES: Final = 100
ROUNDS: Final = 5
ENVIRONMENTS: Final[dict[str, dict[str, str]]] = {"clean": {}, "TCP_NODELAY=1": {"TCP_NODELAY": "1"}}
"""Environments of the sender and of Orthanc, over their path alone."""
GOAL: Final = 1.0
"""Least ratio of our rate to Orthanc's."""


def run() -> list[dict[str, Any]]:
    """One figure for each environment of the sender: instances a second, the median of the rounds."""
    with tempfile.TemporaryDirectory(prefix="hcbench") as work, ExitStack() as running:
        folder = Path(work)
        archive, kept = house.make_archive(folder / "ours")
        ours = running.enter_context(house.serve(archive, kept, free_ports(len(house.LISTENERS))))
        rates: dict[str, tuple[list[float], list[float]]] = {}
        for place, (name, environment) in enumerate(ENVIRONMENTS.items()):
            dicom, http = free_ports(2)
            with orthanc.orthanc(
                folder / f"orthanc-{place}", dicom_port=dicom, http_port=http, environment=environment
            ) as peer:
                rates[name] = ([], [])
                for number in range(ROUNDS):
                    images = folder / f"series-{place}-{number}"
                    write_series(images, SLICES, number * len(ENVIRONMENTS) + place)
                    rates[name][0].append(send(images, ours.title, ours.dicom_port, environment))
                    rates[name][1].append(send(images, peer.title, peer.dicom_port, environment))
    return [_figure(name, mine, theirs) for name, (mine, theirs) in rates.items()]


def send(images: Path, title: str, port: int, environment: dict[str, str]) -> float:
    """Instances a second over one association, the sender's start included."""
    command = [program("storescu"), "-aec", title, "127.0.0.1", str(port), "+sd", str(images)]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={"PATH": os.defpath, **environment})
    return SLICES / (time.perf_counter() - began)


def _figure(environment: str, ours: list[float], peer: list[float]) -> dict[str, Any]:
    middle, beside = statistics.median(ours), statistics.median(peer)
    return {
        "name": f"C-STORE, 512 KB CT, stock sender, {environment}",
        "ours": round(middle, 1),
        "peer": round(beside, 1),
        "peer_name": "Orthanc (Debian)",
        "ratio": round(middle / beside, 2),
        "goal": GOAL,
        "unit": "instances/s",
        "runs": {"ours": [round(rate, 1) for rate in ours], "peer": [round(rate, 1) for rate in peer]},
    }


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
