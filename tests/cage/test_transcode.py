"""Transcoded instances hold the same pixels and the same values, and say truly how they are encoded."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import set_pixel_data
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from huisclos.cage import rewrite, transcode
from huisclos.cage.client import Cage, spawn_zygote
from huisclos.cage.jobs import Failed, Outcome
from huisclos.cage.transcode import transcoded
from huisclos.dicom.native import DECODED
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.uids import EXPLICIT_LE, IMPLEMENTATION_CLASS_UID, IMPLICIT_LE
from huisclos.errors import HuisclosError, TooLarge, UnknownTransferSyntax, Unreadable
from tests import corpus

CANNOT = {
    "DICOMDIR-nooffset": "it breaks off",
    "JPEG-lossy.dcm": "its 12-bit JPEG ends its scan where none may end",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its code stream holds a delimiter that ends it early",
    "MR_truncated.dcm": "62 bytes of its pixel data are missing",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "its pixel data ends before the first frame does",
    "rtplan_truncated.dcm": "it breaks off inside a sequence",
}
"""Files of the corpus that cannot be transcoded, and why."""
PALETTES = {
    f"{kind}{colour}PaletteColorLookupTableData"
    for kind in ("", "Segmented")
    for colour in ("Red", "Green", "Blue")
}
"""Tables of big endian files, which pydicom does not turn round."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The cage hears no warnings; what pydicom warns of in these files is known."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def made(part10: bytes) -> bytes:
    """The file in Explicit VR Little Endian."""
    return b"".join(transcoded(part10, EXPLICIT_LE))


def opened(part10: bytes) -> Dataset:
    """A data set of a file."""
    return pydicom.dcmread(io.BytesIO(part10), force=True)


def written(dataset: Dataset, syntax: str) -> bytes:
    """A file of a data set, as pydicom writes it."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, UID("2.25.1")
    out = io.BytesIO()
    if UID(syntax).is_private:
        dataset.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    else:
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def image(pixels: np.ndarray[Any, Any], photometric: str = "MONOCHROME2") -> Dataset:
    """A data set with pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    set_pixel_data(dataset, pixels, photometric, pixels.dtype.itemsize * 8, generate_instance_uid=False)
    return dataset


def sources() -> Iterator[tuple[str, bytes, bytes | None]]:
    """Name, file, and the file made of it or None, of the whole corpus that can be told to be DICOM."""
    for path in (*corpus.files(), *corpus.bare()):
        content = path.read_bytes()
        try:
            read_part10(content)
        except HuisclosError:
            continue
        try:
            yield path.name, content, made(content)
        except (Failed, RuntimeError):
            yield path.name, content, None


def test_pixels_are_pydicoms() -> None:
    """Every public image has the same pixels after as before, read by pydicom's own pipeline."""
    failed, same = set(), 0
    for name, content, result in sources():
        if result is None:
            failed.add(name)
            continue
        before, after = opened(content), opened(result)
        assert after.file_meta.TransferSyntaxUID == EXPLICIT_LE
        before.file_meta.TransferSyntaxUID = UID(read_part10(content).syntax.uid)
        expected = None
        # pydicom may fail in any way on what it cannot read: then nothing is asked of it after
        with suppress(Exception):
            expected = before.pixel_array
        if expected is None:
            continue
        assert expected.shape == after.pixel_array.shape, name
        assert (expected == after.pixel_array).all(), name
        same += 1
    assert failed == set(CANNOT)
    assert same > 160


def test_values_are_kept() -> None:
    """Every other public attribute is what it was; the file says itself what it is."""
    for name, content, result in sources():
        if result is None:
            continue
        before, after = opened(content), opened(result)
        changed = {
            element.keyword
            for element in before
            if element.tag.group != 0x7FE0
            and element.tag.element
            and not element.tag.is_private
            and after.get(element.tag) != element
        }
        syntax = read_part10(content).syntax
        allowed = {"PhotometricInterpretation"} if syntax.encapsulated else set()
        assert changed <= (PALETTES if syntax.big_endian else allowed), name
        assert {element.tag for element in after} - {element.tag for element in before} <= {
            0x00280006,
            0x00282110,
        }
        assert made(result) == result, name
        assert result[:132] == bytes(128) + b"DICM"
        assert after.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        if before.get("SOPInstanceUID"):
            assert after.file_meta.MediaStorageSOPInstanceUID in (
                before.SOPInstanceUID,
                before.file_meta.get("MediaStorageSOPInstanceUID"),
            )


def test_both_byte_orders_become_the_same() -> None:
    """Palettes and wide pixels of a big endian file are those of its little endian twin."""
    for little, big in (("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"), ("rtdose.dcm", "rtdose_expb.dcm")):
        one, other = (opened(made(corpus.named(name).read_bytes())) for name in (little, big))
        assert one.PixelData == other.PixelData
        for keyword in PALETTES:
            assert one.get(keyword) == other.get(keyword)


