"""Frames are found where they lie, native and encapsulated, and one can be cut out."""

from __future__ import annotations

import io
import tracemalloc
import warnings
from struct import pack

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import generate_frames

from huisclos.dicom.frames import (
    frame_media,
    frames,
    opened,
    read_frame,
    read_pixels,
    sign_differs,
)
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.uids import EXPLICIT_LE, JPEG_BASELINE, RLE, transfer_syntax
from huisclos.dicom.walk import Held
from huisclos.errors import HuisclosError, InstanceNotFound, NotDicom
from tests import corpus
from tests.dicom.cutting import cut
from tests.dicom.encoding import explicit

LITTLE = transfer_syntax(EXPLICIT_LE)
TOO_SHORT = "emri_small_jpeg_2k_lossless_too_short.dcm"
"""pydicom reads no pixel data from it; our own reader, what is there."""
ODD = {
    "DICOMDIR-nooffset",  # a sequence longer than stated
    "MR_truncated.dcm",  # pixel data too short for its frame
    "meta_missing_tsyntax.dcm",  # a transfer syntax that cannot be told
    "nested_priv_SQ.dcm",  # pixel data of no picture
    "rtplan_truncated.dcm",  # it breaks off
}
JPEG = transfer_syntax(JPEG_BASELINE)


def _head(frames_: int, rows: int = 2, columns: int = 2, bits: int = 8) -> bytes:
    return explicit(
        (0x00280002, "US", pack("<H", 1)),
        (0x00280008, "IS", str(frames_).encode()),
        (0x00280010, "US", pack("<H", rows)),
        (0x00280011, "US", pack("<H", columns)),
        (0x00280100, "US", pack("<H", bits)),
    )


def _encapsulated(table: list[int], *fragments: bytes) -> bytes:
    out = pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    for piece in (pack(f"<{len(table)}I", *table), *fragments):
        out += pack("<HHI", 0xFFFE, 0xE000, len(piece)) + piece
    return out + pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _all(data: bytes, syntax: object = LITTLE) -> list[bytes]:
    source = Held(data)
    pixels = read_pixels(source, syntax)  # type: ignore[arg-type]
    return [read_frame(source, frame) for frame in frames(source, pixels)]


def test_frames_that_share_a_unit() -> None:
    """Three frames of three bytes in words that are turned round: each is whole, wherever it begins."""
    pixels = bytes((1, 0, 3, 2, 5, 4, 7, 6, 9, 8))
    source = Held(_head(3, rows=3, columns=1) + explicit((0x7FE00010, "OW", pixels)))
    found = read_pixels(source, LITTLE)
    turned = [read_frame(source, frame, 2, found.offset) for frame in frames(source, found)]
    assert turned == [b"\0\1\2", b"\3\4\5", b"\6\7\x08"]


def test_native_frames() -> None:
    """Frames of whole bytes follow each other."""
    data = _head(3) + explicit((0x7FE00010, "OB", b"aaaabbbbcccc"))
    assert _all(data) == [b"aaaa", b"bbbb", b"cccc"]


