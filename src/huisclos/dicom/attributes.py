"""The attributes the archive knows an instance by: their tag, VR, level and name in a `Heading`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from huisclos.dicom.dictionary import tag_of, vr_of


class Level(StrEnum):
    """The levels of the query and retrieve model (PS3.4 section C.6), patient with study."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Attribute(NamedTuple):
    """One attribute of PS3.6."""

    field: str
    """Its name in a `Heading`."""
    keyword: str
    tag: int
    vr: str
    level: Level

    @property
    def json_tag(self) -> str:
        """The tag as eight upper-case hexadecimal digits (PS3.18 section F.2.2)."""
        return f"{self.tag:08X}"


_NAMES: Final = {
    Level.PATIENT: {
        "patient_name": "PatientName",
        "patient_id": "PatientID",
        "patient_id_issuer": "IssuerOfPatientID",
        "patient_birth_date": "PatientBirthDate",
        "patient_sex": "PatientSex",
    },
    Level.STUDY: {
        "study_uid": "StudyInstanceUID",
        "study_date": "StudyDate",
        "study_time": "StudyTime",
        "study_id": "StudyID",
        "study_description": "StudyDescription",
        "accession_number": "AccessionNumber",
        "referring_physician": "ReferringPhysicianName",
        "patient_age": "PatientAge",
        "timezone_offset": "TimezoneOffsetFromUTC",
    },
    Level.SERIES: {
        "series_uid": "SeriesInstanceUID",
        "modality": "Modality",
        "series_number": "SeriesNumber",
        "series_description": "SeriesDescription",
        "series_date": "SeriesDate",
        "series_time": "SeriesTime",
        "body_part": "BodyPartExamined",
        "laterality": "Laterality",
        "protocol": "ProtocolName",
        "institution": "InstitutionName",
        "department": "InstitutionalDepartmentName",
        "manufacturer": "Manufacturer",
        "model": "ManufacturerModelName",
        "station": "StationName",
        "performing_physician": "PerformingPhysicianName",
        "procedure_date": "PerformedProcedureStepStartDate",
        "procedure_time": "PerformedProcedureStepStartTime",
    },
    Level.INSTANCE: {
        "instance_uid": "SOPInstanceUID",
        "sop_class_uid": "SOPClassUID",
        "instance_number": "InstanceNumber",
        "image_type": "ImageType",
        "acquisition_date": "AcquisitionDate",
        "content_date": "ContentDate",
        "content_time": "ContentTime",
        "samples_per_pixel": "SamplesPerPixel",
        "photometric": "PhotometricInterpretation",
        "number_of_frames": "NumberOfFrames",
        "rows": "Rows",
        "columns": "Columns",
        "bits_allocated": "BitsAllocated",
    },
}


def _table() -> tuple[Attribute, ...]:
    rows = []
    for level, names in _NAMES.items():
        for field, keyword in names.items():
            tag = tag_of(keyword) or 0
            rows.append(Attribute(field, keyword, tag, vr_of(tag), level))
    return tuple(rows)


ATTRIBUTES: Final = _table()
BY_KEYWORD: Final = {attribute.keyword: attribute for attribute in ATTRIBUTES}
BY_TAG: Final = {attribute.tag: attribute for attribute in ATTRIBUTES}
CHARSET_TAG: Final = 0x00080005

REQUESTS_TAG: Final = 0x00400275
REQUESTS_KEYWORD: Final = "RequestAttributesSequence"
"""What a series was made for: the one sequence of a heading, its items read one level deep."""
REQUEST_KEYWORDS: Final = ("ScheduledProcedureStepID", "RequestedProcedureID")
"""What is read of each of its items, in the order of a `Heading`."""
LAST_TAG: Final = max(*BY_TAG, REQUESTS_TAG)
"""No attribute of a heading lies beyond this tag."""
