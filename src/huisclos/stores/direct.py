"""What goes into a file, past the page cache: from memory used again and again, straight to the disk.

What is received is written once and not read soon. Through the cache, each page of it is taken from the
system, filled, looked after and thrown out again: 392 us of a processor for 512 KB, and 187 past it; several
times that on a virtual machine whose host has to find the page first. Only whole blocks can go this way
(open(2), `O_DIRECT`); what is short, and a file's end, goes through the cache.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from typing import Final

from huisclos.archive.ports import LONGEST_ROOM
from huisclos.stores.system import write_at

BLOCK: Final = 4096
"""Bytes that offsets and lengths are multiples of: no disk of today asks for more."""
SHEET: Final = 1024 * 1024
"""Bytes of one memory that leave for the disk together."""
WORTH_IT: Final = 128 * 1024
"""Bytes of a file from which on this is quicker than the cache."""
_KEPT: Final = 8
"""Sheets kept for the next files: as many as associations that send at one time, as a rule."""

_spare: list[mmap.mmap] = []
"""Sheets that nobody uses. What they hold is sealed."""


class DirectFile:
    """What goes into one new file: `room` for it, `write` what fills a sheet, `finish` with its start.

    `room` may be asked for in one thread while another is in `write`, and before there is a file;
    `lead` bytes are left at the start. The others need the file, by `into`, and raise `OSError`.
    `close` in any case.
    """

    def __init__(self, lead: int) -> None:
        self._descriptor = self._direct = -1
        self._sheet = _taken()
        self._filled = lead
        """Bytes in the sheet; the first `lead` of the file are given last."""
        self._full: deque[mmap.mmap] = deque()
        """Sheets that are to be written, in order."""
        self._written = 0
        self._first = b""
        """The first block, once it was written without what belongs at its start."""

    def into(self, descriptor: int, path: str) -> None:
        """The file is this new one, which stays the caller's; it is opened once more to pass the cache."""
        self._descriptor = descriptor
        try:
            self._direct = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def room(self, length: int) -> memoryview:
        """Where the next `length` bytes go, `LONGEST_ROOM` at most."""
        if self._filled >= SHEET:
            over, full = self._filled - SHEET, self._sheet
            self._sheet = _taken()
            self._sheet[:over] = full[SHEET : self._filled]
            self._filled = over
            self._full.append(full)
        at, self._filled = self._filled, self._filled + length
        return memoryview(self._sheet)[at : self._filled]

    def write(self) -> None:
        """Every sheet that is full leaves for the disk."""
        while self._full:
            sheet = self._full.popleft()
            if not self._written:
                self._first = sheet[:BLOCK]
            self._write_blocks(sheet, self._written, SHEET)
            self._written += SHEET
            _let_go(sheet)

    def finish(self, lead: bytes) -> None:
        """The rest leaves, and `lead` takes its place at the start of the file."""
        self.write()
        if not self._written:
            self._sheet[: len(lead)] = lead
        whole = self._filled // BLOCK * BLOCK if self._written + self._filled >= WORTH_IT else 0
        self._write_blocks(self._sheet, self._written, whole)
        if whole < self._filled:
            end = memoryview(self._sheet)[whole : self._filled]
            write_at(self._descriptor, (end,), self._written + whole)
        if self._first:
            self._sheet[:BLOCK] = lead + self._first[len(lead) :]
            self._write_blocks(self._sheet, 0, BLOCK)

    def close(self) -> None:
        """Let go of what was held. Idempotent; nothing is asked of it afterwards."""
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1
        while self._full:
            _let_go(self._full.popleft())
        if self._filled >= 0:
            self._filled = -1
            _let_go(self._sheet)

    def _write_blocks(self, sheet: mmap.mmap, offset: int, length: int) -> None:
        if not length:
            return
        blocks = (memoryview(sheet)[:length],)
        if self._direct >= 0:
            try:
                write_at(self._direct, blocks, offset)
            except OSError as error:
                # Some file systems take the flag, and then no writing.
                if error.errno != errno.EINVAL:
                    raise
            else:
                return
        write_at(self._descriptor, blocks, offset)


def _taken() -> mmap.mmap:
    try:
        return _spare.pop()
    except IndexError:
        # private: a process forked meanwhile must not write into the same memory
        return mmap.mmap(-1, SHEET + LONGEST_ROOM, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _let_go(sheet: mmap.mmap) -> None:
    if len(_spare) < _KEPT:
        _spare.append(sheet)
