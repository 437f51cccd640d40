"""A heading is the same however the data set arrives, and never fails for bad text."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, Sequence
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from huisclos.dicom.attributes import ATTRIBUTES
from huisclos.dicom.charsets import charset, decode, display_name
from huisclos.dicom.heading import MAX_REQUESTS, Heading, HeadingReader, read_heading
from huisclos.dicom.uids import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    clean_uid,
    new_uid,
    transfer_syntax,
)
from huisclos.errors import BadIdentifier, HuisclosError, NotDicom, TooLarge
from tests import corpus
from tests.dicom.encoding import Encoder, Leaf, Nest, Node, instance

ODD = {"bad_sequence.dcm"}
"""Its UIDs are 64 hexadecimal digits: no UIDs."""


def test_every_instance_has_its_heading() -> None:
    """The UIDs and the name that pydicom reads, for each instance of the corpus."""
    for path in corpus.instances():
        content = path.read_bytes()
        if path.name in ODD:
            with pytest.raises(BadIdentifier):
                read_heading(content)
            continue
        heading, dataset = read_heading(content), corpus.read(path)
        assert dataset.StudyInstanceUID == heading.study_uid, path.name
        assert dataset.SeriesInstanceUID == heading.series_uid
        assert dataset.SOPInstanceUID == heading.instance_uid
        assert str(dataset.get("PatientName", "")).rstrip("= ") == heading.patient_name.rstrip("="), path.name
        assert (dataset.get("Rows") or None) == heading.rows
        assert str(dataset.get("Modality") or "") == heading.modality


def test_the_rest_says_why() -> None:
    """What is no instance is refused by a sentence."""
    for path in (*corpus.unidentified(), *corpus.directories()):
        with pytest.raises(HuisclosError):
            read_heading(path.read_bytes())


@given(st.lists(st.integers(0, 10**6), max_size=20))
def test_any_pieces_give_the_same(cuts: list[int]) -> None:
    """However a CT arrives, its heading is one."""
    content = corpus.named("CT_small.dcm").read_bytes()[336:]
    expected = HeadingReader(EXPLICIT_LE).feed(content)
    assert expected is not None
    places = [0, *sorted(cut % len(content) for cut in cuts), len(content)]
    reader, found = HeadingReader(EXPLICIT_LE), None
    for start, end in pairwise(places):
        found = reader.feed(content[start:end]) or found
    assert expected == found


def test_stops_before_the_pixels() -> None:
    """The heading is there as soon as the last attribute of it has passed."""
    content = instance(
        (0x00280010, "US", b"\0\2"), (0x00280011, "US", b"\0\2"), (0x7FE00010, "OW", bytes(10**6))
    )
    reader = HeadingReader(EXPLICIT_LE)
    assert reader.feed(content[:400]) is not None


def test_a_large_value_before_the_uids_is_passed_over() -> None:
    """Ten megabytes of private data before the study UID cost no memory and hide nothing."""
    content = instance((0x00091010, "OB", bytes(10**7)), (0x00100010, "PN", b"A^B"))
    reader = HeadingReader(EXPLICIT_LE)
    for at in range(0, len(content), 16384):
        reader.feed(content[at : at + 16384])
        assert len(reader._walker._data) <= 2 * 16384
    assert reader.finish().patient_name == "A^B"


def test_a_cut_before_the_end_is_noticed() -> None:
    """A data set that breaks off before its heading is complete is refused."""
    content = instance((0x00100010, "PN", b"A^B"))
    reader = HeadingReader(EXPLICIT_LE)
    reader.feed(content[:-3])
    with pytest.raises(NotDicom):
        reader.finish()


def test_a_missing_uid_is_named_without_its_value() -> None:
    """The message says which UID, and holds nothing of the patient."""
    content = instance((0x0020000D, "UI", b""), (0x00100010, "PN", b"SECRET^NAME"))
    reader = HeadingReader(EXPLICIT_LE)
    reader.feed(content)
    with pytest.raises(BadIdentifier, match="Study Instance UID") as raised:
        reader.finish()
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("uid", ["../../etc", "1.2/3", "1..2", ".1", "1.2\0.3", "1" * 65, "1.2 3", "1.2.a"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    """Nothing that could become a path or a query passes for a UID."""
    with pytest.raises(BadIdentifier):
        clean_uid(uid)


def test_padding_of_uids_is_taken_off() -> None:
    """NULs and spaces at the ends are what real senders pad with."""
    assert clean_uid(" 1.2.3\0\0 ") == "1.2.3"
    assert clean_uid("\0") == ""


@given(st.binary(min_size=16, max_size=16))
def test_new_uids_are_uids(noise: bytes) -> None:
    """Any 16 random bytes make a valid UID."""
    assert new_uid(noise) == clean_uid(new_uid(noise))


def test_deflated() -> None:
    """A deflated data set gives its heading; a bomb is refused long before it fills the memory."""
    content = instance((0x00100010, "PN", b"A^B"), (0x7FE00010, "OW", bytes(1000)))
    engine = zlib.compressobj(wbits=-15)
    packed = engine.compress(content) + engine.flush()
    reader = HeadingReader(DEFLATED_LE)
    for at in range(len(packed)):
        reader.feed(packed[at : at + 1])
    assert reader.finish().patient_name == "A^B"
    engine = zlib.compressobj(9, wbits=-15)
    bomb = engine.compress(instance((0x00091010, "OB", bytes(300 * 1024**2)))) + engine.flush()
    reader = HeadingReader(DEFLATED_LE)
    with pytest.raises(TooLarge):
        reader.feed(bomb)


@given(st.binary(max_size=64), st.binary(max_size=40))
def test_bad_text_never_raises(raw: bytes, terms: bytes) -> None:
    """Any bytes in any character set become text, which can be stored and shown."""
    text = decode(raw, charset(terms))
    text.encode("utf-8")
    display_name(text)


@given(
    st.sampled_from([b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"GB18030", b"ISO_IR 192"]),
    st.binary(),
)
def test_bad_text_in_real_character_sets(terms: bytes, raw: bytes) -> None:
    """The same for those with more than one byte a character."""
    decode(b"\x1b$B" + raw + b"\x1b(J^", charset(terms)).encode("utf-8")


def test_character_sets_of_the_corpus() -> None:
    """Names in every character set are what pydicom makes of them."""
    names = 0
    for path in corpus.instances():
        if path.parent.name == "charset_files":
            dataset = pydicom.dcmread(path)
            assert str(dataset.PatientName).rstrip("=") == read_heading(
                path.read_bytes()
            ).patient_name.rstrip("=")
            names += 1
    assert names >= 14


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("DUPONT^Jean", "DUPONT Jean"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou (山田 太郎, やまだ たろう)"),
        ("=山田^太郎", "山田 太郎"),
        ("A\u202eB\x07^C\x00", "AB C"),
        ("", ""),
        ("LE\u200bGRAND^^^Dr", "LEGRAND Dr"),
    ],
)
def test_names_are_shown_as_people_read_them(name: str, shown: str) -> None:
    """Components become words, groups stay apart, what cannot be seen goes."""
    assert shown == display_name(name)


def test_each_attribute_has_its_field() -> None:
    """The table of attributes and the heading's fields agree."""
    fields = set(Heading.__slots__) - {"transfer_syntax_uid", "specific_character_set", "requests"}
    assert fields == {attribute.field for attribute in ATTRIBUTES}
    assert all(attribute.tag for attribute in ATTRIBUTES)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_requests_are_read_one_level_deep(syntax: str, *, undefined: bool) -> None:
    """A series names each request it was made for, however its items are written, and in any pieces."""
    content = _requested(syntax, undefined=undefined)
    whole = HeadingReader(syntax).feed(content)
    assert whole is not None
    assert (("PAS-É1", "DP-1"), ("手順2", ""), ("", "DP-3")) == whole.requests
    assert "" == whole.patient_name, "what items say is not said of the patient"
    for size in (1, 7, 64):
        reader, found = HeadingReader(syntax), None
        for start in range(0, len(content), size):
            found = reader.feed(content[start : start + size]) or found
        assert whole == found


