"""Where the frames of pixel data lie, in 16 bytes each: a hostile object names a million of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """One frame: the byte ranges (offset, length) it is made of, in order.

    A native frame of 1-bit pixels may begin within a byte: `first_bit` says at which bit,
    least significant first; `bits` is how long it is, or 0 where whole bytes are meant.
    """

    ranges: tuple[tuple[int, int], ...]
    first_bit: int = 0
    bits: int = 0


class Places:
    """Byte ranges, (offset, length) each."""

    __slots__ = ("_lengths", "_offsets")

    def __init__(self, known: Iterable[tuple[int, int]] = ()) -> None:
        self._offsets, self._lengths = array("Q"), array("Q")
        for offset, length in known:
            self.append(offset, length)

    def append(self, offset: int, length: int) -> None:
        """One more, behind the others."""
        self._offsets.append(offset)
        self._lengths.append(length)

    def take_first(self) -> tuple[int, int]:
        """The first, which is here no more."""
        return self._offsets.pop(0), self._lengths.pop(0)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> tuple[int, int]:
        return self._offsets[number], self._lengths[number]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._offsets, self._lengths, strict=True)

    def between(self, first: int, last: int) -> tuple[tuple[int, int], ...]:
        """Those from number `first` up to `last`, without that."""
        return tuple(zip(self._offsets[first:last], self._lengths[first:last], strict=True))


class FrameIndex(ABC):
    """The frames of one instance, by number from 0."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, number: int) -> Frame: ...

    def __iter__(self) -> Iterator[Frame]:
        return (self[number] for number in range(len(self)))


class NativeFrames(FrameIndex):
    """Frames of `bits` each, one behind the other from byte `offset` on."""

    def __init__(self, offset: int, bits: int, count: int) -> None:
        self._offset, self._bits, self._count = offset, bits, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Frame:
        first, end = number * self._bits, (number + 1) * self._bits
        place = (self._offset + first // 8, (end + 7) // 8 - first // 8)
        return Frame((place,)) if self._bits % 8 == 0 else Frame((place,), first % 8, self._bits)


class CodedFrames(FrameIndex):
    """Frames made of fragments; `begins` has the number of each frame's first."""

    def __init__(self, fragments: Places, begins: Iterable[int]) -> None:
        self._fragments, self._begins = fragments, array("Q", begins)

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, number: int) -> Frame:
        last = self._begins[number + 1] if number + 1 < len(self._begins) else len(self._fragments)
        return Frame(self._fragments.between(self._begins[number], last))
