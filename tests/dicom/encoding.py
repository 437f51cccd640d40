"""A small encoder of data sets, written apart from what it tests, and trees of elements for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack

from hypothesis import strategies as st

from huisclos.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.dicom.walk import Element

LONG = {"OB", "OW", "UN", "UT", "UV", "SQ"}
NATIVE = [transfer_syntax(uid) for uid in (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)]
# Tags whose VR the dictionary knows, so that implicit and explicit say the same.
TAGS = {
    0x00080060: "CS",
    0x00080080: "LO",
    0x00081030: "LO",
    0x00100010: "PN",
    0x00200013: "IS",
    0x00280010: "US",
    0x00420011: "OB",
    0x0040A160: "UT",
}
SEQUENCES = (0x00081140, 0x0040A730, 0x00081115)


@dataclass(frozen=True)
class Leaf:
    """An element with a value."""

    tag: int
    value: bytes


@dataclass(frozen=True)
class Nest:
    """A sequence of items, its lengths stated or left to delimiters."""

    tag: int
    items: tuple[tuple[Leaf | Nest, ...], ...]
    stated: bool


@dataclass(frozen=True)
class Fragments:
    """Encapsulated pixel data."""

    pieces: tuple[bytes, ...]


Node = Leaf | Nest | Fragments

leaves = st.builds(
    Leaf, st.sampled_from(sorted(TAGS)), st.binary(max_size=24).map(lambda b: b + b" " * (len(b) % 2))
)


def _nests(inner: st.SearchStrategy[Leaf | Nest]) -> st.SearchStrategy[Nest]:
    items = st.lists(st.lists(inner, max_size=3).map(tuple), max_size=3).map(tuple)
    return st.builds(Nest, st.sampled_from(SEQUENCES), items, st.booleans())


nodes: st.SearchStrategy[Leaf | Nest] = st.recursive(
    leaves, lambda inner: leaves | _nests(inner), max_leaves=12
)
trees = st.lists(nodes, max_size=6).map(tuple)
syntaxes = st.sampled_from(NATIVE)


class Encoder:
    """Encodes trees, and notes the headers a walker must find."""

    def __init__(self, syntax: TransferSyntax) -> None:
        self._order = ">" if syntax.big_endian else "<"
        self._implicit = syntax.implicit
        self.out = bytearray()
        self.expected: list[Element] = []

    def encode(self, tree: tuple[Node, ...], depth: int = 0) -> bytes:
        """Encode `tree` after what is there."""
        for node in tree:
            if isinstance(node, Leaf):
                vr = TAGS.get(node.tag, "UN")
                self._begin(node.tag, vr, len(node.value), depth)
                self.out += node.value
            elif isinstance(node, Nest):
                self._nest(node, depth)
            else:
                self._begin(0x7FE00010, "OW" if self._implicit else "OB", 0xFFFFFFFF, depth)
                for piece in node.pieces:
                    self._item(len(piece), depth + 1)
                    self.out += piece
                self._delimiter(0xE0DD)
        return bytes(self.out)

    def _nest(self, node: Nest, depth: int) -> None:
        at, place = self._begin(node.tag, "SQ", 0xFFFFFFFF, depth), len(self.expected) - 1
        for item in node.items:
            begun, where = self._item(0xFFFFFFFF, depth + 1), len(self.expected) - 1
            self.encode(item, depth + 2)
            self._end(begun, where, 0xE00D, stated=node.stated)
        self._end(at, place, 0xE0DD, stated=node.stated)

    def _end(self, at: int, place: int, delimiter: int, *, stated: bool) -> None:
        if stated:
            length = len(self.out) - at
            self.out[at - 4 : at] = pack(f"{self._order}I", length)
            self.expected[place] = self.expected[place]._replace(length=length)
        else:
            self._delimiter(delimiter)

    def _begin(self, tag: int, vr: str, length: int, depth: int) -> int:
        start = len(self.out)
        head = pack(f"{self._order}HH", tag >> 16, tag & 0xFFFF)
        if self._implicit:
            head += pack(f"{self._order}I", length)
        elif vr in LONG:
            head += vr.encode() + pack(f"{self._order}HI", 0, length)
        else:
            head += vr.encode() + pack(f"{self._order}H", length)
        self.out += head
        self.expected.append(Element(tag, vr, len(self.out), length, depth, start))
        return len(self.out)

    def _item(self, length: int, depth: int) -> int:
        start = len(self.out)
        self.out += pack(f"{self._order}HHI", 0xFFFE, 0xE000, length)
        self.expected.append(Element(0xFFFEE000, "", len(self.out), length, depth, start))
        return len(self.out)

    def _delimiter(self, element: int) -> None:
        self.out += pack(f"{self._order}HHI", 0xFFFE, element, 0)


def explicit(*elements: tuple[int, str, bytes]) -> bytes:
    """A flat explicit little endian data set."""
    out = b""
    for tag, vr, value in elements:
        padded = value + (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
        head = pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
        out += head + (pack("<HI", 0, len(padded)) if vr in LONG else pack("<H", len(padded))) + padded
    return out


def instance(*more: tuple[int, str, bytes]) -> bytes:
    """A data set with the four UIDs an archive needs, and `more`."""
    given = {
        0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.2"),
        0x00080018: ("UI", b"2.25.3"),
        0x0020000D: ("UI", b"2.25.1"),
        0x0020000E: ("UI", b"2.25.2"),
    }
    given.update({tag: (vr, value) for tag, vr, value in more})
    return explicit(*((tag, vr, value) for tag, (vr, value) in sorted(given.items())))
