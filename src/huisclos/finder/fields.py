"""The attributes the index answers for: their level, VR, and how to read them from its records."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from huisclos.archive.nouns import Level
from huisclos.dicom.attributes import (
    ATTRIBUTES,
    REQUEST_KEYWORDS,
    REQUESTS_KEYWORD,
    REQUESTS_TAG,
    Attribute,
)
from huisclos.dicom.attributes import Level as HeadingLevel
from huisclos.dicom.dictionary import keyword_of, tag_of, vr_of
from huisclos.dicom.matching import fold
from huisclos.errors import BadQuery


class Field(NamedTuple):
    """One attribute of the records of its level."""

    keyword: str
    tag: int
    vr: str
    level: Level
    """The lowest record it is read from: study (with patient), series or instance."""
    name: str
    """The record's field."""

    @property
    def json_tag(self) -> str:
        """As DICOM JSON writes tags (PS3.18 section F.2.2)."""
        return f"{self.tag:08X}"

    def values(self, record: Any) -> list[str]:
        """The stored values, unpadded, as matchers take them; one empty text for none."""
        value = getattr(record, self.name)
        if value is None:
            return [""]
        if isinstance(value, tuple):
            return list(value)
        if not isinstance(value, str):
            return [str(value)]
        return [part.strip() for part in value.split("\\")] if self.vr == "CS" and "\\" in value else [value]


_LEVELS: Final = {
    HeadingLevel.PATIENT: Level.STUDY,
    HeadingLevel.STUDY: Level.STUDY,
    HeadingLevel.SERIES: Level.SERIES,
    HeadingLevel.INSTANCE: Level.INSTANCE,
}


def _field(attribute: Attribute) -> Field:
    keyword, tag, vr, level = attribute.keyword, attribute.tag, attribute.vr, _LEVELS[attribute.level]
    return Field(keyword, tag, vr, level, attribute.field)


_COUNTED: Final = (
    Field("ModalitiesInStudy", 0x00080061, "CS", Level.STUDY, "modalities"),
    Field("NumberOfStudyRelatedSeries", 0x00201206, "IS", Level.STUDY, "series"),
    Field("NumberOfStudyRelatedInstances", 0x00201208, "IS", Level.STUDY, "instances"),
    Field("NumberOfSeriesRelatedInstances", 0x00201209, "IS", Level.SERIES, "instances"),
)
REQUESTS: Final = Field(REQUESTS_KEYWORD, REQUESTS_TAG, "SQ", Level.SERIES, "requests")
FIELDS: Final = tuple(sorted((*map(_field, ATTRIBUTES), *_COUNTED, REQUESTS), key=lambda field: field.tag))
"""Ascending, as a query result lists them."""


def _of_request(keyword: str) -> Field:
    tag = tag_of(keyword) or 0
    return Field(f"{REQUESTS_KEYWORD}.{keyword}", tag, vr_of(tag), Level.SERIES, REQUESTS.name)


OF_REQUESTS: Final = tuple(map(_of_request, REQUEST_KEYWORDS))
"""What is matched in an item of `REQUESTS`, in the order of its record."""
BY_KEYWORD: Final = {field.keyword: field for field in (*FIELDS, *OF_REQUESTS)}

_ALWAYS: Final = frozenset({"SpecificCharacterSet", "RetrieveURL", "InstanceAvailability"})
"""Said of every row; matched as if every row agreed, since there is nothing to tell apart."""
RANK: Final = {Level.STUDY: 0, Level.SERIES: 1, Level.INSTANCE: 2}
_TAG: Final = 8


def keyword(attribute: str) -> str:
    """The keyword of an attribute given as keyword or as eight hexadecimal digits, or of a path of them.

    Raises `BadQuery` for what is neither in PS3.6, nor a tag.
    """
    if "." in attribute:
        return ".".join(map(keyword, attribute.split(".")))
    if tag_of(attribute) is not None:
        return attribute
    try:
        tag = int(attribute, 16) if len(attribute) == _TAG else -1
    except ValueError:
        tag = -1
    if tag < 0:
        raise BadQuery("a query names an attribute that is not in the Standard (PS3.18 section 8.3.4.1)")
    return keyword_of(tag) or attribute.upper()


def matched_field(attribute: str) -> Field | None:
    """The field to match, or None for what every row agrees on.

    Raises `BadQuery` for an attribute the index knows nothing of. A query it does not
    understand is answered 400 (PS3.18 section 8.3.4), since leaving a condition out would
    answer with more patients than were asked for.
    """
    name = keyword(attribute)
    if name in _ALWAYS:
        return None
    found = BY_KEYWORD.get(name)
    if found is None:
        raise BadQuery(
            f"the index does not hold {name if name.replace('.', '').isalpha() else 'this attribute'}",
            hint="the conformance statement lists what can be searched",
        )
    return found


def included_fields(include: tuple[str, ...]) -> frozenset[str] | None:
    """Keywords asked for with includefield; None for all. What the index does not hold is left out."""
    asked = {part.strip() for text in include for part in text.split(",")}
    if any(part.lower() == "all" for part in asked):
        return None
    if any("." in part and _known(part) in OF_REQUESTS for part in asked):
        asked.add(REQUESTS.keyword)
    return frozenset(field.keyword for field in FIELDS if asked & {field.keyword, *_written(field)})


def _known(attribute: str) -> Field | None:
    try:
        return BY_KEYWORD.get(keyword(attribute))
    except BadQuery:
        return None


def _written(field: Field) -> tuple[str, str]:
    return field.json_tag, field.json_tag.lower()


def sort_value(field: Field, record: Any) -> tuple[bool, Any]:
    """What a record is sorted by: names as people read them, numbers as numbers, absent values last."""
    value = getattr(record, field.name)
    if value is None or value in ("", ()):
        return True, 0 if isinstance(value, int) or field.vr in ("IS", "US") else ""
    if isinstance(value, tuple):
        return False, "\\".join(sorted(value))
    return False, fold(value) if isinstance(value, str) and field.vr in ("PN", "LO", "SH") else value
