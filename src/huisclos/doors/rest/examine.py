"""One file at rest: its first bytes say what it is, and what is clear in it is counted."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from huisclos.clock import steady
from huisclos.doors.rest import others
from huisclos.doors.rest.budget import Budget, TooMuch
from huisclos.doors.rest.containers import Filled, Metered, kind_of, look_into, scan_image
from huisclos.doors.rest.heads import FURTHER, HEAD, MORE, Known, is_headerless, is_part10, read_head
from huisclos.doors.rest.index import index_rows
from huisclos.doors.rest.tally import Tally

_IMAGE_FILE: Final = (".iso", ".img", ".dmg", ".bin", ".vmdk", ".raw", ".vhd", ".vhdx", ".vdi", ".qcow2")
_DUMP_HEAD: Final = 1024 * 1024
_THUMBS: Final = 16 * 1024 * 1024
_RELATIONS: Final = 64 * 1024 * 1024
"""bytes of a PostgreSQL catalogue of relations that are searched"""
_LUKS, _BITLOCKER, _FILEVAULT = b"LUKS\xba\xbe", b"-FVE-FS-", b"encrcdsa"
_KOLY: Final = 512
"""bytes of the end of a Mac's disk image, which says how it is packed"""
_MISSES: Final = {"unread": "unreadable", "too-large": "too-large"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to look at."""

    path: str
    branch: str
    """token of the sub-tree of the root that it lies in"""
    reachable: bool
    """whether other accounts can get to its folder"""
    marks: tuple[str, ...] = ()
    """what its folders say of it: `backup`, `cloud`, `cache`, `bin`, `volume`, `residue`"""


class Examiner:
    """Looks at files and counts; one for each share of the work."""

    def __init__(
        self,
        key: bytes,
        root: str,
        *,
        keep_paths: bool = False,
        instances: bool = False,
        until: float | None = None,
    ) -> None:
        self.tally = Tally()
        self._until = until
        self._key = key
        self._root = root
        self._keep = keep_paths
        self._instances = instances
        self._folders: dict[str, list[int]] = {}
        """images, and what programs make out of them, in each folder of the share"""

    def look(self, entry: Entry) -> None:
        """Count what is clear in one file; what cannot be read is counted as such."""
        if self._until is not None and steady() > self._until:
            self.tally.misses["budget", "file"] += 1
            return
        self.tally.files += 1
        try:
            file = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self.tally.misses["unreadable", "file"] += 1
            return
        try:
            # A pipe or a device that took a file's place since the walk saw it is not read.
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return
            head = os.read(file, HEAD)
            self._judge(entry, file, head)
        except (OSError, EOFError):
            self.tally.misses["unreadable", "file"] += 1
        finally:
            os.close(file)

    def close(self) -> Tally:
        """What the share came to."""
        for images, made in self._folders.values():
            if images and made:
                self.tally.counts["exports"] += made
        self._folders.clear()
        return self.tally

    def _judge(self, entry: Entry, file: int, head: bytes) -> None:
        part10 = is_part10(head)
        if part10 or is_headerless(head):
            self._image(entry, file, head, part10=part10)
        elif kind := kind_of(head):
            self._container(entry, file, kind)
        elif head.startswith(others.SQLITE):
            self._database(entry, file)
        elif head.startswith((_LUKS, _FILEVAULT)) or head[3:11] == _BITLOCKER:
            self.tally.counts["sealed"] += 1
        elif entry.path.lower().endswith(_IMAGE_FILE) or (
            others.may_be_disk(head) and others.is_disk(os.pread(file, others.DISK_HEAD, 0))
        ):
            self._disk(entry, file, "iso")
        elif others.is_export(head):
            self._export(entry, head)
        elif word := others.word_of(head, partial(os.read, file, _DUMP_HEAD)):
            self._note(word, entry)
        else:
            self._rest(entry, file, head)

    def _rest(self, entry: Entry, file: int, head: bytes) -> None:
        """What few files are."""
        rows = others.dbase_rows(head)
        if rows is not None:
            self.tally.rows["conquest"] += rows
        elif (at := others.inside_response(head)) is not None:
            body = (head + os.read(file, MORE))[at:]
            if is_part10(body) or is_headerless(body):
                known = self._known(body, partial(os.read, file), part10=is_part10(body))
                self._count("clear", known, len(body), entry)
        elif (raw := others.unpacked(head, partial(os.read, file, MORE))) and is_part10(raw):
            self._count("packed", read_head(raw, self._key), os.fstat(file).st_size, entry)
        elif head.startswith(others.WAL):
            # Its database is beside it, and may be too large to be read with it.
            if others.names_index(os.pread(file, _RELATIONS, 0)):
                self._note("packed-index", entry)
            self._scan(entry, file, "sqlite", 1)
        elif entry.path.lower().endswith("/thumbs.db") and others.is_thumbs_db(head, os.read(file, _THUMBS)):
            self._note("thumbnail", entry)
        elif entry.path.endswith("/1259") and "/base/" in entry.path:
            product = others.relations(head + os.read(file, _RELATIONS))
            if product is not None:
                # How many rows there are is in the server's own counts, and this is no server.
                self.tally.rows[product] += 1

    def _export(self, entry: Entry, head: bytes) -> None:
        if others.is_thumbnail(head):
            self._note("thumbnail", entry)
        self._folders.setdefault(entry.path.rpartition("/")[0], [0, 0])[1] += 1

    def _image(self, entry: Entry, file: int, head: bytes, *, part10: bool) -> None:
        status = os.fstat(file)
        below = entry.path[len(self._root) :]
        known = self._known(head + os.read(file, MORE), partial(os.read, file), below, part10=part10)
        kind = (
            "media"
            if known.media or entry.path.endswith("/DICOMDIR")
            else "clear"
            if part10
            else "headerless"
        )
        # The same file under several names is one file.
        link = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
        self._count(kind, known, status.st_size, entry, link)
        self._folders.setdefault(entry.path.rpartition("/")[0], [0, 0])[0] += 1
        if entry.path.lower().endswith(".wl"):
            self._note("hl7", entry)
        if entry.reachable and status.st_mode & stat.S_IROTH:
            self.tally.counts["readable"] += 1
        if known.named:
            self.tally.counts["named"] += 1

    def _known(self, raw: bytes, more: Callable[[int], bytes], below: str = "", *, part10: bool) -> Known:
        """Whose an image is; where that stands further on than usual, what is further on is read."""
        known = read_head(raw, self._key, below, part10=part10)
        if not known.cut:
            return known
        return read_head(raw + more(FURTHER), self._key, below, part10=part10, limit=FURTHER)

    def _count(
        self, kind: str, known: Known, size: int, entry: Entry, link: tuple[int, int] | None = None
    ) -> None:
        self.tally.heap(kind).add(known, size, link, instances=self._instances)
        self.tally.places[kind, entry.branch] += 1
        for mark in entry.marks:
            self.tally.counts[mark] += 1
        if self._keep:
            self.tally.paths.append((kind, entry.path))

    def _container(self, entry: Entry, file: int, kind: str) -> None:
        def found(head: bytes, size: int, part10: bool, more: Callable[[int], bytes]) -> None:  # noqa: FBT001 - as the port has it
            self._count(kind, self._known(head, more, part10=part10), size, entry)

        def notes(word: str) -> None:
            if reason := _MISSES.get(word):
                self.tally.misses[reason, kind] += 1
            else:
                self.tally.counts[word] += 1

        before = self.tally.heap(kind).images
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            try:
                look_into(stream, kind, found, notes, Budget(until=self._until))
            except TooMuch:
                self.tally.misses["too-large", kind] += 1
            except (OSError, EOFError):
                self.tally.misses["unreadable", kind] += 1
        if self.tally.heap(kind).images == before and not before:
            del self.tally.heaps[kind]

    def _disk(self, entry: Entry, file: int, kind: str) -> None:
        """Images at the beginning of a sector."""
        before = self.tally.heaps[kind].images if kind in self.tally.heaps else 0
        self._scan(entry, file, kind, 512)
        if kind in self.tally.heaps and self.tally.heaps[kind].images > before:
            return
        end = os.pread(file, _KOLY, max(os.fstat(file).st_size - _KOLY, 0))
        if end.startswith(b"koly"):
            # Most of these are packed, and nothing can be seen in them.
            self.tally.misses["unreadable", kind] += 1

    def _scan(self, entry: Entry, file: int, kind: str, step: int) -> None:
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            try:
                for head, part10 in scan_image(Metered(Filled(stream), Budget(until=self._until)), step):
                    self._count(kind, read_head(head, self._key, part10=part10), 0, entry)
            except TooMuch:
                self.tally.misses["too-large", kind] += 1

    def _database(self, entry: Entry, file: int) -> None:
        """Whose index it is, and the images that it holds as values."""
        try:
            found = index_rows(entry.path)
        except (sqlite3.Error, OSError):
            self.tally.misses["unreadable", "sqlite"] += 1
        else:
            if found is not None:
                product, rows = found
                self.tally.rows[product] += rows or 0
                if rows is None:
                    self.tally.misses["unreadable", "sqlite"] += 1
                self._note("index", entry)
        self._scan(entry, file, "sqlite", 1)

    def _note(self, word: str, entry: Entry) -> None:
        self.tally.counts[word] += 1
        if self._keep:
            self.tally.paths.append((word, entry.path))