@pytest.mark.parametrize(
    ("name", "photometric"),
    [
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "RGB"),
        ("US1_J2KR.dcm", "RGB"),
        ("SC_rgb_rle.dcm", "RGB"),
        ("MR_small_RLE.dcm", "MONOCHROME2"),
    ],
)
def test_what_describes_pixels_is_true(name: str, photometric: str) -> None:
    """Colour model, planes, length and VR fit the decoded pixel data."""
    result = opened(made(corpus.named(name).read_bytes()))
    assert result.PhotometricInterpretation == photometric
    assert result.get("PlanarConfiguration", 0) == 0
    assert result["PixelData"].VR == ("OW" if result.BitsAllocated > 8 else "OB")
    cells = result.Rows * result.Columns * result.SamplesPerPixel * int(result.get("NumberOfFrames") or 1)
    assert len(result.PixelData) == cells * result.BitsAllocated // 8


def test_loss_is_never_hidden() -> None:
    """Decoded JPEG says that it was lossy, also where only its transfer syntax said so."""
    dataset = pydicom.dcmread(corpus.named("SC_rgb_jpeg_dcmtk.dcm"))
    del dataset.LossyImageCompression
    out = io.BytesIO()
    dataset.save_as(out)
    assert opened(made(out.getvalue())).LossyImageCompression == "01"
    kept = pydicom.dcmread(corpus.named("JPEG2000.dcm"))
    assert opened(made(corpus.named("JPEG2000.dcm").read_bytes())).get("LossyImageCompression") == kept.get(
        "LossyImageCompression"
    )


def test_lossless_colour_is_not_converted() -> None:
    """YBR without loss stays YBR: to turn it into RGB would round every pixel."""
    pixels = np.random.default_rng(3).integers(0, 256, (6, 5, 3), np.uint8)
    dataset = image(pixels, "YBR_FULL")
    dataset.compress(RLELossless, generate_instance_uid=False)
    result = opened(made(written(dataset, RLELossless)))
    assert result.PhotometricInterpretation == "YBR_FULL"
    assert result.PixelData == pixels.tobytes()


def test_icons_and_offset_tables() -> None:
    """An icon's own encapsulated pixel data is decoded too; tables of what is no more are left out."""
    icon = image(np.arange(20, dtype=np.uint8).reshape(4, 5))
    icon.compress(RLELossless, generate_instance_uid=False)
    del icon.file_meta
    frames = np.arange(2 * 8 * 7, dtype=np.uint16).reshape(2, 8, 7)
    dataset = image(frames)
    dataset.compress(RLELossless, generate_instance_uid=False)
    bare = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=2))
    dataset.PixelData, offsets, lengths = encapsulate_extended(bare)
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    dataset["PixelData"].is_undefined_length = True
    dataset.IconImageSequence = Sequence([icon])
    dataset.add_new(0xFFFCFFFC, "OB", b"\0\0")
    result = opened(made(written(dataset, RLELossless)))
    assert result.PixelData == frames.tobytes()
    assert result.IconImageSequence[0].PixelData == bytes(range(20))
    assert not result.IconImageSequence[0]["PixelData"].is_undefined_length
    assert "ExtendedOffsetTable" not in result
    assert "ExtendedOffsetTableLengths" not in result
    assert result[0xFFFCFFFC].value == b"\0\0"


def nested(depth: int, *, big: bool) -> Dataset:
    """A data set with sequences, an empty one and a private block among them."""
    dataset = Dataset()
    dataset.PixelRepresentation = 1
    dataset.PatientName = "Exemple^Nour"
    dataset.SmallestImagePixelValue = -5
    dataset["SmallestImagePixelValue"].VR = "SS"
    dataset.add_new("LUTData", "OW", b"\0\1\0\2\0\3" if big else b"\1\0\2\0\3\0")
    dataset.ReferencedImageSequence = Sequence([])
    block = dataset.private_block(0x0099, "HUISCLOS TEST", create=True)
    block.add_new(1, "LO", "own")
    if depth:
        inner = nested(depth - 1, big=big)
        dataset.RequestAttributesSequence = Sequence([inner, Dataset()])
    return dataset


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_nesting_and_private_elements(syntax: UID) -> None:
    """Sequences in sequences, empty items, private elements and signed values come through."""
    result = opened(made(written(nested(3, big=syntax == ExplicitVRBigEndian), syntax)))
    for _ in range(4):
        assert result.SmallestImagePixelValue == -5
        assert result["SmallestImagePixelValue"].VR == "SS"
        assert result.LUTData == b"\1\0\2\0\3\0"
        assert len(result.ReferencedImageSequence) == 0
        assert (
            bytes(result[0x00991001].value if syntax == ImplicitVRLittleEndian else b"own ").strip() == b"own"
        )
        if "RequestAttributesSequence" in result:
            assert len(result.RequestAttributesSequence[1]) == 0
            result = result.RequestAttributesSequence[0]


