"""Two contents under one UID: which is only the beginning of the other, and what differs."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from huisclos.archive.compare import MAX_SHOWN, Pixels, alike, compare, cut_short, judge
from huisclos.archive.intake import FileIntake
from huisclos.archive.nouns import Cut
from huisclos.dicom.uids import TransferSyntax, transfer_syntax
from huisclos.dicom.walk import UNDEFINED, Element, walk
from tests import corpus
from tests.archive.samples import EXPLICIT, data_set, element
from tests.tools import program

WHOLE_AND_CUT = [("MR_small.dcm", "MR_truncated.dcm"), ("rtplan.dcm", "rtplan_truncated.dcm")]


class Held:
    """A data set in memory."""

    def __init__(self, content: bytes, syntax: TransferSyntax) -> None:
        self.content = content
        self.size = len(content)
        self.syntax = syntax

    def read_at(self, offset: int, length: int) -> bytes:
        """See `DataSetAt`."""
        return self.content[offset : offset + length]


def held(content: bytes, syntax: str = EXPLICIT) -> Held:
    """A bare data set."""
    return Held(content, transfer_syntax(syntax))


def of_file(content: bytes) -> Held:
    """The data set of a Part 10 file."""
    intake = FileIntake()
    for _ in (*intake.push(content), *intake.finish()):
        pass
    return Held(content[intake.data_set_offset :], intake.syntax)


def named(name: str) -> Held:
    """The data set of a file of the corpus."""
    return of_file(corpus.named(name).read_bytes())


def written_anew(name: str) -> Held:
    """What a toolkit makes of a file when it reads what it can and writes that."""
    read = pydicom.dcmread(corpus.named(name), force=True)
    buffer = io.BytesIO()
    read.save_as(buffer)
    return of_file(buffer.getvalue())


@pytest.mark.parametrize(("whole", "cut"), WHOLE_AND_CUT)
def test_a_cut_file_is_known(whole: str, cut: str) -> None:
    """Pydicom's own pairs, whichever came first."""
    assert cut_short(named(whole), named(cut)) is Cut.SECOND
    assert cut_short(named(cut), named(whole)) is Cut.FIRST
    assert cut_short(named(whole), named(whole)) is Cut.NEITHER


@pytest.mark.parametrize(("whole", "cut"), WHOLE_AND_CUT)
def test_a_cut_file_written_anew_is_known(whole: str, cut: str) -> None:
    """Its last lengths were made true, and all else is still the beginning of the whole one."""
    anew = written_anew(cut)
    assert not named(whole).content.startswith(anew.content)
    assert cut_short(named(whole), anew) is Cut.SECOND
    assert cut_short(anew, written_anew(whole)) is Cut.FIRST


@pytest.mark.parametrize("undefined", [False, True])
def test_a_sequence_closed_anew_is_known(undefined: bool) -> None:
    """Its delimiters were added where it breaks off, or its lengths put right."""
    beams = Dataset()
    beams.BeamSequence = [Dataset() for _ in range(3)]
    for number, beam in enumerate(beams.BeamSequence):
        beam.BeamNumber, beam.BeamName = number, "a beam" * 5
        beam.is_undefined_length_sequence_item = undefined
    beams["BeamSequence"].is_undefined_length = undefined
    written = {}
    for kept in (3, 2):
        beams.BeamSequence = beams.BeamSequence[:kept]
        beams["BeamSequence"].is_undefined_length = undefined
        beams.PatientSetupSequence = [] if kept == 2 else beams.BeamSequence[:1]
        if kept == 2:
            del beams.PatientSetupSequence
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, beams)
        written[kept] = held(data_set()[:-14] + buffer.getvalue())
    assert cut_short(written[3], written[2]) is Cut.SECOND


