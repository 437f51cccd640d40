"""A study as one ZIP file: DICOMDIR media, of a length known beforehand, and no byte of it false."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.fileset import FileSet

from huisclos.archive import export, zipped
from huisclos.archive.export import README, ExportReceipt, Leaving, export_study
from huisclos.archive.layout import instance_place
from huisclos.archive.zipped import Zip, end_length, member_length
from huisclos.dicom.part10 import file_meta
from huisclos.errors import Conflict, SealError
from tests.archive.samples import EXPLICIT, data_set, names, uid
from tests.archive.world import World


def part10(study: int = 1, series: int = 1, instance: int = 1, **changes: bytes) -> bytes:
    """A file as a medium has it."""
    made = data_set(study, series, instance, **changes)
    return file_meta(*names(study, series, instance), EXPLICIT, "") + made


def zip_of(leaving: Leaving) -> bytes:
    """The whole file."""
    whole = b"".join(leaving.pieces())
    assert len(whole) == leaving.length
    return whole


def said(receipt: ExportReceipt) -> str:
    """A README."""
    return f"{len(receipt.files)} taken, {receipt.failed} missing"


def listed(folder: Path) -> dict[str, str]:
    """What pydicom finds by the DICOMDIR of a folder: SOP Instance UID to path."""
    found = FileSet(folder / "DICOMDIR")
    paths = {str(one.SOPInstanceUID): one.path for one in found}
    found._stage["t"].cleanup()
    return paths


def spoil(house: World, number: int) -> None:
    """Change one byte in the middle of an instance on disk."""
    study = house.open(uid(1))
    place = instance_place(study.manifest.study_id, study.instances()[number].instance_id)
    damaged = bytearray(house.store.read(place))
    damaged[len(damaged) // 2] ^= 1
    house.store.put(place, bytes(damaged))


async def test_a_study_leaves_as_media(house: World, tmp_path: Path) -> None:
    """Every file byte for byte, a DICOMDIR that an independent reader follows, names of numbers alone."""
    sent = {part10(1, series, number) for series in (1, 2) for number in (1, 2, 3)}
    for content in sent:
        await house.upload(content)
    leaving = Leaving(house.open(uid(1)), said)
    path = tmp_path / "out.zip"
    path.write_bytes(zip_of(leaving))
    assert zipfile.ZipFile(path).testzip() is None
    zipfile.ZipFile(path).extractall(tmp_path / "out")
    images = [one for one in (tmp_path / "out").rglob("IM*") if one.is_file()]
    assert {one.read_bytes() for one in images} == sent
    assert (tmp_path / "out" / README).read_text().strip() == "6 taken, 0 missing"
    found = listed(tmp_path / "out")
    assert set(found) == {str(pydicom.dcmread(one).SOPInstanceUID) for one in images}
    assert all(pydicom.dcmread(path).SOPInstanceUID == one for one, path in found.items())
    for name in zipfile.ZipFile(path).namelist():
        assert all(len(part) <= 8 for part in name.removesuffix(".TXT").split("/"))
    receipt = leaving.receipt
    assert (receipt.opened, receipt.read) == (6, sum(map(len, sent)))
    digests = {file.digest for file in receipt.files}
    assert digests == {hashlib.sha256(content).hexdigest() for content in sent}


async def test_what_is_false_is_left_out_and_said(house: World) -> None:
    """The length stays what was announced, the file stays whole, the README tells."""
    for number in (1, 2, 3):
        await house.upload(part10(instance=number))
    spoil(house, 1)
    leaving = Leaving(house.open(uid(1)), said)
    file = zipfile.ZipFile(io.BytesIO(zip_of(leaving)))
    assert file.testzip() is None
    assert len([name for name in file.namelist() if "IM" in name]) == 2
    assert file.read(README).strip() == b"2 taken, 1 missing"
    listed = pydicom.dcmread(io.BytesIO(file.read("DICOMDIR"))).DirectoryRecordSequence
    assert [record.DirectoryRecordType for record in listed] == [
        "PATIENT",
        "STUDY",
        "SERIES",
        "IMAGE",
        "IMAGE",
    ]


async def test_a_long_instance_streams(house: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never whole in memory; when it proves false half way, the file ends before its announced end."""
    monkeypatch.setattr(export, "HELD", 100_000)
    await house.upload(part10(instance=1, pixels=bytes(5_000_000)))
    leaving = Leaving(house.open(uid(1)), said)
    pieces = list(leaving.pieces())
    assert max(map(len, pieces)) <= 1024**2
    assert zipfile.ZipFile(io.BytesIO(b"".join(pieces))).testzip() is None
    spoil(house, 0)
    broken = Leaving(house.open(uid(1)), said)
    given_out: list[bytes] = []
    with pytest.raises(SealError):
        given_out.extend(broken.pieces())
    assert sum(map(len, given_out)) < broken.length
    assert 0 < broken.receipt.read < 5_000_000


