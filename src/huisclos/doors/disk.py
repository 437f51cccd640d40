"""Is the disk below a folder encrypted: what Linux says of the chain of devices; else nothing is claimed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason

BLOCKS: Final = Path("/sys/dev/block")
_MAX_DEPTH: Final = 8


def probe_disk(path: Path, blocks: Path = BLOCKS) -> Seen:
    """LUKS or plain, by the device-mapper identity of each device below the file system."""
    try:
        number = path.stat().st_dev
    except OSError:
        return Miss(("RST-015",), str(path), Reason.UNREADABLE)
    device = blocks / f"{os.major(number)}:{os.minor(number)}"
    if os.major(number) == 0 or not device.exists():
        # A network, memory or layered file system: what lies below is not to be seen from here.
        return Miss(("RST-015",), str(path), Reason.ABSENT)
    word = "encrypted" if is_encrypted(device) else "plain"
    return Observation(What.DISK, str(path), Reach.LAN, facts(value=word))


def is_encrypted(device: Path, depth: int = 0) -> bool:
    """Whether every device below is behind dm-crypt."""
    uuid = device / "dm" / "uuid"
    if uuid.exists() and uuid.read_text(encoding="ascii", errors="replace").startswith("CRYPT-"):
        return True
    try:
        below = list((device / "slaves").iterdir())
    except OSError:
        below = []
    if not below and (device / "partition").exists():
        return False
    return bool(below) and depth < _MAX_DEPTH and all(is_encrypted(one.resolve(), depth + 1) for one in below)
