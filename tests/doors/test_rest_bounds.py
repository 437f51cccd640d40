"""Files at rest that are made to cost are bounded; and what is hard to count comes out right."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import sqlite3
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, generate_uid

from huisclos.doors.rest import audit as auditing
from huisclos.doors.rest import index, tars, zips
from huisclos.doors.rest.audit import Walk, audit
from huisclos.doors.rest.places import kernel_folders
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Reason
from tests.doors.auditing import untested
from tests.doors.test_rest import encode, fact, found, image, rest

MUCH = 48 * 1024 * 1024
"""bytes that looking into anything here may hold"""
FEW = 8 * 1024 * 1024


def _zip_of_bzip2() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"\x1f\x8b\x08" + bytes(200_000_000))
    return out.getvalue()


def _zip_of_many() -> bytes:
    """Sixty thousand members, all of them the same one."""
    body = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0x21, zlib.crc32(b"hi"), 2, 2, 1, 0) + b"ahi"
    entry = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0x21, zlib.crc32(b"hi"), 2, 2, 1, 0, 0, 0, 0, 0, 0
    )
    count = 60_000
    listed = (entry + b"a") * count
    at = len(body) + len(listed)
    beyond = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), len(body))
    beyond += struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + listed + beyond + end


def _tar_of_a_name() -> bytes:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200_000_000
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(200_000_000), 1)


def _tar_of_records() -> bytes:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 200_000_000
    return gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(200_000_000), 1)


def _seven_of_folders() -> bytes:
    """Two kilobytes that describe four million folders."""
    count = bytes([0xE0 | 3_900_000 >> 24, *(3_900_000 & 0xFFFFFF).to_bytes(3, "little")])
    header = b"\1\4\6\0\0\0\7\x0b" + count + b"\0" + b"\1\1\0" * 3_900_000
    packed = lzma.compress(header, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    size = bytes([0xE0 | len(packed) >> 24, *(len(packed) & 0xFFFFFF).to_bytes(3, "little")])
    whole = bytes([0xE0 | len(header) >> 24, *(len(header) & 0xFFFFFF).to_bytes(3, "little")])
    described = b"\x17\6\0\1\x09" + size + b"\0\7\x0b\1\0\1\x21\x21\1\x18\x0c" + whole + b"\0\0"
    start = struct.pack("<QQI", len(packed), len(described), zlib.crc32(described))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + packed + described


@pytest.mark.parametrize(
    ("name", "make", "most"),
    [
        ("bzip2.zip", _zip_of_bzip2, MUCH),
        ("many.zip", _zip_of_many, FEW),
        ("name.tar.gz", _tar_of_a_name, MUCH),
        ("records.tar.gz", _tar_of_records, MUCH),
        ("folders.7z", _seven_of_folders, MUCH),
    ],
)
def test_what_an_archive_asks_for_is_not_given(
    tmp_path: Path, name: str, make: Callable[[], bytes], most: int
) -> None:
    """Memory stays flat, whatever a member, a name, a header or a list of members claims."""
    (tmp_path / name).write_bytes(make())
    tracemalloc.start()
    try:
        rest(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_a_hole_costs_nothing(tmp_path: Path) -> None:
    """A terabyte of nothing with an image behind it: the image is found, and the hole is not read."""
    with (tmp_path / "disk.img").open("wb") as file:
        file.seek(1 << 40)
        file.write(encode(image()))
    assert 1 == fact(found(rest(tmp_path), "RST-004"), Key.IMAGES)


def test_pages_linked_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index whose pages lead to each other over and over is left after its time, and said to be unread."""
    monkeypatch.setattr(index, "SECONDS", 0.2)
    path = tmp_path / "index"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA page_size = 512")
        made.execute("VACUUM")
        made.execute("CREATE TABLE MainDicomTags (a TEXT)")
        made.executemany("INSERT INTO MainDicomTags VALUES (?)", [("x" * 100,)] * 1000)
        (first,) = made.execute("SELECT rootpage FROM sqlite_master").fetchone()
    made.close()
    raw = bytearray(path.read_bytes())
    leaf = next(page for page in range(2, 100) if raw[(page - 1) * 512] == 0x0D)
    chain = [first, *(page for page in range(2, 100) if page not in (first, leaf))][:10]
    for page, below in zip(chain, [*chain[1:], leaf], strict=True):
        cells = b"".join(struct.pack(">IB", below, number + 1) for number in range(60))
        starts = b"".join(struct.pack(">H", 512 - len(cells) + 5 * number) for number in range(60))
        top = struct.pack(">BHHHBI", 5, 0, 60, 512 - len(cells), 0, below) + starts
        raw[(page - 1) * 512 : page * 512] = top.ljust(512 - len(cells), b"\0") + cells
    path.write_bytes(raw)
    assert Reason.UNREADABLE is untested(rest(tmp_path))["RST-004"]


