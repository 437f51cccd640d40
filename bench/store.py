"""C-STORE from DCMTK's stock sender, ours beside Debian's Orthanc: 512 KB slices, and one object of 1 GB.

The two take turns, so that whatever else the machine does falls on both. In a clean environment, which is
a modality's, the sender's Nagle algorithm meets the delayed acknowledgement of a receiver that does nothing
about it: 40 ms for each image. With TCP_NODELAY=1 in the environment of both ends, Orthanc is at its best;
ours is started in a clean environment for both figures. Orthanc answers before its disk has the image, ours
after: on a disk that takes long to flush, or that others flush as well, ours waits for it.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.ground import at_rest, desk, ground
from bench.images import template, write_series
from bench.processes import cpu_seconds, family, highest
from tests.peers import house, orthanc
from tests.tools import need, program

SLICES: Final = 200
CLEAN_SLICES: Final = 60
"""Of Orthanc in a clean environment, which takes a second for twenty."""
ROUNDS: Final = 7
ENVIRONMENTS: Final[dict[str, tuple[dict[str, str], float]]] = {
    "clean environment": ({}, 10.0),
    "TCP_NODELAY=1": ({"TCP_NODELAY": "1"}, 2.0),
}
"""Environments of the sender and of Orthanc, over their path alone; the least ratio in each."""
TOGETHER: Final = (2, 4)
"""Associations at one time, beside one alone: senders and receiver share the processors."""
TOGETHER_GOAL: Final = 0.9
LARGE: Final = 1024**3
"""Bytes of pixels of the large object."""
LARGE_ROUNDS: Final = 5
START_SECONDS: Final = 10.0
ADDED: Final = 64.0
"""MB that receiving the large object may add to all processes together."""
_MEGA: Final = 1e6
PIXELS: Final = b"\xe0\x7f\x10\x00OW\0\0"
"""How Pixel Data begins (7FE0,0010)."""

Figure = dict[str, Any]


@dataclass
class Side:
    """One receiver, and what was measured of it."""

    title: str
    port: int
    folder: Path | None
    """Named on the command line of its processes; None if they are not to be looked at."""
    rates: list[float] = field(default_factory=list)
    """Instances a second."""
    costs: list[float] = field(default_factory=list)
    """Milliseconds of the processors for one instance."""

    def measure(self, series: Sequence[Path], environment: dict[str, str]) -> None:
        """Send each series over an association of its own, all at one time."""
        count = sum(len(list(one.iterdir())) for one in series)
        pids = family(self.folder) if self.folder is not None else []
        at_rest()
        before, began = cpu_seconds(pids), time.perf_counter()
        send(series, self.title, self.port, environment)
        self.rates.append(count / (time.perf_counter() - began))
        self.costs.append((cpu_seconds(pids) - before) / count * 1000)


class Pictures:
    """New series, no two alike: what is sent twice would be a duplicate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def series(self, slices: int = SLICES) -> Path:
        """A folder with one more series."""
        self._number += 1
        made = self._folder / str(self._number)
        write_series(made, slices, self._number)
        return made

    def forget(self) -> None:
        """Remove the series there are: they were sent."""
        for series in self._folder.iterdir():
            shutil.rmtree(series)


def run() -> list[Figure]:
    """Rates and costs beside Orthanc's, associations together, and the memory of a large object."""
    need("storescu", "Orthanc")
    with ground() as folder, desk() as sent, ExitStack() as running:
        archive, kept = house.make_archive(folder / "ours")
        served = running.enter_context(house.serve(archive, kept, free_ports(len(house.LISTENERS))))
        pictures = Pictures(sent)
        figures: list[Figure] = []
        for place, (name, (environment, goal)) in enumerate(ENVIRONMENTS.items()):
            dicom, http = free_ports(2)
            store = folder / f"orthanc-{place}"
            with (
                orthanc.orthanc(store, dicom_port=dicom, http_port=http, environment=environment) as peer,
                nothing(environment) as port,
            ):
                mine = Side(served.title, served.dicom_port, archive)
                theirs = Side(peer.title, peer.dicom_port, store)
                figures += _beside(name, goal, pictures, environment, (mine, theirs, Side("ANY", port, None)))
        figures += _together(pictures, served, archive)
        figures.append(_large(folder, served, archive))
    return figures


