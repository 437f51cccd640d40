"""More of what lies at rest: 7z, indexes inside things, caches, exports, volumes; hostile trees; disks."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import sqlite3
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors import disk
from huisclos.doors.assemble import Audit
from huisclos.doors.observation import Miss, Observation
from huisclos.doors.rest import budget, others, seven
from huisclos.doors.rest.audit import Walk
from huisclos.doors.rest.places import is_sealed_backup, marks_of
from huisclos.doors.rest.seven_header import Coder
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Language, Reason
from tests.doors.auditing import closed_doors, open_doors, untested
from tests.doors.test_rest import encode, fact, found, image, rest
from tests.tools import need, program


def seven_zip(folder: Path, name: str, *options: str, count: int = 3) -> Path:
    """An archive of images, as 7-Zip itself makes it."""
    source = folder / "source"
    source.mkdir(exist_ok=True)
    for number in range(count):
        (source / f"{number}.dcm").write_bytes(encode(image(number=f"P{number}")) + bytes(70_000))
    made = folder / "made"
    made.mkdir(exist_ok=True)
    subprocess.run(
        [program("7zz"), "a", "-bd", *options, str(made / name), str(source)], check=True, capture_output=True
    )
    return made


@pytest.mark.parametrize(
    "options", [(), ("-m0=LZMA",), ("-m0=LZMA2", "-ms=off"), ("-m0=Copy",), ("-m0=Deflate",), ("-m0=BZip2",),
                ("-mf=BCJ", "-m0=LZMA"), ("-m0=Delta:4", "-m1=LZMA2"), ("-mhc=off",)]
)  # fmt: skip
def test_7z_is_read_as_7_zip_writes_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Images in an archive of each method are counted, persons and all."""
    report = rest(seven_zip(tmp_path, "a.7z", *options))
    one = found(report, "RST-004")
    assert [3, 3] == [fact(one, Key.IMAGES), fact(one, Key.PERSONS)]
    assert {} == untested(report)


def test_7z_in_other_things(tmp_path: Path) -> None:
    """A 7z in a packed tar is looked into as well."""
    made = seven_zip(tmp_path, "a.7z")
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "a.7z.gz").write_bytes(gzip.compress((made / "a.7z").read_bytes()))
    assert 3 == fact(found(rest(tmp_path / "outer"), "RST-004"), Key.IMAGES)


@pytest.mark.parametrize(
    ("options", "is_open", "said"),
    [
        (("-psecret",), True, None),
        (("-psecret", "-mhe=on"), False, None),
        (("-m0=PPMd",), False, Reason.UNREADABLE),
    ],
)
def test_7z_that_is_not_read(
    tmp_path: Path, options: tuple[str, ...], is_open: bool, said: Reason | None
) -> None:
    """A password with names in clear is half a lock; with hidden names a whole one; some are unread."""
    report = rest(seven_zip(tmp_path, "a.7z", *options))
    assert is_open == ("RST-005" in open_doors(report))
    assert said == untested(report).get("RST-004")
    assert "RST-004" not in open_doors(report)


