"""Where each frame of the pixel data lies (PS3.5 section 8 and annex A.4), and one frame cut out.

Frames are found without decoding a pixel, so this runs in a face; what decodes them runs in
the cage, and is handed one frame, never the whole object.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct, pack, unpack_from
from typing import Final

from huisclos.dicom.bulk import implicit_header
from huisclos.dicom.inflate import inflate
from huisclos.dicom.part10 import PREAMBLE, file_meta
from huisclos.dicom.places import CodedFrames, Frame, FrameIndex, NativeFrames, Places
from huisclos.dicom.uids import EXPLICIT_LE, GE_PIXELS, TransferSyntax, transfer_syntax
from huisclos.dicom.values import swapped
from huisclos.dicom.walk import (
    ITEM,
    PIXEL_TAGS,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Held,
    ReadAt,
    Walker,
    walk_at,
)
from huisclos.errors import InstanceNotFound, NotDicom, TooLarge

CUT: Final = b"HUISCLOS one frame of many".ljust(PREAMBLE, b"\0")
"""The preamble of a file that `cut_frame` made."""
MAX_FRAMES: Final = 1_000_000
MAX_HEAD: Final = 64 * 1024**2
"""Bytes before the pixel data that go with a cut frame at most."""
MAX_FRAME: Final = 512 * 1024**2
"""Bytes of one frame at most."""
_RGB: Final = 3
_BYTE: Final = 8
_UNITS: Final = frozenset({2, 4, 8})
_US: Final = 2
_IS: Final = 9
_ITEM_HEADER: Final = 8
_LONGEST_START: Final = 8
_GROUP_7FE0: Final = 0x7FE0
_EXTENDED_OFFSETS: Final = 0x7FE00001
_EXTENDED_LENGTHS: Final = 0x7FE00002
_NUMBERS: Final = {
    0x00280002: "samples",
    0x00280006: "planar",
    0x00280010: "rows",
    0x00280011: "columns",
    0x00280100: "bits_allocated",
    0x00280103: "signed",
}
_PHOTOMETRIC: Final = 0x00280004
_FRAMES: Final = 0x00280008
_HELD: Final = frozenset({*_NUMBERS, _PHOTOMETRIC, _FRAMES})
_J2K: Final = b"\xff\x4f\xff\x51"
_J2K_HEAD: Final = 4096
_SSIZ: Final = 42
"""From the start of a JPEG 2000 code stream to its first component's depth and sign."""
_STARTS: Final = (b"\xff\xd8", _J2K, b"\x00\x00\x00\x0cjP  ", b"\xff\x0a")
"""How a frame's code stream begins: JPEG and JPEG-LS, JPEG 2000, its file format, JPEG XL."""


@dataclass(slots=True)
class Pixels:
    """The pixel data of a data set as it lies there."""

    rows: int = 0
    columns: int = 0
    samples: int = 1
    planar: int = 0
    bits_allocated: int = 0
    signed: int = 0
    """PixelRepresentation."""
    photometric: str = ""
    number_of_frames: int = 1
    tag: int = 0
    """(7FE0,0010), or the float or double float pixel data; 0 if there is none."""
    vr: str = ""
    start: int = 0
    """Where the header of the first element of group 7FE0 begins."""
    offset: int = 0
    length: int = 0
    encapsulated: bool = False
    fragments: Places = field(default_factory=Places)
    """Each fragment, without the basic offset table."""
    offset_table: array[int] = field(default_factory=lambda: array("Q"))
    """Where each frame begins, from the first fragment's item header."""
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    """Bytes of each frame, where an extended offset table gives them."""


def opened(source: ReadAt, syntax: TransferSyntax) -> tuple[ReadAt, TransferSyntax]:
    """A data set readable by range: a deflated one is inflated into memory, others stay as they are."""
    if not syntax.deflated:
        return source, syntax
    return Held(inflate(source.read_at(0, source.size))), transfer_syntax(EXPLICIT_LE)


def read_pixels(source: ReadAt, syntax: TransferSyntax) -> Pixels:
    """What there is to know of the pixel data without decoding it.

    Raises `InstanceNotFound` if the instance has none, and as `walk` does. Pixel data that breaks
    off is given as far as it goes.
    """
    pixels = Pixels()
    tables: dict[int, Element] = {}
    walker = Walker(syntax, hold=_HELD, stop=(_GROUP_7FE0 + 1) << 16)
    try:
        for element in walk_at(source, syntax, walker):
            _take(pixels, tables, element, walker, syntax, source.size)
    except NotDicom:
        if not pixels.tag:
            raise
    if not pixels.tag:
        raise InstanceNotFound("the instance has no pixel data")
    if pixels.encapsulated:
        _take_tables(pixels, tables, source)
    return pixels


