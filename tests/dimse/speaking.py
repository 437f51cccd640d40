"""What the tests say to peers: invented instances, identifiers, and the bytes of both."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from huisclos.dimse.requestor import Timeouts
from tests.corpus import named

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
QUICK = Timeouts(connect=5, associate=5, idle=10, release=2, total=30)


def data_set_of(path: Path) -> bytes:
    """The bytes of the data set of a Part 10 file, as they lie in it."""
    raw = path.read_bytes()
    at = 132 + 12 + int.from_bytes(raw[140:144], "little")
    return raw[at:]


def read_identifier(raw: bytes, transfer_syntax: str) -> Dataset:
    """A data set that came over an association."""
    syntax = UID(transfer_syntax)
    return dcmread_bare(raw, implicit=syntax.is_implicit_VR)


def dcmread_bare(raw: bytes, *, implicit: bool) -> Dataset:
    """A bare data set in little endian."""
    return read_dataset(BytesIO(raw), is_implicit_VR=implicit, is_little_endian=True)


def identifier(implicit: bool, **values: str) -> bytes:
    """An encoded identifier."""
    wanted = Dataset()
    for keyword, value in values.items():
        setattr(wanted, keyword, value)
    buffer = BytesIO()
    dcmwrite(buffer, wanted, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def instances(folder: Path, count: int, pixels: int) -> list[Path]:
    """`count` invented CT instances of `pixels` bytes each."""
    folder.mkdir()
    base = dcmread(named("CT_small.dcm"))
    # DCMTK leaves it out when it sends (PS3.10 section 7.2 lets it).
    del base.DataSetTrailingPadding
    base.Rows, base.Columns, base.PixelData = pixels // 2000, 1000, os.urandom(pixels)
    made = []
    for at in range(count):
        base.SOPInstanceUID = base.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.1000{at}")
        path = folder / f"{at:05}.dcm"
        base.save_as(path)
        made.append(path)
    return made