@pytest.mark.parametrize("options", [("-e",), ("+e",), ("+g",), ("-e", "+g", "+p", "2048", "256")])
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "rtplan.dcm", "waveform_ecg.dcm", "JPEG2000.dcm", "liver.dcm"]
)
def test_what_dcmtk_wrote_anew_says_the_same(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """Lengths of sequences, group lengths and padding as it likes them, in the same transfer syntax."""
    source = named(name)
    anew = tmp_path / "anew.dcm"
    kept = {EXPLICIT: "+te", "1.2.840.10008.1.2": "+ti"}.get(source.syntax.uid, "+t=")
    ran = subprocess.run(
        [program("dcmconv"), kept, *options, str(corpus.named(name)), str(anew)],
        check=False,
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr
    written = of_file(anew.read_bytes())
    assert judge(source, written) is Cut.SAME
    assert judge(written, source) is Cut.SAME


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "JPEG2000.dcm"])
def test_any_other_byte_of_a_value_is_another_content(name: str) -> None:
    """However small, in whatever value."""
    source = named(name)
    values = [one for one in walk(source.content, source.syntax) if _has_bytes(one)]
    assert alike(source, source)
    for one in values[:: max(1, len(values) // 40)]:
        other = bytearray(source.content)
        other[one.offset + one.length // 2] ^= 1
        assert not alike(source, Held(bytes(other), source.syntax)), f"{one.tag:08x}"


def _has_bytes(one: Element) -> bool:
    return one.vr not in ("SQ", "") and 0 < one.length < UNDEFINED and one.tag != 0xFFFCFFFC


def test_an_item_more_or_less_is_another_content() -> None:
    """What is nested elsewhere, or left out, is no way of writing."""
    inner = element(0x00080100, "SH", b"A ")
    item = bytes.fromhex("feff00e0") + len(inner).to_bytes(4, "little") + inner
    sides = [held(data_set() + element(0x7FE10010, "SQ", item * count)) for count in (0, 1, 2)]
    assert not any(alike(one, two) for one in sides for two in sides if one is not two)
    assert not alike(held(data_set()), held(data_set(), "1.2.840.10008.1.2"))


def test_a_longer_text_is_no_cut() -> None:
    """Somebody may have corrected what was written last."""
    sides = [held(data_set()[:-14] + element(0x00324000, "LT", text)) for text in (b"seen", b"seen again")]
    assert cut_short(*sides) is Cut.NEITHER


@settings(max_examples=60, deadline=None)
@given(at=st.integers(12, 16_000))
def test_every_beginning_is_one(at: int) -> None:
    """Wherever it breaks off; one that says anything else before is another content."""
    whole = data_set(pixels=bytes(range(256)) * 60)
    at = min(at, len(whole) - 1)
    assert cut_short(held(whole), held(whole[:at])) is Cut.SECOND
    assert cut_short(held(whole[:at]), held(whole)) is Cut.FIRST
    other = bytearray(whole[:at])
    other[10] ^= 1  # within the first value
    assert cut_short(held(whole), held(bytes(other))) is Cut.NEITHER


def test_another_content_is_not_a_beginning() -> None:
    """A shorter one that says anything else, or ends on another value."""
    whole = data_set(pixels=os.urandom(5000))
    shorter = data_set(pixels=os.urandom(4000))
    renamed = data_set(name=b"AUTRE^C", pixels=b"\1\2")
    for other in (shorter, renamed):
        assert cut_short(held(whole), held(other)) is Cut.NEITHER
    assert cut_short(held(whole), held(whole[:-10], "1.2.840.10008.1.2")) is Cut.SECOND


def test_what_differs_is_told_old_and_new() -> None:
    """Names as people read them, nested values by their path, private ones counted."""
    one = pydicom.dcmread(corpus.named("rtplan.dcm"))
    two = pydicom.dcmread(corpus.named("rtplan.dcm"))
    two.PatientName = "AUTRE^Claude"
    two.StudyDate = "20200101"
    two.BeamSequence[0].BeamName = "other beam"
    two.add_new(0x00291010, "LO", "of the maker")
    sides = []
    for written in (one, two):
        buffer = io.BytesIO()
        written.save_as(buffer)
        sides.append(of_file(buffer.getvalue()))
    found = compare(*sides)
    told = {one.path: (one.keyword, one.first, one.second) for one in found.attributes}
    assert told["00100010"] == ("PatientName", "Last First mid pre", "AUTRE Claude")
    assert told["00080020"][2] == "20200101"
    assert told["300A00B0/0/300A00C2"] == ("BeamName", "Field 1", "other beam")
    assert (found.private, found.pixels, found.cut, found.readable) == (1, Pixels.NONE, Cut.NEITHER, True)
    assert found.more == 1


def test_the_pictures_are_compared_apart() -> None:
    """Same, other, on one side alone; long values that differ are told though not shown."""
    pixels = os.urandom(3_000_000)
    one, other = held(data_set(pixels=pixels)), held(data_set(pixels=pixels[:-2] + b"xy"))
    assert compare(one, one).pixels is Pixels.SAME
    assert compare(one, other).pixels is Pixels.OTHER
    assert compare(one, other).attributes == ()
    none = held(one.content[: one.content.index(b"\xe0\x7f\x10\x00")])
    assert compare(one, none).pixels is Pixels.FIRST_ONLY
    assert compare(none, one).pixels is Pixels.SECOND_ONLY
    long = [none.content + element(0x00420011, "OB", bytes([value]) * 100_000) for value in (1, 1, 2)]
    assert compare(held(long[0]), held(long[1])).attributes == ()
    assert [found.keyword for found in compare(held(long[0]), held(long[2])).attributes] == [
        "EncapsulatedDocument"
    ]


def test_what_does_not_read_is_said() -> None:
    """An item longer than its sequence: nothing is told attribute by attribute, and nothing fails."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 100)
    bad = held(element(0x00081140, "SQ", item) + data_set())
    for sides in ((held(data_set()), bad), (bad, held(data_set()))):
        found = compare(*sides)
        assert (found.readable, found.attributes, found.pixels) == (False, (), Pixels.UNCOMPARED)


def test_the_list_is_bounded() -> None:
    """However many differ."""
    elements = [
        b"".join(element(0x00189000 + 2 * number, "LO", text) for number in range(200))
        for text in (b"a", b"b")
    ]
    found = compare(*(held(data_set()[:-14] + more) for more in elements))
    assert len(found.attributes) <= MAX_SHOWN
    assert len(found.attributes) + found.more == 200
