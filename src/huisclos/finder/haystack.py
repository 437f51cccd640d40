"""The folded text of every study in one buffer: words are found in it anywhere, or at their beginning.

Infix search is one pass of `bytes.find` over the buffer (7 MB for 100,000 studies). For prefixes,
the first eight bytes of every word are kept as a sorted column of numbers beside the line they
are in: two binary searches give every line with a word that may begin so.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from huisclos.finder.columns import Column, Rows

_LINE: Final = 0x0A
_SPACE: Final = 0x20
_MARK: Final = b"\x01"
"""A text begins with the mark of its first field."""
_KEY: Final = 8
_LATE: Final = 1024
"""Lines whose words are not sorted in yet, at most; they are looked through one by one."""
_MANY: Final = 4096
"""Candidates above which a pass over the buffer is cheaper than looking at each."""


class Haystack:
    """Lines of text by row number. A row's line may be replaced; the old one is then dead."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._starts = Column("u4")
        self._rows = Column("u4")
        """The row of each line."""
        self._line_of = Column("u4")
        """The living line of each row."""
        self._keys: NDArray[Any] = np.zeros(0, "u8")
        self._key_lines: NDArray[Any] = np.zeros(0, "u4")
        self._sorted = 0
        """Lines before this one have their words in `_keys`."""
        self._dead = 0

    def load(self, texts: list[str]) -> None:
        """Take the lines of rows 0, 1, 2... at once, in an empty haystack."""
        lines = [b"\n" + text.encode("utf-8", "replace") for text in texts]
        lengths = np.fromiter(map(len, lines), "u4", len(lines))
        self._buffer = bytearray(b"".join(lines))
        self._starts.extend(np.cumsum(lengths, dtype="u8") - lengths)
        rows = np.arange(len(lines), dtype="u4")
        self._rows.extend(rows)
        self._line_of.extend(rows)
        self._sort_in()

    def put(self, row: int, text: str) -> None:
        """Take a new row (the next number), or replace the line of one."""
        line = self._starts.size
        if row < self._line_of.size:
            if self.text(row) == text:
                return
            self._line_of[row] = line
            self._dead += 1
        else:
            self._line_of.append(line)
        self._starts.append(len(self._buffer))
        self._rows.append(row)
        self._buffer += b"\n" + text.encode("utf-8", "replace")
        if self._dead > _LATE and self._dead > self._line_of.size // 4:
            self._rewrite()
        elif line + 1 - self._sorted > _LATE:
            self._sort_in()

    def text(self, row: int) -> str:
        """The line of a row."""
        return self._line(self._line_of[row]).decode()

    def holding(self, needle: str) -> Rows:
        """Rows whose text holds `needle` anywhere."""
        wanted = needle.encode()
        buffer, hits = self._buffer, []
        at = buffer.find(wanted)
        while at >= 0:
            hits.append(at)
            at = buffer.find(wanted, at + 1)
        if not hits:
            return np.zeros(0, "u4")
        lines = np.searchsorted(self._starts.values, np.array(hits, "u4"), side="right") - 1
        return self._living(lines)

    def beginning(self, needle: str) -> Rows:
        """Rows with a word in their text that begins with `needle`."""
        wanted = needle.encode()
        low = wanted[:_KEY].ljust(_KEY, b"\0")
        high = wanted[:_KEY].ljust(_KEY, b"\xff")
        first = np.searchsorted(self._keys, _number(low), side="left")
        last = np.searchsorted(self._keys, _number(high), side="right")
        lines = np.unique(self._key_lines[first:last])
        if len(wanted) > _KEY:
            if len(lines) > _MANY:
                # identifiers that all begin alike: one pass, then a look at what it found
                held = self.holding(needle)
                return np.array(
                    [row for row in held.tolist() if self._begins(wanted, self._line_of[row])], "u4"
                )
            lines = np.array([line for line in lines.tolist() if self._begins(wanted, line)], "u4")
        late = [line for line in range(self._sorted, self._starts.size) if self._begins(wanted, line)]
        return self._living(np.concatenate((lines, np.array(late, "u4"))))

    def leading(self, needle: str) -> Rows:
        """Those rows of `beginning` whose text has `needle` right behind its first mark."""
        rows = self.beginning(needle)
        wanted = np.frombuffer(needle.encode(), "u1")
        starts = self._starts.values[self._line_of.values[rows]].astype("u8") + len(b"\n" + _MARK)
        # never beyond the buffer: the needle stands somewhere behind the mark
        cells = np.frombuffer(self._buffer, "u1")[starts[:, None] + np.arange(len(wanted), dtype="u8")]
        found: Rows = rows[(cells == wanted).all(axis=1)]
        return found

    def size(self) -> int:
        """Bytes held, about."""
        return len(self._buffer) + self._keys.nbytes + self._key_lines.nbytes + 12 * self._starts.size

    def _line(self, line: int) -> bytearray:
        end = self._starts[line + 1] if line + 1 < self._starts.size else len(self._buffer)
        return self._buffer[self._starts[line] + 1 : end]

    def _begins(self, wanted: bytes, line: int) -> bool:
        text = self._line(line)
        at = text.find(wanted)
        while at >= 0:
            if at and text[at - 1] <= _SPACE:
                return True
            at = text.find(wanted, at + 1)
        return False

    def _living(self, lines: NDArray[Any]) -> Rows:
        lines = np.unique(lines)
        rows: Rows = self._rows.values[lines]
        return rows[self._line_of.values[rows] == lines] if self._dead else rows

    def _sort_in(self) -> None:
        """Bring the words of late lines into the sorted column."""
        start = self._starts[self._sorted] if self._sorted < self._starts.size else len(self._buffer)
        keys, offsets = _word_keys(self._buffer, start)
        lines = (np.searchsorted(self._starts.values, offsets, side="right") - 1).astype("u4")
        order = np.argsort(keys, kind="stable")
        keys, lines = keys[order], lines[order]
        if len(self._keys):
            places = np.searchsorted(self._keys, keys)
            keys = np.insert(self._keys, places, keys)
            lines = np.insert(self._key_lines, places, lines)
        self._keys, self._key_lines = keys, lines
        self._sorted = self._starts.size

    def _rewrite(self) -> None:
        """Leave dead lines behind."""
        texts = [self.text(row) for row in range(self._line_of.size)]
        self.__init__()  # type: ignore[misc]  # begin anew, in place
        self.load(texts)


def _number(eight: bytes) -> Any:
    return np.frombuffer(eight, ">u8").astype("u8")[0]


def _word_keys(buffer: bytearray, start: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first eight bytes of each word from `start` on, as numbers, and where the words are.

    Whole arrays at a time: half a million words take a twentieth of a second.
    """
    cells = np.frombuffer(bytes(buffer[start:]) + b"\n" * (_KEY + 1), "u1")
    apart = cells <= _SPACE
    begins = np.flatnonzero(apart[:-1] & ~apart[1:]) + 1
    keys = np.zeros(len(begins), "u8")
    inside = np.ones(len(begins), "?")
    for place in range(_KEY):
        column = cells[np.minimum(begins + place, len(cells) - 1)]
        inside &= column > _SPACE
        keys = (keys << np.uint64(8)) | np.where(inside, column, 0).astype("u8")
    return keys, begins + start
