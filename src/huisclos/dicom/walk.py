"""Walk the elements of a data set without decoding it (PS3.5 section 7 and annex A).

One loop, no recursion: nesting costs a row in a list, never a frame of the interpreter's
stack, and is bounded (a public test file nested deep kills other readers outright). The
walker needs only element headers, so it can be fed an object as it arrives, or jump through
one that lies sealed in a store; values are skipped, except those the caller asks to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple, Protocol

from huisclos.dicom.dictionary import IS_LONG, KNOWN_VRS, vr_of
from huisclos.dicom.uids import TransferSyntax
from huisclos.errors import NotDicom, TooLarge

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})

ITEM_DEPTH: Final = 2
"""Depth of the elements in the items of a sequence of the data set itself."""

MAX_PIECE: Final = 64 * 1024
"""Bytes read at a time when walking an object by range."""


class Element(NamedTuple):
    """One element's header. `offset` is where its value begins in the data set.

    Items and fragments have tag (FFFE,E000) and vr ""; the delimiters are left out. `length`
    may be `UNDEFINED`. `depth` counts sequences and items: 0 is the data set itself, an item
    is one deeper than its sequence, its elements one deeper than the item.
    """

    tag: int
    vr: str
    offset: int
    length: int
    depth: int
    start: int
    """Where its header begins."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a data set from outside may ask of a reader (P7)."""

    depth: int = 64
    """Sequences and items within one another, counted together, two a level."""
    elements: int = 1_000_000
    held: int = 64 * 1024
    """Bytes of one held value at most; a longer one is passed over."""


class ReadAt(Protocol):
    """Somewhere a data set lies that can be read by range."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; fewer only at the end."""


class Held:
    """A data set held in memory, read by range."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ReadAt`."""
        return self._data[offset : offset + length]


class _Form(NamedTuple):
    """How numbers of a header are laid out."""

    tag_length: Struct
    tag_vr_length: Struct
    long_length: Struct


_LITTLE = _Form(Struct("<HHI"), Struct("<HH2sH"), Struct("<I"))
_BIG = _Form(Struct(">HHI"), Struct(">HH2sH"), Struct(">I"))

Header = tuple[int, str, int, int]
"""Tag, VR, length of the value, bytes of the header."""
_HEADER = 8
"""Bytes of a header: tag and length, or tag, VR and a short length (PS3.5 section 7.1)."""
_LONG_HEADER = 12
_DELIMITERS = 0xFFFE
"""Group of items and delimiters, which have no VR."""
_GROUP_1 = 0x00010000
_ReadHeader = Callable[[bytes, int, int], Header | None]
"""Reads the header at a position of the data before a limit; None if it is not all there."""


def _implicit_header(data: bytes, position: int, limit: int) -> Header | None:
    if limit - position < _HEADER:
        return None
    group, number, length = _LITTLE.tag_length.unpack_from(data, position)
    tag = group << 16 | number
    return tag, vr_of(tag), length, 8


def _explicit_reader(form: _Form) -> _ReadHeader:
    tag_vr_length, long_length = form.tag_vr_length.unpack_from, form.long_length.unpack_from

    def read(data: bytes, position: int, limit: int) -> Header | None:
        if limit - position < _HEADER:
            return None
        group, number, code, length = tag_vr_length(data, position)
        # the length of an item, or of a fragment, may happen to spell a VR: 16,708 bytes are b"DA"
        vr = KNOWN_VRS.get(code) if group != _DELIMITERS else None
        if vr is None:
            return _odd_header(group << 16 | number, code, length, long_length(data, position + 4)[0])
        if vr not in IS_LONG:
            return group << 16 | number, vr, length, 8
        if limit - position < _LONG_HEADER:
            return None
        return group << 16 | number, vr, long_length(data, position + 8)[0], 12

    return read


