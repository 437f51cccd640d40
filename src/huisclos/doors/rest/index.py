"""An SQLite database at rest: whose index it is, and how many rows it has. Nothing is written beside it.

A program that runs keeps what is new in the write-ahead log beside its database (sqlite.org/fileformat2.html,
section 4): a small database is read with it, put together in memory; of a larger one what lies in the file.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Final

from huisclos.clock import steady
from huisclos.doors.rest.others import TABLES, WAL

MAX_HELD: Final = 64 * 1024 * 1024
"""bytes of a database, and of its log, that are put together in memory"""
SECONDS: Final = 5.0
"""that counting may take: pages can be linked so that it never ends"""
_STEPS: Final = 10_000
_HEADER, _FRAME = 32, 24
_LEGACY: Final = b"\x01\x01"
_MAX_PAGE: Final = 65536


def index_rows(path: str) -> tuple[str, int | None] | None:
    """The program whose index it is, and its rows: None when they cannot be counted. Else None.

    Raises `sqlite3.Error`, `OSError`.
    """
    with closing(_opened(path)) as database:
        until = steady() + SECONDS
        database.set_progress_handler(lambda: steady() > until, _STEPS)
        names = {
            str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        for product, table in TABLES.items():
            if table in names:
                return product, _rows(database, table)
    return None


def _rows(database: sqlite3.Connection, table: str) -> int | None:
    try:
        # Row by row: the shortcut that counts pages cannot be stopped.
        (rows,) = database.execute(f'SELECT count(*) FROM (SELECT 1 FROM "{table}" LIMIT -1)').fetchone()  # noqa: S608 - a name of ours
    except sqlite3.Error:
        return None
    return int(rows)


def _opened(path: str) -> sqlite3.Connection:
    log = f"{path}-wal"
    if os.path.exists(log) and max(os.path.getsize(path), os.path.getsize(log)) <= MAX_HELD:  # noqa: PTH110,PTH202 - the walk is on strings
        raw = _together(_read(path), _read(log))
        database = sqlite3.connect(":memory:")
        try:
            database.deserialize(raw)
        except BaseException:
            database.close()
            raise
        return database
    return sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro&immutable=1", uri=True, timeout=1.0)


def _read(path: str) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(MAX_HELD)


def _together(raw: bytes, log: bytes) -> bytes:
    """The database with every transaction of its log that was finished."""
    made = bytearray(raw)
    if log[:4] in WAL and len(log) >= _HEADER:
        size = struct.unpack_from(">I", log, 8)[0] or _MAX_PAGE
        salts, waiting, at = log[16:24], dict[int, int](), _HEADER
        while size <= _MAX_PAGE and at + _FRAME + size <= len(log) and log[at + 8 : at + 16] == salts:
            page, pages = struct.unpack_from(">II", log, at)
            waiting[page] = at + _FRAME
            if pages:
                _finish(made, log, waiting, size, pages)
                waiting.clear()
            at += _FRAME + size
    made[18:20] = _LEGACY
    return bytes(made)


def _finish(made: bytearray, log: bytes, waiting: dict[int, int], size: int, pages: int) -> None:
    """One transaction's pages, put where they belong in a database of so many."""
    if pages * size > 2 * MAX_HELD:
        return
    if len(made) < pages * size:
        made.extend(bytes(pages * size - len(made)))
    for page, at in waiting.items():
        if 0 < page <= pages:
            made[(page - 1) * size : page * size] = log[at : at + size]
