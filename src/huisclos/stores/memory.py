"""Sealed objects in memory: for tests and for demonstrations of the port."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from huisclos.archive.ports import Commit
from huisclos.errors import Conflict, HuisclosError, InstanceNotFound


class MemoryStore:
    """An `ObjectStore` that lives as long as its process."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def begin(self, room: int) -> MemoryWriting:
        """See the port."""
        return MemoryWriting(self, room)

    def commit_all(self, commits: Sequence[Commit]) -> list[HuisclosError | None]:
        """See the port."""
        return [_raised(commit) for commit in commits]

    def put(self, place: str, sealed: bytes) -> None:
        """See the port."""
        with self._lock:
            self._objects[place] = bytes(sealed)

    def add(self, place: str, sealed: bytes) -> None:
        """Put what was not there. Raises `Conflict`."""
        with self._lock:
            if place in self._objects:
                raise Conflict("a sealed object lies there already")
            self._objects[place] = sealed

    def open(self, place: str) -> MemorySealed:
        """See the port."""
        return MemorySealed(self.read(place))

    def read(self, place: str) -> bytes:
        """See the port."""
        with self._lock:
            try:
                return self._objects[place]
            except KeyError:
                raise InstanceNotFound("no sealed object lies there") from None

    def move(self, place: str, new_place: str) -> None:
        """See the port."""
        self.add(new_place, self.read(place))
        self.delete(place)

    def delete(self, place: str) -> None:
        """See the port."""
        with self._lock:
            self._objects.pop(place, None)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """See the port."""
        start = prefix.rstrip("/") + "/" if prefix else ""
        with self._lock:
            held = list(self._objects.items())
        yield from ((place, len(sealed)) for place, sealed in held if place.startswith(start))

    def sweep(self) -> int:
        """See the port; a writing here dies with its process."""
        return 0

    def room(self) -> tuple[int, int]:
        """See the port."""
        return 1 << 40, 1 << 40


def _raised(commit: Commit) -> HuisclosError | None:
    try:
        commit.writing.commit(commit.place, commit.header)
    except HuisclosError as error:
        return error
    return None


class MemoryWriting:
    """A `Writing` in a `MemoryStore`."""

    def __init__(self, store: MemoryStore, room: int) -> None:
        self._store = store
        self._room = room
        self._sealed: list[bytearray] = []

    def ready(self) -> None:
        """See the port: there is nothing to do."""

    def room(self, length: int) -> memoryview:
        """See the port."""
        self._sealed.append(bytearray(length))
        return memoryview(self._sealed[-1])

    def write(self) -> None:
        """See the port: what is in its room is where it stays."""

    def commit(self, place: str, header: bytes) -> None:
        """See the port."""
        if len(header) != self._room:
            raise ValueError("the header does not fill the room that was left for it")
        self._store.add(place, b"".join((header, *self._sealed)))

    def abandon(self) -> None:
        """See the port."""
        self._sealed.clear()


class MemorySealed:
    """A `SealedAt` over bytes."""

    def __init__(self, sealed: bytes) -> None:
        self._sealed = sealed
        self.size = len(sealed)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ReadAt`."""
        return self._sealed[offset : offset + length]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
