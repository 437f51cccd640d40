"""An hour of an ordinary practice's work, all at once: memory, descriptors and latency stay what they were.

    python -m tests.soak.hour [--minutes 60] [--json FILE]

One peer stores, one reader searches and retrieves, somebody looks at pages, and every few minutes the archive
is locked and unlocked (the sender goes on: the night drop). Once a minute the memory (PSS) and the open
descriptors of each process are written down. Ends with 1 when the last quarter of the run is worse than the
second by more than the bounds below: the first is warming up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from tests.journey.living import Living, Person, make, role_of, until
from tests.soak.traffic import Background, Latencies, Reader, Sender

GROWTH: Final = 1.15
"""Most that memory may grow by, apart from what each study costs in memory by design (`PER_STUDY`)."""
PER_STUDY: Final = 8 * 1024
"""Octets of PSS that one more study may cost the finder."""
FLOOR: Final = 8 * 1024 * 1024
"""Octets: growth below this is the allocator's."""
SLOWER: Final = 1.5
"""Most that a median latency may grow by: machines are shared."""
LOCK_EVERY: Final = 300.0
"""Seconds."""


@dataclass
class Moment:
    """What was seen once."""

    at: float
    studies: int
    memory: dict[str, int]
    """Role to octets, PSS."""
    descriptors: dict[str, int]
    stores: int
    """How many latencies there were, so that a part of the run can be told."""
    retrievals: int


class Looker(Background):
    """Somebody who looks at pages."""

    def __init__(self, house: Living) -> None:
        super().__init__()
        self._house = house
        self._person: Person | None = None
        self.took = Latencies()
        self.away = 0

    def step(self) -> None:
        """The list, the state, the journal."""
        time.sleep(0.5)
        try:
            self._person = self._person or self._house.person("owner")
            for path in ("/studies", "/state", "/journal"):
                with self.took.measured():
                    answer = self._person.get(path)
                if answer.status_code != 200:
                    self.away += 1
                    self._person = None
                    return
        except (httpx.HTTPError, AssertionError):
            # The log-in too is refused while the archive is locked.
            self.away += 1
            self._person = None


@dataclass
class Hour:
    """One run."""

    house: Living
    seconds: float
    moments: list[Moment] = field(default_factory=list)
    locks: int = 0

    def run(self) -> None:
        """Until the time is over."""
        self.house.serve()
        self.sender = Sender(self.house)
        self.reader, self.looker = Reader(self.house, self.sender), Looker(self.house)
        workers = (self.sender, self.reader, self.looker)
        for worker in workers:
            worker.begin()
        began = time.monotonic()
        next_lock, next_look = began + LOCK_EVERY / 2, began + self.seconds / 60
        while (now := time.monotonic()) < began + self.seconds:
            time.sleep(0.5)
            for worker in workers:
                worker.check()
            if now >= next_look:
                next_look += self.seconds / 60
                self._look(now - began)
            if now >= next_lock:
                next_lock += LOCK_EVERY
                self._lock_and_unlock()
        for worker in workers:
            worker.end()
        until(lambda: not self.house.batched(), 60, "batches are settled")

    def _lock_and_unlock(self) -> None:
        self.house.lock()
        time.sleep(3)
        self.house.run("unlock", str(self.house.archive), "--unlock-with", self.house.recovery)
        self.locks += 1

    def _look(self, at: float) -> None:
        memory: dict[str, int] = defaultdict(int)
        descriptors: dict[str, int] = defaultdict(int)
        supervisor = psutil.Process(self.house.supervisor)
        for process in (supervisor, *supervisor.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                role = "supervisor" if process == supervisor else role_of(process)
                memory[role] += process.memory_full_info().pss
                descriptors[role] += process.num_fds()
        moment = Moment(
            at, len(self.sender.sent), dict(memory), dict(descriptors),
            len(self.sender.took.seconds), len(self.reader.took.seconds),
        )  # fmt: skip
        self.moments.append(moment)
        print(
            f"{at:5.0f} s  {moment.studies} studies  {sum(memory.values()) / 1e6:.0f} MB  "
            f"{sum(descriptors.values())} descriptors  store {self.sender.took.at(0.5, -200)} ms  "
            f"retrieve {self.reader.took.at(0.5, -200)} ms",
            flush=True,
        )

    def judged(self) -> dict[str, Any]:
        """The figures, and what is worse at the end than it was."""
        quarter = max(1, len(self.moments) // 4)
        early, late = self.moments[quarter : 2 * quarter], self.moments[-quarter:]
        worse: list[str] = []
        studies = late[-1].studies - early[0].studies
        for role in late[-1].memory:
            before, after = (_median(some, "memory", role) for some in (early, late))
            allowed = before * GROWTH + FLOOR + (studies * PER_STUDY if role == "finder" else 0)
            if after > allowed:
                worse.append(f"memory of {role}: {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB")
            before, after = (_median(some, "descriptors", role) for some in (early, late))
            if after > before + 8:
                worse.append(f"descriptors of {role}: {before:.0f}, then {after:.0f}")
        latencies = {}
        for name, took, mark in (
            ("store", self.sender.took, "stores"),
            ("retrieve", self.reader.took, "retrievals"),
        ):
            marks = [getattr(moment, mark) for moment in self.moments]
            parts = took.seconds[marks[quarter] : marks[2 * quarter]], took.seconds[marks[-quarter] :]
            before, after = (round(statistics.median(part) * 1000, 1) if part else 0.0 for part in parts)
            latencies[name] = {"second quarter": before, "last quarter": after, "p99": took.at(0.99)}
            if after > before * SLOWER:
                worse.append(f"{name}: {before} ms, then {after} ms")
        return {
            "seconds": round(self.seconds),
            "studies": self.moments[-1].studies,
            "stored": self.sender.count,
            "retrieved and the same": self.reader.same,
            "pages": len(self.looker.took.seconds),
            "locked and unlocked": self.locks,
            "memory, MB": [round(sum(moment.memory.values()) / 1e6) for moment in self.moments],
            "descriptors": [sum(moment.descriptors.values()) for moment in self.moments],
            "median latency, ms": latencies,
            "worse": worse,
        }


def _median(moments: Sequence[Moment], what: str, role: str) -> float:
    amounts: list[int] = [getattr(moment, what).get(role, 0) for moment in moments]
    return statistics.median(amounts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hs", dir="/tmp", ignore_cleanup_errors=True) as folder:
        house = make(Path(folder) / "house")
        hour = Hour(house, asked.minutes * 60)
        try:
            hour.run()
        finally:
            if house.process is not None:
                house.stop()
    figures = hour.judged()
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if figures["worse"] else 0


if __name__ == "__main__":
    sys.exit(main())
