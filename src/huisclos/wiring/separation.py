"""What each process gives up before its first message: memory others could read, programs, files, calls.

Files are granted by role (Landlock): a face reaches sealed objects and batches, and neither keys,
journal nor accounts, whatever happens to it. What the kernel lacks is shown on the state page.
"""

from __future__ import annotations

import signal
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import huisclos
from huisclos import confine
from huisclos.access.house import Separation
from huisclos.stores.system import sync_folder
from huisclos.wiring.places import Archive

_LISTENING = frozenset({"web", "gate", "reception"})
"""Roles that have a listener."""
_ASKING = frozenset({"auditor"})
"""Roles that make connections of their own, to the house's listeners and to the box."""
_REACHING = tuple(name for name in confine.NETWORK if name != "socketpair")
"""The event loop makes itself a socketpair; nothing else here makes a socket."""
_PLACES = ("objects", "batches", "keyring", "incoming", "tls")


def confine_role(role: str, archive: Archive, reads: Iterable[Path] = ()) -> None:
    """Confine this process to what `role` needs; `reads` are more folders it may read."""
    confine.no_core()
    confine.non_dumpable()
    confine.no_new_privs()
    confine.die_with_parent(signal.SIGKILL)
    objects = Path(archive.settings.objects) if archive.settings.objects else archive.root / "objects"
    sealed = (objects, objects / "incoming", archive.root / "batches", archive.root / "incoming")
    write: tuple[Path, ...] = {
        "vault": (archive.root, objects),
        "finder": (archive.root, objects),
        "scribe": sealed,
        "web": sealed,
        "reception": sealed,
        "gate": (),
        "auditor": (),
    }[role]
    read = (*_program(), archive.root / "keys" / "signing.pub", *reads)
    if role in _LISTENING:
        read = (*read, archive.root / "tls")
    confine.landlock(read=read, write=write, scope_signals=True)
    # Landlock keeps nobody from a socket's path, and who reaches the control socket under the house's
    # account speaks for its owner (`wiring.control`): no process that a stranger may have taken over does.
    denied = (*confine.EXEC, *confine.SPY, *confine.KERNEL, confine.LOCAL_SOCKETS)
    confine.seccomp_deny(denied if role in _LISTENING | _ASKING else (*denied, *_REACHING))


def prepare_folders(archive: Archive) -> None:
    """Make the folders that the roles are confined to, so that none is missing from the rules."""
    objects = Path(archive.settings.objects) if archive.settings.objects else archive.root / "objects"
    folders = [*(archive.root / name for name in _PLACES), objects, objects / "incoming"]
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The roles may not open it, so what was made in it is made durable here (P3).
    sync_folder(str(archive.root))


def in_force() -> tuple[Separation, tuple[str, ...]]:
    """How well the processes are kept apart, and what is missing."""
    mechanisms = confine.describe()
    missing = tuple(name for name, there in mechanisms.items() if not there)
    return Separation(confine.separation(mechanisms).value), missing


def _program() -> tuple[Path, ...]:
    paths = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sysconfig.get_path("stdlib")),
        Path(huisclos.__file__).parent,
        Path("/usr"),
        Path("/lib"),
        Path("/lib64"),
        Path("/etc"),
        Path("/dev/urandom"),
        Path("/dev/null"),
        Path("/proc/self"),
    }
    return tuple(path for path in paths if path.exists())