def _odd_header(tag: int, code: bytes, short: int, long: int) -> Header:
    """A header whose VR is none: a delimiter, an implicit element among explicit ones, or a VR made up.

    Some writers switch to implicit inside sequences; what stands for the VR is then no two capitals.
    """
    if tag >> 16 == _DELIMITERS:
        return tag, "", long, 8
    if code.isalpha() and code.isupper():
        return tag, "UN", short, 8
    return tag, vr_of(tag), long, 8


_EXPLICIT_LITTLE = _explicit_reader(_LITTLE)
_EXPLICIT_BIG = _explicit_reader(_BIG)


class _Open(NamedTuple):
    """A sequence, item or run of fragments the walker is inside of."""

    end: int
    """Offset where it ends, or -1 when its delimiter says."""
    holds: str
    """"elements", "items" or "fragments"."""
    read: _ReadHeader


_ELEMENTS, _ITEMS, _FRAGMENTS = "elements", "items", "fragments"


class Walker:
    """Walks a data set that arrives in pieces.

    Feed it with `feed`, call `finish` at the end. `hold` names the tags at depth 0, and as
    (sequence, tag) those in the items of a sequence there, whose element is only given once
    its value is in (then `value` returns it until the next feed); from tag `stop` on at
    depth 0 nothing more is walked and `done` is true.
    Raises `NotDicom` where the bytes contradict themselves, `TooLarge` over a bound.
    """

    def __init__(
        self,
        syntax: TransferSyntax,
        *,
        bounds: Bounds | None = None,
        hold: Container[int | tuple[int, int]] = (),
        stop: int = 1 << 32,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._hold = hold
        self._stop = stop
        explicit = _EXPLICIT_BIG if syntax.big_endian else _EXPLICIT_LITTLE
        self._stack = [_Open(-1, _ELEMENTS, _implicit_header if syntax.implicit else explicit)]
        self._count = 0
        self._data = b""
        self._base = 0
        self._at = 0
        self._padding = False
        self._outer = 0
        self.done = False

    @property
    def position(self) -> int:
        """Offset of the next header it needs; what lies before it may be skipped."""
        return self._at

    def feed(self, piece: bytes, at: int | None = None) -> list[Element]:
        """The elements that `piece` completes. `at` is the piece's offset, by default just after the last."""
        end = self._base + len(self._data)
        if at is not None and at != end:
            self._data, self._base = piece, at
        elif self._at < end:
            self._data, self._base = self._data[self._at - self._base :] + piece, self._at
        else:
            self._data, self._base = piece, end
        found: list[Element] = []
        if self._padding and piece.strip(b"\0"):
            raise NotDicom("the data set goes on after its padding")
        if not self.done and not self._padding and self._at < self._base + len(self._data):
            self._at = self._base + self._walk(self._at - self._base, found)
        return found

    def value(self, element: Element) -> bytes:
        """The value of a held element that the last `feed` gave."""
        start = element.offset - self._base
        return self._data[start : start + element.length]

    def finish(self, size: int) -> None:
        """Say that the data set ended after `size` bytes. Raises `NotDicom` if it breaks off."""
        if self.done or self._padding:
            return
        if len(self._stack) > 1:
            raise NotDicom("the data set ends inside a sequence")
        rest = self._data[max(self._at - self._base, 0) :]
        if self._at > size or rest.strip(b"\0"):
            raise NotDicom("the data set breaks off inside an element")

    def _walk(self, position: int, found: list[Element]) -> int:
        """Walk the data held from `position` on; the position where it stopped."""
        data, base, stack = self._data, self._base, self._stack
        limit, most, held = len(data), self._bounds.elements, self._bounds.held
        end, holds, read = stack[-1]
        depth = len(stack) - 1
        while True:
            while 0 <= end <= base + position:
                end, holds, read = self._close(base + position)
                depth -= 1
            header = read(data, position, limit)
            if header is None:
                break
            tag, vr, length, size = header
            start = position
            if depth == 0 and (tag >= self._stop or tag < _GROUP_1):
                position = self._outside(tag, start)
                break
            if tag >= ITEM_END and tag in (ITEM_END, SEQUENCE_END):
                self._check_delimiter(tag)
                stack.pop()
                end, holds, read = stack[-1]
                depth -= 1
                position += size
                continue
            if limit - start - size < length <= held and self._is_held(tag, depth):
                break
            position += size
            if self._count + len(found) >= most:
                raise TooLarge(f"the data set has more than {most} elements")
            found.append(Element(tag, vr, base + position, length, depth, base + start))
            if (holds is _ELEMENTS) is (tag == ITEM):
                raise NotDicom("an item or an element is out of place")
            if length != UNDEFINED and vr != "SQ" and holds is not _ITEMS:
                position += length
                if 0 <= end < base + position:
                    raise NotDicom("an element is longer than the sequence around it")
                continue
            end, holds, read = self._open(found[-1])
            depth += 1
        self._count += len(found)
        return position

    def _is_held(self, tag: int, depth: int) -> bool:
        """Whether an element is to wait until its value is in."""
        return tag in self._hold if depth == 0 else depth == ITEM_DEPTH and (self._outer, tag) in self._hold

    def _open(self, element: Element) -> _Open:
        """Enter a sequence, an item, or the fragments of encapsulated pixel data."""
        around = self._stack[-1]
        tag, vr, offset, length, depth, _ = element
        if depth == 0:
            self._outer = tag
        end = offset + length if length != UNDEFINED else -1
        if 0 <= around.end < end:
            raise NotDicom("an element is longer than the sequence around it")
        if depth >= self._bounds.depth * 2:
            raise TooLarge(f"sequences are nested more than {self._bounds.depth} deep")
        if around.holds is _FRAGMENTS:
            raise NotDicom("a fragment of pixel data has no length")
        if tag == ITEM:
            opened = _Open(end, _ELEMENTS, around.read)
        elif vr == "SQ":
            opened = _Open(end, _ITEMS, around.read)
        elif tag in PIXEL_TAGS:
            opened = _Open(end, _FRAGMENTS, around.read)
        else:
            # UN of undefined length is a sequence in implicit little endian (PS3.5 section 6.2.2).
            opened = _Open(end, _ITEMS, _implicit_header)
        self._stack.append(opened)
        return opened

    def _close(self, position: int) -> _Open:
        if self._stack[-1].end < position:
            raise NotDicom("an element is longer than the sequence around it")
        self._stack.pop()
        return self._stack[-1]

    def _check_delimiter(self, tag: int) -> None:
        inside = self._stack[-1]
        if len(self._stack) == 1 or inside.end >= 0 or (tag == ITEM_END) is not (inside.holds == _ELEMENTS):
            raise NotDicom("a delimiter closes nothing")

    def _outside(self, tag: int, start: int) -> int:
        """At depth 0, a tag where the walk ends: beyond `stop`, or zeros that pad the end."""
        if tag >= self._stop:
            self.done = True
            return start
        if self._data.count(0, start) != len(self._data) - start:
            raise NotDicom("a data set has no elements of group 0000")
        self._padding = True
        return len(self._data)


def walk(data: bytes, syntax: TransferSyntax, bounds: Bounds | None = None) -> list[Element]:
    """All elements of a whole data set held in memory, in their order.

    Raises `NotDicom` if it breaks off or contradicts itself, `TooLarge` over a bound.
    """
    walker = Walker(syntax, bounds=bounds)
    found = walker.feed(data)
    walker.finish(len(data))
    return found


def walk_at(source: ReadAt, syntax: TransferSyntax, walker: Walker | None = None) -> Iterator[Element]:
    """The elements of a data set that is read by range, passing over the values.

    With a `walker` of one's own, its `hold` and `stop` apply, and `value` may be asked for
    each element as it comes. Raises as `walk` does.
    """
    walker = walker or Walker(syntax)
    while not walker.done and walker.position < source.size:
        at = walker.position
        piece = source.read_at(at, MAX_PIECE + 12)
        yield from walker.feed(piece, at)
        if walker.position <= at and not walker.done:
            break
    walker.finish(source.size)
