"""A walk over trees of files: shares of work for several processes, progress, and going on after a stop."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from huisclos.clock import steady
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rest.examine import Entry, Examiner
from huisclos.doors.rest.places import BACKUP, is_archive, is_sealed_backup, marks_of
from huisclos.doors.rest.tally import Heap, Tally
from huisclos.errors import Unreadable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reach, Reason

SHARE: Final = 2000
"""files of one share of the work"""
MAX_PLACES: Final = 6
"""sub-trees that a finding names, by token"""
SAVE_SECONDS: Final = 5.0
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
    state = _State.load(walk, root)
    running: set[Future[Tally]] = set()
    names: dict[Future[Tally], str] = {}
    for name, share in _shares(root, walk):
        if name in state.done:
            continue
        if walk.until is not None and steady() > walk.until:
            state.tally.misses["budget", "file"] = 1
            break
        if pool is None:
            state.join(name, examine(share, walk.key, str(root), keep=walk.keep_paths, instances=walk.copies))
        else:
            future = pool.submit(
                examine, share, walk.key, str(root), keep=walk.keep_paths, instances=walk.copies
            )
            running.add(future)
            names[future] = name
            while len(running) > _WAITING:
                _collect(running, names, state)
        if progress is not None:
            progress(state.tally.files)
    while running:
        _collect(running, names, state)
        if progress is not None:
            progress(state.tally.files)
    if walk.unread:
        state.tally.misses["unreadable", "folder"] = walk.unread
    if walk.sealed:
        state.tally.counts["sealed-backup"] = walk.sealed
    state.finish()
    return state.tally


_WAITING: Final = 8
"""shares under way at one time: memory stays flat however large the tree"""


def examine(share: list[Entry], key: bytes, root: str, *, keep: bool, instances: bool = False) -> Tally:
    """One share of the work, in whatever process."""
    examiner = Examiner(key, root, keep_paths=keep, instances=instances)
    for entry in share:
        examiner.look(entry)
    return examiner.close()


def _collect(running: set[Future[Tally]], names: dict[Future[Tally], str], state: _State) -> None:
    future = next(iter(running))
    running.discard(future)
    state.join(names.pop(future), future.result())


def _shares(root: Path, walk: Walk) -> Iterator[tuple[str, list[Entry]]]:
    share: list[Entry] = []
    first = ""
    for entry in _entries(str(root), walk):
        first = first or entry.path
        share.append(entry)
        if len(share) >= SHARE:
            yield walk_name(walk, first, len(share)), share
            share, first = [], ""
    if share:
        yield walk_name(walk, first, len(share)), share


def walk_name(walk: Walk, first: str, count: int) -> str:
    """A share's name for the resume file: a keyed digest of where it begins."""
    return hmac.new(walk.key, os.fsencode(first) + b"\n%d" % count, hashlib.sha256).hexdigest()[:16]


def _entries(root: str, walk: Walk) -> Iterator[Entry]:
    if os.path.isfile(root):  # noqa: PTH113 - a walk on strings: a Path for each of a million files is too slow
        yield _entry(root, walk.token(root), reachable=_is_open_above(root))
        return
    stack = [(root, "", _is_open_above(os.path.join(root, "x")), is_archive(root))]  # noqa: PTH118 - as above
    while stack:
        folder, branch, reachable, beside = stack.pop()
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


def observe(root: Path, tally: Tally) -> list[Seen]:
    """What was counted, as observations of `root`; it says what was not looked into, too."""
    seen: list[Seen] = []
    for kind, heap in sorted(tally.heaps.items()):
        seen.append(_seen(root, kind, _counted(kind, heap, tally.places)))
    for word, count in sorted(tally.counts.items()):
        seen.append(_seen(root, word, facts(count=count)))
    for product, rows in sorted(tally.rows.items()):
        seen.append(_seen(root, "rows", facts(product=product, rows=rows)))
    if tally.files and ("budget", "file") not in tally.misses:
        met = {*tally.heaps, *tally.counts, *(("rows",) if tally.rows else ())}
        seen += [_seen(root, kind, facts(count=0)) for kind in _LOOKED_FOR if kind not in met]
    elif not tally.files:
        seen.append(_seen(root, "clear", facts(images=0)))
    for (reason, container), count in sorted(tally.misses.items()):
        check = "RST-001" if container in ("file", "folder") else "RST-004"
        seen.append(Miss((check,), str(root), Reason(reason), facts(container=container, count=count)))
    return seen


_LOOKED_FOR: Final = (
    "clear", "headerless", "media", "zip", "zip-cipher", "rows", "dump", "cache", "exports", "named",
    "backup", "cloud", "readable", "bin", "hl7", "volume", "residue", "packed",
)  # fmt: skip
"""What a walk to the end has looked for: one kind for each check."""