def test_an_index_that_is_in_use(tmp_path: Path) -> None:
    """Rows that a running program keeps in the log beside its database are counted too."""
    live = sqlite3.connect(tmp_path / "index")
    live.execute("PRAGMA journal_mode = WAL")
    live.execute("CREATE TABLE MainDicomTags (a TEXT)")
    live.executemany("INSERT INTO MainDicomTags VALUES (?)", [("x",)] * 7)
    live.commit()
    before = sorted(tmp_path.iterdir())
    assert 7 == fact(found(rest(tmp_path), "RST-006"), Key.ROWS)
    assert before == sorted(tmp_path.iterdir()), "nothing is written beside it"
    live.close()


def test_one_broken_member_hides_no_other(tmp_path: Path) -> None:
    """What is wrong with one member is said, and the images beside it are counted."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("broken.gz", b"\x1f\x8b\x08" + b"\xff" * 40)
        archive.writestr("image", encode(image()))
    report = rest(tmp_path)
    assert 1 == fact(found(report, "RST-004"), Key.IMAGES)
    assert Reason.UNREADABLE is untested(report)["*"]


def test_archives_of_all_kinds_are_one_count(tmp_path: Path) -> None:
    """A zip, a tar and a gz of two persons' images: one number of images, and two persons."""
    one, two = encode(image()), encode(image("DURAND^PAUL", "P2"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1", one)
        archive.writestr("2", two)
    (tmp_path / "b.gz").write_bytes(gzip.compress(one))
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        member = tarfile.TarInfo("1")
        member.size = len(one)
        tar.addfile(member, io.BytesIO(one))
    finding = found(rest(tmp_path), "RST-004")
    assert (4, 2) == (fact(finding, Key.IMAGES), fact(finding, Key.PERSONS))


def test_one_file_under_many_names_is_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard links count once, in one share of the work or in several."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "1").write_bytes(encode(image()))
    for name in ("a/2", "b/1", "b/2"):
        os.link(tmp_path / "a" / "1", tmp_path / name)
    for share in (2000, 1):
        monkeypatch.setattr(auditing, "SHARE", share)
        assert 1 == fact(found(rest(tmp_path), "RST-001"), Key.IMAGES)


def _far(syntax: str = "") -> bytes:
    """An image that refers to a thousand others before it says whose it is."""
    made = image()
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
    made.ReferencedImageSequence = Sequence([other] * 1000)
    return encode(made, DeflatedExplicitVRLittleEndian) if syntax else encode(made)


def _zipped(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("1", raw)
    return out.getvalue()


@pytest.mark.parametrize("make", [_far, lambda: _far("deflated"), lambda: _zipped(_far())])
def test_whose_it_is_may_stand_further_on(tmp_path: Path, make: Callable[[], bytes]) -> None:
    """The person of an image with a long list of references in front is counted."""
    (tmp_path / "a").write_bytes(make())
    (finding,) = [one for one in rest(tmp_path).findings if fact(one, Key.IMAGES)]
    assert 1 == fact(finding, Key.PERSONS)


def _bare_big() -> bytes:
    out = io.BytesIO()
    image().save_as(out, implicit_vr=False, little_endian=False)
    return out.getvalue()


@pytest.mark.parametrize(
    "raw",
    [_bare_big(), encode(image())[128:], encode(image())[132:], encode(image(), ExplicitVRBigEndian)[132:]],
)
def test_images_that_lost_their_beginning(tmp_path: Path, raw: bytes) -> None:
    """Big endian without a mark; without a preamble; with the mark first: found, and the person counted."""
    (tmp_path / "a").write_bytes(raw)
    assert 1 == fact(found(rest(tmp_path), "RST-002"), Key.PERSONS)


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress, _zipped])
def test_a_disk_image_by_any_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """A CD's image is known by what is in it: without .iso, packed or in an archive."""
    disk = bytearray(64 * 1024)
    disk[32768:32774] = b"\1CD001"
    (tmp_path / "disk").write_bytes(pack(bytes(disk) + encode(image())))
    assert 1 == fact(found(rest(tmp_path), "RST-004"), Key.IMAGES)


def test_it_goes_on_although_the_tree_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk cut short goes on behind the last file it counted: what came since is not counted twice."""
    monkeypatch.setattr(auditing, "SHARE", 2)
    tree, kept = tmp_path / "tree", tmp_path / "kept"
    tree.mkdir()
    for number in range(9):
        (tree / f"b{number}").write_bytes(encode(image()))
    shares = iter(range(3))

    def stop(_: int) -> None:
        if next(shares) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("huisclos.doors.rest.resume.SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        audit(tree, Walk(resume=kept), progress=stop)
    (tree / "a").write_bytes(encode(image()))
    assert 9 == audit(tree, Walk(resume=kept)).heaps["clear"].images
    (tree / "b8").unlink()
    assert 9 == audit(tree, Walk(resume=kept)).heaps["clear"].images, "its place is gone: from the beginning"


def test_folders_that_cannot_be_listed_are_of_their_own_root(tmp_path: Path) -> None:
    """What could not be read below one root is not said of the next."""
    walk = Walk()
    walk.unread = 3
    assert not audit(tmp_path, walk).misses


def test_what_the_kernel_says_is_left_out(tmp_path: Path) -> None:
    """/proc and /sys hold nothing at rest, and some of it waits for ever: a walk of / goes around them."""
    mounts = tmp_path / "mounts"
    lines = [("/", "ext4"), (str(tmp_path / "a b"), "proc"), (str(tmp_path / "c"), "ext4"), ("/sys", "sysfs")]
    mounts.write_text(
        "".join(f"1 1 0:1 / {at.replace(' ', chr(92) + '040')} rw - {kind} x rw\n" for at, kind in lines)
    )
    assert {str(tmp_path / "a b")} == kernel_folders(str(tmp_path), str(mounts))
    assert {str(tmp_path / "a b"), "/sys"} == kernel_folders("/", str(mounts))
    assert {"/sys"} == kernel_folders("/sys", str(mounts))
    assert "/proc" in kernel_folders("/")


@given(st.binary(max_size=3000))
def test_any_bytes_of_an_archive_end(raw: bytes) -> None:
    """No bytes make the readers of zip and tar stumble or run on."""
    for start in (b"", _zipped(b"x")[:60]):
        try:
            for member in zips.members(io.BytesIO(start + raw)):
                zips.unpacked(io.BytesIO(raw), member, lambda _: None).read(100)
        except (ValueError, OSError, EOFError, struct.error, lzma.LZMAError, zips.NotUnpacked):
            pass
    try:
        for part, _ in tars.members(io.BytesIO(raw)):
            part.read(100)
    except (ValueError, EOFError):
        pass
