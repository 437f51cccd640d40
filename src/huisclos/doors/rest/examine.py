"""One file at rest: its first bytes say what it is, and what is clear in it is counted."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from huisclos.doors.rest import others
from huisclos.doors.rest.budget import Budget, TooMuch
from huisclos.doors.rest.containers import kind_of, look_into, scan_image
from huisclos.doors.rest.heads import HEAD, MORE, Known, is_headerless, is_part10, read_head
from huisclos.doors.rest.tally import Tally

_IMAGE_FILE: Final = (".iso", ".img", ".dmg", ".bin", ".vmdk", ".raw", ".vhd", ".vhdx", ".vdi", ".qcow2")
_DUMP_HEAD: Final = 1024 * 1024
_THUMBS: Final = 16 * 1024 * 1024
_RELATIONS: Final = 64 * 1024 * 1024
"""bytes of a PostgreSQL catalogue of relations that are searched"""
_LUKS, _BITLOCKER = b"LUKS\xba\xbe", b"-FVE-FS-"


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

    def __init__(self, key: bytes, root: str, *, keep_paths: bool = False, instances: bool = False) -> None:
        self.tally = Tally()
        self._key = key
        self._root = root
        self._keep = keep_paths
        self._instances = instances
        self._folders: dict[str, list[int]] = {}
        """images, and what programs make out of them, in each folder of the share"""

    def look(self, entry: Entry) -> None:
        """Count what is clear in one file; what cannot be read is counted as such."""
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
        elif head.startswith(_LUKS) or head[3:11] == _BITLOCKER:
            self.tally.counts["sealed"] += 1
        elif entry.path.lower().endswith(_IMAGE_FILE):
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
                self._count("clear", read_head(body, self._key, part10=is_part10(body)), len(body), entry)
        elif (raw := others.unpacked(head, partial(os.read, file, MORE))) and is_part10(raw):
            self._count("packed", read_head(raw, self._key), os.fstat(file).st_size, entry)
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
        known = read_head(head + os.read(file, MORE), self._key, below, part10=part10)
        kind = (
            "media"
            if known.media or entry.path.endswith("/DICOMDIR")
            else "clear"
            if part10
            else "headerless"
        )
        self._count(kind, known, status.st_size, entry)
        self._folders.setdefault(entry.path.rpartition("/")[0], [0, 0])[0] += 1
        if entry.path.lower().endswith(".wl"):
            self._note("hl7", entry)
        if entry.reachable and status.st_mode & stat.S_IROTH:
            self.tally.counts["readable"] += 1
        if known.named:
            self.tally.counts["named"] += 1

    def _count(self, kind: str, known: Known | None, size: int, entry: Entry) -> None:
        self.tally.heap(kind).add(known, size, instances=self._instances)
        self.tally.places[kind, entry.branch] += 1
        for mark in entry.marks:
            self.tally.counts[mark] += 1
        if self._keep:
            self.tally.paths.append((kind, entry.path))

    def _container(self, entry: Entry, file: int, kind: str) -> None:
        def found(head: bytes, size: int, part10: bool) -> None:  # noqa: FBT001 - as the port has it
            self._count(kind, read_head(head, self._key, part10=part10), size, entry)

        def notes(word: str) -> None:
            if word == "unread":
                self.tally.misses["unreadable", kind] += 1
            else:
                self.tally.counts[word] += 1

        before = self.tally.heap(kind).images
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            try:
                look_into(stream, kind, found, notes, Budget())
            except TooMuch:
                self.tally.misses["too-large", kind] += 1
            except (OSError, EOFError):
                self.tally.misses["unreadable", kind] += 1
        if self.tally.heap(kind).images == before and not before:
            del self.tally.heaps[kind]

    def _disk(self, entry: Entry, file: int, kind: str) -> None:
        """Images at the beginning of a sector, or anywhere in a database's file."""
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            try:
                for head in scan_image(stream, Budget(), step=1 if kind == "sqlite" else 512):
                    self._count(kind, read_head(head, self._key), 0, entry)
            except TooMuch:
                self.tally.misses["too-large", kind] += 1

    def _database(self, entry: Entry, file: int) -> None:
        """Names of tables, and how many rows they have; `immutable`, so that nothing is written beside it."""
        address = Path(entry.path).absolute().as_uri() + "?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as database:
                names = {
                    str(row[0])
                    for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                }
                for product, table in others.TABLES.items():
                    if table in names:
                        (rows,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - a name of ours
                        self.tally.rows[product] += int(rows)
                        self._note("index", entry)
                        break
        except sqlite3.Error:
            self.tally.misses["unreadable", "sqlite"] += 1
        self._disk(entry, file, "sqlite")

    def _note(self, word: str, entry: Entry) -> None:
        self.tally.counts[word] += 1
        if self._keep:
            self.tally.paths.append((word, entry.path))