def _take(
    pixels: Pixels,
    tables: dict[int, Element],
    element: Element,
    walker: Walker,
    syntax: TransferSyntax,
    size: int,
) -> None:
    tag, vr, offset, length, depth, start = element
    if depth == 1 and pixels.encapsulated and tag == ITEM:
        pixels.fragments.append(offset, max(min(length, size - offset), 0))
    elif depth == 0 and tag in _HELD:
        _take_value(pixels, tag, walker.value(element), syntax)
    elif depth == 0 and tag >> 16 == _GROUP_7FE0:
        pixels.start = pixels.start or start
        if tag in PIXEL_TAGS:
            pixels.tag, pixels.vr, pixels.offset = tag, vr, offset
            pixels.encapsulated = length == UNDEFINED
            pixels.length = 0 if pixels.encapsulated else min(length, size - offset)
        else:
            tables[tag] = element


def _take_value(pixels: Pixels, tag: int, value: bytes, syntax: TransferSyntax) -> None:
    if tag == _PHOTOMETRIC:
        pixels.photometric = value.decode("ascii", "replace").strip(" \0")
    elif tag == _FRAMES:
        text = value.strip(b" \0")
        pixels.number_of_frames = max(int(text), 1) if text.isdigit() and len(text) <= _IS else 1
        if pixels.number_of_frames > MAX_FRAMES:
            raise TooLarge(f"the instance says it has more than {MAX_FRAMES} frames")
    elif len(value) >= _US:
        number = unpack_from(">H" if syntax.big_endian else "<H", value)[0]
        setattr(pixels, _NUMBERS[tag], number)


def _take_tables(pixels: Pixels, tables: dict[int, Element], source: ReadAt) -> None:
    """The extended offset table where there is one, else the basic one in the first fragment."""
    first = pixels.fragments.take_first() if len(pixels.fragments) else (0, 0)
    if {_EXTENDED_OFFSETS, _EXTENDED_LENGTHS} <= tables.keys():
        pixels.offset_table = _table(source, tables[_EXTENDED_OFFSETS], "Q")
        pixels.lengths = _table(source, tables[_EXTENDED_LENGTHS], "Q")
    elif first[1] <= MAX_FRAMES * 4:
        pixels.offset_table = _table(source, Element(ITEM, "", *first, 1, 0), "I")


