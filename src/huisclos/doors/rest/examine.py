"""One file at rest: its first bytes say what it is, and what is clear in it is counted."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huisclos.doors.rest.containers import Budget, TooMuch, kind_of, look_into, scan_image
from huisclos.doors.rest.heads import HEAD, MORE, Known, is_headerless, is_part10, read_head
from huisclos.doors.rest.tally import Tally

CLOUDS: Final = frozenset(
    ("dropbox", "onedrive", "google drive", "googledrive", "icloud drive", "icloud",
     "kdrive", "nextcloud", "pcloud",
     "mega", "com~apple~clouddocs", "my drive", "box sync")
)  # fmt: skip
BACKUP: Final = re.compile(r"backup|sauvegarde|\.bak\b|backupdb", re.IGNORECASE)
_IMAGE_FILE: Final = (".iso", ".img", ".dmg", ".bin", ".vmdk", ".raw")
_TABLES: Final = {
    "orthanc": "MainDicomTags",
    "horos": "ZPATIENT",
    "osirix-horos": "ZSTUDY",
    "conquest": "DICOMPatients",
    "dcm4chee": "patient_id",
}
_DUMPS: Final = (
    b"-- PostgreSQL database dump",
    b"-- MySQL dump",
    b"-- MariaDB dump",
    b"PRAGMA foreign_keys",
    b"CREATE TABLE",
)
_COLUMNS: Final = re.compile(
    rb"patientname|patient_name|pat_name|studyinstanceuid|study_iuid|MainDicomTags|PatientNam", re.IGNORECASE
)
_DUMP_HEAD: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to look at."""

    path: str
    branch: str
    """token of the sub-tree of the root that it lies in"""
    reachable: bool
    """whether other accounts can get to its folder"""
    backup: bool
    cloud: bool


class Examiner:
    """Looks at files and counts; one for each share of the work."""

    def __init__(self, key: bytes, root: str, *, keep_paths: bool = False) -> None:
        self.tally = Tally()
        self._key = key
        self._root = root
        self._keep = keep_paths

    def look(self, entry: Entry) -> None:
        """Count what is clear in one file; what cannot be read is counted as such."""
        self.tally.files += 1
        try:
            file = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self.tally.misses["unreadable", "file"] += 1
            return
        try:
            head = os.read(file, HEAD)
            self._judge(entry, file, head)
        except (OSError, EOFError):
            self.tally.misses["unreadable", "file"] += 1
        finally:
            os.close(file)

    def _judge(self, entry: Entry, file: int, head: bytes) -> None:
        part10 = is_part10(head)
        if part10 or is_headerless(head):
            self._image(entry, file, head, part10=part10)
        elif kind := kind_of(head):
            self._container(entry, file, kind)
        elif head.startswith(b"SQLite format 3\0"):
            self._database(entry)
        elif entry.path.lower().endswith(_IMAGE_FILE):
            self._disk(entry, file)
        elif head.startswith((*_DUMPS, b"PGDMP")):
            text = head + os.read(file, _DUMP_HEAD)
            self._note("dump", entry) if _COLUMNS.search(text) else None
        elif head.startswith((b"MSH|^~\\&", b"\x0bMSH|")):
            self._note("hl7", entry)

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
        if entry.reachable and status.st_mode & stat.S_IROTH:
            self.tally.counts["readable"] += 1
        if known.named:
            self.tally.counts["named"] += 1

    def _count(self, kind: str, known: Known | None, size: int, entry: Entry) -> None:
        self.tally.heap(kind).add(known, size)
        self.tally.places[kind, entry.branch] += 1
        if entry.backup:
            self.tally.counts["backup"] += 1
        if entry.cloud:
            self.tally.counts["cloud"] += 1
        if self._keep:
            self.tally.paths.append((kind, entry.path))

    def _container(self, entry: Entry, file: int, kind: str) -> None:
        def found(head: bytes, size: int, part10: bool, _name: str) -> None:  # noqa: FBT001 - as the port has it
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

    def _disk(self, entry: Entry, file: int) -> None:
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            try:
                for head in scan_image(stream, Budget()):
                    self._count("iso", read_head(head, self._key), 0, entry)
            except TooMuch:
                self.tally.misses["too-large", "iso"] += 1

    def _database(self, entry: Entry) -> None:
        """Names of tables, and how many rows they have; `immutable`, so that nothing is written beside it."""
        address = Path(entry.path).absolute().as_uri() + "?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as database:
                names = {
                    str(row[0])
                    for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                }
                for product, table in _TABLES.items():
                    if table in names:
                        (rows,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - a name of ours
                        self.tally.rows[product] += int(rows)
                        self._note("index", entry)
                        return
        except sqlite3.Error:
            self.tally.misses["unreadable", "sqlite"] += 1

    def _note(self, word: str, entry: Entry) -> None:
        self.tally.counts[word] += 1
        if self._keep:
            self.tally.paths.append((word, entry.path))
