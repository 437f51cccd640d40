"""Pictures are what the Standard makes of the samples, compared with pydicom's own pipeline."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import set_pixel_data
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from huisclos.cage.jobs import JPEG, MIDDLE, PNG, Failed, Job, Outcome
from huisclos.cage.picture import answer
from tests import corpus
from tests.dicom.cutting import cut

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The cage hears no warnings; what pydicom warns of in these files is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _picture(part10: bytes, frame: int = 0, **more: Any) -> Array:
    made = answer(Job("picture", frame, media=PNG, **more), part10)
    return np.asarray(Image.open(io.BytesIO(made)))


def _made(pixels: Array, photometric: str = "MONOCHROME2", **attributes: Any) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, UID("2.25.1")
    set_pixel_data(dataset, pixels, photometric, pixels.dtype.itemsize * 8)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


RAMP = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "693_UNCR.dcm",
        "MR2_J2KR.dcm",
        "bad_sequence.dcm",
        "MR-SIEMENS-DICOM-WithOverlays.dcm",
        "MR_small_RLE.dcm",
    ],
)
def test_grey_pictures_are_pydicoms(name: str) -> None:
    """Rescaled and windowed as pydicom does it, to the last grey level but one."""
    path = corpus.named(name)
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset, prefer_lut=False)
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    low, high = low * slope + intercept, high * slope + intercept
    expected = (values - low) / (high - low) * 255
    assert np.abs(_picture(path.read_bytes()).astype(float) - expected).max() <= 1


@pytest.mark.parametrize(
    "name", ["SC_rgb.dcm", "examples_ybr_color.dcm", "SC_rgb_rle.dcm", "ExplVR_BigEnd.dcm", "US1_J2KR.dcm"]
)
def test_colour_pictures_are_pydicoms(name: str) -> None:
    """RGB, YBR and planes apart come out as RGB."""
    path = corpus.named(name)
    pixels = pydicom.dcmread(path).pixel_array
    expected = pixels[0] if pixels.ndim == 4 else pixels
    shown = _picture(path.read_bytes())
    assert (expected == shown).all()


def test_colours_are_where_they_belong() -> None:
    """The public colour bars, in every syntax that carries them, begin with red and end with white."""
    bars = [path for path in corpus.instances() if path.name.startswith("SC_rgb_") and "odd" not in path.name]
    seen = 0
    for path in bars:
        if path.name in ("SC_rgb_jpeg.dcm", "SC_rgb_jpeg_dcmd.dcm"):
            continue  # other pictures
        shown = _picture(path.read_bytes()).astype(int)
        assert np.abs(shown[5, 50] - (255, 0, 0)).max() <= 5, path.name
        assert np.abs(shown[45, 50] - (0, 0, 255)).max() <= 5, path.name
        assert np.abs(shown[95, 50] - (255, 255, 255)).max() <= 5, path.name
        seen += 1
    assert seen > 25


def test_both_byte_orders_look_the_same() -> None:
    """A big endian file, its palette too, shows what its little endian twin shows."""
    for little, big in (
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("MR_small.dcm", "MR_small_expb.dcm"),
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
        ("liver_1frame.dcm", "liver_expb_1frame.dcm"),
        ("emri_small.dcm", "emri_small_big_endian.dcm"),
    ):
        one, other = (_picture(corpus.named(name).read_bytes()) for name in (little, big))
        assert (one == other).all(), little


def test_windows() -> None:
    """The window asked for, the image's own, or its whole range (PS3.3 section C.11.2)."""
    whole = _picture(_made(RAMP))
    assert (whole[0, 0], whole[-1, -1]) == (0, 255)
    own = _picture(_made(RAMP, WindowCenter=1000, WindowWidth=200))
    assert own.ravel()[900] == 0
    assert own.ravel()[1100] == 255
    assert 126 <= own.ravel()[1000] <= 129
    asked = _picture(_made(RAMP, WindowCenter=1000, WindowWidth=200), window=(3000.0, 100.0, "LINEAR"))
    assert asked.ravel()[2900] == 0
    assert asked.ravel()[3100] == 255
    sigmoid = _picture(_made(RAMP, WindowCenter=1000, WindowWidth=200, VOILUTFunction="SIGMOID"))
    assert 0 < sigmoid.ravel()[900] < 40
    assert (_picture(_made(RAMP), window=(1000.0, 200.0, "SIGMOID")) == sigmoid).all()
    exact = _picture(_made(RAMP, WindowCenter=1000, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT"))
    assert set(exact.ravel()[[999, 1001]]) == {0, 255}
    several = _picture(_made(RAMP, WindowCenter=[1000, 3000], WindowWidth=[200, 200]))
    assert (several == own).all()
    rescaled = _picture(
        _made(RAMP, WindowCenter=-24, WindowWidth=200, RescaleSlope=1, RescaleIntercept=-1024)
    )
    assert (rescaled == own).all()
    nothing = _picture(_made(RAMP, WindowCenter=1000, WindowWidth=0))
    assert (nothing == whole).all()


def test_light_and_dark_are_turned_round() -> None:
    """MONOCHROME1 has its lowest value lightest."""
    assert (_picture(_made(RAMP, "MONOCHROME1")) == 255 - _picture(_made(RAMP))).all()


def test_signed_samples_and_padding() -> None:
    """Negative values are dark, and padding beside the image does not stretch its range."""
    signed = RAMP.astype(np.int16) - 2048
    assert (_picture(_made(signed)) == _picture(_made(RAMP))).all()
    padded = signed.copy()
    padded[0, :] = -32768
    shown = _picture(_made(padded, PixelPaddingValue=-32768))
    assert shown[1, 0] < 10
    assert shown[-1, -1] == 255


def test_tables_of_values() -> None:
    """A VOI LUT without a window is followed."""
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], [min(n * 32, 65535) for n in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    shown = _picture(_made(RAMP, VOILUTSequence=Sequence([table])))
    assert shown.ravel()[2048] == 255
    assert shown.ravel()[1024] == 128


def test_functional_groups_are_those_of_the_frame() -> None:
    """An enhanced image has a window and a rescaling for each frame."""
    frames = np.stack([RAMP, RAMP])
    items = []
    for center in (1000, 3000):
        item, voi = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 200
        item.FrameVOILUTSequence = Sequence([voi])
        items.append(item)
    part10 = _made(frames, PerFrameFunctionalGroupsSequence=Sequence(items))
    assert _picture(part10, 0).ravel()[1100] == 255
    assert _picture(part10, 1).ravel()[1100] == 0
    alone = cut(part10, 1)
    assert (_picture(alone, 1) == _picture(part10, 1)).all()
    assert answer(Job("thumbnail", MIDDLE), alone) == answer(Job("thumbnail", MIDDLE), part10)


@pytest.mark.parametrize(
    "name", ["emri_small_RLE.dcm", "SC_rgb_2frame.dcm", "liver.dcm", "color3d_jpeg_baseline.dcm"]
)
def test_a_frame_cut_out_looks_the_same(name: str) -> None:
    """One frame handed over alone gives the picture the whole gives."""
    part10 = corpus.named(name).read_bytes()
    alone = cut(part10, 1)
    assert len(alone) < len(part10)
    assert (_picture(alone, 1) == _picture(part10, 1)).all()


def test_sizes_and_shapes() -> None:
    """Within the box, its shape kept; pixels that are not square are made so; thumbnails never grow."""
    wide = np.zeros((50, 100), np.uint8)
    assert _picture(_made(wide), size=(40, 40)).shape == (20, 40)
    assert _picture(_made(wide), size=(400, 400)).shape == (200, 400)
    assert _picture(_made(wide, PixelAspectRatio=[2, 1])).shape == (100, 100)
    assert _picture(_made(wide, PixelSpacing=[0.5, 1.0])).shape == (50, 200)
    assert _picture(_made(wide, PixelSpacing=[0.5, 0.0])).shape == (50, 100)
    assert _picture(_made(wide), size=(100000, 100000)).shape == (4096, 8192)
    small = Image.open(io.BytesIO(answer(Job("thumbnail", 0, size=(256, 256)), _made(wide))))
    assert (small.size, small.format) == ((100, 50), "JPEG")


def test_quality() -> None:
    """A JPEG of lower quality is smaller, and no quality is out of range."""
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
    sizes = [
        len(answer(Job("picture", 0, media=JPEG, quality=quality), _made(noise)))
        for quality in (-5, 30, 95, 500)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR2_J2KR.dcm",
        "MR_small_expb.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPGExtended.dcm",
        "liver.dcm",
    ],
)
def test_samples_are_native_little_endian(name: str) -> None:
    """Decoded frames are the bytes an uncompressed object would hold."""
    path = corpus.named(name)
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    first = pixels[0] if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels
    samples = answer(Job("samples", 0), path.read_bytes())
    if dataset.BitsAllocated == 1:
        assert np.packbits(first.ravel(), bitorder="little").tobytes() == samples
    else:
        assert first.astype(first.dtype.newbyteorder("<")).tobytes() == samples


@pytest.mark.parametrize(
    ("part10", "outcome"),
    [
        (b"", Outcome.NOT_DICOM),
        (b"%PDF-1.7" + bytes(500), Outcome.NOT_DICOM),
        (
            _made(RAMP, NumberOfFrames=1).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"),
            Outcome.UNKNOWN_SYNTAX,
        ),
        (_made(RAMP, Rows=65535, Columns=65535), Outcome.TOO_LARGE),
        (_made(RAMP, Rows=0), Outcome.NO_PICTURE),
    ],
)
def test_what_has_no_picture_says_why(part10: bytes, outcome: Outcome) -> None:
    """No DICOM, no decoder, no size anyone shows, no rows."""
    with pytest.raises(Failed) as failed:
        answer(Job("picture", 0), part10)
    assert failed.value.outcome is outcome


def test_documents_have_no_picture() -> None:
    """Reports, plans, structures and waveforms: the page shows a sign for them."""
    for name in ("test-SR.dcm", "rtplan.dcm", "rtstruct.dcm", "waveform_ecg.dcm"):
        with pytest.raises(Failed) as failed:
            answer(Job("picture", 0), corpus.named(name).read_bytes())
        assert failed.value.outcome is Outcome.NO_PICTURE


def test_a_frame_that_is_not_there() -> None:
    """Frames are counted from 0."""
    for frame in (1, -2, 10**9):
        with pytest.raises(Failed) as failed:
            answer(Job("picture", frame), _made(RAMP))
        assert failed.value.outcome is Outcome.NO_FRAME


def test_regions() -> None:
    """A part of the image, turned round where it is negative, as much of it as there is."""
    image = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) % 256
    part10 = _made(image.astype(np.uint8))
    whole = _picture(part10)
    assert (_picture(part10, region=(10, 5, 20, 30)) == whole[5:35, 10:30]).all()
    assert (_picture(part10, region=(10, 5, -20, 30)) == whole[5:35, 10:30][:, ::-1]).all()
    assert (_picture(part10, region=(10, 5, 20, -30)) == whole[5:35, 10:30][::-1]).all()
    assert (_picture(part10, region=(0, 0, -(2.0**20), 2.0**20)) == whole[:, ::-1]).all()
    assert _picture(part10, region=(50, 30, 100, 100), size=(20, 20)).shape == (20, 20)
    with pytest.raises(Failed) as failed:
        _picture(part10, region=(60, 0, 5, 5))
    assert failed.value.outcome is Outcome.NO_REGION
    colour = _made(np.stack([whole] * 3, axis=-1), "RGB")
    assert (_picture(colour, region=(1, 2, -3, 4)) == _picture(colour)[2:6, 1:4][:, ::-1]).all()
