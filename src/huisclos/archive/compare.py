"""Two instances under one SOP Instance UID: whether the house can do without one of them, and what differs.

PS3.5 section 9 allows one UID one content. What comes twice and differs is a correction, an error of
the machine, or a transfer that broke off; a person who decides must see which. But the same content may
be written in several ways, and toolkits choose their own when they send a file. All functions block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from msgspec import Struct

from huisclos.archive.metadata import DataSetAt, head_of
from huisclos.archive.nouns import Cut
from huisclos.dicom.bulk import Bulk, find_value
from huisclos.dicom.charsets import display_name, display_text
from huisclos.dicom.dictionary import keyword_of
from huisclos.dicom.frames import opened
from huisclos.dicom.json import to_json
from huisclos.dicom.walk import ITEM, PIXEL_TAGS, UNDEFINED, Element, ReadAt, walk_at
from huisclos.errors import BadQuery, InstanceNotFound, NotDicom, TooLarge

MAX_SHOWN: Final = 60
"""Attributes that are told one by one; the rest are counted."""
MAX_TEXT: Final = 200
"""Characters of a value that are told."""
MAX_COMPARED: Final = 256 * 1024**2
"""Bytes of one value that are compared for a page; of a longer one it is said that it was not."""
_PIECE: Final = 1024**2
_PIXELS: Final = "7FE00010"
_SHORT_HEADER: Final = 8
"""Bytes of a header whose length may have two (PS3.5 section 7.1)."""
_DELIMITER: Final = 8
_DELIMITERS: Final = (bytes.fromhex("feff0de000000000"), bytes.fromhex("feffdde000000000"))
"""Where an item and a sequence of undefined length end, little endian (PS3.5 section 7.5)."""
_PADDING: Final = 0xFFFCFFFC
_PADS: Final = (b"\0", b" ")
_MOST_CLOSED: Final = 128
"""Sequences and items that were open where a data set breaks off."""

Json = dict[str, Any]


class Pixels(StrEnum):
    """How the pixel data of the two compare."""

    SAME = "same"
    OTHER = "other"
    NONE = "none"
    """Neither has any."""
    FIRST_ONLY = "first-only"
    SECOND_ONLY = "second-only"
    UNCOMPARED = "uncompared"
    """Too long, or it does not read."""


class Difference(Struct, frozen=True):
    """One attribute that is not the same on both sides."""

    path: str
    """Tags of eight hexadecimal digits, with item numbers from 0 between: "00100010"."""
    keyword: str
    """Of the last tag in PS3.6; empty for a private one."""
    first: str
    """As a person reads it; empty where the attribute is absent or empty."""
    second: str


class Comparison(Struct, frozen=True):
    """What differs between two instances."""

    cut: Cut
    attributes: tuple[Difference, ...]
    more: int
    """How many further attributes differ."""
    private: int
    """How many of all those are private: only their manufacturer knows what they mean."""
    pixels: Pixels
    readable: bool = True
    """False when one of them does not read: then no attribute is told."""


def judge(first: DataSetAt, second: DataSetAt) -> Cut:
    """Which of the two the house can do without: one that is cut short, or either if they say the same."""
    return Cut.SAME if alike(first, second) else cut_short(first, second)


def alike(first: DataSetAt, second: DataSetAt) -> bool:
    """Whether both hold the same elements with the same values, in one transfer syntax.

    They may differ in what PS3.5 leaves to who writes: sequences and items with or without a length
    (section 7.5), group lengths (section 7.2, retired), padding behind the last element (PS3.10 section 7.2).
    """
    if first.syntax != second.syntax or first.syntax.deflated:
        return False
    try:
        return all(
            one is not None and two is not None and _alike(first, second, one, two)
            for one, two in zip_longest(_said(first), _said(second))
        )
    except (NotDicom, TooLarge):
        return False


def cut_short(first: DataSetAt, second: DataSetAt) -> Cut:
    """Which of the two holds nothing but the beginning of the other.

    Either byte for byte, as when a file was cut off; or but for the lengths of what was open where it
    breaks off, as when a toolkit wrote anew what it could read of such a file. A last text that is
    merely longer in the other is no such case: somebody may have corrected it.
    """
    if first.size == second.size:
        return Cut.NEITHER
    cut = Cut.FIRST if first.size < second.size else Cut.SECOND
    short, whole = (first, second) if cut is Cut.FIRST else (second, first)
    if _same(short, whole, (0, short.size), (0, short.size)):
        return cut
    if short.syntax != whole.syntax or short.syntax.deflated:
        return Cut.NEITHER
    return cut if _beginning_anew(short, whole) else Cut.NEITHER


def compare(first: DataSetAt, second: DataSetAt) -> Comparison:
    """What a person needs to decide between the two."""
    cut = judge(first, second)
    pixels = _compare_pixels(first, second)
    try:
        one, two = _model(first), _model(second)
    except (NotDicom, TooLarge):
        return Comparison(cut, (), 0, 0, pixels, readable=False)
    found = [found for found in _differences(one, two, "") if not _same_at(first, second, found)]
    named = [one for one in found if one.keyword]
    shown = tuple(named[:MAX_SHOWN])
    return Comparison(cut, shown, len(found) - len(shown), len(found) - len(named), pixels)


# the same, written anew


class _Said(NamedTuple):
    """What an element says, however it is written; no range for what holds elements or items."""

    tag: int
    vr: str
    depth: int
    value: tuple[int, int] | None
    """Offset and length."""


def _said(data: DataSetAt) -> Iterator[_Said]:
    fragments = -1
    """Depth of the encapsulated pixel data around, whose items have values of their own; -1 outside."""
    for element in walk_at(data, data.syntax):
        if element.depth <= fragments:
            fragments = -1
        if element.tag in PIXEL_TAGS and element.length == UNDEFINED:
            fragments = element.depth
        if element.tag == _PADDING or (not element.tag & 0xFFFF and element.tag != ITEM):
            continue
        holds = element.vr == "SQ" or element.length == UNDEFINED or (element.tag == ITEM and fragments < 0)
        value = None if holds else (element.offset, element.length)
        yield _Said(element.tag, element.vr, element.depth, value)


def _alike(first: DataSetAt, second: DataSetAt, one: _Said, two: _Said) -> bool:
    if one[:3] != two[:3] or (one.value is None) is not (two.value is None):
        return False
    return one.value is None or two.value is None or _same(first, second, one.value, two.value)


# one the beginning of the other


def _beginning_anew(short: DataSetAt, whole: DataSetAt) -> bool:
    """Whether they differ in nothing but lengths of what was open at the end of the shorter.

    What was open is looked up in the whole one: what was cut off and written anew may contradict itself.
    """
    ends = [short.size]
    while (
        ends[-1] > _DELIMITER
        and len(ends) <= _MOST_CLOSED
        and short.read_at(ends[-1] - _DELIMITER, _DELIMITER) in _DELIMITERS
    ):
        ends.append(ends[-1] - _DELIMITER)  # what had no length was closed
    elements = list(_elements(whole))
    return any(_begins(short, whole, elements, end) for end in ends)


def _begins(short: DataSetAt, whole: DataSetAt, elements: list[Element], end: int) -> bool:
    chain: list[Element] = []
    for element in elements:
        if element.start >= end:
            break
        del chain[element.depth :]
        chain.append(element)
    if not chain or not _misses_much(elements, chain[0], end):
        return False
    at = 0
    for one in chain:
        if one.length == UNDEFINED or one.offset + one.length <= end:
            continue
        field = one.offset - _length_field(one, short)
        if not _same(short, whole, (at, field - at), (at, field - at)):
            return False
        at = one.offset
    left = end - at
    if (
        at
        and left > 1
        and short.read_at(end - 1, 1) in _PADS
        and _same(short, whole, (at, left - 1), (at, left - 1))
    ):
        return True  # a value of odd length was padded when it was written anew
    return left > 0 and _same(short, whole, (at, left), (at, left))


def _misses_much(elements: list[Element], last: Element, end: int) -> bool:
    """Whether what lies beyond `end` is more than the rest of a text: pixel data, or other elements."""
    if last.tag in PIXEL_TAGS:
        return True
    return any(not one.depth and one.start >= end and one.tag != _PADDING for one in elements)


def _length_field(element: Element, data: DataSetAt) -> int:
    """Bytes that the length takes at the end of an element's header (PS3.5 section 7.1)."""
    short_form = element.offset - element.start == _SHORT_HEADER and element.tag != ITEM
    return 2 if short_form and not data.syntax.implicit else 4


