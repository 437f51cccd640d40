"""Giving up, for good, what a process does not need: every child of the house does it first.

Each function says whether it is in force and never raises because a kernel lacks it; what is
in force is shown to the owner (`describe`, `separation`). Call them in this order: `no_core`,
`non_dumpable`, `no_new_privs`, `landlock`, `seccomp_deny` or `seccomp_allow`, before threads start.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from huisclos.confine import landlock as _landlock
from huisclos.confine import seccomp as _seccomp
from huisclos.confine.kernel import prctl
from huisclos.confine.seccomp import LOCAL_SOCKETS, PROCESSES
from huisclos.confine.syscalls import COMPUTE, EXEC, FILES, IDENTITY, KERNEL, NETWORK, SPY

__all__ = [
    "COMPUTE",
    "EXEC",
    "FILES",
    "IDENTITY",
    "KERNEL",
    "LOCAL_SOCKETS",
    "NETWORK",
    "PROCESSES",
    "SPY",
    "Separation",
    "close_all_but",
    "describe",
    "die_with_parent",
    "landlock",
    "limit",
    "no_core",
    "no_new_privs",
    "non_dumpable",
    "seccomp_allow",
    "seccomp_deny",
    "separation",
]

_SET_PDEATHSIG, _GET_DUMPABLE, _SET_DUMPABLE = 1, 3, 4
_SET_NO_NEW_PRIVS, _GET_NO_NEW_PRIVS = 38, 39
_GET_SECCOMP: Final = 21
_FILTERED: Final = 2
_LANDLOCKED: Final[set[int]] = set()
"""The process that applied Landlock last; its children inherit it, and this set."""


class Separation(StrEnum):
    """How far a process is kept apart from the rest of the machine."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


def non_dumpable() -> bool:
    """No other process of the same user can read this one's memory, or attach to it."""
    return prctl(_SET_DUMPABLE, 0) == 0 and prctl(_GET_DUMPABLE) == 0


def no_core() -> bool:
    """No memory of this process is ever written to a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def no_new_privs() -> bool:
    """No program this process starts gains rights by being set-uid; needed by what follows."""
    return prctl(_SET_NO_NEW_PRIVS, 1) == 0


def die_with_parent(signal_number: int) -> bool:
    """Be sent this signal when the process that started this one ends."""
    return prctl(_SET_PDEATHSIG, signal_number) == 0


def landlock(
    *,
    read: Iterable[Path] = (),
    write: Iterable[Path] = (),
    connect_tcp: Iterable[int] | None = None,
    bind_tcp: Iterable[int] | None = None,
    scope_signals: bool = False,
) -> bool:
    """Keep this thread, and what it starts, to these files and folders; nothing can be executed.

    `write` implies reading, making and removing. TCP ports: None leaves them free, an empty list
    forbids all. `scope_signals` forbids signals to processes outside. Paths that do not exist
    are passed over; open files stay open. landlock(7).
    """
    applied = _landlock.landlock(
        read=read, write=write, connect_tcp=connect_tcp, bind_tcp=bind_tcp, scope_signals=scope_signals
    )
    if applied:
        _LANDLOCKED.add(os.getpid())
    return applied


def seccomp_deny(names: Iterable[str]) -> bool:
    """Refuse these system calls (EPERM) in all threads and all this process starts.

    Names are system calls known to `syscalls`, and `PROCESSES` (no new process, threads stay).
    Raises `KeyError` for another name.
    """
    return _seccomp.seccomp_deny(names)


def seccomp_allow(names: Iterable[str]) -> bool:
    """Refuse every system call but these; no memory becomes executable any more. Else as `seccomp_deny`."""
    return _seccomp.seccomp_allow(names)


def limit(
    *,
    memory: int | None = None,
    cpu_seconds: int | None = None,
    file_bytes: int | None = None,
    open_files: int | None = None,
    processes: int | None = None,
) -> None:
    """Lower the bounds of this process and what it starts; None leaves one as it is. See setrlimit(2)."""
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_NPROC: processes,
    }
    for kind, value in wanted.items():
        if value is not None:
            _, most = resource.getrlimit(kind)
            bound = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (bound, bound))


def close_all_but(*keep: int) -> None:
    """Close every file descriptor of this process but these, standard input and output too."""
    at = 0
    for descriptor in sorted(keep):
        os.closerange(at, descriptor)
        at = descriptor + 1
    os.closerange(at, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def describe() -> dict[str, bool]:
    """What is in force in this process, by mechanism."""
    return {
        "non_dumpable": prctl(_GET_DUMPABLE) == 0,
        "no_core": resource.getrlimit(resource.RLIMIT_CORE)[1] == 0,
        "no_new_privs": prctl(_GET_NO_NEW_PRIVS) == 1,
        "landlock": bool(_LANDLOCKED),
        "seccomp": prctl(_GET_SECCOMP) == _FILTERED,
    }


def separation(mechanisms: Mapping[str, bool]) -> Separation:
    """Full if every mechanism is in force, none if neither Landlock nor seccomp is."""
    if all(mechanisms.values()):
        return Separation.FULL
    return Separation.PARTIAL if mechanisms.get("landlock") or mechanisms.get("seccomp") else Separation.NONE