def _seen(root: Path, kind: str, found: tuple[Fact, ...]) -> Observation:
    return Observation(What.FILES, str(root), Reach.LAN, facts(class_=kind) + found)


def _counted(kind: str, heap: Heap, places: Counter[tuple[str, str]]) -> tuple[Fact, ...]:
    found = facts(
        images=heap.images,
        persons=len(heap.persons) or None,
        studies=len(heap.studies) or None,
        series=len(heap.series) or None,
        year_from=heap.year_from,
        year_to=heap.year_to,
        bytes=heap.octets,
    )
    branches = [(place, count) for (of, place), count in places.most_common() if of == kind]
    for place, count in branches[:MAX_PLACES]:
        found += facts(place=place, count=count)
    return found


class _Saved(msgspec.Struct):
    """A resume file: a key, what is done, and counts; for its owner alone, and gone when the walk ends."""

    key: str
    roots: dict[str, tuple[list[str], dict[str, Any]]]


@dataclass(slots=True)
class _State:
    """A walk's counts, and the file they are kept in between two runs."""

    walk: Walk
    root: str
    tally: Tally = field(default_factory=Tally)
    done: set[str] = field(default_factory=set)
    saved: float = 0.0

    @classmethod
    def load(cls, walk: Walk, root: Path) -> _State:
        state = cls(walk, str(root))
        if walk.resume is None or not walk.resume.exists():
            return state
        try:
            kept = msgspec.json.decode(walk.resume.read_bytes(), type=_Saved)
            walk.key = base64.b64decode(kept.key)
            names, counts = kept.roots.get(state._name(), ([], {}))
            state.done, state.tally = set(names), _read_tally(counts)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError):
            raise Unreadable("this is not a file that --resume wrote", hint="name a new one") from None
        return state

    def join(self, name: str, share: Tally) -> None:
        self.done.add(name)
        self.tally.join(share)
        if self.walk.resume is not None and steady() - self.saved > SAVE_SECONDS:
            self._save(self.walk.resume)
            self.saved = steady()

    def finish(self) -> None:
        if self.walk.resume is not None:
            self._save(self.walk.resume)

    def _name(self) -> str:
        return hmac.new(self.walk.key, os.fsencode(self.root), hashlib.sha256).hexdigest()[:16]

    def _save(self, path: Path) -> None:
        kept = _Saved(base64.b64encode(self.walk.key).decode(), {})
        if path.exists():
            kept.roots = msgspec.json.decode(path.read_bytes(), type=_Saved).roots
        kept.roots[self._name()] = (sorted(self.done), _write_tally(self.tally))
        part = path.with_name(path.name + ".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        part.replace(path)


def _hex(digests: set[bytes]) -> str:
    return "".join(sorted(one.hex() for one in digests))


def _write_tally(tally: Tally) -> dict[str, Any]:
    heaps = {
        kind: [
            heap.images, heap.octets, heap.year_from, heap.year_to, list(heap.years.items()),
            *(_hex(kept) for kept in (heap.persons, heap.studies, heap.series, heap.instances)),
        ]
        for kind, heap in tally.heaps.items()
    }  # fmt: skip
    return {
        "files": tally.files,
        "heaps": heaps,
        "counts": dict(tally.counts),
        "rows": dict(tally.rows),
        "places": [[*key, count] for key, count in tally.places.items()],
        "misses": [[*key, count] for key, count in tally.misses.items()],
    }


def _read_tally(kept: dict[str, Any]) -> Tally:
    tally = Tally(files=kept.get("files", 0))
    for kind, (images, octets, since, until, years, *digests) in kept.get("heaps", {}).items():
        sets = [{bytes.fromhex(text[at : at + 16]) for at in range(0, len(text), 16)} for text in digests]
        tally.heaps[kind] = Heap(
            images, octets, sets[0], sets[1], sets[2], since, until, Counter(dict(years)), sets[3]
        )
    tally.counts.update(kept.get("counts", {}))
    tally.rows.update(kept.get("rows", {}))
    tally.places.update({(kind, place): count for kind, place, count in kept.get("places", [])})
    tally.misses.update({(reason, what): count for reason, what, count in kept.get("misses", [])})
    return tally


def forget(walk: Walk) -> None:
    """Take the resume file away, and with it the key: the walk is over."""
    if walk.resume is not None:
        walk.resume.unlink(missing_ok=True)


def trees(roots: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The roots that are there, and those that are not."""
    there = [root for root in roots if root.exists()]
    return there, [root for root in roots if not root.exists()]