def _elements(data: DataSetAt) -> Iterator[Element]:
    """The elements up to where the data set breaks off."""
    with contextlib.suppress(NotDicom, TooLarge):
        yield from walk_at(data, data.syntax)


def _same(one: ReadAt, two: ReadAt, first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether both hold the same bytes there; ranges are (offset, length)."""
    (left, length), (right, other) = first, second
    return length == other and all(
        one.read_at(left + at, min(_PIECE, length - at)) == two.read_at(right + at, min(_PIECE, length - at))
        for at in range(0, length, _PIECE)
    )


# what differs


def _model(data: DataSetAt) -> Json:
    return to_json(head_of(data), data.syntax, lambda path: path)


def _differences(one: Json, two: Json, path: str) -> Iterator[Difference]:
    for tag in sorted(one.keys() | two.keys()):
        if tag == _PIXELS and not path:
            continue
        left, right = one.get(tag), two.get(tag)
        if left == right and not (left and "BulkDataURI" in left):
            continue
        here = f"{path}{tag}"
        items = _items(left), _items(right)
        if items[0] and items[1] and len(items[0]) == len(items[1]):
            for number, (mine, theirs) in enumerate(zip(*items, strict=True)):
                yield from _differences(mine, theirs, f"{here}/{number}/")
        else:
            yield Difference(here, keyword_of(int(tag, 16)), _text(left), _text(right))


def _items(attribute: Json | None) -> list[Json]:
    if attribute is None or attribute["vr"] != "SQ":
        return []
    return list(attribute.get("Value", []))


def _text(attribute: Json | None) -> str:
    if attribute is None:
        return ""
    if attribute["vr"] == "SQ":
        return "…" if attribute.get("Value") else ""
    if "BulkDataURI" in attribute or "InlineBinary" in attribute:
        return "…"
    values = attribute.get("Value", [])
    if attribute["vr"] == "PN":
        texts = [display_name("=".join(value.values())) if value else "" for value in values]
    else:
        texts = ["" if value is None else str(value) for value in values]
    text = display_text(" \\ ".join(texts))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _same_at(first: DataSetAt, second: DataSetAt, found: Difference) -> bool:
    """Whether what was told by reference alone turns out to be the same."""
    if found.first != "…" or found.second != "…":
        return False
    return _compare_value(first, second, found.path) is Pixels.SAME


def _compare_pixels(first: DataSetAt, second: DataSetAt) -> Pixels:
    return _compare_value(first, second, _PIXELS)


def _compare_value(first: DataSetAt, second: DataSetAt, path: str) -> Pixels:
    try:
        (one, left), (two, right) = _value(first, path), _value(second, path)
    except (NotDicom, TooLarge, BadQuery):
        return Pixels.UNCOMPARED
    if left is None or right is None:
        if left is right:
            return Pixels.NONE
        return Pixels.SECOND_ONLY if left is None else Pixels.FIRST_ONLY
    if max(left.length, right.length) > MAX_COMPARED:
        return Pixels.UNCOMPARED
    same = _same(one, two, (left.offset, left.length), (right.offset, right.length))
    if same and first.syntax == second.syntax:
        return Pixels.SAME
    # other bytes in another transfer syntax may be the same picture
    return Pixels.OTHER if first.syntax == second.syntax else Pixels.UNCOMPARED


def _value(data: DataSetAt, path: str) -> tuple[ReadAt, Bulk | None]:
    source, syntax = opened(data, data.syntax)
    try:
        return source, find_value(source, syntax, path)
    except InstanceNotFound:
        return source, None
