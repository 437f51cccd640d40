"""The Native DICOM Model: a data set as XML, made of its DICOM JSON model (PS3.19 section A.1).

Written as text, with everything that comes from a data set escaped; there is no DTD, and nothing to
expand. Recursion goes as deep as sequences do, which the walker bounded (P7).
"""

from __future__ import annotations

import re
from typing import Final

from huisclos.dicom.dictionary import CREATORS, keyword_of
from huisclos.dicom.values import Json

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_HEAD: Final = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
)
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document can hold, escaped or not (its section 2.2)."""
# a parser turns a bare carriage return into a line feed, and in an attribute each white space into a blank
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_QUOTED: Final = _TEXT | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


def to_xml(model: Json) -> bytes:
    """The XML of one data set, UTF-8, from what `to_json` made of it.

    A private attribute names its creator, and its tag has no block: so creators are not written as
    attributes of their own (table A.1.5-2); one whose creator is missing keeps its tag as it is.
    Characters that XML cannot hold become U+FFFD. Components of a name beyond the fifth stay with it.
    """
    written = [_HEAD]
    _data_set(model, written)
    written.append("</NativeDicomModel>")
    return "".join(written).encode()


def _data_set(model: Json, written: list[str]) -> None:
    creators = _creators(model)
    for name, attribute in model.items():
        tag = int(name, 16)
        if tag not in creators:
            written.append(_begin(tag, attribute["vr"], creators.get(_creator_of(tag), "")))
            _content(attribute, written)
            written.append("</DicomAttribute>")


def _creators(model: Json) -> dict[int, str]:
    """The creators' own tags, and what they say."""
    found = {}
    for name, attribute in model.items():
        tag = int(name, 16)
        said = next(iter(attribute.get("Value", ())), None)
        if tag >> 16 & 1 and tag & 0xFFFF in CREATORS and isinstance(said, str):
            found[tag] = said
    return found


def _creator_of(tag: int) -> int:
    """Where the creator of a private attribute stands; 0 for one that has none."""
    return tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8 if tag >> 16 & 1 else 0


def _begin(tag: int, vr: str, creator: str) -> str:
    named = keyword_of(tag)
    more = f' keyword="{named}"' if named else ""
    if creator:
        tag &= 0xFFFF00FF
        more = f' privateCreator="{_escaped(creator, _QUOTED)}"'
    return f'<DicomAttribute tag="{tag:08X}" vr="{vr}"{more}>'


def _content(attribute: Json, written: list[str]) -> None:
    if "BulkDataURI" in attribute:
        written.append(f'<BulkData uri="{_escaped(attribute["BulkDataURI"], _QUOTED)}"/>')
    elif "InlineBinary" in attribute:
        written.append(f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>")
    kind = {"SQ": "Item", "PN": "PersonName"}.get(attribute["vr"], "Value")
    for number, value in enumerate(attribute.get("Value", ()), 1):
        written.append(f'<{kind} number="{number}">')
        if kind == "Item":
            _data_set(value, written)
        elif kind == "PersonName":
            written += [_group(group, value[group]) for group in _GROUPS if value and group in value]
        elif value is not None:
            written.append(_escaped(str(value)))
        written.append(f"</{kind}>")


def _group(group: str, name: str) -> str:
    components = zip(_COMPONENTS, name.split("^", len(_COMPONENTS) - 1), strict=False)
    inner = "".join(f"<{kind}>{_escaped(text)}</{kind}>" for kind, text in components if text)
    return f"<{group}>{inner}</{group}>"


def _escaped(text: str, table: dict[int, str] = _TEXT) -> str:
    """`text` as character data."""
    return _NO_XML.sub("\ufffd", text).translate(table)
