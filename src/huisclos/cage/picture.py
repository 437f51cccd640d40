"""From a DICOM object to a picture (PS3.3 sections C.7.6.3, C.11.1, C.11.2). Runs only in the cage.

What a decoder raises on bad data is not caught here: it ends the process, and that is the answer.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, ExplicitVRBigEndian

from huisclos.cage.jobs import JPEG, MAX_SAMPLES, MAX_SIDE, MIDDLE, Failed, Job, Outcome
from huisclos.dicom.frames import CUT
from huisclos.dicom.part10 import MAX_META, read_part10
from huisclos.dicom.values import swapped
from huisclos.errors import HuisclosError, TooLarge

Array = np.ndarray[Any, Any]
_PALETTES: Final = tuple(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MAX_PIXELS: Final = 128 * 1024**2
_MAX_STRETCH: Final = 16.0
_STRAIGHT: Final = 0.01
"""A pixel less than this far from square is square."""
_COLOURS: Final = 3
_BYTE: Final = 8


def answer(job: Job, part10: bytes) -> bytes:
    """What `job` asks of the object. Raises `Failed` with the reason, and whatever a decoder raises."""
    dataset = _read(part10)
    frame = _frame_number(job.frame, dataset)
    index = frame
    if part10.startswith(CUT):
        # Its attributes are those of the whole, its pixel data the one frame.
        dataset.NumberOfFrames = 1
        index = 0
    pixels, photometric = _decoded(dataset, index)
    if job.kind == "samples":
        return _samples(pixels, dataset)
    shown = _shown(pixels, photometric, dataset, frame, job.window)
    if job.region is not None:
        shown = _part(shown, *job.region)
    picture = _fitted(Image.fromarray(shown), _stretch(dataset, frame), job)
    out = BytesIO()
    if job.media == JPEG:
        picture.save(out, "JPEG", quality=min(max(job.quality, 1), 100))
    else:
        picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


def _read(part10: bytes) -> Dataset:
    try:
        start = read_part10(part10[: 2 * MAX_META])
    except TooLarge:
        raise Failed(Outcome.TOO_LARGE) from None
    except HuisclosError:
        raise Failed(Outcome.NOT_DICOM) from None
    dataset = pydicom.dcmread(BytesIO(part10), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(start.syntax.uid)
    if not any(keyword in dataset for keyword in _PIXELS):
        raise Failed(Outcome.NO_PICTURE)
    return dataset


def _frame_number(frame: int, dataset: Dataset) -> int:
    count = max(int(dataset.get("NumberOfFrames") or 1), 1)
    if frame == MIDDLE:
        return count // 2
    if not 0 <= frame < count:
        raise Failed(Outcome.NO_FRAME)
    return frame


def _decoded(dataset: Dataset, index: int) -> tuple[Array, str]:
    """The samples of one frame, colour as RGB, and what they mean; sizes are checked before."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not rows or not columns:
        raise Failed(Outcome.NO_PICTURE)
    unit = int(dataset.get("BitsAllocated") or _BYTE) * int(dataset.get("SamplesPerPixel") or 1)
    if rows * columns > _MAX_PIXELS or rows * columns * unit > MAX_SAMPLES * _BYTE:
        raise Failed(Outcome.TOO_LARGE)
    try:
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    except NotImplementedError:
        raise Failed(Outcome.UNKNOWN_SYNTAX) from None
    if not decoder.is_available:
        raise Failed(Outcome.UNKNOWN_SYNTAX)
    pixels, meta = decoder.as_array(dataset, index=index)
    return pixels, str(meta["photometric_interpretation"])


def _samples(pixels: Array, dataset: Dataset) -> bytes:
    """Native little endian: grey as stored, colour as RGB with its samples together."""
    if dataset.get("BitsAllocated") == 1:
        return bytes(pack_bits(pixels.ravel(), pad=False))
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).tobytes()


def _shown(
    pixels: Array, photometric: str, dataset: Dataset, frame: int, window: tuple[float, float, str] | None
) -> Array:
    """Eight bits a sample, grey or RGB."""
    if photometric == "PALETTE COLOR":
        _turn_palette(dataset)
        coloured = apply_color_lut(pixels, dataset)[..., :_COLOURS]
        return _eight_bits(coloured, coloured.dtype.itemsize * _BYTE)
    if pixels.ndim > 2:  # noqa: PLR2004 - rows and columns, then colours
        return _eight_bits(pixels, int(dataset.get("BitsStored") or _BYTE))
    grey = _grey(_measured(pixels, dataset, frame), dataset, frame, window, pixels)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def _turn_palette(dataset: Dataset) -> None:
    """The tables of a big endian palette, little endian: pydicom reads plain ones as they lie here."""
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian:
        return
    for keyword in _PALETTES:
        if keyword in dataset:
            dataset[keyword].value = swapped(dataset[keyword].value, 2)


def _eight_bits(pixels: Array, bits: int) -> Array:
    if bits > _BYTE:
        pixels = pixels >> (bits - _BYTE)
    return np.ascontiguousarray(pixels.astype(np.uint8))