async def test_what_was_read_is_known_half_way(house: World) -> None:
    """The receipt counts an instance before anybody has its first byte."""
    for number in (1, 2):
        await house.upload(part10(instance=number))
    leaving = Leaving(house.open(uid(1)), said)
    pieces = leaving.pieces()
    next(pieces)
    assert (leaving.receipt.opened, leaving.receipt.read) == (1, len(part10()))


async def test_an_export_is_gone_on_with(house: World, tmp_path: Path) -> None:
    """What is there is compared and kept, what lacks is written, what is something else is in the way."""
    for number in (1, 2, 3):
        await house.upload(part10(instance=number))
    study = house.open(uid(1))
    export_study(study, tmp_path / "out")
    kept, gone = sorted(tmp_path.rglob("IM*"))[:2]
    gone.rename(gone.with_name(gone.name + ".new"))
    before = kept.stat().st_ino
    receipt = export_study(study, tmp_path / "out", resume=True)
    assert (len(receipt.files), receipt.there, kept.stat().st_ino) == (3, 2, before)
    assert len(listed(tmp_path / "out")) == 3
    assert not list(tmp_path.rglob("*.new"))
    for wrong in (b"mine", kept.read_bytes() + b"x", kept.read_bytes()[:-1]):
        kept.write_bytes(wrong)
        with pytest.raises(Conflict):
            export_study(study, tmp_path / "out", resume=True)
        assert kept.read_bytes() == wrong


def _written(members: list[tuple[str, bytes, bool, bool]]) -> tuple[bytes, int]:
    """A file of (name, content, streamed, left out), and the length it was said to have."""
    taken = [
        (name, len(data), member_length(name, len(data), streamed=late)) for name, data, late, _ in members
    ]
    total = sum(one for _, _, one in taken) + end_length(taken)
    made = Zip(total)

    def pieces() -> Iterator[bytes]:
        for (name, data, late, lost), (_, _, room) in zip(members, taken, strict=True):
            if lost:
                yield from made.gap(room)
            elif late:
                yield from made.streamed(name, len(data), [data[:7], data[7:]])
            else:
                yield from made.held(name, data)
        yield from made.end()

    return b"".join(pieces()), total


MEMBERS = st.lists(st.tuples(st.binary(max_size=60), st.booleans(), st.booleans()), max_size=8)


@given(MEMBERS, st.sampled_from([(2**32 - 1, 2**16 - 1), (40, 2**16 - 1), (90, 3), (2**32 - 1, 2)]))
def test_any_members_make_a_true_file(
    contents: list[tuple[bytes, bool, bool]], limits: tuple[int, int]
) -> None:
    """An independent reader finds every member, with ZIP64 (its limits lowered here) and without."""
    members = [(f"M{at}", data, late, lost) for at, (data, late, lost) in enumerate(contents)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(zipped, "_LARGE", limits[0])
        patched.setattr(zipped, "_MANY", limits[1])
        whole, total = _written(members)
    assert len(whole) == total
    file = zipfile.ZipFile(io.BytesIO(whole))
    assert file.testzip() is None
    expected = {name: data for name, data, _, lost in members if not lost}
    assert {name: file.read(name) for name in file.namelist()} == expected
    assert all(file.getinfo(name).CRC == zlib.crc32(data) for name, data in expected.items())


def test_a_member_of_another_length_is_a_bug() -> None:
    """It would make every place behind it false."""
    with pytest.raises(ValueError, match="another length"):
        list(Zip(1000).streamed("M", 5, [b"1234"]))
