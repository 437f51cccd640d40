"""What a house holds in memory while nobody asks it anything, all its processes together (PSS).

What an object of 1 GB adds while it comes is in `bench/store.py`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.processes import family, memory
from bench.store import free_ports
from tests.peers import house

BOUND: Final = 350.0
"""MB."""
SETTLING: Final = 20.0
"""Seconds after the start: the house has looked at its doors by then."""
LOOKS: Final = 5
BETWEEN: Final = 2.0
_MEGA: Final = 1e6


def run() -> list[dict[str, Any]]:
    """The median of some looks at a house that is unlocked and left alone."""
    with tempfile.TemporaryDirectory(prefix="hcbench") as work:
        archive, kept = house.make_archive(Path(work) / "ours")
        with house.serve(archive, kept, free_ports(len(house.LISTENERS))):
            time.sleep(SETTLING)
            seen = []
            for _ in range(LOOKS):
                seen.append(memory(family(archive)) / _MEGA)
                time.sleep(BETWEEN)
    ours = statistics.median(seen)
    return [
        {
            "name": "idle and unlocked: memory of all processes",
            "ours": round(ours, 1),
            "peer": BOUND,
            "peer_name": "bound",
            "ratio": round(BOUND / ours, 2),
            "goal": 1.0,
            "unit": "MB",
            "runs": {"ours": [round(one, 1) for one in seen], "peer": []},
        }
    ]