def _requested(syntax: str, *, undefined: bool) -> bytes:
    """A data set with requests: in two character sets, one deeper that is nobody's, one that says nothing."""
    deeper = Dataset()
    deeper.ScheduledProcedureStepID = "DEEPER"
    steps = [Dataset() for _ in range(4)]
    steps[0].ScheduledProcedureStepID, steps[0].RequestedProcedureID = "PAS-É1", "DP-1"
    steps[0].ScheduledProtocolCodeSequence = Sequence([deeper])
    steps[1].SpecificCharacterSet, steps[1].ScheduledProcedureStepID = "ISO_IR 192", "手順2"
    steps[1].PatientName = "DEEPER"
    steps[3].RequestedProcedureID = "DP-3"
    other = Dataset()
    other.ScheduledProcedureStepID = "OTHER"
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.ReferencedRequestSequence = Sequence([other])
    dataset.RequestAttributesSequence = Sequence(steps)
    dataset.BurnedInAnnotation = dataset.PixelPresentation = "NO"
    if undefined:
        dataset["RequestAttributesSequence"].is_undefined_length = True
        for step in steps:
            step.is_undefined_length_sequence_item = True
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = syntax != EXPLICIT_BE, syntax == IMPLICIT_LE
    write_dataset(written, dataset)
    return written.getvalue()


def test_requests_are_bounded() -> None:
    """However many requests a data set names, and however long, a heading keeps 32 of them."""
    item = Leaf(0x00400009, b"AB"), Leaf(0x00401001, b"C" * 2000)
    mandatory = [
        Leaf(tag, value)
        for tag, value in (
            (0x00080016, b"1.2.840.10008.5.1.4.1.1.2\0"),
            (0x00080018, b"1.2.3.4\0"),
            (0x0020000D, b"1.2\0"),
            (0x0020000E, b"1.2.3\0"),
        )
    ]
    tree: tuple[Node, ...] = (*mandatory, Nest(0x00400275, (item,) * 5000, stated=True))
    heading = HeadingReader(IMPLICIT_LE)
    heading.feed(Encoder(transfer_syntax(IMPLICIT_LE)).encode(tree))
    assert (("AB", ""),) * MAX_REQUESTS == heading.finish().requests