@given(st.lists(st.lists(st.booleans(), min_size=15, max_size=15), min_size=1, max_size=5))
def test_frames_of_single_bits(pictures: list[list[bool]]) -> None:
    """1-bit frames that begin within a byte come out aligned (PS3.5 section 8.1.1)."""
    bits = [bit for picture in pictures for bit in picture]
    packed = sum(bit << place for place, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")
    data = _head(len(pictures), 3, 5, 1) + explicit((0x7FE00010, "OB", packed))
    expected = [sum(bit << n for n, bit in enumerate(picture)).to_bytes(2, "little") for picture in pictures]
    assert expected == _all(data)


def test_a_million_frames_cost_next_to_nothing() -> None:
    """An object of 125 KB may name a million frames, another have as many fragments: few bytes for each."""
    native = Held(_head(1_000_000, 1, 1, 1) + explicit((0x7FE00010, "OB", bytes(125_000))))
    coded = Held(_head(20_000) + _encapsulated([], *[b""] * 20_000))
    for source, count in ((native, 1_000_000), (coded, 20_000)):
        tracemalloc.start()
        found = frames(source, read_pixels(source, LITTLE))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(found) == count
        assert held < 1024**2


def test_too_short_pixel_data_is_refused() -> None:
    """More frames than there are bytes for."""
    with pytest.raises(NotDicom):
        _all(_head(4) + explicit((0x7FE00010, "OB", b"aaaabbbbcccc")))


def test_encapsulated_frames() -> None:
    """By one fragment each, by the basic table, by how they begin, by the extended table."""
    start = b"\xff\xd8"
    pieces = (start + b"a1", b"a2", start + b"b1", start + b"c1", b"c2")
    expected = [start + b"a1a2", start + b"b1", start + b"c1c2"]
    assert expected == _all(_head(3) + _encapsulated([0, 22, 34], *pieces), JPEG)
    assert expected == _all(_head(3) + _encapsulated([], *pieces), JPEG)
    assert _all(_head(2) + _encapsulated([], b"xx", b"yy"), JPEG) == [b"xx", b"yy"]
    assert _all(_head(1) + _encapsulated([], b"xx", b"yy"), JPEG) == [b"xxyy"]
    offsets = pack("<HH2sHIQQ", 0x7FE0, 1, b"OV", 0, 16, 0, 12)
    lengths = pack("<HH2sHIQQ", 0x7FE0, 2, b"OV", 0, 16, 3, 4)
    extended = _head(2) + offsets + lengths + _encapsulated([], b"xxx\0", b"yyyy")
    assert _all(extended, JPEG) == [b"xxx", b"yyyy"]


@pytest.mark.parametrize(
    "data", [_encapsulated([], b"xx", b"yy", b"zz"), _encapsulated([0, 3], b"xx", b"yy", b"zz")]
)
def test_fragments_that_do_not_tell_are_refused(data: bytes) -> None:
    """Three fragments for two frames, and nothing says which is whose."""
    with pytest.raises(NotDicom):
        _all(_head(2) + data, JPEG)


def test_frames_of_the_corpus_are_pydicoms() -> None:
    """Every encapsulated and native frame of every file."""
    seen, odd = 0, []
    for path in corpus.files():
        if path.name == TOO_SHORT:
            continue
        content = path.read_bytes()
        try:
            start = read_part10(content)
            source, syntax = opened(Held(content[start.data_offset :]), start.syntax)
            pixels = read_pixels(source, syntax)
            found = frames(source, pixels)
        except InstanceNotFound:
            continue
        except HuisclosError:
            odd.append(path.name)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, force=True)
            if pixels.encapsulated:
                expected = list(generate_frames(dataset.PixelData, number_of_frames=pixels.number_of_frames))
                assert expected == [read_frame(source, frame) for frame in found], path.name
            elif not found[0].bits and pixels.tag == 0x7FE00010:
                joined = b"".join(read_frame(source, frame) for frame in found)
                assert dataset.PixelData[: len(joined)] == joined, path.name
        seen += len(found)
    assert seen > 200
    assert set(odd) == ODD


@pytest.mark.parametrize(
    "name", ["emri_small_RLE.dcm", "emri_small_big_endian.dcm", "SC_rgb_2frame.dcm", "liver.dcm"]
)
def test_a_frame_cut_out_decodes_to_the_same(name: str) -> None:
    """What the cage is handed holds the one frame, and the attributes of the whole."""
    path = corpus.named(name)
    alone = cut(path.read_bytes(), 1)
    assert len(alone) < path.stat().st_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(alone))
        dataset.NumberOfFrames = 1
        whole = pydicom.dcmread(path)
        assert (dataset.pixel_array == whole.pixel_array[1]).all()


def test_no_such_frame() -> None:
    """A frame beyond the last is not found; an object without pixels has none."""
    with pytest.raises(InstanceNotFound):
        cut(corpus.named("CT_small.dcm").read_bytes(), 1)
    with pytest.raises(InstanceNotFound):
        cut(corpus.named("test-SR.dcm").read_bytes(), 0)


def test_media_of_frames() -> None:
    """The media types of PS3.18."""
    assert frame_media(LITTLE) == "application/octet-stream"
    assert frame_media(JPEG) == "image/jpeg"
    assert frame_media(transfer_syntax(RLE)) == "image/dicom-rle"
    assert frame_media(transfer_syntax("1.2.840.10008.1.2.4.201")) == "image/jphc"


@given(st.binary(max_size=300))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    """Only the house's own errors."""
    for data in (noise, _head(2) + noise, _head(2) + _encapsulated([0, 5], noise)):
        try:
            _all(data, JPEG)
        except HuisclosError:
            continue


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("J2K_pixelrep_mismatch.dcm", True),
        ("MR2_J2KR.dcm", False),
        ("US1_J2KI.dcm", False),
        ("CT_small.dcm", False),
    ],
)
def test_a_frame_that_says_another_sign(name: str, differs: bool) -> None:
    """A code stream whose samples are unsigned in a data set that says signed is told."""
    content = corpus.named(name).read_bytes()
    start = read_part10(content)
    source = Held(content[start.data_offset :])
    pixels = read_pixels(source, start.syntax)
    assert [sign_differs(source, pixels, frame) for frame in frames(source, pixels)] == [differs]
