"""The DICOM JSON model of a data set, for metadata and query results (PS3.18 annex F).

Made from the walker's flat list, without recursion into sequences and without a pydicom data
set in between: a CT header takes well under a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import unpack_from
from typing import Any, Final

from huisclos.dicom.attributes import ATTRIBUTES, CHARSET_TAG, Attribute, Level
from huisclos.dicom.bulk import implicit_header
from huisclos.dicom.charsets import UNDECLARED, Charset, charset, name_groups
from huisclos.dicom.dictionary import FOLLOWS_PIXELS, vr_of
from huisclos.dicom.heading import Heading
from huisclos.dicom.inflate import inflate
from huisclos.dicom.uids import IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.dicom.values import BINARY, Json, json_value
from huisclos.dicom.walk import MAX_PIECE, PIXEL_TAGS, UNDEFINED, Bounds, Element, Walker
from huisclos.errors import HuisclosError

INLINE: Final = 1024
"""Bytes of a binary value carried inline at most; a longer one goes by reference."""
INLINE_TEXT: Final = 64 * 1024
"""As `INLINE`, for text and numbers."""
_SIGNED: Final = 0x00280103
"""PixelRepresentation."""
_PADDING: Final = 0xFFFCFFFC
_MAX_UNKNOWN: Final = 16 * 1024**2
"""Bytes of an UN value that is looked into, when the dictionary says it is a sequence."""

BulkURI = Callable[[str], str]
"""The URI of a value, given its path in the data set as `bulk.find_value` takes it."""


def to_json(data: bytes, syntax: TransferSyntax, bulk_uri: BulkURI, bounds: Bounds | None = None) -> Json:
    """The DICOM JSON model of a whole data set (without its file meta).

    Binary values over 1 KiB, text and numbers over 64 KiB, and pixel data always, are left
    out: `BulkDataURI` says where they are. Text becomes Unicode, and SpecificCharacterSet
    says so. Group lengths and padding are left out (section F.2.2). Of a data set that breaks
    off, what is there is written: the archive keeps such objects, and shows what it can.
    Raises `NotDicom` if the data set contradicts itself, `TooLarge` over a bound.
    """
    if syntax.deflated:
        data = inflate(data)
    limits = bounds or Bounds()
    writer = _Writer(data, syntax, bulk_uri, limits, path="")
    return writer.written(UNDECLARED)


class _Item:
    """One data set or item being written."""

    __slots__ = ("charset", "last", "path", "signed", "written")

    def __init__(self, path: str, text_charset: Charset, *, signed: bool) -> None:
        self.written: Json = {}
        self.path = path
        self.charset = text_charset
        self.signed = signed
        self.last = -1

    def put(self, tag: int, value: Json) -> None:
        """Add an attribute; ascending order is put right at the end where a data set lacks it."""
        if tag < self.last and self.last < _UNSORTED:
            self.last = _UNSORTED
        elif self.last < _UNSORTED:
            self.last = tag
        self.written[f"{tag:08X}"] = value

    def sort(self) -> None:
        """Attributes ascend (section F.2.2)."""
        if self.last == _UNSORTED:
            rising = sorted(self.written.items())
            self.written.clear()
            self.written.update(rising)


_UNSORTED: Final = 1 << 33


class _Writer:
    """Writes one data set; the items open at a moment are a list, indexed by their level."""

    def __init__(
        self, data: bytes, syntax: TransferSyntax, bulk_uri: BulkURI, bounds: Bounds, path: str
    ) -> None:
        self._data = data
        self._syntax = syntax
        self._bulk_uri = bulk_uri
        self._bounds = bounds
        self._path = path
        self.count = 0
        """Elements so far, those within unknown values too."""

    def written(self, text_charset: Charset, *, signed: bool = False) -> Json:
        """The JSON of the data set."""
        items = [_Item(self._path, text_charset, signed=signed)]
        sequences: list[tuple[str, list[Json]]] = []
        every = [items[0]]
        for element in self._elements():
            self.count += 1
            level = element.depth // 2
            if element.depth % 2:
                if level < len(sequences):
                    self._begin(items, sequences, level, every)
                continue
            item = items[level]
            del sequences[level:]
            if element.vr == "SQ" or (element.length == UNDEFINED and element.tag not in PIXEL_TAGS):
                values: list[Json] = []
                sequences.append((f"{item.path}{element.tag:08X}", values))
                item.put(element.tag, {"vr": "SQ", "Value": values})
            elif element.tag & 0xFFFF and element.tag != _PADDING:
                item.put(element.tag, self._attribute(element, item))
        for item in every:
            item.sort()
            _drop_empty(item.written)
        return every[0].written

    def _elements(self) -> Iterator[Element]:
        """The elements, found piece by piece: all at once they take more than what is written of them."""
        walker = Walker(self._syntax, bounds=self._bounds)
        for at in range(0, len(self._data), MAX_PIECE):
            yield from walker.feed(self._data[at : at + MAX_PIECE])

    @staticmethod
    def _begin(
        items: list[_Item], sequences: list[tuple[str, list[Json]]], level: int, every: list[_Item]
    ) -> None:
        """Begin an item of the sequence open at `level`; it takes over what surrounds it."""
        del items[level + 1 :]
        path, values = sequences[level]
        around = items[level]
        item = _Item(f"{path}/{len(values)}/", around.charset, signed=around.signed)
        values.append(item.written)
        items.append(item)
        every.append(item)

    def _attribute(self, element: Element, item: _Item) -> Json:
        tag, vr, offset, length, _, _ = element
        if tag in PIXEL_TAGS:
            return {"vr": vr, "BulkDataURI": self._bulk_uri(f"{item.path}{tag:08X}")}
        if vr == "UN":
            known = vr_of(tag)
            if known != "UN":
                return self._unknown(element, known, item)
        if length > (INLINE if vr in BINARY else INLINE_TEXT):
            return {"vr": vr, "BulkDataURI": self._bulk_uri(f"{item.path}{tag:08X}")}
        value = self._data[offset : offset + length]
        if len(value) < length:
            return {"vr": vr}
        if tag == CHARSET_TAG:
            item.charset = charset(value)
            return {"vr": "CS", "Value": ["ISO_IR 192"]}
        if tag == _SIGNED and length >= 2:  # noqa: PLR2004 - one US
            item.signed = unpack_from(">H" if self._syntax.big_endian else "<H", value)[0] == 1
        if self._syntax.implicit and tag in FOLLOWS_PIXELS and vr == "US" and item.signed:
            vr = "SS"
        return json_value(vr, value, item.charset, big_endian=self._syntax.big_endian)

    def _unknown(self, element: Element, known: str, item: _Item) -> Json:
        """An UN whose VR the dictionary knows: its value is implicit little endian (PS3.5 section 6.2.2)."""
        value = self._data[element.offset : element.offset + min(element.length, _MAX_UNKNOWN + 1)]
        path = f"{item.path}{element.tag:08X}"
        if known == "SQ" and len(value) <= _MAX_UNKNOWN and self._bounds.depth > 1:
            found = self._unknown_sequence(element.tag, value, item, path)
            if found is not None:
                return found
        if known == "SQ" or known in BINARY or len(value) > INLINE_TEXT:
            known = "UN" if known == "SQ" else known
            if len(value) > INLINE:
                return {"vr": known, "BulkDataURI": self._bulk_uri(path)}
        return json_value(known, value, item.charset, big_endian=False)

    def _unknown_sequence(self, tag: int, value: bytes, item: _Item, path: str) -> Json | None:
        """The items in an UN value, or None if they do not read: then it stays what it was, unknown."""
        header = implicit_header(tag, len(value))
        # the elements within count as if they stood here: else each value had a bound of its own
        inner = Bounds(self._bounds.depth - 1, max(self._bounds.elements - self.count, 0))
        writer = _Writer(header + value, transfer_syntax(IMPLICIT_LE), self._bulk_uri, inner, item.path)
        try:
            found: Json = writer.written(item.charset, signed=item.signed)[f"{tag:08X}"]
        except HuisclosError:
            return None
        finally:
            self.count += writer.count
        return found


def _drop_empty(written: Json) -> None:
    """A sequence without items has no Value (section F.2.5)."""
    for value in written.values():
        if value["vr"] == "SQ" and not value.get("Value"):
            value.pop("Value", None)


def element(vr: str, *values: str | float | None) -> Json:
    """One attribute of a query result: {"vr", "Value"}, without Value when all are empty.

    A person name is given as DICOM writes it, and becomes its groups.
    """
    kept: list[Any] = [value if value != "" else None for value in values]
    if all(value is None for value in kept):
        return {"vr": vr}
    if vr == "PN":
        kept = [name_groups(value) or None if isinstance(value, str) else None for value in kept]
    return {"vr": vr, "Value": kept}


def from_heading(heading: Heading, levels: Iterable[Level]) -> Json:
    """The attributes of `levels` that a heading knows, for a row of a query result, ascending."""
    wanted = frozenset(levels)
    chosen = sorted((a for a in ATTRIBUTES if a.level in wanted), key=lambda attribute: attribute.tag)
    return {attribute.json_tag: _of_heading(attribute, heading) for attribute in chosen}


def _of_heading(attribute: Attribute, heading: Heading) -> Json:
    value = getattr(heading, attribute.field)
    if isinstance(value, str) and attribute.vr not in ("UI", "ST", "LT", "UT"):
        return element(attribute.vr, *value.split("\\"))
    return element(attribute.vr, value)