@contextmanager
def nothing(environment: dict[str, str]) -> Iterator[int]:
    """The port of DCMTK's own receiver, told to forget what comes: as fast as the sender can be."""
    (port,) = free_ports(1)
    command = [program("storescp"), "--ignore", str(port)]
    clean = {"PATH": os.defpath, **environment}
    with subprocess.Popen(
        command, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _until_it_listens(port)
            yield port
        finally:
            process.terminate()


def _until_it_listens(port: int) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("storescp does not listen")


def _beside(
    name: str, goal: float, pictures: Pictures, environment: dict[str, str], sides: tuple[Side, Side, Side]
) -> list[Figure]:
    """One association, the receivers in turns: ours, Orthanc, nothing. The first round warms them."""
    mine, theirs, limit = sides
    slow = SLICES if environment else CLEAN_SLICES
    for _ in range(ROUNDS + 1):
        for side, slices in ((mine, SLICES), (theirs, slow), (limit, slow)):
            pictures.forget()
            side.measure([pictures.series(slices)], environment)
    what, peer = f"C-STORE, 512 KB CT, stock sender, {name}", "Orthanc (Debian)"
    costs = _figure(f"{what}: processors", mine.costs[1:], theirs.costs[1:], peer, None, "ms an instance")
    costs["ratio"] = round(costs["peer"] / costs["ours"], 2)
    return [
        _figure(what, mine.rates[1:], theirs.rates[1:], peer, goal, "instances/s"),
        _figure(what, mine.rates[1:], limit.rates[1:], "storescp --ignore", None, "instances/s"),
        costs,
    ]


def _together(pictures: Pictures, served: house.House, archive: Path) -> list[Figure]:
    """Several associations at one time beside one, in turns; each sender starts for as many slices."""
    environment = {"TCP_NODELAY": "1"}
    sides = {count: Side(served.title, served.dicom_port, archive) for count in (1, *TOGETHER)}
    for _ in range(ROUNDS):
        for count, side in sides.items():
            pictures.forget()
            side.measure([pictures.series() for _ in range(count)], environment)
    return [
        _figure(
            f"C-STORE, {count} associations together",
            sides[count].rates,
            sides[1].rates,
            "one association",
            TOGETHER_GOAL,
            "instances/s",
        )
        for count in TOGETHER
    ]


def _large(folder: Path, served: house.House, archive: Path) -> Figure:
    """What an object of 1 GB adds to the memory of all our processes while it comes."""
    added = []
    for number in range(LARGE_ROUNDS):
        sent = folder / f"large-{number}"
        sent.mkdir()
        _write_large(sent / "large.dcm", number)
        with highest(family(archive)) as seen:
            send([sent], served.title, served.dicom_port, {})
        added.append((seen[-1] - seen[0]) / _MEGA)
        (sent / "large.dcm").unlink()
    ours = max(statistics.median(added), 0.1)
    return {
        "name": "C-STORE of 1 GB: memory added, all processes",
        "ours": round(ours, 1),
        "peer": ADDED,
        "peer_name": "bound",
        "ratio": round(ADDED / ours, 2),
        "goal": 1.0,
        "unit": "MB",
        "runs": {"ours": [round(one, 1) for one in added], "peer": []},
    }


def _write_large(path: Path, number: int) -> None:
    """A slice whose pixels go on for 1 GB; the file has a hole where they are."""
    made = template().replace(b"2.25.3" + b"0" * 9, b"2.25.39%08d" % number)
    head = made[: made.index(PIXELS)]
    with path.open("wb") as file:
        file.write(head + PIXELS + LARGE.to_bytes(4, "little"))
        file.truncate(file.tell() + LARGE)


def send(series: Sequence[Path], title: str, port: int, environment: dict[str, str]) -> None:
    """Send each series with a sender of its own, all at one time, their starts included."""
    common = [program("storescu"), "-aec", title, "127.0.0.1", str(port), "+sd"]
    clean = {"PATH": os.defpath, **environment}
    senders = [
        subprocess.Popen([*common, str(one)], env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for one in series
    ]
    for sender in senders:
        if sender.wait():
            raise RuntimeError(f"storescu ends with {sender.returncode}")


def _figure(
    name: str, ours: list[float], peer: list[float], peer_name: str, goal: float | None, unit: str
) -> Figure:
    middle, beside = statistics.median(ours), statistics.median(peer)
    return {
        "name": name,
        "ours": round(middle, 2),
        "peer": round(beside, 2),
        "peer_name": peer_name,
        "ratio": round(middle / beside, 2),
        "goal": goal,
        "unit": unit,
        "runs": {"ours": [round(one, 2) for one in ours], "peer": [round(one, 2) for one in peer]},
    }


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
