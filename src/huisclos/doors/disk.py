"""Is the disk below a folder encrypted, can it be carried away, where does memory go when it is full.

Linux shows the chain of devices. macOS and Windows are asked by their own commands, whose documented
answers are read: `fdesetup status`, and the exit code of `manage-bde -status -protectionaserrorlevel`.
Else nothing is claimed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason

BLOCKS: Final = Path("/sys/dev/block")
SWAPS: Final = Path("/proc/swaps")
_MAX_DEPTH: Final = 8
_ENCRYPTS: Final = tuple(
    f"CRYPT-{kind}" for kind in ("LUKS1-", "LUKS2-", "PLAIN-", "BITLK-", "FVAULT2-", "TCRYPT-", "LOOPAES-")
)
"""cryptsetup's names of what encrypts; its VERITY and INTEGRITY only notice what was changed"""
_VOLUME: Final = re.compile(r"(?<![A-Za-z])[A-Za-z]:")
_SECONDS: Final = 5.0
_PROTECTED, _UNPROTECTED = 0, 1

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command of the system's: its exit code and what it printed; -1 when there is none."""


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """One command of the system's that only reads."""
    try:
        ran = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return -1, ""
    return ran.returncode, ran.stdout


def probe_disk(path: Path, blocks: Path = BLOCKS) -> Seen:
    """LUKS or plain, by the device-mapper identity of each device below the file system."""
    if sys.platform == "darwin":
        return told(path, filevault(run_command(("fdesetup", "status"))))
    if sys.platform == "win32":
        drive = path.absolute().drive or "C:"
        return told(path, bitlocker(run_command(("manage-bde", "-status", drive, "-protectionaserrorlevel"))))
    device = _device(path, blocks)
    if device is None:
        # A network, memory or layered file system: what lies below is not to be seen from here.
        return Miss(("RST-015",), str(path), Reason.ABSENT)
    return _saw(path, "disk", encrypted=is_encrypted(device))


def told(path: Path, encrypted: bool | None) -> Seen:  # noqa: FBT001 - an answer, yes, no or none
    """What a system's own command said."""
    if encrypted is None:
        return Miss(("RST-015",), str(path), Reason.ABSENT)
    return _saw(path, "disk", encrypted=encrypted)


def filevault(answer: tuple[int, str]) -> bool | None:
    """What `fdesetup status` says ("FileVault is On." or "FileVault is Off."); None while it is half done."""
    text = answer[1]
    if "in progress" in text:
        return None
    return True if "FileVault is On" in text else False if "FileVault is Off" in text else None


def bitlocker(answer: tuple[int, str]) -> bool | None:
    """What `manage-bde -status -protectionaserrorlevel` says: 0 protected, 1 not, whatever the language.

    None when it names no volume: it was not let look, and its exit code is then about that.
    """
    code, text = answer
    return {_PROTECTED: True, _UNPROTECTED: False}.get(code) if _VOLUME.search(text) else None


def probe_removable(path: Path, blocks: Path = BLOCKS) -> Iterator[Seen]:
    """Whether what lies below `path` can be unplugged, and is encrypted; for where something lies."""
    device = _device(path, blocks)
    if device is not None and is_removable(device):
        yield _saw(path, "removable", encrypted=is_encrypted(device))


def probe_swap(table: Path = SWAPS, blocks: Path = BLOCKS) -> Iterator[Seen]:
    """Where memory goes when it is full: the worst of the swap areas."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return
    areas = [line.split()[0] for line in lines if line.split()]
    plain = 0
    for area in areas:
        path = Path(area)
        if path.name.startswith("zram"):
            continue
        device = _block(path, blocks) or _device(path, blocks)
        if device is None:
            yield Miss(("RST-017",), "swap", Reason.ABSENT)
            return
        plain += not is_encrypted(device)
    yield _saw(Path("swap"), "swap", encrypted=plain == 0)


def is_encrypted(device: Path, depth: int = 0) -> bool:
    """Whether every device below is behind dm-crypt (LUKS, and BitLocker that Linux has opened)."""
    uuid = device / "dm" / "uuid"
    if uuid.exists() and uuid.read_text(encoding="ascii", errors="replace").startswith(_ENCRYPTS):
        return True
    below = _below(device)
    if not below and (device / "partition").exists():
        return False
    return bool(below) and depth < _MAX_DEPTH and all(is_encrypted(one, depth + 1) for one in below)


def is_removable(device: Path, depth: int = 0) -> bool:
    """Whether the disk that it lies on says that it can be taken out, or hangs on USB."""
    real = device.resolve()
    if "/usb" in str(real):
        return True
    for folder in (real, real.parent):
        flag = folder / "removable"
        if flag.exists() and flag.read_text(encoding="ascii", errors="replace").strip() == "1":
            return True
    return depth < _MAX_DEPTH and any(is_removable(one, depth + 1) for one in _below(device))


def _below(device: Path) -> list[Path]:
    try:
        return [one.resolve() for one in (device / "slaves").iterdir()]
    except OSError:
        return []


def _device(path: Path, blocks: Path) -> Path | None:
    try:
        number = path.stat().st_dev
    except OSError:
        return None
    device = blocks / f"{os.major(number)}:{os.minor(number)}"
    return None if os.major(number) == 0 or not device.exists() else device


def _block(path: Path, blocks: Path) -> Path | None:
    """The device that `path` is, when it is one."""
    try:
        number = path.stat().st_rdev
    except OSError:
        return None
    device = blocks / f"{os.major(number)}:{os.minor(number)}"
    return device if number and device.exists() else None


def _saw(path: Path, kind: str, *, encrypted: bool) -> Observation:
    found = facts(class_=kind, value="encrypted" if encrypted else "plain")
    return Observation(What.DISK, str(path), Reach.LAN, found)
