"""Files at rest: 200,000 of them, a tenth DICOM, beside `file --mime-type` over a fifth of the same tree.

Memory is that of all processes together (PSS), the highest of looks all along: of a fifth of the tree, of the
tree, and of as many files in one folder. That it stays as it is however large the tree is the goal.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.processes import descendants, memory
from tests.doors.test_rest import encode, image

FILES: Final = 200_000
PART: Final = 40_000
FOLDER: Final = 1_000
"""files of one folder"""
RUNS: Final = 3
RATE_GOAL: Final = 3.0
MEMORY_GOAL: Final = 0.8
"""a fifth of the tree's memory, divided by the tree's"""
_EVERY: Final = 0.05
_MEGA: Final = 1e6


def run() -> list[dict[str, Any]]:
    """The rate beside `file`'s, and the memory beside that of a fifth of the tree."""
    if shutil.which("file") is None:
        return []
    with tempfile.TemporaryDirectory(prefix="huisclos-") as work:
        folder = Path(work)
        spread, flat = folder / "spread", folder / "flat"
        _fill(spread / "part", PART, FOLDER)
        _fill(spread / "rest", FILES - PART, FOLDER)
        _fill(flat, FILES, FILES)
        listed = folder / "list"
        listed.write_text("".join(f"{one}\n" for one in (spread / "part").rglob("*") if one.is_file()))
        part = [_ours(spread / "part")[1] for _ in range(RUNS)]
        ours, peer = [], []
        for _ in range(RUNS):
            ours.append(_ours(spread))
            peer.append(_file(listed))
        wide = [_ours(flat)[1] for _ in range(RUNS)]
    rates = [[round(FILES / one[0]) for one in ours], [round(PART / one) for one in peer]]
    name = f"doors rest, {FILES:,} files"
    return [
        _figure(name, "files/s", RATE_GOAL, rates[0], rates[1], "file --mime-type"),
        _figure(f"{name}, memory", "MB", MEMORY_GOAL, [one[1] for one in ours], part, f"{PART:,} files"),
        _figure(f"{name} in one folder, memory", "MB", None, wide, part, f"{PART:,} files"),
    ]


def _figure(
    name: str, unit: str, goal: float | None, ours: Sequence[float], peer: Sequence[float], beside: str
) -> dict[str, Any]:
    medians = [statistics.median(one) for one in (ours, peer)]
    ratio = medians[1] / medians[0] if unit == "MB" else medians[0] / medians[1]
    return {
        "name": name,
        "ours": round(medians[0], 1),
        "peer": round(medians[1], 1),
        "peer_name": beside,
        "ratio": round(ratio, 2),
        "goal": goal,
        "unit": unit,
        "runs": {"ours": [round(one, 1) for one in ours], "peer": [round(one, 1) for one in peer]},
    }


def _fill(root: Path, files: int, each: int) -> None:
    """Invented images and lines of text, `each` to a folder."""
    images = [
        encode(image(f"INVENTED^P{number}", f"P{number}", f"20{10 + number % 9}0203")) for number in range(40)
    ]
    for number in range(files):
        folder = root / f"{number // each:04d}"
        if number % each == 0:
            folder.mkdir(parents=True)
        if number % 10 == 0:
            (folder / f"{number}.dcm").write_bytes(images[number % len(images)])
        else:
            (folder / f"{number}.txt").write_bytes(b"one of %d lines of text\n" % number * 20)


def _ours(root: Path) -> tuple[float, float]:
    """Seconds of the whole command, and megabytes at most."""
    began, highest = time.monotonic(), 0
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("huisclos")), "doors", "rest", str(root)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while process.poll() is None:
            highest = max(highest, memory(descendants([process.pid])))
            time.sleep(_EVERY)
        seconds = time.monotonic() - began
    return seconds, highest / _MEGA


def _file(listed: Path) -> float:
    began = time.monotonic()
    subprocess.run(["file", "--mime-type", "-f", str(listed)], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began
