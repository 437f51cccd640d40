"""Part 10 files are read with and without what they should begin with, and written deterministically."""

from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dicom.part10 import file_meta, guess_syntax, read_part10
from huisclos.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, TransferSyntax
from huisclos.errors import BadIdentifier, HuisclosError, NotDicom
from tests import corpus
from tests.dicom.encoding import Encoder, Leaf, instance, syntaxes

CT = "1.2.840.10008.5.1.4.1.1.2"


def test_file_meta_is_deterministic_and_read_by_pydicom() -> None:
    """The same arguments give the same bytes; pydicom and our own reader find them all."""
    meta = file_meta(CT, "2.25.3", EXPLICIT_LE, "MODALITY1")
    assert meta == file_meta(CT, "2.25.3", EXPLICIT_LE, "MODALITY1")
    dataset = pydicom.dcmread(io.BytesIO(meta + instance()))
    assert dataset.file_meta.MediaStorageSOPClassUID == CT
    assert dataset.file_meta.SendingApplicationEntityTitle == "MODALITY1"
    assert dataset.file_meta.ImplementationVersionName == "HUISCLOS_1"
    start = read_part10(meta + instance())
    assert (len(meta), EXPLICIT_LE, True, "empty") == (
        start.data_offset,
        start.syntax.uid,
        start.stated,
        start.preamble,
    )


def test_file_meta_takes_no_false_uid() -> None:
    """What is no UID is not written as one."""
    with pytest.raises(BadIdentifier):
        file_meta(CT, "../2.25", EXPLICIT_LE, "A")


@given(syntaxes, st.booleans())
def test_a_bare_data_set_is_guessed(syntax: TransferSyntax, preamble: bool) -> None:
    """Without file meta, with or without preamble, the encoding is told from the first elements."""
    tree = (Leaf(0x00080060, b"CT"), Leaf(0x00081030, b"abcd"), Leaf(0x00100010, b"A^B "))
    data = Encoder(syntax).encode(tree)
    start = read_part10((bytes(128) + b"DICM" if preamble else b"") + data)
    assert (syntax, False) == (start.syntax, start.stated)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 200, b"%PDF-1.7 hello", b"PK\3\4" + bytes(60), b"\x89PNG\r\n\x1a\n"]
)
def test_other_files_are_not_dicom(content: bytes) -> None:
    """Zeros, documents and pictures are refused."""
    with pytest.raises(NotDicom):
        read_part10(content)


@pytest.mark.parametrize(
    ("head", "kind"), [(b"MZ\x90", "windows program"), (b"\x7fELF", "linux program"), (b"II*\0", "tiff")]
)
def test_a_program_in_the_preamble_is_reported(head: bytes, kind: str) -> None:
    """The preamble's content is named, since the file is kept as it is."""
    meta = file_meta(CT, "2.25.3", EXPLICIT_LE, "A")
    assert kind == read_part10(head.ljust(128, b"\0") + meta[128:] + instance()).preamble


def test_a_wrong_group_length_does_no_harm() -> None:
    """Real writers get the group length wrong: the elements tell where the meta ends."""
    meta = bytearray(file_meta(CT, "2.25.3", EXPLICIT_LE, "A"))
    for wrong in (0, 7, 4000):
        meta[140:144] = wrong.to_bytes(4, "little")
        assert len(meta) == read_part10(bytes(meta) + instance()).data_offset


def test_implicit_elements_in_an_encapsulated_syntax() -> None:
    """A file that says JPEG and writes implicit elements is read as it is, still encapsulated."""
    start = read_part10(corpus.named("SC_rgb_jpeg.dcm").read_bytes())
    assert (start.syntax.uid, start.syntax.implicit, start.syntax.encapsulated) == (JPEG_BASELINE, True, True)


def test_bare_files_of_the_corpus() -> None:
    """Old files without meta are read, but the one whose first byte is lost."""
    found = {}
    for path in corpus.bare():
        try:
            found[path.name] = read_part10(path.read_bytes()).syntax.uid
        except NotDicom:
            found[path.name] = "refused"
    assert found["rtstruct.dcm"] == IMPLICIT_LE
    assert found["ExplVR_LitEndNoMeta.dcm"] == EXPLICIT_LE
    assert found["no_meta.dcm"] == "refused"


@given(st.binary(max_size=400))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    """Only the house's own errors."""
    for content in (noise, bytes(128) + b"DICM" + noise, bytes(128) + b"DICM\x02\0" + noise):
        try:
            read_part10(content)
            guess_syntax(content)
        except HuisclosError:
            continue
