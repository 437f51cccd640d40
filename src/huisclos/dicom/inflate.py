"""Inflating a deflated data set (PS3.5 section A.5) within bounds: a small bomb is never unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from huisclos.errors import NotDicom, TooLarge

MAX_INFLATED: Final = 128 * 1024**2
"""Bytes a data set may inflate to: to be looked into, it is inflated whole into memory."""
MAX_RATIO: Final = 200
"""Inflated bytes for each deflated one, once over `FREE`; deflate itself reaches 1,032."""
FREE: Final = 64 * 1024**2
"""Inflated bytes below which the ratio is not looked at: an empty mask deflates very well."""
_PIECE: Final = 256 * 1024


class Inflater:
    """Inflates raw deflate data as it arrives."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = 0
        self._given = 0

    @property
    def ended(self) -> bool:
        """Whether the deflated stream came to its end; padding may follow."""
        return self._engine.eof

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The bytes that `piece` inflates to, at most 256 KiB at a time.

        Raises `NotDicom` if it is not deflate data, `TooLarge` over a bound.
        """
        self._taken += len(piece)
        while piece and not self._engine.eof:
            try:
                inflated = self._engine.decompress(piece, _PIECE)
            except zlib.error:
                raise NotDicom("the deflated data set does not inflate") from None
            self._given += len(inflated)
            if self._given > MAX_INFLATED or self._given > max(FREE, self._taken * MAX_RATIO):
                raise TooLarge("the deflated data set inflates to far more than a data set needs")
            piece = self._engine.unconsumed_tail
            if inflated:
                yield inflated


def inflate(data: bytes) -> bytes:
    """The whole data set in `data`. Raises `NotDicom` if it breaks off, `TooLarge` over a bound."""
    inflater = Inflater()
    inflated = b"".join(inflater.feed(data))
    if not inflater.ended:
        raise NotDicom("the deflated data set breaks off")
    return inflated
