"""An archive's folder as it is found: paths, settings, the folder of sockets, the lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from huisclos.errors import ArchiveNotFound, BadSetting, Conflict, HouseOpen, Incomplete, Unreachable
from huisclos.settings import ArchiveSettings, load_settings
from huisclos.stores.local import LocalStore

SETTINGS_FILE: Final = "huisclos.toml"
_LOCK: Final = "huisclos.lock"
_SOCKET: Final = "control.sock"
_LONGEST_PATH: Final = 480
"""Bytes of an archive's path at most: SQLite opens no database whose path, with an ending, has over 512."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that exists."""

    root: Path
    settings: ArchiveSettings

    @property
    def store(self) -> LocalStore:
        """Its objects, keys and batches."""
        objects = Path(self.settings.objects) if self.settings.objects else None
        return LocalStore(self.root, objects)

    @property
    def journal(self) -> Path:
        """The folder of its journal."""
        return self.root / "journal"

    @property
    def leaf(self) -> Path:
        """Certificate chain and key of its listeners."""
        return self.root / "tls" / "leaf.pem"

    def database(self, name: str) -> Path:
        """One of its databases: `index`, `accounts`, `decisions`."""
        return self.root / f"{name}.sqlite"

    @property
    def control(self) -> Path:
        """The socket of a house that this account serves: the command line speaks to it."""
        return runtime_folder() / f"{_key(self.root)}-{_SOCKET}"

    @property
    def controls(self) -> tuple[Path, ...]:
        """Where the socket of a house that is being served may be.

        Beside this account's own place, where that house says it is: a service, a login and root have
        runtime folders of their own.
        """
        own = self.control
        try:
            said = Path((self.root / _LOCK).read_text(encoding="utf-8").rstrip("\n"))
        except (OSError, UnicodeDecodeError):
            return (own,)
        return (own, said) if said != own and _is_of_owner(said, self.root) else (own,)

    def say_control(self) -> None:
        """Tell every account that may enter the archive where the socket is."""
        (self.root / _LOCK).write_text(f"{self.control}\n", encoding="utf-8")


def find_archive(root: Path) -> Archive:
    """The archive in this folder. Raises `ArchiveNotFound`, `BadSetting`, `HouseOpen`."""
    root = root.resolve()
    check_path(root)
    try:
        text = (root / SETTINGS_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if (root / "keys").is_dir():
            raise Incomplete(
                f"{root} has the keys of an archive, but {SETTINGS_FILE} is missing",
                hint="restore it from the newest backup; do not make a new archive here",
            ) from None
        raise ArchiveNotFound(
            f"no archive lies in {root}", hint=f"make one: huisclos init {quote(str(root))}"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise BadSetting(
            f"{root / SETTINGS_FILE} cannot be read", hint="restore it, or check its rights"
        ) from None
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & 0o077:
        raise HouseOpen(
            f"{root} can be entered by other accounts of this machine",
            hint=f"run: chmod 700 {quote(str(root))}",
        )
    return Archive(root, load_settings(text))


def check_path(root: Path) -> None:
    """Raises `BadSetting` for an archive's folder whose resolved path is too long for its databases."""
    if len(os.fsencode(root)) > _LONGEST_PATH:
        raise BadSetting(
            f"the archive's path is longer than {_LONGEST_PATH} bytes",
            hint="name a folder nearer to the root",
        )


def runtime_folder() -> Path:
    """The folder of this account's sockets, made if need be. Raises `HouseOpen` if someone else owns it.

    Apart from the archive: a socket's path is bounded to 107 characters, a folder's is not.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    shared = Path(f"/tmp/huisclos-{os.getuid()}")  # noqa: S108 - owner and mode are checked below
    folder = Path(base) / "huisclos" if base and Path(base).is_dir() else shared
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise HouseOpen(f"{folder} belongs to someone else, or others may enter it", hint=f"remove {folder}")
    return folder


def lock_archive(archive: Archive) -> int:
    """An exclusive lock on the archive, held until the descriptor is closed.

    Raises `Conflict` when it is held, `Unreachable` on a disk that cannot be written.
    """
    try:
        descriptor = os.open(archive.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unreachable(
            f"{archive.root} cannot be written: {error.strerror}",
            hint="without a journal nothing may be read: make the disk writable, or work on a copy",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(
            "this archive is being served already", hint=f"see: huisclos status {quote(str(archive.root))}"
        ) from None
    return descriptor


def _is_of_owner(control: Path, root: Path) -> bool:
    """Whether nobody but the archive's owner, and root, can have put a socket there."""
    try:
        owner, folder, facts = root.stat().st_uid, control.parent.lstat(), control.lstat()
    except (OSError, ValueError):
        return False
    kept = folder.st_uid == owner and not stat.S_IMODE(folder.st_mode) & 0o022
    return control.is_absolute() and kept and facts.st_uid == owner and stat.S_ISSOCK(facts.st_mode)


def _key(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
