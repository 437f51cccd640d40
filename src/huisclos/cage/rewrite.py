"""A data set written anew in Explicit VR Little Endian, its values as they are (PS3.5 section A.2).

Only headers change, the byte order of numbers, and the elements that a caller replaces: no value is
interpreted, so that what a writer got wrong stays as it was sent. Sequences and items get undefined
lengths. Group lengths, which would be wrong and are retired (PS3.5 section 7.2), are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Final, NamedTuple

import numpy as np

from huisclos.cage.jobs import Failed, Outcome
from huisclos.dicom.dictionary import FOLLOWS_PIXELS, IS_LONG, UNITS
from huisclos.dicom.frames import cell_unit
from huisclos.dicom.native import MAX_WHOLE
from huisclos.dicom.uids import TransferSyntax
from huisclos.dicom.values import swapped
from huisclos.dicom.walk import ITEM, ITEM_END, PIXEL_DATA, PIXEL_TAGS, SEQUENCE_END, UNDEFINED, Element

Piece = bytes | memoryview
ROOT: Final = -1
"""The key of the data set itself among its levels; an item's is where its header begins."""
"""GE's private syntax: implicit little endian, but for its pixel data."""
_BITS_ALLOCATED: Final = 0x00280100
_PIXEL_REPRESENTATION: Final = 0x00280103
_SHORT_MOST: Final = 0xFFFE
_WORD: Final = 2
_LARGE: Final = 64 * 1024


class Changes(dict[int, tuple[Piece, ...]]):
    """What becomes of elements of one level, by tag: whole elements, or nothing for one left out."""


class Written:
    """What was written so far: small pieces together, large ones as they lie. At most `MAX_WHOLE`."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._small = bytearray()
        self._length = 0

    def add(self, piece: Piece) -> None:
        """Append."""
        self._length += len(piece)
        if self._length > MAX_WHOLE:
            raise Failed(Outcome.TOO_LARGE)
        if len(piece) < _LARGE:
            self._small += piece
            return
        self.end()
        self.pieces.append(piece)

    def end(self) -> None:
        """Put what is gathered into `pieces`."""
        if self._small:
            self.pieces.append(bytes(self._small))
            self._small.clear()


class _Open(NamedTuple):
    """A sequence or item that is being written."""

    depth: int
    end: bytes
    implicit: bool
    """Whether its contents are implicit: UN of undefined length is (PS3.5 section 6.2.2)."""
    level: int | None
    """The key of an item's level."""


@dataclass(slots=True)
class Rewriter:
    """Writes the elements of one data set."""

    data: memoryview
    syntax: TransferSyntax
    changes: Mapping[int, Changes] = field(default_factory=dict)
    """Per level; a change to an element that is not there puts it in its place."""
    out: Written = field(default_factory=Written)
    _open: list[_Open] = field(default_factory=list)
    _left: dict[int, list[int]] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)

    def write(self, elements: Sequence[Element]) -> None:
        """Write all of them. Raises `Failed` over the bound."""
        self._left = {key: sorted(changes) for key, changes in self.changes.items()}
        self._numbers = {
            element.tag: self._number(element)
            for element in elements
            if element.depth == 0 and element.tag in (_BITS_ALLOCATED, _PIXEL_REPRESENTATION)
        }
        within = None
        for element in elements:
            if within is not None and element.depth > within:
                continue
            within = None
            self._close(element.depth)
            level = self._open[-1].level if self._open else ROOT
            if level is not None and self._replaced(level, element.tag):
                within = element.depth
            elif element.tag & 0xFFFF:
                self._element(element)
        self._close(0)
        self._flush(ROOT, 1 << 32)
        self.out.end()

    def _number(self, element: Element) -> int:
        value = bytes(self.data[element.offset : element.offset + _WORD])
        return int.from_bytes(value, "big" if self.syntax.big_endian else "little")

    def _close(self, depth: int) -> None:
        while self._open and self._open[-1].depth >= depth:
            closed = self._open.pop()
            if closed.level is not None:
                self._flush(closed.level, 1 << 32)
            self.out.add(closed.end)

    def _replaced(self, level: int, tag: int) -> bool:
        """Write what is due before `tag`, and instead of it; whether it was replaced."""
        self._flush(level, tag)
        left = self._left.get(level)
        if not left or left[0] != tag:
            return False
        self._flush(level, tag + 1)
        return True

    def _flush(self, level: int, before: int) -> None:
        left = self._left.get(level)
        while left and left[0] < before:
            for piece in self.changes[level][left.pop(0)]:
                self.out.add(piece)

    def _element(self, element: Element) -> None:
        tag, vr, offset, length, depth, start = element
        implicit = self._open[-1].implicit if self._open else False
        if tag == ITEM:
            self.out.add(_implicit(ITEM, UNDEFINED))
            self._open.append(_Open(depth, _implicit(ITEM_END, 0), implicit, start))
        elif length == UNDEFINED or vr == "SQ":
            if tag in PIXEL_TAGS:
                raise Failed(Outcome.UNKNOWN_SYNTAX)
            inside = implicit or vr != "SQ"
            self.out.add(_implicit(tag, UNDEFINED) if implicit else header(tag, vr if vr == "SQ" else "UN"))
            self._open.append(_Open(depth, _implicit(SEQUENCE_END, 0), inside, None))
        elif implicit:
            self.out.add(_implicit(tag, length))
            self.out.add(self.data[offset : offset + length])
        else:
            self._plain(element)

    def _plain(self, element: Element) -> None:
        tag, vr, offset, length, _, _ = element
        lying = self.data[offset : offset + length]
        value: Piece = lying
        if tag == PIXEL_DATA:
            value = self._pixels(element, lying)
        elif self.syntax.big_endian and UNITS.get(vr, 1) > 1:
            value = swapped(bytes(lying), UNITS[vr])
        if self.syntax.implicit and tag in FOLLOWS_PIXELS and vr == "US":
            vr = "SS" if self._numbers.get(_PIXEL_REPRESENTATION) == 1 else "US"
        if vr not in IS_LONG and length > _SHORT_MOST:
            vr = "UN"  # longer than its VR can say in explicit form (PS3.5 section 6.2.2)
        self.out.add(header(tag, vr, length))
        self.out.add(value)

    def _pixels(self, element: Element, value: memoryview) -> Piece:
        """Native pixel data, its cells little endian; an icon's are taken to be words."""
        bits = self._numbers.get(_BITS_ALLOCATED, 0) if element.depth == 0 else 0
        unit = cell_unit(bits, element.vr, self.syntax)
        if unit == 1:
            return value
        whole = len(value) - len(value) % unit
        turned = np.frombuffer(value[:whole], f"u{unit}").byteswap()
        return turned.tobytes() + bytes(value[whole:])


def header(tag: int, vr: str, length: int = UNDEFINED) -> bytes:
    """An element's header in Explicit VR Little Endian."""
    if vr in IS_LONG:
        return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def _implicit(tag: int, length: int) -> bytes:
    return pack("<HHI", tag >> 16, tag & 0xFFFF, length)
