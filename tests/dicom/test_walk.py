"""The walker finds what an encoder wrote, in any pieces, and refuses what contradicts itself."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from struct import pack

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dicom.part10 import read_part10
from huisclos.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, TransferSyntax, transfer_syntax
from huisclos.dicom.walk import Bounds, Held, Walker, walk, walk_at
from huisclos.errors import HuisclosError, NotDicom, TooLarge
from tests import corpus
from tests.dicom.encoding import Encoder, Fragments, Node, explicit, syntaxes, trees

LITTLE = transfer_syntax(EXPLICIT_LE)
CUTS = st.lists(st.integers(0, 4000), max_size=12)


@given(trees, syntaxes)
def test_finds_what_was_encoded(tree: tuple[Node, ...], syntax: TransferSyntax) -> None:
    """Tags, VRs, offsets, lengths and depths are the encoder's, in each native syntax."""
    encoder = Encoder(syntax)
    assert encoder.expected == walk(encoder.encode(tree), syntax) or encoder.out == b""


@given(trees, syntaxes, st.lists(st.binary(max_size=10), max_size=5).map(tuple), CUTS)
def test_any_pieces_give_the_same(
    tree: tuple[Node, ...], syntax: TransferSyntax, pieces: tuple[bytes, ...], cuts: list[int]
) -> None:
    """However the bytes arrive, also with encapsulated pixel data at the end."""
    encoder = Encoder(syntax)
    data = encoder.encode((*tree, Fragments(pieces)))
    walker, found = Walker(syntax), []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        found += walker.feed(data[start:end])
    walker.finish(len(data))
    assert encoder.expected == found


@given(trees, syntaxes, st.integers(0, 4000))
def test_a_cut_is_noticed(tree: tuple[Node, ...], syntax: TransferSyntax, cut: int) -> None:
    """A data set cut anywhere but between two elements of its first level is refused."""
    encoder = Encoder(syntax)
    data = encoder.encode((*tree, Fragments((b"abcd",))))
    at = cut % len(data)
    between = {element.start for element in encoder.expected if element.depth == 0}
    if at in between:
        walk(data[:at], syntax)
    elif data[:at].rstrip(b"\0") == data[:at]:
        with pytest.raises(NotDicom):
            walk(data[:at], syntax)


@given(st.binary(max_size=200), syntaxes)
def test_noise_is_refused_or_walked(data: bytes, syntax: TransferSyntax) -> None:
    """Nothing but the house's own errors comes out of bytes that are none."""
    try:
        walk(data, syntax)
    except HuisclosError:
        return


@pytest.mark.parametrize("syntax", [LITTLE, transfer_syntax(IMPLICIT_LE)])
def test_depth_is_bounded(syntax: TransferSyntax) -> None:
    """A sequence in a sequence, ten thousand times, is refused at the bound."""
    level = pack("<HH", 0x0008, 0x1140)
    level += pack("<I", 0xFFFFFFFF) if syntax.implicit else b"SQ\0\0" + pack("<I", 0xFFFFFFFF)
    level += pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(TooLarge):
        walk(level * 10_000, syntax)
    assert walk_depth(level * 64, syntax) == 126


def walk_depth(data: bytes, syntax: TransferSyntax) -> int:
    """How deep the last sequence of an unfinished data set lies."""
    return Walker(syntax).feed(data)[-2].depth


def test_elements_are_bounded() -> None:
    """More elements than the bound are refused, in one piece or in many."""
    data = explicit((0x00080060, "CS", b"")) * 11
    with pytest.raises(TooLarge):
        walk(data, LITTLE, Bounds(elements=10))
    walker = Walker(LITTLE, bounds=Bounds(elements=10))
    walker.feed(data[:-8])
    with pytest.raises(TooLarge):
        walker.feed(data[-8:])


def test_a_length_beyond_its_sequence_is_refused() -> None:
    """An element may not reach out of the item it lies in."""
    inner = pack("<HH2sH", 8, 0x60, b"CS", 400)
    item = pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    with pytest.raises(NotDicom):
        walk(pack("<HH2sHI", 8, 0x1140, b"SQ", 0, len(item)) + item + bytes(1000), LITTLE)


