"""A whole instance in Explicit VR Little Endian, its pixel data decoded (PS3.5 sections 8 and A.2).

Runs only in the cage. What a decoder raises on bad data is not caught here: it ends the process.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID

from huisclos.cage.jobs import Failed, Outcome
from huisclos.cage.rewrite import ROOT, Changes, Piece, Rewriter, Written, header
from huisclos.dicom.inflate import Inflater
from huisclos.dicom.native import MAX_WHOLE
from huisclos.dicom.part10 import MAX_META, PREAMBLE, Part10, file_meta, read_part10
from huisclos.dicom.uids import (
    EXPLICIT_LE,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    TransferSyntax,
    clean_uid,
    transfer_syntax,
)
from huisclos.dicom.walk import ITEM, PIXEL_DATA, PIXEL_TAGS, UNDEFINED, Element, Walker, walk_at
from huisclos.errors import BadIdentifier, HuisclosError, TooLarge

_CLASS: Final = 0x00080016
_INSTANCE: Final = 0x00080018
_PHOTOMETRIC: Final = 0x00280004
_FRAMES: Final = 0x00280008
_PLANAR: Final = 0x00280006
_LOSSY: Final = 0x00282110
_WORDS: Final = {
    0x00280002: "SamplesPerPixel",
    _PLANAR: "PlanarConfiguration",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
}
_TEXTS: Final = {_PHOTOMETRIC: "PhotometricInterpretation", _FRAMES: "NumberOfFrames", _LOSSY: ""}
_EXTENDED: Final = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""The extended offset table and what goes with it (PS3.5 section A.4): of encapsulated pixel data only."""
_SENDER: Final = 0x00020017
_GROUP_3: Final = 0x00030000
_ALWAYS_LOSSY: Final = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
_SUBSAMPLED: Final = "YBR_FULL_422"
_BYTE: Final = 8
_MAX_FRAMES: Final = 1_000_000

Array = np.ndarray[Any, Any]


def transcoded(part10: bytes, target: str) -> list[Piece]:
    """The Part 10 file in the transfer syntax `target`, in pieces. Raises `Failed` with the reason.

    Native pixel data keeps its cells. Decoded losslessly it keeps its colour model, else YBR is
    made RGB. `target` is Explicit VR Little Endian: the others are not for the web (PS3.18 section 8.7.3).
    """
    if target != EXPLICIT_LE:
        raise Failed(Outcome.UNKNOWN_SYNTAX)
    try:
        start = read_part10(part10[: 2 * MAX_META])
        data, syntax = _data_set(part10, start)
        elements = list(walk_at(_View(data), syntax))
        changes = _decodings(data, elements, syntax) if syntax.encapsulated else {}
        out = Written()
        out.add(_meta(part10, start, data, elements))
        if not changes and not syntax.implicit and not syntax.big_endian:
            out.add(data)
            out.end()
        else:
            Rewriter(data, syntax, changes, out).write(elements)
    except TooLarge:
        raise Failed(Outcome.TOO_LARGE) from None
    except HuisclosError:
        raise Failed(Outcome.BROKEN) from None
    return out.pieces


class _View:
    """A data set read by range without a copy of it."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ReadAt`."""
        return bytes(self._data[offset : offset + length])


def _data_set(part10: bytes, start: Part10) -> tuple[memoryview, TransferSyntax]:
    """The data set, inflated if it was deflated, and how it is encoded then."""
    data = memoryview(part10)[start.data_offset :]
    if not start.syntax.deflated:
        return data, start.syntax
    inflater, inflated = Inflater(), bytearray()
    for piece in inflater.feed(bytes(data)):
        inflated += piece
        if len(inflated) > MAX_WHOLE:
            raise Failed(Outcome.TOO_LARGE)
    if not inflater.ended:
        raise Failed(Outcome.BROKEN)
    return memoryview(inflated), transfer_syntax(EXPLICIT_LE)


def _meta(part10: bytes, start: Part10, data: memoryview, elements: list[Element]) -> bytes:
    """The file meta of the archive, which writes this file; the sender stays who it was."""
    uids = {_CLASS: start.sop_class_uid, _INSTANCE: start.sop_instance_uid}
    for element in elements:
        if element.depth == 0 and element.tag in uids:
            with suppress(BadIdentifier):
                uids[element.tag] = clean_uid(_text(data, element))
    walker = Walker(transfer_syntax(EXPLICIT_LE), hold={_SENDER}, stop=_GROUP_3)
    sender = ""
    if part10[PREAMBLE : PREAMBLE + 4] == b"DICM":
        for element in walker.feed(part10[PREAMBLE + 4 : start.data_offset]):
            if element.tag == _SENDER:
                sender = walker.value(element).decode("ascii", "replace").strip(" \0")
    return file_meta(uids[_CLASS], uids[_INSTANCE], EXPLICIT_LE, sender)


def _text(data: memoryview, element: Element) -> str:
    return (
        bytes(data[element.offset : element.offset + element.length]).decode("ascii", "replace").strip(" \0")
    )


