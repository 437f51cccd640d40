"""The JSON model of every file loads back, and says what the data set says."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from struct import pack
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dicom.attributes import Level
from huisclos.dicom.bulk import find_value
from huisclos.dicom.heading import read_heading
from huisclos.dicom.json import element, from_heading, to_json
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.uids import EXPLICIT_LE, transfer_syntax
from huisclos.dicom.walk import Bounds, Held
from huisclos.errors import BadQuery, HuisclosError, InstanceNotFound, TooLarge
from tests import corpus
from tests.dicom.encoding import Encoder as _Encoder
from tests.dicom.encoding import Node, explicit, instance, syntaxes, trees

LITTLE = transfer_syntax(EXPLICIT_LE)
REFUSED = {
    "DICOMDIR-nooffset": "its sequence is longer than stated",
    "meta_missing_tsyntax.dcm": "its transfer syntax cannot be told",
}


def _uri(path: str) -> str:
    return f"https://example.test/bulkdata/{path}"


class _Noted(list[str]):
    """The paths asked for, in their order; each is its own URI."""

    def __call__(self, path: str) -> str:
        self.append(path)
        return path


def _model(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    start = read_part10(content)
    return to_json(content[start.data_offset :], start.syntax, _uri)


def _of(data: bytes, **more: Any) -> dict[str, Any]:
    return to_json(data, LITTLE, _uri, **more)


def test_every_file_converts_and_loads_back() -> None:
    """Strict JSON without NaN, ascending, and a pydicom data set with the same tags and name."""
    refused = set()
    for path in corpus.files():
        try:
            model = _model(path)
        except HuisclosError:
            refused.add(path.name)
            continue
        text = json.dumps(model, allow_nan=False)
        assert sorted(model) == list(model), path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            back = pydicom.Dataset.from_json(text, bulk_data_uri_handler=lambda *_: b"")
            original = pydicom.dcmread(path, force=True)
            assert {int(tag, 16) for tag in model} == {int(tag) for tag in back.keys()}  # noqa: SIM118
            if "too_short" not in path.name:
                name = str(original.get("PatientName", ""))
                assert name.rstrip("=^ ") == str(back.get("PatientName", "")).rstrip("=^ "), path.name
    assert set(REFUSED) == refused


def test_values_are_those_pydicom_reads() -> None:
    """Element by element against pydicom's own conversion, for files of several kinds."""
    for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"):
        path = corpus.named(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = pydicom.dcmread(path).to_json_dict(10**9, lambda _: "", suppress_invalid_tags=True)
        model = _model(path)
        compared = 0
        for tag, theirs in expected.items():
            ours = model.get(tag, {})
            if (
                "Value" in theirs
                and theirs["vr"] != "SQ"
                and ours.get("vr") == theirs["vr"]
                and tag != "00080005"
            ):
                if theirs["vr"] != "PN":
                    assert theirs["Value"] == ours.get("Value"), (name, tag)
                compared += 1
        assert compared > 15, name


def test_binary_goes_by_reference() -> None:
    """Small binary is inline, larger and all pixel data by URI; group lengths and padding are left out."""
    model = _of(
        explicit(
            (0x00080000, "UL", pack("<I", 10)),
            (0x00091010, "OB", b"abc"),
            (0x00091011, "OB", bytes(1025)),
            (0x7FE00010, "OW", b"\0\0"),
            (0xFFFCFFFC, "OB", b"\0\0"),
        )
    )
    assert model == {
        "00091010": {"vr": "OB", "InlineBinary": "YWJjAA=="},
        "00091011": {"vr": "OB", "BulkDataURI": _uri("00091011")},
        "7FE00010": {"vr": "OW", "BulkDataURI": _uri("7FE00010")},
    }


def test_numbers() -> None:
    """Decimal strings become numbers where they are; what no number can say is not said."""
    model = _of(
        explicit(
            (0x00181050, "DS", b"1.50\\ 2 \\1e2\\NaN\\1_0"),
            (0x00200013, "IS", b"+12\\\\x"),
            (0x00200011, "IS", b"1A"),
            (0x00189087, "FD", pack("<3d", 0.5, float("nan"), float("-inf"))),
            (0x00091002, "UV", pack("<2Q", 5, 2**63)),
        )
    )
    assert model["00181050"]["Value"] == [1.5, 2, 100.0, None, None]
    assert model["00200013"]["Value"] == [12, None, None]
    assert model["00200011"] == {"vr": "IS"}
    assert model["00189087"]["Value"] == [0.5, "NaN", "-Infinity"]
    assert model["00091002"]["Value"] == [5, str(2**63)]


def test_text_becomes_unicode_with_its_sequence_charset() -> None:
    """An item's own character set governs its text alone; the model says UTF-8."""
    model = _model(corpus.named("chrSQEncoding.dcm"))
    (item,) = model["00321064"]["Value"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(corpus.named("chrSQEncoding.dcm"))
        expected = str(dataset.RequestedProcedureCodeSequence[0].PatientName)
    groups = item["00100010"]["Value"][0]
    assert expected == "=".join(groups.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
    assert model["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}


def test_unknown_vr_of_a_known_tag() -> None:
    """UN of a public tag is read as its VR in implicit little endian; nonsense stays unknown."""
    item = pack("<HHI", 0xFFFE, 0xE000, 10) + pack("<HHI", 0x0010, 0x0020, 2) + b"42"
    model = _of(
        explicit((0x00081140, "UN", item), (0x00100020, "UN", b"AB"), (0x00400275, "UN", b"nonsense"))
    )
    assert model["00081140"] == {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["42"]}}]}
    assert model["00100020"] == {"vr": "LO", "Value": ["AB"]}
    assert model["00400275"]["vr"] == "UN"


def test_empty_sequences_and_items() -> None:
    """A sequence without items has no Value; an empty item is an empty object."""
    empty = pack("<HHI", 0xFFFE, 0xE000, 0)
    model = _of(explicit((0x00081115, "SQ", b""), (0x00081140, "SQ", empty)))
    assert model == {"00081115": {"vr": "SQ"}, "00081140": {"vr": "SQ", "Value": [{}]}}


def test_unknowns_share_one_bound() -> None:
    """What unknown values hold counts together, or each had as many elements as a whole data set may."""
    content = pack("<HHI", 0x0010, 0x0020, 0) * 60
    item = pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
    data = explicit((0x00081140, "UN", item), (0x00081199, "UN", item))
    read = to_json(data, transfer_syntax(EXPLICIT_LE), str, Bounds(elements=100))
    assert (read["00081140"]["vr"], read["00081199"]["vr"]) == ("SQ", "UN")


def test_nested_unknowns_are_bounded() -> None:
    """UN within UN within UN ends at the bound of depth, not of the stack."""
    value = b""
    for _ in range(200):
        inner = pack("<HHI", 0x0008, 0x1140, len(value)) + value if value else b""
        value = pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    data = explicit((0x00081140, "UN", value))
    assert _of(data)["00081140"]["vr"] == "UN"
    nested = pack("<HH2sHIHHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 1000
    with pytest.raises(TooLarge):
        _of(nested)
    with pytest.raises(TooLarge):
        _of(data * 3, bounds=Bounds(elements=2))


def test_what_is_left_of_a_cut_data_set_is_shown() -> None:
    """Truncated pixel data keeps its URI, a truncated value is empty."""
    data = instance((0x00100010, "PN", b"A^B"), (0x7FE00010, "OW", bytes(100)))
    assert _of(data[:-50])["7FE00010"]["BulkDataURI"]
    assert _of(explicit((0x00080060, "CS", b"CT"), (0x00100010, "PN", b"A^B"))[:-2])["00100010"] == {
        "vr": "PN"
    }


@given(trees, syntaxes)
def test_any_tree_converts(tree: tuple[Node, ...], syntax: Any) -> None:
    """Every tree an encoder writes converts to strict JSON, and every URI leads to its value."""
    data, uris = _Encoder(syntax).encode(tree), _Noted()
    json.dumps(to_json(data, syntax, uris), allow_nan=False)
    for path in uris:
        assert find_value(Held(data), syntax, path).length >= 0


@given(st.binary(max_size=300), syntaxes)
def test_noise_is_refused_or_converted(data: bytes, syntax: Any) -> None:
    """Only the house's own errors."""
    try:
        json.dumps(to_json(data, syntax, _uri), allow_nan=False)
    except HuisclosError:
        return


def test_every_reference_leads_to_its_bytes() -> None:
    """Each BulkDataURI of each file is found, and holds what pydicom reads there."""
    followed = 0
    for path in corpus.files():
        content = path.read_bytes()
        try:
            start = read_part10(content)
            data, uris = content[start.data_offset :], _Noted()
            if start.syntax.deflated:
                continue
            to_json(data, start.syntax, uris)
        except HuisclosError:
            continue
        for uri in uris:
            try:
                bulk = find_value(Held(data), start.syntax, uri)
            except HuisclosError:
                assert path.name in {"emri_small_jpeg_2k_lossless_too_short.dcm", "MR_truncated.dcm"}
                continue
            followed += 1
            if uri == "7FE00010" and not bulk.encapsulated and path.name != "MR_truncated.dcm":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    assert pydicom.dcmread(path, force=True).PixelData == data[bulk.offset :][: bulk.length]
    assert followed > 150


def test_bulk_data_paths() -> None:
    """Items are counted from 0; what is not there and what is no path are told apart."""
    item = explicit((0x00091010, "OB", b"12"))
    items = b"".join(pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for _ in range(3))
    data = explicit((0x00081140, "SQ", items), (0x7FE00010, "OW", b"abcd"))
    found = find_value(Held(data), LITTLE, "00081140/2/00091010")
    assert data[found.offset :][: found.length] == b"12"
    assert found.offset == len(data) - 12 - 4 - 2
    for missing in ("00081140/3/00091010", "00081140", "7FE00011", "00091010", "7FE00010/0/00091010"):
        if missing == "00081140":
            assert find_value(Held(data), LITTLE, missing).length == len(items)
            continue
        with pytest.raises(InstanceNotFound):
            find_value(Held(data), LITTLE, missing)
    for wrong in ("", "../x", "7FE0001", "00081140/0", "00081140/x/00091010", "7FE00010/"):
        with pytest.raises(BadQuery):
            find_value(Held(data), LITTLE, wrong)


def test_rows_of_query_results() -> None:
    """The attributes of a level, as QIDO answers them."""
    heading = read_heading(corpus.named("CT_small.dcm").read_bytes())
    row = from_heading(heading, {Level.PATIENT, Level.STUDY})
    assert list(row) == sorted(row)
    assert row["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "CompressedSamples^CT1"}]}
    assert row["00080050"] == {"vr": "SH"}
    assert row["0020000D"]["Value"] == [heading.study_uid]
    assert from_heading(heading, {Level.SERIES})["00200011"] == {"vr": "IS", "Value": [1]}
    assert from_heading(heading, {Level.INSTANCE})["00080008"]["Value"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert element("CS", "CT", "") == {"vr": "CS", "Value": ["CT", None]}


def test_a_header_is_written_quickly() -> None:
    """The 264 elements of a CT, many times: a bound that only a change of order would break."""
    content = corpus.named("CT_small.dcm").read_bytes()[336:]
    begun = time.process_time()
    for _ in range(50):
        _of(content)
    assert (time.process_time() - begun) / 50 < 0.02
