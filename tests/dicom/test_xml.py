"""The Native DICOM Model parses, says what the JSON model says, and holds no markup of a data set."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.dicom.json import to_json
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.xml import NAMESPACE, to_xml
from huisclos.errors import HuisclosError
from tests import corpus
from tests.dicom.encoding import NATIVE, Encoder, trees

_NS = f"{{{NAMESPACE}}}"
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def _parsed(model: dict[str, Any]) -> Element:
    root = fromstring(to_xml(model), forbid_dtd=True)
    assert root.tag == _NS + "NativeDicomModel"
    assert root.get("{http://www.w3.org/XML/1998/namespace}space") == "preserve"
    return root


def _held(text: str) -> str:
    """What XML can hold of a text, told apart from what the program uses."""
    return "".join(
        one if one in "\t\n\r" or (one >= " " and one not in "\ufffe\uffff") else "\ufffd" for one in text
    )


def _name(group: Element) -> str:
    said = {one.tag.removeprefix(_NS): one.text or "" for one in group}
    return "^".join(said.get(one, "") for one in _COMPONENTS).rstrip("^")


def _same(model: dict[str, Any], found: Element) -> None:
    """Each attribute that is no creator is there, in its order, with each of its values."""
    creators = {
        tag: one["Value"][0]
        for tag, one in model.items()
        if int(tag[:4], 16) % 2
        and tag[4:6] == "00"
        and tag[6] != "0"
        and isinstance(one.get("Value", [None])[0], str)
    }
    told = [(tag, one) for tag, one in model.items() if tag not in creators]
    assert len(told) == len(found)
    for (tag, one), attribute in zip(told, found, strict=True):
        creator = creators.get(f"{tag[:4]}00{tag[4:6]}", "") if int(tag[:4], 16) % 2 else ""
        assert attribute.get("tag") == (f"{tag[:4]}00{tag[6:]}" if creator else tag)
        assert attribute.get("privateCreator", "") == _held(creator)
        assert attribute.get("vr") == one["vr"]
        values = one.get("Value", [])
        assert [int(child.get("number", "0")) for child in attribute] == (
            list(range(1, len(values) + 1)) or [0] * len(attribute)
        )
        if "BulkDataURI" in one:
            assert [child.get("uri") for child in attribute] == [one["BulkDataURI"]]
        elif "InlineBinary" in one:
            assert [child.text for child in attribute] == [one["InlineBinary"]]
        for value, child in zip(values, attribute, strict=False):
            if one["vr"] == "SQ":
                _same(value, child)
            elif one["vr"] == "PN":
                groups = {group.tag.removeprefix(_NS): _name(group) for group in child}
                assert groups == {kind: _held(text) for kind, text in (value or {}).items()}
            else:
                assert (child.text or "") == _held("" if value is None else str(value))


def test_every_file_is_told() -> None:
    """The XML of each public file parses without DTD and carries each value of its JSON."""
    told = 0
    for path in corpus.files():
        content = path.read_bytes()
        try:
            start = read_part10(content)
            model = to_json(
                content[start.data_offset :], start.syntax, lambda place: f"https://x.test/a?b&c={place}"
            )
        except HuisclosError:
            continue
        _same(model, _parsed(model))
        told += 1
    assert told > 100


@settings(deadline=None, max_examples=60)
@given(trees, st.sampled_from(NATIVE))
def test_any_data_set(tree: Any, syntax: Any) -> None:
    """Whatever a data set holds, the XML made of it parses and carries it."""
    encoder = Encoder(syntax)
    try:
        model = to_json(encoder.encode(tree), syntax, lambda place: place)
    except HuisclosError:
        return
    _same(model, _parsed(model))


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40).filter(lambda text: "^" not in text and text))
def test_any_text(text: str, name: str) -> None:
    """Text, names, creators and addresses hold markup, quotes, line ends and controls, and none is lost."""
    model = {
        "00081030": {"vr": "LO", "Value": [text, None]},
        "00091001": {"vr": "UN", "BulkDataURI": 'https://x.test/?a=1&b="<2>"'},
        "00100010": {"vr": "PN", "Value": [None, {"Alphabetic": name, "Phonetic": f"a^{name}"}]},
        "00110010": {"vr": "LO", "Value": [name]},
        "00111001": {"vr": "LT", "Value": [text]},
        "0040A730": {"vr": "SQ", "Value": [{}, {"00081030": {"vr": "LO", "Value": [text]}}]},
    }
    _same(model, _parsed(model))


def test_what_the_standard_shows() -> None:
    """Keywords, components, numbers, a private block left out, in the words of section A.1."""
    said = to_xml(
        {
            "00080008": {"vr": "CS", "Value": ["MPG", None, "XR3"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Le Goff^Zéphyrine^^Dr^PhD^more"}]},
            "00190010": {"vr": "LO", "Value": ['A "maker"']},
            "00191027": {"vr": "DS", "Value": [0.5]},
            "60020010": {"vr": "US", "Value": [7]},
        }
    ).decode()
    assert said.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="')
    for piece in (
        '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">MPG</Value>',
        '<Value number="2"></Value><Value number="3">XR3</Value></DicomAttribute>',
        "<Alphabetic><FamilyName>Le Goff</FamilyName><GivenName>Zéphyrine</GivenName>",
        "<NamePrefix>Dr</NamePrefix><NameSuffix>PhD^more</NameSuffix></Alphabetic></PersonName>",
        '<DicomAttribute tag="00190027" vr="DS" privateCreator="A &quot;maker&quot;">',
        '<Value number="1">0.5</Value>',
        '<DicomAttribute tag="60020010" vr="US" keyword="OverlayRows">',
    ):
        assert piece in said
    assert "00190010" not in said


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE a [<!ENTITY b 'c'>]>", "]]>", "<?x?>", "&b;", "\x00\x1b\x85\u2028"]
)
def test_markup_is_text(text: str) -> None:
    """What looks like markup is a value and nothing else."""
    root = _parsed({"00081030": {"vr": "LO", "Value": [text]}})
    assert [one.text for one in root.iter(_NS + "Value")] == [_held(text)]
