"""Serving an archive: what the processes are, where they listen, what is told when they do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huisclos.access.gate import Gate
from huisclos.channel import remote
from huisclos.errors import BadSetting, NoSecret
from huisclos.vault.recovery import confirmed_at
from huisclos.wiring import roles
from huisclos.wiring.child import Child, Post
from huisclos.wiring.listeners import Bound, Wanted, bind_all, lan_addresses, ready_document
from huisclos.wiring.places import Archive, lock_archive
from huisclos.wiring.secrets import first_line, lies_near, names_secret, read_secret, take_variable, wipe
from huisclos.wiring.separation import prepare_folders
from huisclos.wiring.supervisor import Main, Plan, Supervisor
from huisclos.wiring.whole import check_listening, check_whole

_LONGEST_UNLOCK: Final = 120.0
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_WORKERS: Final = 64


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `huisclos serve` was told."""

    unlock_with: str | None = None
    given: dict[str, str] = field(default_factory=dict)
    """Listener (`http`, `gate`, `viewer`, `dicom`, `dicom_tls`) to `HOST:PORT`."""
    lan: bool = False
    workers: int = 1
    ready_file: Path | None = None
    on_ready: Callable[[tuple[Bound, ...]], None] = lambda _: None
    """Called once every listener accepts, after unlocking if that was asked for."""
    viewer: Path | None = None
    """Folder of the viewer's files; None when it is not installed."""
    command: str = ""
    """What starts the house again so that the network reaches it, for the pages that say how."""


def serve_archive(archive: Archive, options: ServeOptions) -> int:
    """Serve until told to stop; the exit code. Blocks.

    Raises `Conflict` (served already, port taken), `Incomplete`, `Unreachable` (the disk cannot be written),
    `OpenListener`, `Refused`, `LooseSecret`.
    """
    if not 1 <= options.workers <= MAX_WORKERS:
        raise BadSetting(f"--workers is a number from 1 to {MAX_WORKERS}")
    check_whole(archive)
    check_listening(archive)
    held = lock_archive(archive)
    try:
        if options.ready_file is not None:
            _check_ready_file(options.ready_file)
        archive.store.sweep()
        prepare_folders(archive)
        bound, sockets = bind_all(
            Wanted(options.given, options.lan), confirmed=confirmed_at(archive.store) > 0
        )
        house = roles.HousePlan(
            bound,
            options.viewer,
            passphrase_near=lies_near(options.unlock_with, archive.root),
            present=_present(),
            command=options.command,
        )
        mains: dict[str, Main] = {
            "vault": lambda post: roles.run_vault(post, house),
            "gate": lambda post: roles.run_gate(post, house),
            "web": lambda post: roles.run_web(post, house),
            "cage": roles.run_cage,
            "reception": roles.run_reception,
            "finder": roles.run_finder,
            "scribe": roles.run_scribe,
            "auditor": lambda post: roles.run_auditor(post, house),
        }
        if names_secret(options.unlock_with, archive.root):
            sockets["unlock"] = _hand_over(options.unlock_with)
            mains["unlock"] = lambda post: _run_unlock(post, options)
        count = options.workers
        workers = {"vault": 1, "gate": 1, "cage": count, "web": count, "reception": count, "auditor": 1}
        plan = Plan(mains, workers, sockets, on_ready=lambda: _tell(options, bound))
        return Supervisor(archive, plan).run()
    finally:
        os.close(held)
        if options.ready_file is not None:
            with contextlib.suppress(OSError):
                options.ready_file.unlink(missing_ok=True)


def private_house(archive: Archive, owner: int, ready: int) -> int:
    """A house without listeners for the length of one command; writes to `ready` once it can be reached.

    The caller holds the archive's lock, and this process inherited it.
    """
    archive.store.sweep()
    prepare_folders(archive)
    house = roles.HousePlan(present=_present())
    mains: dict[str, Main] = {
        "vault": lambda post: roles.run_vault(post, house),
        "finder": roles.run_finder,
        "scribe": roles.run_scribe,
    }
    plan = Plan(mains, {"vault": 1}, on_ready=lambda: _wake(ready), owner=owner)
    return Supervisor(archive, plan).run()


def _present() -> tuple[str, ...]:
    return tuple(map(str, lan_addresses()))


def _wake(ready: int) -> None:
    # a byte, not the end of the pipe: the vault was forked earlier and holds it open too
    os.write(ready, b"\n")
    os.close(ready)


def _hand_over(unlock_with: str | None) -> dict[str, tuple[socket.socket, ...]]:
    """A secret that came in the environment, out of it and where the unlocker alone reads it, once.

    Every process forked from here would inherit it else, those that parse the wire among them.
    """
    secret = take_variable(unlock_with)
    if secret is None:
        return {}
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(secret)
    wipe(secret)
    return {"secret": (theirs,)}


def _run_unlock(post: Post, options: ServeOptions) -> int:
    handed = post.listeners.get("secret", ())
    if handed:
        with handed[0], handed[0].makefile("rb") as reading:
            secret: str | None = first_line(reading.read())
    else:
        secret = read_secret(options.unlock_with, post.archive.root)
    if not secret:
        raise NoSecret("nothing names the passphrase any more")
    return asyncio.run(_unlock(post, secret))


async def _unlock(post: Post, secret: str) -> int:
    vault = Child(post).sibling("vault")
    await vault.arrived()
    await asyncio.wait_for(remote(Gate, vault).unlock(secret, "", ""), _LONGEST_UNLOCK)
    return 0


def _check_ready_file(path: Path) -> None:
    """Remove what a house that was killed left there. Raises `BadSetting` where none can be written."""
    try:
        path.unlink(missing_ok=True)
        _beside(path, b"").unlink()
    except OSError as error:
        raise BadSetting(f"--ready-file: {path} cannot be written: {error.strerror}") from None


def _beside(path: Path, content: bytes) -> Path:
    """A new file for everybody to read, beside `path`. Raises `OSError`."""
    made = path.with_name(path.name + ".new")
    # in a folder that others write to, one of them may have put a link in its place
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, _NEW), "wb") as file:
        os.fchmod(file.fileno(), 0o644)  # no secret: for whoever waits for it, under any account
        file.write(content)
    return made


def _tell(options: ServeOptions, bound: tuple[Bound, ...]) -> None:
    # what waits for the file finds all that was printed
    options.on_ready(bound)
    if options.ready_file is not None:
        _beside(options.ready_file, ready_document(bound, os.getpid())).replace(options.ready_file)
