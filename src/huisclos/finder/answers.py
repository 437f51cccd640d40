"""Results as they are answered: DICOM JSON (PS3.18 annex F) for DICOMweb, rows for the pages."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from huisclos.archive.nouns import Level, Query, SeriesRow, StudyRow
from huisclos.dicom.charsets import display_name, name_groups
from huisclos.dicom.json import element
from huisclos.finder.conditions import Plan
from huisclos.finder.fields import FIELDS, OF_REQUESTS, RANK, REQUESTS, Field, included_fields
from huisclos.finder.memory import MemoryIndex
from huisclos.finder.records import SeriesRecord, StudyRecord
from huisclos.finder.search import Hit

_encode: Final = msgspec.json.Encoder().encode
_UTF8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
_ONLINE: Final = {"vr": "CS", "Value": ["ONLINE"]}
_CHARSET_TAG: Final = "00080005"
_AVAILABILITY_TAG: Final = "00080056"
_URL_TAG: Final = "00081190"

_REQUIRED: Final[dict[Level, frozenset[str]]] = {
    # PS3.18 tables 10.6.3-3 to 10.6.3-5; descriptions too, which every worklist shows
    Level.STUDY: frozenset(
        {
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
            "ModalitiesInStudy",
            "ReferringPhysicianName",
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "StudyID",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
            "StudyDescription",
        }
    ),
    Level.SERIES: frozenset(
        {
            "Modality",
            "SeriesDescription",
            "SeriesInstanceUID",
            "SeriesNumber",
            "NumberOfSeriesRelatedInstances",
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
            "RequestAttributesSequence",
        }
    ),
    Level.INSTANCE: frozenset(
        {
            "SOPClassUID",
            "SOPInstanceUID",
            "InstanceNumber",
            "Rows",
            "Columns",
            "BitsAllocated",
            "NumberOfFrames",
        }
    ),
}
_IF_KNOWN: Final = frozenset(
    {
        "TimezoneOffsetFromUTC",
        "SeriesDescription",
        "StudyDescription",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
        "Rows",
        "Columns",
        "BitsAllocated",
        "NumberOfFrames",
    }
)
"""Required only when the archive knows them (same tables)."""


class Answer:
    """Writes the rows of one query's answer."""

    def __init__(self, memory: MemoryIndex, query: Query, plan: Plan) -> None:
        self._memory = memory
        self._base = query.base.rstrip("/")
        self._level = plan.level
        self._study, self._series, self._instance = self._chosen(query, plan)

    def _chosen(self, query: Query, plan: Plan) -> tuple[list[Field], list[Field], list[Field]]:
        """The fields of each level, ascending by tag."""
        included = included_fields(query.include)
        wanted = set(_REQUIRED[self._level]) | {"TimezoneOffsetFromUTC", "StudyInstanceUID"}
        if self._level is not Level.STUDY:
            wanted.add("SeriesInstanceUID")
            # a search over all studies, or all series, says of each what it belongs to (section 10.6.3.3)
            if not _one_uid(query, "StudyInstanceUID"):
                wanted |= _REQUIRED[Level.STUDY]
            if self._level is Level.INSTANCE and not _one_uid(query, "SeriesInstanceUID"):
                wanted |= _REQUIRED[Level.SERIES]
        wanted |= {field.keyword for field in plan.asked}
        fields = [
            field
            for field in FIELDS
            if RANK[field.level] <= RANK[self._level]
            and (field.keyword in wanted or included is None or field.keyword in included)
        ]
        return tuple([field for field in fields if field.level is level] for level in RANK)  # type: ignore[return-value]

    def rows(self, hits: list[Hit]) -> bytes:
        """The JSON array, UTF-8."""
        return _encode([self._row(hit) for hit in hits])

    def _row(self, hit: Hit) -> dict[str, Any]:
        study = self._memory.study(hit.row)
        row: dict[str, Any] = {_CHARSET_TAG: _UTF8, _AVAILABILITY_TAG: _ONLINE}
        url = f"{self._base}/studies/{study.study_uid}"
        _write(row, self._study, study)
        if hit.series is not None:
            _write(row, self._series, hit.series)
            url = f"{url}/series/{hit.series.series_uid}"
        if hit.instance is not None:
            _write(row, self._instance, hit.instance)
            url = f"{url}/instances/{hit.instance.instance_uid}"
        row[_URL_TAG] = {"vr": "UR", "Value": [url]}
        return dict(sorted(row.items()))


def _one_uid(query: Query, keyword: str) -> bool:
    value = query.match.get(keyword, "")
    return bool(value) and "," not in value and "\\" not in value


def _write(row: dict[str, Any], fields: list[Field], record: Any) -> None:
    for field in fields:
        value = getattr(record, field.name)
        if value is None or value in ("", ()):
            if field.keyword not in _IF_KNOWN:
                row[field.json_tag] = {"vr": field.vr}
        elif field.vr == "PN":
            groups = name_groups(value)
            row[field.json_tag] = {"vr": "PN", "Value": [groups]} if groups else {"vr": "PN"}
        elif field is REQUESTS:
            row[field.json_tag] = {"vr": "SQ", "Value": list(map(_request, value))}
        elif isinstance(value, tuple):
            row[field.json_tag] = {"vr": field.vr, "Value": value}
        elif field.vr == "CS" and "\\" in value:
            row[field.json_tag] = {"vr": "CS", "Value": [part.strip() or None for part in value.split("\\")]}
        else:
            row[field.json_tag] = {"vr": field.vr, "Value": [value]}


def _request(values: tuple[str, ...]) -> dict[str, Any]:
    pairs = zip(OF_REQUESTS, values, strict=True)
    return {field.json_tag: element(field.vr, value) for field, value in pairs}


def study_row(memory: MemoryIndex, row: int, doubts: int) -> StudyRow:
    """A study as the pages show it."""
    study = memory.study(row)
    return StudyRow(
        study_id=memory.study_id(row),
        study_uid=study.study_uid,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        issuer=study.patient_id_issuer,
        birth_date=_eight(study.patient_birth_date),
        sex=study.patient_sex,
        study_date=_eight(study.study_date),
        study_time=study.study_time,
        accession=study.accession_number,
        description=study.study_description,
        referring=study.referring_physician,
        modalities=study.modalities,
        series=study.series,
        instances=study.instances,
        received_at=study.received_at,
        doubts=doubts,
    )


def series_row(series: SeriesRecord) -> SeriesRow:
    """A series as the pages show it."""
    return SeriesRow(
        series_uid=series.series_uid,
        series_id=series.series_id,
        modality=series.modality,
        number=series.series_number,
        description=series.series_description,
        body_part=series.body_part,
        instances=series.instances,
        cover=series.cover,
    )


def person(study: StudyRecord) -> str:
    """One line on who and when, the day as ISO 8601, for the journal's sentences."""
    day = _eight(study.study_date)
    parts = (
        display_name(study.patient_name).strip(),
        study.patient_id,
        f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else "",
        *study.modalities,
    )
    return ", ".join(part for part in parts if part)


_DATE: Final = 8


def _eight(stored: str) -> str:
    plain = stored.replace(".", "").replace("-", "")
    return plain if len(plain) == _DATE and plain.isascii() and plain.isdigit() else ""