def test_a_7z_bomb_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte out of a few kilobytes stops at the budget, and a dictionary of gigabytes is not made."""
    need("7zz")
    (tmp_path / "zeros").write_bytes(b"")
    os.truncate(tmp_path / "zeros", 300_000_000)
    (tmp_path / "made").mkdir()
    subprocess.run(
        [program("7zz"), "a", "-bd", "-mx=1", str(tmp_path / "made" / "a.7z"), str(tmp_path / "zeros")],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setattr(budget.Budget, "__init__", _small)
    assert Reason.TOO_LARGE is untested(rest(tmp_path / "made"))["RST-004"]
    with pytest.raises(budget.TooMuch):
        seven._filter(Coder(seven._LZMA, b"\x5d" + struct.pack("<I", 0xFFFFFFFF)))


def _small(made: budget.Budget, until: float | None = None) -> None:
    made.octets, made.members = 1_000_000, 100
    made.until = until


def _walk_seven(raw: bytes) -> int:
    left = [3_000_000]

    def spend(octets: int) -> None:
        left[0] -= octets
        if left[0] < 0:
            raise budget.TooMuch

    return sum(length for _, length in seven.members(io.BytesIO(raw), spend))


@given(st.binary(max_size=300))
def test_any_header_of_7z_ends(raw: bytes) -> None:
    """No bytes make the reader of 7z stumble or run on."""
    start = b"7z\xbc\xaf\x27\x1c\0\4" + bytes(4) + struct.pack("<QQI", 0, len(raw), 0)
    for one in (raw, start + raw, start + b"\x01\x04\x06" + raw):
        try:
            _walk_seven(one)
        except (budget.TooMuch, seven.Sealed, seven.NotUnpacked, EOFError, OSError, ValueError, IndexError):
            continue
        except (lzma.LZMAError, zlib.error):
            continue


def test_a_7z_with_a_broken_byte_ends(tmp_path: Path) -> None:
    """A real archive with bytes changed here and there is read or said to be broken, never more."""
    raw = (seven_zip(tmp_path, "a.7z", count=1) / "a.7z").read_bytes()
    (tmp_path / "made" / "a.7z").unlink()
    chance = random.Random(7)
    for number in range(120):
        broken = bytearray(raw)
        for _ in range(3):
            broken[chance.randrange(6, len(raw))] = chance.randrange(256)
        (tmp_path / "made" / f"{number}.7z").write_bytes(broken)
    rest(tmp_path / "made")


def test_an_iso_and_what_is_in_a_database(tmp_path: Path) -> None:
    """Images in a real ISO, and as values of an index, are counted."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(3):
        (tree / f"{number}.dcm").write_bytes(encode(image(number=f"P{number}")))
    disc = tmp_path / "disc"
    disc.mkdir()
    subprocess.run(
        [program("xorrisofs"), "-quiet", "-o", str(disc / "a.iso"), str(tree)],
        check=True,
        capture_output=True,
    )
    assert 3 == fact(found(rest(disc), "RST-004"), Key.IMAGES)
    kept = tmp_path / "kept"
    kept.mkdir()
    with sqlite3.connect(kept / "pictures.db") as database:
        database.execute("create table pictures (value blob)")
        database.execute("insert into pictures values (?)", (encode(image()),))
    database.close()
    assert 1 == fact(found(rest(kept), "RST-004"), Key.IMAGES)


def _dump() -> bytes:
    return (
        b"--\n-- PostgreSQL database dump\n--\n" + b"-- x\n" * 500 + b"CREATE TABLE study (study_iuid text);"
    )


def _index() -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE MainDicomTags(id INTEGER, value TEXT)")
    return bytes(database.serialize())


def _table() -> bytes:
    fields = b"".join(name.ljust(11, b"\0") + b"C" + bytes(20) for name in (b"PatientID", b"PatientNam"))
    return struct.pack("<B3BIHH20x", 3, 26, 11, 23, 42, 32 + len(fields) + 1, 80) + fields + b"\r"


def _stored() -> bytes:
    raw = encode(image())
    return struct.pack("<Q", len(raw)) + zlib.compress(raw)


def _answer() -> bytes:
    return b"--b7a1\r\nContent-Type: application/dicom\r\n\r\n" + encode(image())


def _thumbs() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900) + "MARTIN.dcm".encode("utf-16-le")


def _thumbnail() -> bytes:
    text = b"Thumb::URI\0file:///srv/a/MARTIN.dcm"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + bytes(17)
        + struct.pack(">I", len(text))
        + b"tEXt"
        + text
    )


