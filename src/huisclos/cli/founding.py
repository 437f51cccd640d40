"""Making an archive's folder: all of it or nothing, huisclos.toml last."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from huisclos import clock
from huisclos.cli.files import check_outside, write_new
from huisclos.errors import BadSetting, Conflict, Unreachable
from huisclos.seal import X25519Identity
from huisclos.settings import ArchiveSettings, write_settings
from huisclos.stores.local import LocalStore
from huisclos.vault.create import Opener, create_archive
from huisclos.wiring.listeners import lan_addresses
from huisclos.wiring.places import SETTINGS_FILE, Archive, check_path, find_archive


def check_free(root: Path) -> None:
    """Raises `Conflict` unless `root` is a folder that is empty or not there yet."""
    if (root / SETTINGS_FILE).exists():
        raise Conflict(f"an archive lies in {root} already", hint=f"see: huisclos status {quote(str(root))}")
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise Conflict(f"{root} is not a folder")
    if root.is_dir() and any(root.iterdir()):
        raise Conflict(f"{root} is not empty", hint="name a new folder")


def found_archive(
    root: Path,
    opener: Opener,
    *,
    recovery: X25519Identity | None = None,
    recovery_file: Path | None = None,
    objects: Path | None = None,
) -> Archive:
    """Make a new archive in `root`, and `recovery_file` with the recovery key; a failure leaves nothing.

    Raises `Conflict` if something is there, `LooseSecret`, `BadSetting`, `Full`, `Unreachable`.
    """
    check_path(root.resolve())
    check_free(root)
    if objects is not None:
        objects = objects.resolve()
        _check_objects(objects, root.resolve())
    if recovery_file is not None:
        check_outside(recovery_file, root, "the recovery key")
    with contextlib.ExitStack() as undo:
        for folder in (root, *([objects] if objects is not None else [])):
            _make_folder(folder, undo.callback)
        if recovery_file is not None:
            write_new(recovery_file, f"{recovery}\n".encode())
            undo.callback(recovery_file.unlink, missing_ok=True)
        settings = ArchiveSettings(
            archive=secrets.token_hex(16), objects=str(objects) if objects is not None else ""
        )
        create_archive(
            LocalStore(root, objects),
            root / "journal",
            opener,
            socket.gethostname(),
            clock.now(),
            recovery=recovery,
            addresses=tuple(map(str, lan_addresses())),
        )
        write_new(root / SETTINGS_FILE, write_settings(settings).encode())
        archive = find_archive(root)
        undo.pop_all()
    return archive


def _check_objects(objects: Path, root: Path) -> None:
    if objects.is_relative_to(root) or root.is_relative_to(objects):
        raise BadSetting("--objects names a folder apart from the archive's own")
    if objects.exists() and (not objects.is_dir() or any(objects.iterdir())):
        raise Conflict(f"{objects} is not an empty folder", hint="name a new folder")


def _make_folder(folder: Path, undo: Callable[..., object]) -> None:
    """Make `folder` for its owner alone; when undone it is gone, or empty if it was there."""
    was_there = folder.is_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Unreachable(f"{folder} cannot be made: {error.strerror}") from None
    undo(_empty if was_there else shutil.rmtree, folder)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
