"""The heading of an instance: what the archive finds it by, read while it still arrives.

The reader stops before the pixel data and holds one value at a time, so an object of any
size costs it the same few kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from huisclos.dicom.attributes import (
    ATTRIBUTES,
    BY_TAG,
    CHARSET_TAG,
    LAST_TAG,
    REQUEST_KEYWORDS,
    REQUESTS_TAG,
    Attribute,
)
from huisclos.dicom.charsets import UNDECLARED, Charset, charset, decode
from huisclos.dicom.dictionary import tag_of
from huisclos.dicom.inflate import Inflater
from huisclos.dicom.part10 import MAX_META, read_part10
from huisclos.dicom.uids import TransferSyntax, clean_uid, transfer_syntax
from huisclos.dicom.walk import ITEM, ITEM_DEPTH, Bounds, Element, Walker
from huisclos.errors import BadIdentifier, NotDicom

MAX_VALUE: Final = 4096
"""Bytes of one heading value at most; the Standard's longest, a name, has 64 characters a group."""
MAX_HEAD: Final = 1024**2
"""Bytes in a piece handed on at once."""
MAX_REQUESTS: Final = 32
"""Requests of one heading at most; those we know of name one or two."""
MAX_REQUEST_VALUE: Final = 256
"""Bytes of one of their values at most; the Standard allows 16 characters."""
_WANTED: Final = frozenset({*BY_TAG, CHARSET_TAG})
_REQUEST_TAGS: Final = tuple(tag_of(keyword) or 0 for keyword in REQUEST_KEYWORDS)
_WANTED_OF_REQUEST: Final = frozenset({*_REQUEST_TAGS, CHARSET_TAG})
_HELD: Final = _WANTED | {(REQUESTS_TAG, tag) for tag in _WANTED_OF_REQUEST}
_BOUNDS: Final = Bounds(held=MAX_VALUE)
_SHORTS: Final = {False: Struct("<H"), True: Struct(">H")}
_TEXTS: Final = frozenset({"PN", "LO", "SH"})
"""VRs of heading attributes that SpecificCharacterSet governs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What is known of one instance. Text is decoded and unpadded; "" or None where it says nothing."""

    transfer_syntax_uid: str
    specific_character_set: str

    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class_uid: str

    patient_name: str = ""
    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""

    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    study_description: str = ""
    accession_number: str = ""
    referring_physician: str = ""
    patient_age: str = ""
    timezone_offset: str = ""

    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    series_date: str = ""
    series_time: str = ""
    body_part: str = ""
    laterality: str = ""
    protocol: str = ""
    institution: str = ""
    department: str = ""
    manufacturer: str = ""
    model: str = ""
    station: str = ""
    performing_physician: str = ""
    procedure_date: str = ""
    procedure_time: str = ""
    requests: tuple[tuple[str, str], ...] = ()
    """ScheduledProcedureStepID and RequestedProcedureID of each item of RequestAttributesSequence."""

    instance_number: int | None = None
    image_type: str = ""
    acquisition_date: str = ""
    content_date: str = ""
    content_time: str = ""
    samples_per_pixel: int | None = None
    photometric: str = ""
    number_of_frames: int | None = None
    rows: int | None = None
    columns: int | None = None
    bits_allocated: int | None = None


