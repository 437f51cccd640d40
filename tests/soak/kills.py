"""`kill -9`, a thousand times, over stores, retrievals and reindexing: what was acknowledged is there.

    python -m tests.soak.kills [--kills 1000] [--seed N] [--json FILE]

Each process of the house is killed at random moments while one peer stores and one reader retrieves; a dead
supervisor is served again at once, a dead vault is unlocked again; now and then a `reindex` runs, and is
killed itself. Every hundred kills, and at the end, everything is held still: `verify` and the journal's own
check must find nothing, and every instance acknowledged since is retrieved and compared, byte for byte.
Ends with 1 when anything acknowledged is not there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.journey.living import Living, make, until
from tests.peers.house import program
from tests.soak.traffic import Reader, Sender, missing

EVERY: Final = 100
"""Kills between two checks of everything."""
ROLES: Final = ("vault", "reception", "web", "gate", "finder", "scribe", "cage", "supervisor")
WEIGHTS: Final = (3, 6, 3, 1, 4, 3, 1, 1)
"""Reception and finder, where a store lives, die oftenest; the supervisor's death costs a whole start."""


class Kills:
    """One run."""

    def __init__(self, house: Living, seed: int) -> None:
        self.house = house
        self.sender = Sender(house)
        self.reader = Reader(house, self.sender, seed)
        self.killed: Counter[str] = Counter()
        self.gone: list[str] = []
        self._random = random.Random(seed)
        self._checked = 0

    def run(self, kills: int) -> None:
        """Kill so many times."""
        self.house.serve()
        self.sender.begin()
        self.reader.begin()
        for number in range(1, kills + 1):
            time.sleep(self._random.random() * 0.5)
            self._kill(self._random.choices(ROLES, WEIGHTS)[0])
            if number % 25 == 0:
                self._reindex()
            if number % EVERY == 0 or number == kills:
                self._check_everything()
                print(f"{number} kills, {self.sender.count} acknowledged, {len(self.gone)} gone", flush=True)
        self.reader.end()
        self.sender.end()

    def _kill(self, role: str) -> None:
        self.killed[role] += 1
        if role == "supervisor":
            self.house.kill()
            self.house.serve()
            return
        before = self.house.processes().get(role)
        if before is None:
            self._unlock()
            until(lambda: role in self.house.processes(), 45, f"there is a {role}")
            before = self.house.processes()[role]
        with contextlib.suppress(ProcessLookupError):
            os.kill(before, signal.SIGKILL)
        until(lambda: self._back(role, before), 45, f"a new {role}")
        if role == "vault":
            self._unlock()

    def _back(self, role: str, before: int) -> bool:
        now = self.house.processes()
        # Finder and scribe are there only while the archive is unlocked.
        return now.get(role, before) != before or (role in ("finder", "scribe") and "finder" not in now)

    def _unlock(self) -> None:
        self.house.try_("unlock", str(self.house.archive), "--unlock-with", self.house.recovery)

    def _reindex(self) -> None:
        """Start a reindexing; half of them are killed before they end."""
        command = [program(), "reindex", str(self.house.archive), "--unlock-with", self.house.recovery]
        ran = subprocess.Popen(
            command, env=self.house.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if self._random.random() < 0.5:
            time.sleep(self._random.random() * 2)
            ran.kill()
            self.killed["reindex"] += 1
        ran.wait(120)

    def _check_everything(self) -> None:
        self.sender.hold()
        self.reader.hold()
        try:
            until(self._is_open, 30, "the archive is unlocked")
            until(lambda: not self.house.batched(), 60, "batches are settled")
            studies = self.sender.sent[self._checked :]
            lasts = time.monotonic() + 30
            # What was durable and not registered is caught up soon after the unlocking, not at once.
            while (gone := missing(self.house, studies)) and time.monotonic() < lasts:
                time.sleep(0.5)
            self.gone += gone
            self._checked = len(self.sender.sent) - 1
            problems = self.house.json("verify", str(self.house.archive))["problems"]
            assert not problems, problems
            assert self.house.json("journal", "verify", str(self.house.archive))["holds"]
        finally:
            self.sender.resume()
            self.reader.resume()

    def _is_open(self) -> bool:
        if self.house.status()["locked"]:
            self._unlock()
        return self.house.status()["contents"] is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFF, help="of the random choices")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hk", dir="/tmp", ignore_cleanup_errors=True) as folder:
        house = make(Path(folder) / "house")
        run = Kills(house, asked.seed)
        try:
            run.run(asked.kills)
        finally:
            if house.process is not None:
                house.stop()
    figures = {
        "kills": dict(run.killed),
        "acknowledged": run.sender.count,
        "gone": len(run.gone),
        "stores answered with a failure": run.sender.refused,
        "stores without an answer": run.sender.lost,
        "retrieved and the same": run.reader.same,
        "retrieved while away": run.reader.away,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if run.gone else 0


if __name__ == "__main__":
    sys.exit(main())