def _table(source: ReadAt, element: Element, code: str) -> array[int]:
    unit = Struct(f"<{code}")
    count = min(element.length // unit.size, MAX_FRAMES)
    value = source.read_at(element.offset, count * unit.size)
    return array("Q", (n for (n,) in unit.iter_unpack(value[: len(value) // unit.size * unit.size])))


def frames(source: ReadAt, pixels: Pixels) -> FrameIndex:
    """All frames, in their order.

    Raises `NotDicom` where they cannot be told apart, or are more than the pixel data holds.
    """
    if not pixels.encapsulated:
        bits = frame_bits(pixels)
        if not bits or bits * pixels.number_of_frames > pixels.length * 8:
            raise NotDicom("the pixel data is shorter than its frames")
        return NativeFrames(pixels.offset, bits, pixels.number_of_frames)
    count, fragments = pixels.number_of_frames, pixels.fragments
    if pixels.offset_table and pixels.lengths:
        return _frames_by_lengths(pixels)
    if count == 1:
        return CodedFrames(fragments, (0,))
    if len(fragments) == count:
        return CodedFrames(fragments, range(count))
    begins = CodedFrames(fragments, _begins(source, pixels))
    if len(begins) != count:
        raise NotDicom("the fragments of the pixel data do not tell its frames apart")
    return begins


def _begins(source: ReadAt, pixels: Pixels) -> Iterator[int]:
    """The numbers of the fragments that begin a frame: by the table, else by how they begin."""
    fragments = pixels.fragments
    first = fragments[0][0] - _ITEM_HEADER if len(fragments) else 0
    tabled = len(pixels.offset_table) == pixels.number_of_frames
    starts = {offset + first for offset in pixels.offset_table} if tabled else set()
    for number, (offset, _) in enumerate(fragments):
        if number == 0:
            yield 0
        elif tabled:
            if offset - _ITEM_HEADER in starts:
                yield number
        elif source.read_at(offset, _LONGEST_START).startswith(_STARTS):
            yield number


def frame_bits(pixels: Pixels) -> int:
    """Bits of one native frame (PS3.5 section 8.1.1)."""
    bits = pixels.rows * pixels.columns * pixels.samples * pixels.bits_allocated
    # Two of every four chroma samples are left out (PS3.3 section C.7.6.3.1.2).
    return bits * 2 // 3 if pixels.photometric == "YBR_FULL_422" and pixels.samples == _RGB else bits


def _frames_by_lengths(pixels: Pixels) -> FrameIndex:
    if len(pixels.offset_table) != len(pixels.lengths) or not len(pixels.fragments):
        raise NotDicom("the extended offset table does not match the frames")
    first, (offset, length) = pixels.fragments[0][0], pixels.fragments[-1]
    found = Places()
    for start, size in zip(pixels.offset_table, pixels.lengths, strict=True):
        if first + start + size > offset + length:
            raise NotDicom("the extended offset table points beyond the pixel data")
        found.append(first + start, size)
    return CodedFrames(found, range(len(found)))


def read_frame(source: ReadAt, frame: Frame, unit: int = 1, start: int = 0) -> bytes:
    """The bytes of one frame, in units of `unit` bytes counted from `start` that are turned round.

    Raises `TooLarge` over `MAX_FRAME`.
    """
    if sum(length for _, length in frame.ranges) > MAX_FRAME:
        raise TooLarge("a frame is larger than any that is shown")
    content = b"".join(_read_turned(source, *piece, unit, start) for piece in frame.ranges)
    if not frame.bits:
        return content
    whole = int.from_bytes(content, "little") >> frame.first_bit
    return (whole & (1 << frame.bits) - 1).to_bytes((frame.bits + 7) // 8, "little")


def _read_turned(source: ReadAt, offset: int, length: int, unit: int, start: int) -> bytes:
    # a frame may begin and end within a unit that it shares with its neighbour
    before = (offset - start) % unit
    after = -(before + length) % unit
    return swapped(source.read_at(offset - before, before + length + after), unit)[before : before + length]


def sign_differs(source: ReadAt, pixels: Pixels, frame: Frame) -> bool:
    """Whether a JPEG 2000 frame says that its samples are signed where the data set says not, or reverse.

    Some encoders write so, and some decoders believe the frame (ISO/IEC 15444-1 section A.5.1).
    """
    if not pixels.encapsulated or not frame.ranges:
        return False
    offset, length = frame.ranges[0]
    head = source.read_at(offset, min(length, _J2K_HEAD))
    at = head.find(_J2K)
    place = at + _SSIZ
    return at >= 0 and place < len(head) and bool(head[place] & 0x80) != bool(pixels.signed)


def cell_unit(bits_allocated: int, vr: str, syntax: TransferSyntax) -> int:
    """Bytes of one unit of native pixel data to turn round to make it little endian; 1 for none."""
    unit = 1
    if syntax.uid == GE_PIXELS:
        unit = bits_allocated // _BYTE
    elif syntax.big_endian and vr in ("OW", "OF", "OD"):
        unit = max(bits_allocated // _BYTE, _US)
    return unit if unit in _UNITS else 1


def frame_media(syntax: TransferSyntax) -> str:
    """The media type of a frame as it lies in the object (PS3.18 section 8.7.3)."""
    return syntax.frame_media


def cut_frame(
    source: ReadAt, syntax: TransferSyntax, pixels: Pixels, index: FrameIndex, number: int
) -> bytes:
    """A small Part 10 file: all that comes before the pixel data, and frame `number` (from 0) alone.

    What the cage is handed, so that one picture of a long run costs one frame. NumberOfFrames and
    the functional groups stay those of the whole; the preamble, `CUT`, tells.
    Raises `InstanceNotFound` if there is no such frame, `TooLarge`.
    """
    if not 0 <= number < len(index):
        raise InstanceNotFound("the instance has no such frame")
    if pixels.start > MAX_HEAD:
        raise TooLarge("the attributes before the pixel data are larger than any that are shown")
    head = source.read_at(0, pixels.start)
    content = read_frame(source, index[number])
    meta = CUT + file_meta("", "", syntax.uid, "")[PREAMBLE:]
    return b"".join((meta, head, _pixel_element(pixels, syntax, content)))


def _pixel_element(pixels: Pixels, syntax: TransferSyntax, content: bytes) -> bytes:
    content += bytes(len(content) % 2)
    length = UNDEFINED if pixels.encapsulated else len(content)
    if syntax.implicit:
        header = implicit_header(pixels.tag, length)
    else:
        order = ">" if syntax.big_endian else "<"
        vr = pixels.vr.encode()
        header = pack(f"{order}HH2sHI", pixels.tag >> 16, pixels.tag & 0xFFFF, vr, 0, length)
    if not pixels.encapsulated:
        return header + content
    item = implicit_header(ITEM, len(content))
    return b"".join((header, implicit_header(ITEM, 0), item, content, implicit_header(SEQUENCE_END, 0)))
