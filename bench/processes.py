"""What running processes cost, as Linux accounts for it: time of the processors, and memory."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
_EVERY: Final = 0.05
"""Seconds between two looks at memory."""


def family(named: Path) -> list[int]:
    """The processes whose command line has the path `named` in it, and their children's children."""
    first = [
        int(one.name)
        for one in _PROC.iterdir()
        if one.name.isdigit() and str(named).encode() in _read(one / "cmdline")
    ]
    return descendants(first)


def descendants(first: list[int]) -> list[int]:
    """These processes, and their children's children."""
    left, found = list(first), list[int]()
    while left:
        pid = left.pop()
        if pid not in found:
            found.append(pid)
            left += [int(child) for child in _read(_PROC / str(pid) / "task" / str(pid) / "children").split()]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """What these processes have taken of the processors until now, in user and kernel mode."""
    total = 0
    for pid in pids:
        behind_name = _read(_PROC / str(pid) / "stat").rpartition(b") ")[2].split()
        total += sum(map(int, behind_name[11:13]))
    return total / _TICKS


def memory(pids: list[int]) -> int:
    """Bytes these processes hold, what they share counted once (PSS)."""
    total = 0
    for pid in pids:
        for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@contextlib.contextmanager
def highest(pids: list[int]) -> Iterator[list[int]]:
    """Looks at their memory while the block runs; the highest is the last of the list it gives."""
    seen, end = [memory(pids)], threading.Event()

    def look() -> None:
        while not end.wait(_EVERY):
            seen.append(max(seen[-1], memory(pids)))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        end.set()
        looking.join()


def _read(path: Path) -> bytes:
    """What a file of `/proc` says; nothing when its process is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