def _group(dataset: Dataset, frame: int, sequence: str, keyword: str) -> Dataset | None:
    """Where an attribute of this frame is: in its functional groups, the shared ones, or the data set."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for item in (*per_frame[frame : frame + 1], *shared[:1]):
        found = item.get(sequence)
        if found and found[0].get(keyword) is not None:
            return found[0]  # type: ignore[no-any-return]
    return dataset if dataset.get(keyword) is not None else None


def _measured(pixels: Array, dataset: Dataset, frame: int) -> Array:
    """After the modality LUT, or the rescaling, of this frame (PS3.3 section C.11.1)."""
    if dataset.get("ModalityLUTSequence"):
        return apply_modality_lut(pixels, dataset)
    found = _group(dataset, frame, "PixelValueTransformationSequence", "RescaleSlope")
    if found is None:
        return pixels
    slope, intercept = float(found.RescaleSlope), float(found.get("RescaleIntercept") or 0)
    if (slope, intercept) == (1.0, 0.0):
        return pixels
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _grey(
    values: Array, dataset: Dataset, frame: int, window: tuple[float, float, str] | None, stored: Array
) -> Array:
    """Windowed as asked, else as the image says, else from its darkest to its lightest."""
    found = _group(dataset, frame, "FrameVOILUTSequence", "WindowWidth")
    if window is None and found is not None:
        shape = str(found.get("VOILUTFunction") or "LINEAR")
        window = (_first(found.WindowCenter), _first(found.WindowWidth), shape)
    if window is None and dataset.get("VOILUTSequence") and np.issubdtype(values.dtype, np.integer):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return _eight_bits(apply_voi(values, dataset), bits)
    if window is None or not window[1] > 0:
        return _from_range(values, dataset, stored)
    return _windowed(values, *window)


def _first(value: Any) -> float:
    return float(value if isinstance(value, (str, float, int)) else value[0])


def _windowed(values: Array, center: float, width: float, shape: str) -> Array:
    """PS3.3 sections C.11.2.1.2.1 (linear) and C.11.2.1.3 (sigmoid, linear exact)."""
    level = values.astype(np.float32)
    if shape == "SIGMOID":
        with np.errstate(over="ignore"):
            level = 255 / (1 + np.exp(-4 * (level - np.float32(center)) / np.float32(width)))
    else:
        if shape != "LINEAR_EXACT":
            center, width = center - 0.5, max(width - 1, 0.001)
        level = ((level - np.float32(center)) / np.float32(width) + np.float32(0.5)) * np.float32(255)
    return np.nan_to_num(level.clip(0, 255) + np.float32(0.5)).astype(np.uint8)


def _from_range(values: Array, dataset: Dataset, stored: Array) -> Array:
    """From the lowest to the highest value; what pads the image beside it does not count."""
    counted = np.isfinite(values)
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        counted &= stored != padding
    if not counted.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(values[counted].min()), float(values[counted].max())
    level = (values.astype(np.float32) - np.float32(low)) * np.float32(
        255 / (high - low) if high > low else 0
    )
    return np.nan_to_num(level.clip(0, 255) + np.float32(0.5)).astype(np.uint8)


def _part(shown: Array, left: float, top: float, width: float, height: float) -> Array:
    """The region of the source, as much of it as there is, turned round where it is negative.

    PS3.18 section 8.3.5.1.3: left and top are those of the region itself, turned or not.
    """
    rows, columns = shown.shape[:2]
    edges = (left, left + abs(width), columns), (top, top + abs(height), rows)
    (x, right), (y, bottom) = (
        (min(max(round(begin), 0), most), min(max(round(end), 0), most)) for begin, end, most in edges
    )
    if x >= right or y >= bottom:
        raise Failed(Outcome.NO_REGION)
    part = shown[y:bottom, x:right][:: -1 if height < 0 else 1, :: -1 if width < 0 else 1]
    return np.ascontiguousarray(part)


def _stretch(dataset: Dataset, frame: int) -> float:
    """Height of a pixel over its width (PS3.3 sections C.7.6.3.1.7 and 10.7.1.3)."""
    for pair in (
        dataset.get("PixelAspectRatio"),
        getattr(_group(dataset, frame, "PixelMeasuresSequence", "PixelSpacing"), "PixelSpacing", None),
        dataset.get("ImagerPixelSpacing"),
    ):
        if pair is not None and not isinstance(pair, str) and len(pair) == 2:  # noqa: PLR2004 - a pair
            high, wide = float(pair[0]), float(pair[1])
            if high > 0 and wide > 0 and 1 / _MAX_STRETCH <= high / wide <= _MAX_STRETCH:
                return high / wide
    return 1.0


def _fitted(picture: Image.Image, stretch: float, job: Job) -> Image.Image:
    """With square pixels, within the box asked for; a thumbnail is never enlarged."""
    width, height = float(picture.width), float(picture.height)
    if abs(stretch - 1) > _STRAIGHT:
        # The shorter side of a pixel grows: nothing that was measured is thrown away.
        width, height = (width, height * stretch) if stretch > 1 else (width / stretch, height)
    scale = min(MAX_SIDE / width, MAX_SIDE / height, 1.0)
    if job.size is not None:
        fit = min(job.size[0] / width, job.size[1] / height)
        scale = (
            min(fit, scale) if job.kind == "thumbnail" or fit < 1 else min(fit, MAX_SIDE / max(width, height))
        )
    wanted = (max(round(width * scale), 1), max(round(height * scale), 1))
    if wanted == picture.size:
        return picture
    smaller = wanted[0] < picture.width or wanted[1] < picture.height
    return picture.resize(wanted, Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC)
