"""A rebuild of the index: begun, gone on with, ended; and one that was begun and left.

While it lasts nothing is placed, registered or shown: what arrives goes to batches, as if the archive
were locked, and whoever searches is told to wait rather than shown a part as if it were all. A mark in the
index, written with its emptying, outlives whoever rebuilds: the scribe takes over what nobody goes on with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from huisclos.archive.finder_ports import RestoredStudy
from huisclos.archive.index_ports import Index, Settling
from huisclos.errors import Conflict, Locked, Rebuilding
from huisclos.finder.shelf import Shelf

LEASE: Final = 20.0
"""Seconds without a sign of whoever rebuilds after which somebody else may."""
MARK: Final = b"rebuilding"
"""The checkpoint of an index that is not whole."""
_HINT: Final = "try again in some minutes; huisclos status ARCHIVE says when it is there"


class Rebuild:
    """The state of one finder."""

    def __init__(self, index: Index, shelf: Shelf, steady: Callable[[], float]) -> None:
        self._index = index
        self._shelf = shelf
        self._steady = steady
        self._under_way = False
        self._seen = float("-inf")
        self._placed: list[RestoredStudy] = []
        """Studies to whose folders something may have been on its way when the index was emptied."""

    @property
    def under_way(self) -> bool:
        """Whether the index is not whole."""
        return self._under_way

    def load(self) -> None:
        """Find out whether a rebuild was left half done."""
        self._under_way = self._index.checkpoint() == MARK

    def begin(self) -> None:
        """Empty memory and index."""
        self._placed = [
            RestoredStudy(study.study_id, study.uid, study.recipient)
            for study in self._shelf.at_hand()
            if study.state is not Settling.SETTLED
        ]
        self._under_way = True
        self._shelf.clear(MARK)
        self.sign()

    def sign(self) -> None:
        """Whoever rebuilds is still there."""
        self._seen = self._steady()

    @property
    def abandoned(self) -> bool:
        """Whether a rebuild was begun that nobody goes on with."""
        return self._under_way and self._steady() - self._seen > LEASE

    async def end(self) -> None:
        """The index is whole; what was on its way is looked for in its folders."""
        for placed in self._placed:
            if not self._shelf.knows(placed.study_id):
                try:
                    await self._shelf.restore(placed)
                except Conflict:
                    continue  # its UID is that of another folder now: `verify` names this one
            self._shelf.unsettled.add(placed.study_id)
        self._index.set_checkpoint(None)
        self._placed = []
        self._under_way = False

    def keep_out(self) -> None:
        """Raise `Locked` for whoever would store: to a batch, then."""
        if self._under_way:
            raise Locked("the index is being made anew", hint=_HINT)

    def ask_to_wait(self) -> None:
        """Raise `Rebuilding` for whoever would read."""
        if self._under_way:
            raise Rebuilding("the index is being made anew", hint=_HINT)