@pytest.mark.parametrize(
    ("name", "make", "check"),
    [
        ("a.sql.gz", lambda: gzip.compress(_dump()), "RST-007"),
        ("a.sql", _dump, "RST-007"),
        ("index.gz", lambda: gzip.compress(_index()), "RST-006"),
        ("DICOMPatients.dbf", _table, "RST-006"),
        ("8a/11/8a11-f3", _stored, "RST-024"),
        ("cache2/entries/0A1B", _answer, "RST-008"),
        (".weasis/cache/1.dcm", lambda: encode(image()), "RST-008"),
        (".cache/thumbnails/normal/a.png", _thumbnail, "RST-008"),
        ("Thumbs.db", _thumbs, "RST-008"),
        ("Downloads/1.dcm", lambda: encode(image()), "RST-018"),
        ("T\u0065\u0301le\u0301chargements/1.dcm", lambda: encode(image()), "RST-018"),
        ("docker/volumes/x/_data/1.dcm", lambda: encode(image()), "RST-022"),
        ("patient.json", lambda: b'{ "resourceType" : "Patient", "name": []}', "RST-021"),
        ("letter.xml", lambda: b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">', "RST-021"),
    ],
)  # fmt: skip
def test_each_thing_by_its_own_check(
    tmp_path: Path, name: str, make: Callable[[], bytes], check: str
) -> None:
    """Each is found; where there is nothing, the check is answered, and closed."""
    (tmp_path / "notes.txt").write_text("nothing")
    assert check in closed_doors(rest(tmp_path))
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make())
    report = rest(tmp_path)
    assert check in open_doors(report)
    assert "MARTIN" not in str(report)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.sql", b"-- PostgreSQL database dump\nCREATE TABLE recipes (name text);"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"tEXtThumb::URI\0file:///srv/a/cat.jpg"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900)),
        ("a.dbf", bytes([3]) + bytes(200)),
        ("a.json", b'{"resourceType": "ValueSet"}'),
        ("random", b"\0" * 8 + zlib.compress(b"no image" * 100)),
    ],
)
def test_what_only_looks_like_it_is_closed(tmp_path: Path, name: str, raw: bytes) -> None:
    """A dump of recipes, a thumbnail of a cat: nobody is cried at."""
    (tmp_path / name).write_bytes(raw)
    assert {} == open_doors(rest(tmp_path))