@dataclass(slots=True)
class _Level:
    """The data set or one item: what describes its encapsulated pixel data."""

    data: memoryview
    words: dict[int, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    pixels: Element | None = None
    end: int = 0
    """Where its last fragment ends."""

    def take(self, element: Element) -> None:
        """An element of this level."""
        if element.tag in _WORDS and element.length >= 2:  # noqa: PLR2004 - a US
            value = bytes(self.data[element.offset : element.offset + 2])
            self.words[element.tag] = int.from_bytes(value, "little")
        elif element.tag in _TEXTS:
            self.texts[element.tag] = _text(self.data, element)
        elif element.tag in PIXEL_TAGS and element.length == UNDEFINED:
            if element.tag != PIXEL_DATA:
                raise Failed(Outcome.BROKEN)
            self.pixels, self.end = element, element.offset

    def native(self, syntax: TransferSyntax) -> Changes:
        """The elements that make the decoded pixel data and tell what it is."""
        frames, photometric = self._decoded(syntax)
        length = sum(len(frame) for frame in frames)
        if length % 2:
            frames.append(b"\0")
            length += 1
        words = self.words[0x00280100] > _BYTE
        changes = Changes(dict.fromkeys(_EXTENDED, ()))
        changes[PIXEL_DATA] = (header(PIXEL_DATA, "OW" if words else "OB", length), *frames)
        changes[_PHOTOMETRIC] = _code(_PHOTOMETRIC, photometric)
        if self.words.get(0x00280002, 1) > 1:
            changes[_PLANAR] = (header(_PLANAR, "US", 2), b"\0\0")
        if syntax.uid in _ALWAYS_LOSSY and self.texts.get(_LOSSY) != "01":
            # the transfer syntax was all that told of the loss (PS3.3 section C.7.6.1.1.5)
            changes[_LOSSY] = _code(_LOSSY, "01")
        return changes

    def _decoded(self, syntax: TransferSyntax) -> tuple[list[Piece], str]:
        described, count = self._described(syntax)
        photometric = str(described.get("PhotometricInterpretation", ""))
        raw = not syntax.lossy and photometric != _SUBSAMPLED
        cells: list[Piece] = []
        bits = int(described.BitsAllocated)
        unpacked: list[Array] = []
        decoder = _decoder(syntax.uid)
        for pixels, meta in decoder.iter_array(described, raw=raw):
            photometric = str(meta["photometric_interpretation"])
            if bits == 1:
                unpacked.append(pixels.ravel())
            else:
                cells.append(_cells(pixels, bits))
            if len(cells) + len(unpacked) == count:
                break
        if len(cells) + len(unpacked) != count:
            raise Failed(Outcome.BROKEN)
        if bits == 1:
            cells = [bytes(pack_bits(np.concatenate(unpacked), pad=False))]
        return cells, photometric

    def _described(self, syntax: TransferSyntax) -> tuple[Dataset, int]:
        """A data set of the pixels alone, and how many frames it has; sizes are checked here."""
        if self.pixels is None or not {0x00280010, 0x00280011, 0x00280100} <= self.words.keys():
            raise Failed(Outcome.BROKEN)
        described = Dataset()
        described.file_meta = FileMetaDataset()
        described.file_meta.TransferSyntaxUID = UID(syntax.uid)
        for tag, number in self.words.items():
            setattr(described, _WORDS[tag], number)
        described.PhotometricInterpretation = self.texts.get(_PHOTOMETRIC, "")
        frames = self.texts.get(_FRAMES) or "1"
        count = int(frames) if frames.isdigit() and len(frames) < len(str(_MAX_FRAMES)) else 0
        cells = described.Rows * described.Columns * described.get("SamplesPerPixel", 1) * count
        if not count or not cells:
            raise Failed(Outcome.BROKEN)
        if cells * max(described.BitsAllocated // _BYTE, 1) > MAX_WHOLE:
            raise Failed(Outcome.TOO_LARGE)
        described.NumberOfFrames = count
        described.PixelData = bytes(self.data[self.pixels.offset : self.end]) + _SEQUENCE_END
        described["PixelData"].VR = "OB"
        described["PixelData"].is_undefined_length = True
        return described, count


def _decodings(data: memoryview, elements: list[Element], syntax: TransferSyntax) -> dict[int, Changes]:
    """What decoding changes, per level that has encapsulated pixel data."""
    if syntax.big_endian:
        raise Failed(Outcome.BROKEN)
    if any(one.tag in PIXEL_TAGS and one.depth == 0 and one.length != UNDEFINED for one in elements):
        raise Failed(Outcome.BROKEN)
    found = _levels(data, elements)
    return {key: level.native(syntax) for key, level in found.items() if level.pixels is not None}


def _levels(data: memoryview, elements: list[Element]) -> dict[int, _Level]:
    """The data set and its items; the pixel data of an icon lies in one (PS3.3 section C.7.6.1.1.6)."""
    root = _Level(data)
    found, inside = {ROOT: root}, [(0, root)]
    pixels: tuple[int, _Level] | None = None
    for element in elements:
        while inside[-1][0] > element.depth:
            inside.pop()
        if pixels is not None and element.depth > pixels[0]:
            pixels[1].end = element.offset + element.length
            continue
        pixels = None
        level = inside[-1][1]
        if element.tag == ITEM:
            found[element.start] = item = _Level(data)
            inside.append((element.depth + 1, item))
        elif inside[-1][0] == element.depth:
            level.take(element)
            pixels = (element.depth, level) if level.pixels is element else None
    return found


def _decoder(uid: str) -> Decoder:
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        raise Failed(Outcome.UNKNOWN_SYNTAX) from None
    if not decoder.is_available:
        raise Failed(Outcome.UNKNOWN_SYNTAX)
    return decoder


def _cells(pixels: Array, bits: int) -> Piece:
    """One frame as little-endian cells of the size the attributes say; a decoder may give smaller ones."""
    kind = pixels.dtype.kind
    return np.ascontiguousarray(pixels.astype(f"<{kind}{bits // _BYTE}", copy=False)).tobytes()


def _code(tag: int, text: str) -> tuple[Piece, ...]:
    value = text.encode("ascii")
    value += b" " * (len(value) % 2)
    return header(tag, "CS", len(value)), value
