"""Sealed objects on a local file system: whole and durable, or not there at all.

An object is written under a temporary name in `incoming/` on the file system it will stay on,
flushed, and only then linked at its place, whose folder is flushed in turn: whatever the moment of
a power loss, a place holds a whole object or nothing (P3). Temporary names are locked while their
writer lives, so that any process can sweep what a dead one left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from huisclos.archive.ports import Commit
from huisclos.errors import BadIdentifier, BadSetting, Conflict, HuisclosError, InstanceNotFound
from huisclos.stores.direct import DirectFile
from huisclos.stores.system import (
    FILE_MODE,
    FOLDER_MODE,
    copy_all,
    read_at,
    rename_new,
    sync_folder,
    told,
    write_all,
)
from huisclos.stores.temporary import Temporary, sweep_one

INCOMING: Final = "incoming"
_OBJECTS: Final = "objects/"
_TOPS: Final = ("objects", "batches", "keyring")
_PART: Final = re.compile(r"[0-9a-z][0-9a-z.-]{0,99}", re.ASCII)
_LONGEST_ROOT: Final = 3800
"""Characters of a root's path at most: with a place behind it, a path must stay within the kernel's 4,096."""
_KNOWN_FOLDERS: Final = 10_000
_READING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LocalStore:
    """An `ObjectStore` in a folder; `objects` moves what lies under `objects/` to another one.

    Made again from its two paths when it is sent to another process. Raises `BadSetting` for a
    path too long or a file system that keeps no file modes, `Full`, `Unreachable`.
    """

    def __init__(self, root: Path, objects: Path | None = None) -> None:
        self._root = os.path.abspath(root)
        self._objects = os.path.abspath(objects or root / "objects")
        if max(len(self._root), len(self._objects)) > _LONGEST_ROOT:
            raise BadSetting(f"the archive's path is longer than {_LONGEST_ROOT} characters")
        apart = objects is not None
        self._incoming = os.path.join(self._objects if apart else self._root, INCOMING)
        self._small_incoming = os.path.join(self._root, INCOMING)
        self._durable: set[str] = set()
        with told():
            for folder in (self._root, self._objects, self._incoming, self._small_incoming):
                os.makedirs(folder, FOLDER_MODE, exist_ok=True)
        for folder in {self._incoming, self._small_incoming}:
            _prove_modes(folder)

    def __reduce__(self) -> tuple[type[LocalStore], tuple[Path, Path | None]]:
        apart = self._incoming != self._small_incoming
        return LocalStore, (Path(self._root), Path(self._objects) if apart else None)

    def begin(self, room: int) -> LocalWriting:
        """See the port."""
        return LocalWriting(self, room)

    def commit_all(self, commits: Sequence[Commit]) -> list[HuisclosError | None]:
        """See the port: a folder that several of them enter is flushed once."""
        failed: list[HuisclosError | None] = [None] * len(commits)
        entered: dict[str, list[int]] = {}
        for number, commit in enumerate(commits):
            with _noted(failed, [number]):
                cast("LocalWriting", commit.writing).flush(commit.header)
        for number, commit in enumerate(commits):
            if failed[number] is None:
                with _noted(failed, [number]):
                    folder = cast("LocalWriting", commit.writing).enter(commit.place)
                    entered.setdefault(folder, []).append(number)
        for folder, numbers in entered.items():
            with _noted(failed, numbers):
                self.make_durable(folder, [commits[number].place for number in numbers])
        return failed

    def make_durable(self, folder: str, places: Sequence[str]) -> None:
        """Flush `folder`, which these have entered; when that fails they are gone again, as was told.

        Raises `Full`, `Unreachable`.
        """
        with told():
            _flush(folder, [self._path(place) for place in places])

    def put(self, place: str, sealed: bytes) -> None:
        """See the port."""
        path = self._path(place)
        temporary = self._temporary(self._incoming_of(path))
        with told():
            try:
                write_all(temporary.descriptor, sealed)
                temporary.flush()
                sync_folder(self._entered(path, lambda: os.replace(temporary.path, path)))
            finally:
                temporary.remove()

    def open(self, place: str) -> LocalSealed:
        """See the port."""
        try:
            descriptor = os.open(self._path(place), _READING)
        except (FileNotFoundError, NotADirectoryError):
            raise InstanceNotFound("no sealed object lies there") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InstanceNotFound("a link lies where a sealed object should") from None
            with told():
                raise
        return LocalSealed(descriptor)

    def read(self, place: str) -> bytes:
        """See the port."""
        with self.open(place) as sealed:
            return sealed.read_at(0, sealed.size)

    def move(self, place: str, new_place: str) -> None:
        """See the port."""
        old, new = self._path(place), self._path(new_place)
        with told():
            if not os.path.exists(old):
                raise InstanceNotFound("no sealed object lies there")
            self._link(old, new)
        self.delete(place)

    def delete(self, place: str) -> None:
        """See the port."""
        path = self._path(place)
        folder = os.path.dirname(path)
        with told():
            try:
                os.unlink(path)
                sync_folder(folder)
            except (FileNotFoundError, NotADirectoryError):
                return
            with contextlib.suppress(OSError):  # it holds other objects, or somebody else was first
                os.rmdir(folder)
                self._durable.discard(folder)
                sync_folder(os.path.dirname(folder))

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """See the port."""
        wanted = prefix.rstrip("/")
        tops = (wanted,) if wanted else _TOPS
        for top in tops:
            with told():
                yield from self._walk(self._path(top), top)

    def sweep(self) -> int:
        """See the port."""
        swept = 0
        with told():
            for folder in {self._incoming, self._small_incoming}:
                for name in os.listdir(folder):
                    swept += sweep_one(os.path.join(folder, name))
        return swept

    def room(self) -> tuple[int, int]:
        """See the port."""
        with told():
            facts = os.statvfs(self._objects)
        return facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize

    def temporary(self) -> Temporary:
        """A file to write an object into that nobody sees."""
        return self._temporary(self._incoming)

    def enter(self, temporary: Temporary, place: str) -> str:
        """Bring a flushed temporary file to `place`; copies if `place` is on another file system.

        The folder whose entry that is, still to be flushed.
        """

        def enter(old: str, new: str) -> None:
            temporary.moved = rename_new(old, new)

        return self._linked(temporary.path, self._path(place), enter)

    def _link(self, old: str, new: str) -> None:
        _flush(self._linked(old, new, os.link), [new])

    def _linked(self, old: str, new: str, enter: Callable[[str, str], None]) -> str:
        try:
            return self._entered(new, lambda: enter(old, new))
        except FileExistsError:
            raise Conflict("a sealed object lies there already") from None
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(old, new)
            return os.path.dirname(new)

    def _copy(self, old: str, new: str) -> None:
        temporary = self._temporary(self._incoming_of(new))
        try:
            source = os.open(old, os.O_RDONLY | os.O_CLOEXEC)
            try:
                copy_all(source, temporary.descriptor)
            finally:
                os.close(source)
            temporary.flush()
            self._link(temporary.path, new)
        finally:
            temporary.remove()

    def _entered(self, path: str, enter: Callable[[], None]) -> str:
        """Make the folder of `path` ready and enter the file into it: the folder, still to be flushed."""
        folder = os.path.dirname(path)
        self._make(folder)
        try:
            enter()
        except FileNotFoundError:
            # Another process emptied and removed the folder between the two steps.
            self._durable.discard(folder)
            self._make(folder)
            enter()
        return folder

    def _make(self, folder: str) -> None:
        """Make a folder and those above it, and make them durable once in the life of this process."""
        if folder in self._durable:
            return
        base = self._base(folder)
        at = base
        for part in os.path.relpath(folder, base).split(os.sep):
            above, at = at, os.path.normpath(os.path.join(at, part))
            try:
                os.mkdir(at, FOLDER_MODE)
            except FileExistsError:
                # A face may not open the archive's own folder; whoever made this one has flushed it.
                if above == self._root:
                    continue
            sync_folder(above)
        if len(self._durable) >= _KNOWN_FOLDERS:
            self._durable.clear()
        self._durable.add(folder)

    def _base(self, path: str) -> str:
        return self._objects if path.startswith(self._objects + os.sep) else self._root

    def _incoming_of(self, path: str) -> str:
        return self._incoming if self._base(path) == self._objects else self._small_incoming

    def _temporary(self, folder: str) -> Temporary:
        with told():
            while True:
                temporary = Temporary(os.path.join(folder, secrets.token_hex(16)))
                if temporary.alive():
                    return temporary

    def _path(self, place: str) -> str:
        if not all(_PART.fullmatch(part) for part in place.split("/")):
            raise BadIdentifier("a place is made of ids")
        if place.startswith(_OBJECTS):
            return os.path.join(self._objects, place.removeprefix(_OBJECTS))
        return self._objects if place == _OBJECTS[:-1] else os.path.join(self._root, place)

    def _walk(self, folder: str, place: str) -> Iterator[tuple[str, int]]:
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if entry.path in (self._incoming, self._small_incoming):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path, f"{place}/{entry.name}")
                    continue
                with contextlib.suppress(FileNotFoundError):
                    yield f"{place}/{entry.name}", entry.stat(follow_symlinks=False).st_size


class LocalWriting:
    """A `Writing` in a `LocalStore`."""

    def __init__(self, store: LocalStore, room: int) -> None:
        self._store = store
        self._temporary: Temporary | None = None
        """Made off the event loop: to make a file takes long at times."""
        self._content = DirectFile(room)
        self._room = room

    def ready(self) -> None:
        """See the port: the file is made."""
        with told():
            self._begun()

    def room(self, length: int) -> memoryview:
        """See the port."""
        return self._content.room(length)

    def write(self) -> None:
        """See the port."""
        with told():
            self._begun()
            self._content.write()

    def commit(self, place: str, header: bytes) -> None:
        """See the port."""
        self.flush(header)
        self._store.make_durable(self.enter(place), [place])

    def flush(self, header: bytes) -> None:
        """The first half of a commit: every byte of the object is durable. Raises `Full`, `Unreachable`."""
        if len(header) != self._room:
            raise ValueError("the header does not fill the room that was left for it")
        with told():
            temporary = self._begun()
            self._content.finish(header)
            temporary.flush()

    def enter(self, place: str) -> str:
        """The second: it has its name, in the folder that is given, which is to be flushed yet.

        Raises `Conflict`, `Full`, `Unreachable`.
        """
        with told():
            return self._store.enter(self._begun(), place)

    def abandon(self) -> None:
        """See the port."""
        self._content.close()
        if self._temporary is not None:
            with told():
                self._temporary.remove()

    def _begun(self) -> Temporary:
        if self._temporary is None:
            self._temporary = self._store.temporary()
            self._content.into(self._temporary.descriptor, self._temporary.path)
        return self._temporary


class LocalSealed:
    """A `SealedAt` over an open file."""

    def __init__(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(descriptor)
            raise InstanceNotFound("something that is no file lies where a sealed object should")
        self._descriptor = descriptor
        self.size = facts.st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ReadAt`."""
        with told():
            return read_at(self._descriptor, offset, length)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.contextmanager
def _noted(failed: list[HuisclosError | None], numbers: Sequence[int]) -> Iterator[None]:
    """What goes wrong meanwhile went wrong for these."""
    try:
        yield
    except HuisclosError as error:
        for number in numbers:
            failed[number] = error


def _flush(folder: str, entered: Sequence[str]) -> None:
    """Flush a folder that these have entered; when that fails they are gone again. Raises `OSError`."""
    try:
        sync_folder(folder)
    except OSError:
        for path in entered:
            with contextlib.suppress(OSError):  # a disk that takes no change keeps it
                os.unlink(path)
        raise


def _prove_modes(folder: str) -> None:
    """Refuse a file system where a file cannot be kept from other accounts."""
    with told():
        os.chmod(folder, FOLDER_MODE)
        path = os.path.join(folder, secrets.token_hex(16))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            first = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.fchmod(descriptor, stat.S_IRUSR)
            second = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
            os.unlink(path)
    if (first, second) != (FILE_MODE, stat.S_IRUSR):
        raise BadSetting(
            "this file system keeps no file modes, so others could read what lies there",
            hint="choose a folder on ext4, XFS, Btrfs or another file system made for Linux",
        )
