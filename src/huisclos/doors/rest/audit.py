"""A walk over trees of files: shares of work for several processes, progress, and going on after a stop."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from huisclos.clock import steady
from huisclos.doors.rest.counted import observe
from huisclos.doors.rest.examine import Entry, Examiner
from huisclos.doors.rest.places import BACKUP, is_archive, is_sealed_backup, kernel_folders, marks_of
from huisclos.doors.rest.resume import State
from huisclos.doors.rest.tally import Tally

__all__ = ["Progress", "Walk", "audit", "examine", "forget", "observe", "trees"]

SHARE: Final = 2000
"""files of one share of the work"""
_MODES: Final = stat.S_IXOTH

Progress = Callable[[int], None]
"""Told how many files were looked at."""


@dataclass(slots=True)
class Walk:
    """One audit of files; its key is made for it and dies with it."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    keep_paths: bool = False
    resume: Path | None = None
    shown: dict[str, str] = field(default_factory=dict)
    """token to sub-tree, for the terminal alone"""
    unread: int = 0
    """folders that could not be listed"""
    sealed: int = 0
    """backups whose layout is that of a program that encrypts"""
    copies: bool = False
    """whether each instance is remembered, to be found again elsewhere"""
    until: float | None = None
    """on the steady clock; what is not looked at by then is said to be so"""

    def token(self, path: str) -> str:
        """The token of a place."""
        made = "p-" + hmac.new(self.key, os.fsencode(path), hashlib.sha256).hexdigest()[:16]
        self.shown.setdefault(made, os.fsencode(path).decode("utf-8", "backslashreplace"))
        return made


def audit(root: Path, walk: Walk, pool: Executor | None = None, progress: Progress | None = None) -> Tally:
    """Everything clear at or below `root`. With a pool, shares go to it; else they are done here."""
    state = State.load(walk.resume, root, walk.key)
    walk.key, walk.unread, walk.sealed = state.key, 0, 0
    running: deque[tuple[Future[Tally], str]] = deque()

    def joined(share: Tally, last: str) -> None:
        state.join(last, share)
        if progress is not None:
            progress(state.tally.files)

    for share in _shares(root, walk, state):
        if walk.until is not None and steady() > walk.until:
            state.tally.misses["budget", "file"] += 1
            break
        task = share, walk.key, str(root), walk.keep_paths, walk.copies, walk.until
        if pool is None:
            joined(examine(*task), share[-1].path)
            continue
        running.append((pool.submit(examine, *task), share[-1].path))
        while len(running) > _WAITING:
            future, last = running.popleft()
            joined(future.result(), last)
    for future, last in running:
        joined(future.result(), last)
    if walk.unread:
        state.tally.misses["unreadable", "folder"] = walk.unread
    if walk.sealed:
        state.tally.counts["sealed-backup"] = walk.sealed
    state.finish()
    return state.tally


_WAITING: Final = 8
"""shares under way at one time: memory stays flat however large the tree"""


def examine(
    share: list[Entry],
    key: bytes,
    root: str,
    keep: bool = False,  # noqa: FBT001,FBT002 - handed on to a process as they are
    instances: bool = False,  # noqa: FBT001,FBT002 - as above
    until: float | None = None,
) -> Tally:
    """One share of the work, in whatever process."""
    examiner = Examiner(key, root, keep_paths=keep, instances=instances, until=until)
    for entry in share:
        examiner.look(entry)
    return examiner.close()


def _shares(root: Path, walk: Walk, state: State) -> Iterator[list[Entry]]:
    """The files that are left, in steady order; what came since, before where it goes on, is not seen."""
    entries = _entries(str(root), walk)
    if state.last and not any(state.mark(entry.path) == state.last for entry in entries):
        state.begin_again()
        walk.unread = walk.sealed = 0
        entries = _entries(str(root), walk)
    share: list[Entry] = []
    for entry in entries:
        share.append(entry)
        if len(share) >= SHARE:
            yield share
            share = []
    if share:
        yield share


def _entries(root: str, walk: Walk) -> Iterator[Entry]:
    if os.path.isfile(root):  # noqa: PTH113 - a walk on strings: a Path for each of a million files is too slow
        # A link that somebody names is followed, as one to a folder is; none below is.
        yield _entry(os.path.realpath(root), walk.token(root), reachable=_is_open_above(root))
        return
    left_out = kernel_folders(root)
    stack = [(root, "", _is_open_above(os.path.join(root, "x")), is_archive(root))]  # noqa: PTH118 - as above
    while stack:
        folder, branch, reachable, beside = stack.pop()
        if folder in left_out:
            continue
        try:
            below, names = _listed(folder)
        except OSError:
            walk.unread += 1
            continue
        folders = [
            (one.path, branch or walk.token(one.path), reachable and bool(mode & _MODES), beside)
            for one, mode in below
        ]
        if folders:
            walk.sealed += is_sealed_backup(frozenset((*names, *(one.name for one, _ in below))))
            beside = beside or any(is_archive(one[0]) for one in folders)
        marks = marks_of(folder) + (("residue",) if beside else ())
        named, here = "backup" not in marks, branch or walk.token(folder)
        start = folder if folder.endswith("/") else f"{folder}/"
        for name in names:
            also = ("backup",) if named and BACKUP.search(name) else ()
            yield Entry(start + name, here, reachable, marks + also)
        stack += [(*one[:3], one[3] or beside) for one in reversed(folders)]


def _listed(folder: str) -> tuple[list[tuple[os.DirEntry[str], int]], list[str]]:
    """The folders in a folder with their modes, and the names of its files, both sorted. Raises `OSError`.

    Of a file only the name is kept: a flat folder of a million files is then 70 MB, and not 500.
    """
    folders, names = [], []
    with os.scandir(folder) as listing:
        for one in listing:
            if one.is_dir(follow_symlinks=False):
                folders.append((one, one.stat(follow_symlinks=False).st_mode))
            elif one.is_file(follow_symlinks=False):
                names.append(one.name)
    return sorted(folders, key=lambda one: one[0].name), sorted(names)


def _entry(path: str, branch: str, *, reachable: bool) -> Entry:
    return Entry(path, branch, reachable, marks_of(path))


def _is_open_above(path: str) -> bool:
    """Whether other accounts can come as far as the folder that `path` lies in."""
    try:
        return all(parent.stat().st_mode & _MODES for parent in Path(path).absolute().parents)
    except OSError:
        return False


def forget(walk: Walk) -> None:
    """Take the resume file away, and with it the key: the walk is over."""
    if walk.resume is not None:
        walk.resume.unlink(missing_ok=True)


def trees(roots: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The roots that are there, and those that are not."""
    there = [root for root in roots if root.exists()]
    return there, [root for root in roots if not root.exists()]
