"""Files at rest: everything clear is counted, in archives too, and no name of anybody leaves."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sqlite3
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.disk import is_encrypted
from huisclos.doors.rest import containers
from huisclos.doors.rest.audit import Walk, audit, observe
from huisclos.doors.rest.heads import is_headerless, read_head
from huisclos.errors import Unreadable
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Finding, Language, Reason
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested
from tests.tools import program

KEY = b"k" * 32


def image(person: str = "MARTIN^LEA", number: str = "P1", date: str = "20150203", **other: Any) -> Dataset:
    """An invented person's image."""
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.SOPInstanceUID = other.get("instance") or generate_uid()
    made.StudyDate = date
    made.Modality = "OT"
    made.ReferencedStudySequence = Sequence([Dataset()])
    made.PatientName, made.PatientID, made.PatientBirthDate = person, number, "19800203"
    made.StudyInstanceUID = other.get("study", f"1.2.{number[1:]}")
    made.SeriesInstanceUID = f"{made.StudyInstanceUID}.1"
    made.PixelData = b"\0" * 64
    made["PixelData"].VR = "OW"
    return made


def encode(made: Dataset, syntax: UID = ExplicitVRLittleEndian, *, part10: bool = True) -> bytes:
    """It, as a file's bytes."""
    out = io.BytesIO()
    if part10:
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = syntax
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.save_as(out, enforce_file_format=True)
    else:
        made.save_as(out, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return out.getvalue()


def rest(root: Path, walk: Walk | None = None, pool: Any = None) -> Report:
    """The report on a tree."""
    made = Audit("rest", Language.EN, now())
    made.take(observe(root, audit(root, walk or Walk(), pool)), now())
    return made.report()


def found(report: Report, check: str) -> Finding:
    """The finding of a check."""
    (one,) = [one for one in report.findings if one.check == check]
    return one


def fact(one: Finding, key: Key) -> Any:
    """A fact of a finding."""
    return next((fact.value for fact in one.evidence if fact.key is key), None)


def test_images_persons_and_years_are_counted_and_nothing_is_kept(tmp_path: Path) -> None:
    """Three images of two persons over three years: the numbers are right, and no name is in the report."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_bytes(encode(image()))
    (tmp_path / "a" / "2").write_bytes(encode(image(date="20170203")))
    (tmp_path / "3.dcm").write_bytes(encode(image("DURAND^PAUL", "P2", "20160101")))
    (tmp_path / "notes.txt").write_text("nothing of interest")
    one = found(rest(tmp_path), "RST-001")
    assert [3, 2, 2, 2015, 2017] == [
        fact(one, key) for key in (Key.IMAGES, Key.PERSONS, Key.STUDIES, Key.YEAR_FROM, Key.YEAR_TO)
    ]
    assert "3 images of 2 persons, 2015-2017, in clear" == one.is_
    text = str(one)
    for name in ("MARTIN", "LEA", "DURAND", "P1", "19800203", "20150203", "1.2.1"):
        assert name not in text


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian],
)
def test_every_encoding_is_read(syntax: UID) -> None:
    """The person, study and year of an image in each native encoding are the same digests."""
    known = read_head(encode(image(instance="1.2.3"), syntax), KEY)
    assert known == read_head(encode(image(instance="1.2.3")), KEY)
    assert None not in (known.person, known.study, known.series)
    assert 2015 == known.year


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_images_without_a_mark(tmp_path: Path, syntax: UID) -> None:
    """A bare data set is found by its elements."""
    (tmp_path / "bare").write_bytes(encode(image(), syntax, part10=False))
    report = rest(tmp_path)
    assert {"RST-002"} <= set(open_doors(report))
    assert 1 == fact(found(report, "RST-002"), Key.PERSONS)


def _zip(*, nested: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MARTIN LEA/1.dcm", _zip() if nested else encode(image()))
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    raw = encode(image())
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("MARTIN LEA/1.dcm")
        member.size = len(raw)
        archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def _iso() -> bytes:
    return b"\0" * 40960 + encode(image()).ljust(4096, b"\0") + encode(image("D^P", "P2"))


@pytest.mark.parametrize(
    ("name", "make", "count"),
    [
        ("a.zip", _zip, 1),
        ("nested.zip", lambda: _zip(nested=True), 1),
        ("a.tar", _tar, 1),
        ("a.tar.gz", lambda: gzip.compress(_tar()), 1),
        ("a.tar.xz", lambda: lzma.compress(_tar()), 1),
        ("a.tar.bz2", lambda: bz2.compress(_tar()), 1),
        ("a.dcm.gz", lambda: gzip.compress(encode(image())), 1),
        ("a.zip.gz", lambda: gzip.compress(_zip()), 1),
        ("a.iso", _iso, 2),
    ],
)
def test_images_in_containers(tmp_path: Path, name: str, make: Callable[[], bytes], count: int) -> None:
    """Each kind of archive is looked into, and its images counted."""
    (tmp_path / name).write_bytes(make())
    report = rest(tmp_path)
    assert count == fact(found(report, "RST-004"), Key.IMAGES)
    assert "RST-001" in closed_doors(report)
    assert "MARTIN" not in str(report)


def test_containers_without_images_are_closed(tmp_path: Path) -> None:
    """An archive of notes is not cried at."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"nothing"))
    report = rest(tmp_path)
    assert {} == open_doors(report)
    assert {} == untested(report)


def test_a_bomb_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that grows without end is left at its budget, and said to be."""
    monkeypatch.setattr(containers.Budget, "__init__", _small)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(gzip.compress(b"\x1f\x8b\x08" + b"\0" * 20_000_000)))
    (tmp_path / "bomb.zip").write_bytes(_many())
    report = rest(tmp_path)
    assert Reason.TOO_LARGE is untested(report)["RST-004"]


def _small(budget: containers.Budget, until: float | None = None) -> None:
    budget.octets, budget.members, budget.until = 1000, 100, until


def _many() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(1000):
            archive.writestr(str(number), b"")
    return out.getvalue()


def test_a_broken_archive_is_untested(tmp_path: Path) -> None:
    """What breaks off could hold anything: it is told apart from what holds nothing."""
    (tmp_path / "a.zip").write_bytes(_zip()[:100])
    (tmp_path / "b.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + b"\0" * 600)
    assert Reason.UNREADABLE is untested(rest(tmp_path))["RST-004"]


def test_an_index_is_known_by_its_tables(tmp_path: Path) -> None:
    """Orthanc's index is found and its rows counted; another program's database is not."""
    for name, table in (("index", "MainDicomTags"), ("other.sqlite", "recipes")):
        with sqlite3.connect(tmp_path / name) as database:
            database.execute(f"create table {table} (value text)")
            database.execute(f"insert into {table} values ('MARTIN^LEA')")  # noqa: S608 - ours
        database.close()
    before = sorted(tmp_path.iterdir())
    report = rest(tmp_path)
    assert 1 == fact(found(report, "RST-006"), Key.ROWS)
    assert {"RST-006"} == set(open_doors(report))
    assert "MARTIN" not in str(report)
    assert before == sorted(tmp_path.iterdir()), "nothing is written beside a database"


def test_other_things_at_rest(tmp_path: Path) -> None:
    """Dumps, messages, media, names in paths, backups, clouds, loose rights: each by its own check."""
    (tmp_path / "dump.sql").write_text("-- PostgreSQL database dump\nCREATE TABLE s (study_iuid text);")
    (tmp_path / "a.hl7").write_text("MSH|^~\\&|RIS|")
    tmp_path.chmod(0o755)
    for folder in ("Dropbox", "sauvegarde", "Martin Lea"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(encode(image()))
        (tmp_path / folder / "1").chmod(0o600)
    media = image()
    media.SOPClassUID = "1.2.840.10008.1.3.10"
    (tmp_path / "index-of-disc").write_bytes(encode(media))
    report = rest(tmp_path)
    expected = {"RST-001", "RST-003", "RST-007", "RST-010", "RST-011", "RST-013", "RST-021"}
    assert expected <= set(open_doors(report))


def test_rights_count_with_the_folders_above(short_dir: Path) -> None:
    """A file that all may read is a door only where all can get to."""
    short_dir.chmod(0o755)
    inner = short_dir / "inner"
    inner.mkdir(mode=0o700)
    path = inner / "1.dcm"
    path.write_bytes(encode(image()))
    path.chmod(0o644)
    assert "RST-014" not in open_doors(rest(short_dir))
    inner.chmod(0o755)
    assert "RST-014" in open_doors(rest(short_dir))


def test_a_sealed_tree_is_clean(tmp_path: Path) -> None:
    """Sealed objects and random bytes are no images."""
    (tmp_path / "1.dcm.age").write_bytes(b"age-encryption.org/v1\n-> X25519 abc\n" + os.urandom(4096))
    (tmp_path / "noise").write_bytes(os.urandom(100_000))
    assert {} == open_doors(rest(tmp_path))


def test_a_path_with_a_newline(tmp_path: Path) -> None:
    """Strange names are read like others and stay out of the report."""
    (tmp_path / "MARTIN\nLEA\x1b[31m").write_bytes(encode(image()))
    report = rest(tmp_path)
    assert {"RST-001"} <= set(open_doors(report))
    assert "MARTIN" not in str(report)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link out of the tree leads nowhere."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1.dcm").write_bytes(encode(image()))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "link.dcm").symlink_to(tmp_path / "out" / "1.dcm")
    assert {} == open_doors(rest(tmp_path / "in"))


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A second run with the same file comes to the same numbers without looking again."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "1.dcm").write_bytes(encode(image()))
    kept = tmp_path / "resume"
    first = rest(tree, Walk(resume=kept))
    assert 0o600 == kept.stat().st_mode & 0o777
    assert b"MARTIN" not in kept.read_bytes()
    assert b"tree" not in kept.read_bytes()
    (tree / "1.dcm").write_bytes(b"changed since")
    second = rest(tree, Walk(resume=kept))
    assert found(first, "RST-001").is_ == found(second, "RST-001").is_
    kept.write_bytes(b"{}")
    with pytest.raises(Unreadable):
        rest(tree, Walk(resume=kept))


def test_shares_come_together(tmp_path: Path) -> None:
    """Several workers come to what one comes to."""
    for number in range(20):
        (tmp_path / f"{number}.dcm").write_bytes(encode(image(number=f"P{number % 5}")))
    with ThreadPoolExecutor(2) as pool:
        assert found(rest(tmp_path), "RST-001").is_ == found(rest(tmp_path, pool=pool), "RST-001").is_


def test_disks_as_linux_shows_them(tmp_path: Path) -> None:
    """LUKS below a volume is encrypted; a partition, or a volume on one, is not, nor is one only verified."""
    luks = tmp_path / "dm-0"
    (luks / "dm").mkdir(parents=True)
    (luks / "dm" / "uuid").write_text("CRYPT-LUKS2-0\n")
    plain = tmp_path / "sda1"
    plain.mkdir()
    (plain / "partition").write_text("1\n")
    for name, below in (("volume", luks), ("loose", plain), ("verified", plain), ("checked", luks)):
        (tmp_path / name / "slaves").mkdir(parents=True)
        (tmp_path / name / "slaves" / below.name).symlink_to(below)
    for name, kind in (("verified", "VERITY"), ("checked", "INTEGRITY")):
        (tmp_path / name / "dm").mkdir()
        (tmp_path / name / "dm" / "uuid").write_text(f"CRYPT-{kind}-0-root\n")
    assert [True, False, True, False, False, True] == [
        is_encrypted(tmp_path / name) for name in ("dm-0", "sda1", "volume", "loose", "verified", "checked")
    ]


@pytest.mark.parametrize("kind", ["luks1", "luks2"])
def test_a_real_volume_is_sealed(tmp_path: Path, kind: str) -> None:
    """What cryptsetup formats is known by its header, and nothing is found in it."""
    volume = tmp_path / "disk.img"
    with volume.open("wb") as file:
        file.truncate(20 * 1024 * 1024)
    cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    command = [program("cryptsetup"), "luksFormat", "--batch-mode", "--type", kind, *cheap, str(volume), "-"]
    subprocess.run(command, input=b"an invented passphrase", check=True, capture_output=True, timeout=60)
    tally = audit(tmp_path, Walk())
    assert 1 == tally.counts["sealed"]
    assert not tally.misses


@given(st.binary(max_size=2000), st.booleans())
def test_any_head_is_read(raw: bytes, part10: bool) -> None:
    """No bytes make the reader of heads stumble."""
    read_head(raw, KEY, part10=part10)
    read_head(b"\0" * 128 + b"DICM" + raw, KEY)
    is_headerless(b"\x08\0" + raw)
