"""One frame of a file, cut out as the cage is handed it."""

from __future__ import annotations

from huisclos.dicom.frames import cut_frame, frames, opened, read_pixels
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.walk import Held


def cut(part10: bytes, number: int) -> bytes:
    """Frame `number`, from 0. Raises as `frames` and `cut_frame`."""
    start = read_part10(part10)
    source, syntax = opened(Held(part10[start.data_offset :]), start.syntax)
    pixels = read_pixels(source, syntax)
    return cut_frame(source, syntax, pixels, frames(source, pixels), number)