class HeadingReader:
    """Reads the heading of a data set that arrives in pieces of any size.

    Raises `NotDicom` if the data set contradicts itself, `BadIdentifier` if a UID is missing
    or is none, `TooLarge` over a bound; never for text that does not decode.
    """

    def __init__(self, syntax: str | TransferSyntax) -> None:
        self._syntax = transfer_syntax(syntax) if isinstance(syntax, str) else syntax
        self._walker = Walker(self._syntax, bounds=_BOUNDS, hold=_HELD, stop=LAST_TAG + 1)
        self._inflater = Inflater() if self._syntax.deflated else None
        self._values: dict[int, bytes] = {}
        self._requests: list[dict[int, bytes]] = []
        self._outer = 0
        self._size = 0
        self._heading: Heading | None = None

    def feed(self, piece: bytes) -> Heading | None:
        """Take the next bytes of the data set; the heading as soon as it is complete.

        What is fed after that costs nothing, so all pieces can be passed through.
        """
        if self._heading is None:
            for plain in self._inflater.feed(piece) if self._inflater else (piece,):
                self._take(plain)
                if self._walker.done:
                    self._heading = self._made()
                    break
        return self._heading

    def finish(self) -> Heading:
        """The heading, at the end of the data set. Raises `NotDicom` if it broke off before."""
        if self._heading is None:
            if self._inflater is not None and not self._inflater.ended:
                raise NotDicom("the deflated data set breaks off")
            self._walker.finish(self._size)
            self._heading = self._made()
        return self._heading

    def _take(self, plain: bytes) -> None:
        self._size += len(plain)
        walker, values, outer = self._walker, self._values, self._outer
        for element in walker.feed(plain):
            if element.depth == 0:
                outer = element.tag
                if outer in _WANTED and element.length <= MAX_VALUE:
                    values[outer] = walker.value(element)
            elif outer == REQUESTS_TAG:
                self._take_of_request(element)
        self._outer = outer

    def _take_of_request(self, element: Element) -> None:
        if element.depth < ITEM_DEPTH:
            # one more than are kept: it takes what those after it say
            if len(self._requests) <= MAX_REQUESTS and element.tag == ITEM:
                self._requests.append({})
            return
        wanted = element.depth == ITEM_DEPTH and element.tag in _WANTED_OF_REQUEST
        if wanted and element.length <= MAX_REQUEST_VALUE:
            self._requests[-1][element.tag] = self._walker.value(element)

    def _made(self) -> Heading:
        values = self._values
        raw = values.get(CHARSET_TAG, b"")
        text_charset = charset(raw) if raw else UNDECLARED
        fields = {
            attribute.field: self._decoded(attribute, values[attribute.tag], text_charset)
            for attribute in ATTRIBUTES
            if attribute.tag in values
        }
        for field, says in _REQUIRED.items():
            if not fields.get(field):
                raise BadIdentifier(f"the instance has no {says}")
        return Heading(
            transfer_syntax_uid=self._syntax.uid,
            specific_character_set=raw.decode("ascii", "replace").strip(" \0"),
            requests=tuple(self._made_requests(text_charset)) if self._requests else (),
            **fields,  # type: ignore[arg-type]  # the table gives each field its type
        )

    def _made_requests(self, around: Charset) -> Iterator[tuple[str, str]]:
        """The requests that say anything, each in its own character set (PS3.5 section 7.5.3)."""
        for values in self._requests[:MAX_REQUESTS]:
            own = charset(values[CHARSET_TAG]) if values.get(CHARSET_TAG) else around
            step, procedure = (decode(values.get(tag, b""), own).strip(" \0") for tag in _REQUEST_TAGS)
            if step or procedure:
                yield step, procedure

    def _decoded(self, attribute: Attribute, value: bytes, text_charset: Charset) -> str | int | None:
        vr = attribute.vr
        if vr == "UI":
            return clean_uid(value.decode("ascii", "replace"))
        if vr == "US":
            unpack = _SHORTS[self._syntax.big_endian]
            return int(unpack.unpack_from(value)[0]) if len(value) >= unpack.size else None
        if vr == "IS":
            return _integer(value)
        text = decode(value, text_charset) if vr in _TEXTS else decode(value, UNDECLARED)
        return text.strip(" \0")


_REQUIRED: Final = {
    "study_uid": "Study Instance UID",
    "series_uid": "Series Instance UID",
    "instance_uid": "SOP Instance UID",
    "sop_class_uid": "SOP Class UID",
}
_MAX_INTEGER: Final = 2**31
_DIGITS: Final = 12


def _integer(value: bytes) -> int | None:
    """The first IS value (PS3.5 table 6.2-1), or None for what is not one."""
    text = value.split(b"\\")[0].strip(b" \0")
    if not text.lstrip(b"+-").isdigit() or len(text) > _DIGITS:
        return None
    number = int(text)
    return number if -_MAX_INTEGER <= number < _MAX_INTEGER else None


def read_heading(content: bytes) -> Heading:
    """The heading of a whole Part 10 file, or of a bare data set, held in memory.

    Raises as `HeadingReader` and `read_part10` do.
    """
    start = read_part10(content[: 2 * MAX_META])
    reader = HeadingReader(start.syntax)
    for at in range(start.data_offset, len(content), MAX_HEAD):
        found = reader.feed(content[at : at + MAX_HEAD])
        if found is not None:
            return found
    return reader.finish()
