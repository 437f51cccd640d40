"""Where the value of one element lies in a data set, so that it can be streamed (PS3.18 section F.2.6)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from huisclos.dicom.dictionary import UNITS, vr_of
from huisclos.dicom.uids import IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.dicom.walk import ITEM, UNDEFINED, Element, Held, ReadAt, Walker, walk_at
from huisclos.errors import BadQuery, InstanceNotFound

_PATH: Final = re.compile(r"(?:[0-9A-Fa-f]{8}/\d{1,6}/){0,64}[0-9A-Fa-f]{8}", re.ASCII)
_MAX_UNKNOWN: Final = 16 * 1024**2
_HEADER: Final = 8


class Bulk(NamedTuple):
    """A value's place in the data set."""

    offset: int
    length: int
    """Bytes; of an undefined length, all up to the next element."""
    vr: str
    encapsulated: bool
    """Whether the value is fragments (ask `frames` for what is in them)."""
    unit: int
    """Bytes to turn round if the data set is big endian: bulk data is always little endian."""


def find_value(source: ReadAt, syntax: TransferSyntax, path: str) -> Bulk:
    """The value at `path`: tags and item numbers from 0, as "7FE00010" or "00540016/0/00181078".

    A deflated data set must be inflated first. Raises `BadQuery` for what is no path,
    `InstanceNotFound` if nothing is there, and as `walk` does.
    """
    if _PATH.fullmatch(path) is None:
        raise BadQuery("a bulk data path is tags of eight hexadecimal digits with item numbers between")
    words = path.split("/")
    tags = [int(word, 16) for word in words[::2]]
    return _find(source, syntax, tags, [int(word) for word in words[1::2]])


def _find(source: ReadAt, syntax: TransferSyntax, tags: list[int], numbers: list[int]) -> Bulk:
    level, entered, counted = 0, False, -1
    elements = walk_at(source, syntax, Walker(syntax))
    for element in elements:
        if element.depth < 2 * level or (entered and element.depth <= 2 * level):
            break
        if entered and element.depth == 2 * level + 1 and element.tag == ITEM:
            counted += 1
            if counted == numbers[level]:
                level, entered, counted = level + 1, False, -1
        elif not entered and element.depth == 2 * level and element.tag == tags[level]:
            if level == len(numbers):
                return _bulk(
                    element, next((e for e in elements if e.depth <= element.depth), None), source.size
                )
            if element.vr == "UN" and element.length != UNDEFINED and vr_of(element.tag) == "SQ":
                return _find_unknown(source, element, tags[level:], numbers[level:])
            entered = True
    raise InstanceNotFound("the instance has no such bulk data")


def _bulk(element: Element, after: Element | None, size: int) -> Bulk:
    undefined = element.length == UNDEFINED
    end = (after.start if after else size) if undefined else min(element.offset + element.length, size)
    return Bulk(element.offset, end - element.offset, element.vr, undefined, UNITS.get(element.vr, 1))


def _find_unknown(source: ReadAt, element: Element, tags: list[int], numbers: list[int]) -> Bulk:
    """Within a sequence whose VR was lost: its value is implicit little endian (PS3.5 section 6.2.2)."""
    if element.length > _MAX_UNKNOWN:
        raise InstanceNotFound("the instance has no such bulk data")
    value = source.read_at(element.offset, element.length)
    inner = Held(implicit_header(element.tag, len(value)) + value)
    found = _find(inner, transfer_syntax(IMPLICIT_LE), tags, numbers)
    return found._replace(offset=found.offset - _HEADER + element.offset)


def implicit_header(tag: int, length: int) -> bytes:
    """An element's header in implicit little endian (PS3.5 section 7.1.3)."""
    return b"".join(
        part.to_bytes(size, "little") for part, size in ((tag >> 16, 2), (tag & 0xFFFF, 2), (length, 4))
    )
