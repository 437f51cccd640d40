"""Growing columns of numbers, one value a row, so that a condition is asked of every row at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
"""Row numbers, unsigned 32-bit."""
Mask = NDArray[np.bool_]

_FIRST: Final = 1024


class Column:
    """A numpy array that grows by doubling."""

    __slots__ = ("_cells", "size")

    def __init__(self, dtype: str) -> None:
        self._cells: NDArray[Any] = np.zeros(_FIRST, dtype)
        self.size = 0

    def append(self, value: Any) -> None:
        """Add a row."""
        if self.size == len(self._cells):
            grown = np.zeros(2 * self.size, self._cells.dtype)
            grown[: self.size] = self._cells
            self._cells = grown
        self._cells[self.size] = value
        self.size += 1

    def extend(self, values: NDArray[Any]) -> None:
        """Add many rows."""
        self._cells = np.concatenate((self.values, values.astype(self._cells.dtype)))
        self.size = len(self._cells)
        if not self.size:
            self._cells = np.zeros(_FIRST, self._cells.dtype)

    def __getitem__(self, row: int) -> int:
        return int(self._cells[row])

    def __setitem__(self, row: int, value: Any) -> None:
        self._cells[row] = value

    @property
    def values(self) -> NDArray[Any]:
        """All rows, not a copy."""
        return self._cells[: self.size]
