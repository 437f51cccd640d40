"""Invented patients whose every identifying value is unlike anything else, and their images."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

SIDE: Final = 64
"""Pixels of a side; enough for a thumbnail."""
ROOT: Final = "1.2.826.0.1.3680043.8.498"


@dataclass(frozen=True)
class Patient:
    """One person who does not exist, and one study of theirs."""

    name: str
    charset: str
    codec: str
    """The codec of the file's own text, for Python."""
    patient_id: str
    birth: str
    study_date: str
    accession: str
    description: str
    referring: str
    address: str
    instances: int = 3
    modality: str = "CT"
    syntax: str = ExplicitVRLittleEndian

    @property
    def study_uid(self) -> str:
        """A UID as some modalities make it: with the day of birth and the day of the study inside."""
        return f"{ROOT}.{self.birth}.{self.study_date}.1{self.patient_id.translate(_DIGITS)}"

    @property
    def series_uid(self) -> str:
        """The UID of the study's only series."""
        return f"{self.study_uid}.7"

    def instance_uid(self, number: int) -> str:
        """The UID of one instance, from 1."""
        return f"{self.series_uid}.{number}"

    def values(self) -> Iterator[str]:
        """Every value that names this person, or says when they came; parts of names apart."""
        for text in (self.name, self.referring):
            for part in text.replace("=", "^").split("^"):
                yield from (word for word in part.split() if len(word) > 1)
        yield from (self.patient_id, self.accession, self.description, self.address)
        yield from (self.study_uid, self.series_uid)

    def dates(self) -> tuple[str, str]:
        """The day of birth and the day of the study, YYYYMMDD."""
        return self.birth, self.study_date

    def dataset(self, number: int) -> FileDataset:
        """One instance, from 1."""
        found = FileDataset(io.BytesIO(), self._attributes(number), preamble=bytes(128))
        found.file_meta = FileMetaDataset()
        found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
        found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
        found.file_meta.TransferSyntaxUID = UID(self.syntax)
        return found

    def file(self, number: int) -> bytes:
        """One instance as a Part 10 file."""
        buffer = io.BytesIO()
        self.dataset(number).save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    def write(self, folder: Path, numbers: Iterable[int] = ()) -> list[Path]:
        """The study, or these instances of it, as files below `folder`, whose names say nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number in numbers or range(1, self.instances + 1):
            path = folder / f"{len(list(folder.iterdir())):04}.dcm"
            path.write_bytes(self.file(number))
            paths.append(path)
        return paths

    def _attributes(self, number: int) -> Dataset:
        dataset = Dataset()
        dataset.SpecificCharacterSet = self.charset.split("\\") if "\\" in self.charset else self.charset
        dataset.SOPClassUID = MRImageStorage if self.modality == "MR" else CTImageStorage
        dataset.SOPInstanceUID = self.instance_uid(number)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study_uid, self.series_uid
        dataset.PatientName, dataset.PatientID = self.name, self.patient_id
        dataset.PatientBirthDate, dataset.PatientSex = self.birth, "F"
        dataset.PatientAddress = self.address
        dataset.StudyDate, dataset.StudyTime = self.study_date, "101112"
        dataset.AccessionNumber, dataset.StudyDescription = self.accession, self.description
        dataset.ReferringPhysicianName = self.referring
        dataset.SeriesDescription, dataset.StudyID = "Axial", "1"
        dataset.SeriesNumber, dataset.InstanceNumber = 1, number
        dataset.Modality = self.modality
        dataset.Rows = dataset.Columns = SIDE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.PixelSpacing, dataset.ImagePositionPatient = [1, 1], [0, 0, number]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.FrameOfReferenceUID = f"{self.study_uid}.9"
        noise = random.Random(f"{self.patient_id} {number}")
        dataset.PixelData = b"".join(noise.randrange(4096).to_bytes(2, "little") for _ in range(SIDE * SIDE))
        return dataset


_DIGITS: Final = {code: str(code % 10) for code in range(32, 127) if not 48 <= code <= 57} | {46: "", 45: ""}

ZEPHYRINE: Final = Patient(
    "Kerguélen-Môntbazïn^Zéphyrine", "ISO_IR 100", "latin-1", "QX-4471-ZEPH", "19371113", "19920407",
    "ACCQ77120-K", "Mammographie côté Quillevéré", "Trébuchet^Hyacinthe", "Ruelle du Câprier 19 Locquirec",
)  # fmt: skip
TSUBOMI: Final = Patient(
    "Yamazakura^Tsubomi=山桜原^蕾美子=やまざくら^つぼみこ", "\\ISO 2022 IR 87", "iso2022_jp", "JPX-90817-TS",
    "19580623", "19931019", "ACCQ88231-T", "Toubu tanjun satsuei Kagurazaka", "Mikazuki^Harunobu",
    "Kagurazaka 4 Kitamachi", modality="MR",
)  # fmt: skip
GLAFIRA: Final = Patient(
    "Шелковникова^Глафира", "ISO_IR 144", "iso8859_5", "RUX-33019-GL", "19440302", "19940811",
    "ACCQ99342-G", "Рентгенография Малоохтинская", "Верещагина^Пульхерия", "Набережная Смоленки 44",
    syntax=ImplicitVRLittleEndian,
)  # fmt: skip
BETKA: Final = Patient(
    "Vlčnovská^Bětuška Žofie", "ISO_IR 192", "utf-8", "CZX-55123-BE", "19710918", "19950526",
    "ACCQ11453-B", "Ultrazvuk Břichomluvec", "Šťovíček^Květoslav", "Uhřičická 7 Pouzdřany",
)  # fmt: skip
WILHELMA: Final = Patient(
    "Quackenbusch^Wilhelmina", "", "ascii", "USX-77241-WI", "19290805", "19960229",
    "ACCQ22564-W", "Lumbar spine Poughkeepsie", "Featherstonehaugh^Ignatius", "Old Turnpike 1204 Schenectady",
)  # fmt: skip
EVERYBODY: Final = (ZEPHYRINE, TSUBOMI, GLAFIRA, BETKA, WILHELMA)


def data_set_of(part10: bytes) -> bytes:
    """The bytes of the data set in a Part 10 file: what follows the file meta group (PS3.10 section 7.1)."""
    length = int.from_bytes(part10[140:144], "little")
    return part10[144 + length :]


def read(part10: bytes) -> FileDataset:
    """The data set of a Part 10 file."""
    return pydicom.dcmread(io.BytesIO(part10), force=True)