def test_exports_count_where_images_are(tmp_path: Path) -> None:
    """A PDF beside a study counts; one among recipes does not."""
    for folder in ("study", "recipes"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.pdf").write_bytes(b"%PDF-1.7")
    assert {} == open_doors(rest(tmp_path))
    (tmp_path / "study" / "1").write_bytes(encode(image()))
    assert 1 == fact(found(rest(tmp_path), "RST-009"), Key.COUNT)


def test_residue_beside_an_archive(tmp_path: Path) -> None:
    """Clear images beside a folder with our settings are residue; the same ones without it are not."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "1").write_bytes(encode(image()))
    assert "RST-023" in closed_doors(rest(tmp_path))
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "huisclos.toml").write_text("")
    assert "RST-023" in open_doors(rest(tmp_path))


def test_a_data_directory_of_postgres(tmp_path: Path) -> None:
    """PostgreSQL's catalogue of relations tells whose index it is; another program's does not."""
    folder = tmp_path / "base" / "16384"
    folder.mkdir(parents=True)
    (folder / "1259").write_bytes(bytes(3000) + b"recipes" + bytes(57))
    assert "RST-006" in closed_doors(rest(tmp_path))
    (folder / "1259").write_bytes(
        bytes(3000) + b"maindicomtags".ljust(64, b"\0") + b"dicomidentifiers".ljust(64, b"\0")
    )
    assert "orthanc" == fact(found(rest(tmp_path), "RST-006"), Key.PRODUCT)


def test_hostile_trees_end(tmp_path: Path) -> None:
    """Loops of links, pipes, sockets' names, folders nobody may list, depth: walked, and said where not."""
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    deep = tmp_path
    for _ in range(60):
        deep = deep / "folder"
    deep.mkdir(parents=True)
    (deep / "x\ny\x1b]0;\udcff").write_bytes(encode(image()))
    report = rest(tmp_path)
    assert 1 == fact(found(report, "RST-001"), Key.IMAGES)
    if os.geteuid():
        (tmp_path / "shut").mkdir(mode=0)
        assert "RST-001" in {one.check for one in rest(tmp_path / "shut").untested}


def test_a_walk_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    """What was not looked at in time is untested, not closed."""
    (tmp_path / "1").write_bytes(b"x")
    report = rest(tmp_path, Walk(until=0.0))
    assert {"RST-001": Reason.BUDGET} == untested(report)
    assert set() == closed_doors(report)


def test_what_names_say() -> None:
    """Folders are told by their names, backups that encrypt by their layout."""
    assert ("backup",) == marks_of("/srv/Sauvegarde 2024")
    assert ("cloud",) == marks_of("/srv/a/OneDrive - Cabinet/x")
    assert () == marks_of("/srv/images")
    assert is_sealed_backup(frozenset(("config", "data", "index", "keys", "locks", "snapshots")))
    assert is_sealed_backup(frozenset(("README", "config", "data", "hints.5", "index.5")))
    assert not is_sealed_backup(frozenset(("config", "data")))


def test_a_sealed_backup_and_a_sealed_volume_are_closed(tmp_path: Path) -> None:
    """A repository of restic, and an image of LUKS or BitLocker, are no doors."""
    for name in ("data", "index", "keys", "snapshots"):
        (tmp_path / "repository" / name).mkdir(parents=True)
    (tmp_path / "repository" / "config").write_bytes(os.urandom(155))
    (tmp_path / "a.img").write_bytes(b"LUKS\xba\xbe\0\2" + os.urandom(5000))
    (tmp_path / "b.vhd").write_bytes(b"\xeb\x58\x90-FVE-FS-" + os.urandom(5000))
    report = rest(tmp_path)
    assert {} == open_doors(report)
    assert "RST-011" in closed_doors(report)


@given(st.binary(max_size=600))
def test_any_other_head_is_read(raw: bytes) -> None:
    """No bytes make the readers of other things stumble."""
    others.word_of(raw, lambda: raw)
    others.dbase_rows(raw)
    others.unpacked(raw, lambda: raw)
    others.unpacked(b"\0" * 8 + b"\x78\x9c" + raw, lambda: raw)
    others.inside_response(b"--b\r\nContent-Type: application/dicom\r\n" + raw)
    others.is_thumbs_db(raw, raw)
    others.is_export(raw)


@pytest.mark.parametrize(
    ("read", "answer", "expected"),
    [
        (disk.filevault, (0, "FileVault is On.\n"), True),
        (disk.filevault, (0, "FileVault is Off.\nDeferred enablement appears to be active.\n"), False),
        (disk.filevault, (0, "FileVault is On.\nEncryption in progress: Percent completed = 12\n"), None),
        (disk.filevault, (-1, ""), None),
        (disk.bitlocker, (0, "Volume C: [Windows]\n    Protection Status:    Protection On\n"), True),
        (disk.bitlocker, (1, "Volume C:\n    État de la protection : Protection désactivée\n"), False),
        (disk.bitlocker, (-1, ""), None),
        (disk.bitlocker, (1, "Copyright (C) 2013\nERROR: An attempt to access was denied.\n"), None),
    ],
)  # fmt: skip
def test_disks_elsewhere(
    read: Callable[[tuple[int, str]], bool | None], answer: tuple[int, str], expected: bool | None
) -> None:
    """What FileVault's and BitLocker's own commands answer, as they document it."""
    assert expected is read(answer)
    seen = disk.told(Path("/"), expected)
    assert isinstance(seen, Miss if expected is None else Observation)


def _blocks(folder: Path) -> dict[str, Path]:
    """Devices as Linux shows them: a plain stick on USB, an encrypted one, a fixed disk."""
    made = {}
    for name, above, uuid in (
        ("stick", "usb1/block/sdb", ""),
        ("sealed", "usb1/block/sdc", "CRYPT-LUKS2-1"),
        ("fixed", "ata1/block/sda", ""),
    ):  # fmt: skip
        made[name] = folder / above / f"{name}1"
        (made[name] / "dm").mkdir(parents=True)
        (made[name] / "partition").write_text("1\n")
        (made[name].parent / "removable").write_text("0\n")
        if uuid:
            (made[name] / "dm" / "uuid").write_text(uuid)
    return made


def test_removable_disks_and_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain stick is a door, a sealed one and a fixed disk are not; swap is judged by what is below."""
    devices = _blocks(tmp_path)

    def opened(seen: Any) -> set[str]:
        made = Audit("check", Language.EN, now())
        made.take(seen, now())
        return {one.check for one in made.report().findings}

    for name, expected in (("stick", {"RST-016"}), ("sealed", set()), ("fixed", set())):
        monkeypatch.setattr(disk, "_device", lambda *_, name=name: devices[name])
        assert expected == opened(disk.probe_removable(tmp_path))
        table = tmp_path / "swaps"
        table.write_text(
            f"Filename Type Size Used Priority\n/{name} partition 1 0 -2\n/dev/zram0 partition 1 0 5\n"
        )
        monkeypatch.setattr(disk, "_block", lambda *_, name=name: devices[name])
        assert ({"RST-017"} if name != "sealed" else set()) == opened(disk.probe_swap(table))
    assert set() == opened(disk.probe_swap(tmp_path / "absent"))