@pytest.mark.parametrize("element", [0xE000, 0xE00D, 0xE0DD])
def test_items_outside_sequences_are_refused(element: int) -> None:
    """Items and delimiters mean nothing at the first level."""
    with pytest.raises(NotDicom):
        walk(pack("<HHI", 0xFFFE, element, 0), LITTLE)


@pytest.mark.parametrize("vr", ["DA", "OB", "UN", "SQ", "ZZ"])
@pytest.mark.parametrize("more", [0, 8 << 16])
def test_lengths_of_items_that_spell_a_vr(vr: str, more: int) -> None:
    """The first bytes of a fragment's or an item's length may be those of a VR; they are a length."""
    length = int.from_bytes(vr.encode(), "little") + more
    fragment = pack("<HHI", 0xFFFE, 0xE000, length) + bytes(length)
    end = pack("<HHI", 0xFFFE, 0xE0DD, 0)
    pixels = pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + fragment * 2 + end
    found = walk(pixels, LITTLE)
    assert [element.length for element in found[1:]] == [length, length]
    value = pack("<HH2sHI", 0x40, 0x1000, b"UT", 0, length - 12) + bytes(length - 12)
    items = pack("<HH2sHI", 0x40, 0x275, b"SQ", 0, 0xFFFFFFFF) + (fragment[:8] + value) * 2 + end
    assert [element.length for element in walk(items, LITTLE) if element.depth == 1] == [length, length]


def test_zeros_at_the_end_are_padding() -> None:
    """Media pad files with zeros; anything else after them is refused."""
    data = explicit((0x00080060, "CS", b"CT"))
    assert len(walk(data + bytes(700), LITTLE)) == 1
    with pytest.raises(NotDicom):
        walk(data + bytes(700) + b"x", LITTLE)


def test_unknown_of_undefined_length_is_implicit() -> None:
    """UN without a length is a sequence in implicit little endian (PS3.5 section 6.2.2)."""
    inner = pack("<HHI", 8, 0x60, 2) + b"CT"
    item = pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    data = pack("<HH2sHI", 9, 0x1010, b"UN", 0, 0xFFFFFFFF) + item + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert [element.vr for element in walk(data, LITTLE)] == ["UN", "", "CS"]


def test_held_values_wait_for_their_bytes() -> None:
    """A held element is given once, with its value; one over the bound is passed over."""
    data = explicit((0x00080060, "CS", b"CT"), (0x00100010, "PN", b"A^B"), (0x00200010, "SH", b"x" * 100))
    walker = Walker(LITTLE, hold={0x00100010, 0x00200010}, bounds=Bounds(held=10))
    values = {}
    for at in range(len(data)):
        for element in walker.feed(data[at : at + 1]):
            values[element.tag] = walker.value(element)
    assert values[0x00100010] == b"A^B "
    assert values[0x00200010] != b"x" * 100


def test_reading_by_range_passes_over_values() -> None:
    """Walking a large object in a store reads its headers, not its pixels."""

    class Counting(Held):
        read = 0

        def read_at(self, offset: int, length: int) -> bytes:
            self.read += length
            return super().read_at(offset, length)

    data = explicit((0x00420011, "OB", bytes(5_000_000)), (0x7FE00010, "OW", bytes(5_000_000)))
    source = Counting(data)
    assert walk(data, LITTLE) == list(walk_at(source, LITTLE))
    assert source.read < 400_000


def test_every_file_walks_or_says_why() -> None:
    """Each file of the corpus, with the elements pydicom finds on the first level."""
    broken = []
    for path in corpus.files():
        content = path.read_bytes()
        try:
            start = read_part10(content)
            if start.syntax.deflated:
                continue
            found = walk(content[start.data_offset :], start.syntax)
        except HuisclosError:
            broken.append(path.name)
            continue
        # A set: some files say an attribute twice.
        assert _tags(path) == {element.tag for element in found if element.depth == 0}, path.name
    assert broken == [
        "DICOMDIR-nooffset",
        "MR_truncated.dcm",
        "emri_small_jpeg_2k_lossless_too_short.dcm",
        "meta_missing_tsyntax.dcm",
        "rtplan_truncated.dcm",
    ]


def _tags(path: Path) -> set[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {int(tag) for tag in pydicom.dcmread(path, force=True).keys()}  # noqa: SIM118 - not the elements