def test_private_sequences_of_unknown_vr() -> None:
    """UN of undefined length stays implicit inside (PS3.5 section 6.2.2)."""
    item = b"\x10\0\x10\0\x04\0\0\0AB^C"
    private = (
        b"\x99\0\x10\x10\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
        + item
        + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    )
    source = written(Dataset(), ImplicitVRLittleEndian) + private
    result = made(source)
    assert b"\x99\0\x10\x10UN\0\0\xff\xff\xff\xff" in result
    assert item in result
    assert opened(result)[0x00991010].value[0].PatientName == "AB^C"


def test_long_values_of_short_vrs() -> None:
    """What an explicit header of its VR cannot count becomes UN."""
    dataset = Dataset()
    dataset.ContourData = ["1.25"] * 20_000
    result = opened(made(written(dataset, ImplicitVRLittleEndian)))
    raw = result.get_item("ContourData")
    assert raw is not None
    assert raw.VR == "UN"
    assert bytes(raw.value).count(b"1.25") == 20_000


def test_what_is_refused() -> None:
    """Other targets, videos, pixel data that no syntax of its kind holds, more frames than there are."""
    content = corpus.named("CT_small.dcm").read_bytes()
    with pytest.raises(Failed) as failed:
        transcoded(content, IMPLICIT_LE)
    assert failed.value.outcome is Outcome.UNKNOWN_SYNTAX
    dataset = image(np.zeros((4, 4), np.uint8))
    dataset.PixelData = encapsulate([b"\0\0\1\xb3"])
    dataset["PixelData"].is_undefined_length = True
    for syntax in ("1.2.840.10008.1.2.4.100", "1.2.3.4"):
        with pytest.raises(Failed) as failed:
            made(written(dataset, syntax))
        assert failed.value.outcome is Outcome.UNKNOWN_SYNTAX
    with pytest.raises(Failed) as failed:
        made(written(image(np.zeros((4, 4), np.uint8)), "1.2.3.4"))
    assert failed.value.outcome is Outcome.BROKEN


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would come out too large is refused before it is decoded, and while it is written."""
    coded = image(np.zeros((2, 64, 64), np.uint16))
    coded.compress(RLELossless, generate_instance_uid=False)
    source = written(coded, RLELossless)
    native = written(image(np.zeros((64, 64), np.uint16)), ImplicitVRLittleEndian)
    deflated = written(image(np.zeros((64, 64), np.uint16)), DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr(transcode, "MAX_WHOLE", 4096)
    monkeypatch.setattr(rewrite, "MAX_WHOLE", 4096)
    monkeypatch.setattr(transcode, "get_decoder", None)
    for content in (source, native, deflated):
        with pytest.raises(Failed) as failed:
            made(content)
        assert failed.value.outcome is Outcome.TOO_LARGE


def test_what_faces_count_on_is_decoded() -> None:
    """Each syntax of the list that faces go by has a decoder here, and no other compressed one has."""
    for uid in DECODED:
        assert get_decoder(uid).is_available


SMALL = [
    corpus.named(name).read_bytes() for name in ("MR_small_implicit.dcm", "SC_rgb_small_odd_big_endian.dcm")
]


@given(st.sampled_from(SMALL), st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_any_bytes(content: bytes, place: int, change: bytes) -> None:
    """Whatever is changed in a native file, it is transcoded or refused: decoders alone may end the cage."""
    changed = content[:place] + change + content[place + len(change) :]
    try:
        result = made(changed)
    except Failed:
        return
    assert result.startswith(bytes(128) + b"DICM")


async def test_in_the_cage() -> None:
    """Over the socket: large and small, what is refused, and what breaks."""
    _, control = spawn_zygote()
    with control:
        cage = Cage(control)
        for name in ("color3d_jpeg_baseline.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "test-SR.dcm"):
            content = corpus.named(name).read_bytes()
            assert await cage.transcode(content, transfer_syntax=EXPLICIT_LE) == made(content)
        large = written(image(np.ones((40, 1024, 1024), np.uint16)), ImplicitVRLittleEndian)
        result = opened(await cage.transcode(large, transfer_syntax=EXPLICIT_LE))
        assert len(result.PixelData) == 80 * 1024**2
        with pytest.raises(UnknownTransferSyntax):
            await cage.transcode(large, transfer_syntax=IMPLICIT_LE)
        for name in ("JPEG-lossy.dcm", "MR_truncated.dcm"):
            with pytest.raises(Unreadable):
                await cage.transcode(corpus.named(name).read_bytes(), transfer_syntax=EXPLICIT_LE)
        bomb = image(np.zeros((1, 4), np.uint8))
        bomb.compress(RLELossless, generate_instance_uid=False)
        bomb.Rows = bomb.Columns = 65535
        with pytest.raises(TooLarge):
            await cage.transcode(written(bomb, RLELossless), transfer_syntax=EXPLICIT_LE)
