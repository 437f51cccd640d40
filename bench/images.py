"""Invented CT slices of 512 KB, renumbered for each round, so that no round sends a duplicate."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SIDE: Final = 512
"""Pixels of a side; two bytes each make the 512 KB of a slice."""
_STUDY: Final = "2.25.1" + "0" * 9
_SERIES: Final = "2.25.2" + "0" * 9
_INSTANCE: Final = "2.25.3" + "0" * 9


def template() -> bytes:
    """One slice as a Part 10 file, its three UIDs of a fixed length and easy to find."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(_INSTANCE)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    slice_ = FileDataset(buffer, _attributes(), file_meta=meta, preamble=bytes(128))
    slice_.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_series(folder: Path, slices: int, number: int) -> list[Path]:
    """Write one study of `slices` instances below `folder`, unlike that of any other `number`."""
    folder.mkdir(parents=True)
    made, paths = template(), []
    made = made.replace(_STUDY.encode(), f"2.25.1{number:09}".encode())
    made = made.replace(_SERIES.encode(), f"2.25.2{number:09}".encode())
    for position in range(slices):
        path = folder / f"{position:04}.dcm"
        path.write_bytes(made.replace(_INSTANCE.encode(), f"2.25.3{number:05}{position:04}".encode()))
        paths.append(path)
    return paths


def _attributes() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = _INSTANCE
    dataset.StudyInstanceUID = _STUDY
    dataset.SeriesInstanceUID = _SERIES
    dataset.PatientName = "Inventée^Personne"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = "INVENTED-1"
    dataset.PatientBirthDate = "19500101"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20260101"
    dataset.StudyTime = "120000"
    dataset.AccessionNumber = "A1"
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    # Noise: nothing along the way can gain by compressing it.
    dataset.PixelData = random.Random(1).randbytes(SIDE * SIDE * 2)
    return dataset
