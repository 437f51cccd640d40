"""Coming and going: media in, a folder of plain Part 10 files out."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import msgspec
import pydicom
import pytest

from huisclos.archive import media
from huisclos.archive.export import ExportReceipt, export_study
from huisclos.archive.importing import Imported, ImportReceipt, import_paths
from huisclos.archive.layout import instance_place
from huisclos.archive.nouns import ManifestEntry, Outcome
from huisclos.dicom.part10 import file_meta
from huisclos.errors import Conflict, Full, NotDicom, Unreachable
from tests import corpus
from tests.archive.samples import EXPLICIT, data_set, element, names, uid
from tests.archive.world import PERSON, World


def part10(study: int = 1, series: int = 1, instance: int = 1, **changes: bytes) -> bytes:
    """A file as a medium has it."""
    made = data_set(study, series, instance, **changes)
    return file_meta(*names(study, series, instance), EXPLICIT, "") + made


async def take(world: World, *paths: Path) -> ImportReceipt:
    """Import as the command does."""
    return await import_paths(list(paths), world.receiver, PERSON)


async def test_a_study_leaves_as_it_came(house: World, tmp_path: Path) -> None:
    """Each file byte for byte, readable by its owner only, named by numbers."""
    sent = {part10(1, series, number) for series in (1, 2) for number in (1, 2, 3)}
    for content in sent:
        await house.upload(content)
    seen: list[tuple[int, int]] = []
    to = tmp_path / "out" / "study"
    receipt = export_study(house.open(uid(1)), to, progress=lambda done, total: seen.append((done, total)))
    written = {path.read_bytes() for path in to.rglob("IM*")}
    assert written == sent
    assert len(receipt.files) == 6
    assert receipt.octets == sum(len(content) for content in sent)
    assert seen[-1] == (6, 6)
    assert min(file.name for file in receipt.files) == "SE000001/IM000001"
    for path in to.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.name == "DICOMDIR" or path.is_dir() or pydicom.dcmread(path).PatientName
    assert msgspec.json.decode(msgspec.json.encode(receipt), type=ExportReceipt) == receipt


async def test_export_overwrites_nothing(house: World, tmp_path: Path) -> None:
    """A folder that holds anything is refused, a file in the way too."""
    await house.upload(part10())
    study = house.open(uid(1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(Conflict):
            export_study(study, tmp_path / name)
    assert (tmp_path / "full" / "x").read_text() == "mine"


async def test_export_leaves_out_what_is_held_or_false(house: World, tmp_path: Path) -> None:
    """Held instances unless asked for; what does not prove true is counted and not left half written."""
    await house.upload(part10(instance=1, pixels=bytes(3_000_000)))
    await house.upload(part10(instance=2))
    await house.upload(part10(instance=2, name=b"AUTRE^CLAUDE"))
    study = house.open(uid(1))
    assert export_study(study, tmp_path / "a").held == 1
    assert len(export_study(study, tmp_path / "b", with_held=True).files) == 3
    place = instance_place(study.manifest.study_id, study.instances()[0].instance_id)
    damaged = bytearray(house.store.read(place))
    damaged[2_500_000] ^= 1
    house.store.put(place, bytes(damaged))
    receipt = export_study(house.open(uid(1)), tmp_path / "c")
    assert (receipt.failed, len(receipt.files)) == (1, 1)
    assert len(list((tmp_path / "c").rglob("IM*"))) == 1


async def test_export_that_finds_no_room_leaves_no_half_of_an_image(house: World, tmp_path: Path) -> None:
    """What is in clear is whole: the file that did not fit is removed again."""
    await house.upload(part10(pixels=bytes(3_000_000)))
    study = house.open(uid(1))
    entry = study.instances()[0]
    whole = study.read_part10

    def cut_short(_: ManifestEntry) -> Iterator[bytes]:
        yield next(whole(entry))
        raise OSError(errno.ENOSPC, "no room")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(study, "read_part10", cut_short)
        with pytest.raises(Full):
            export_study(study, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("number", "error"), [(28, Full), (5, Unreachable)])
async def test_export_to_a_failing_disk(
    house: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    """Told as what it is."""
    await house.upload(part10())

    def fail(*_args: object, **_kwargs: object) -> int:
        raise OSError(number, "failed")

    study = house.open(uid(1))
    monkeypatch.setattr("huisclos.archive.export.os.fdopen", fail)
    with pytest.raises(error):
        export_study(study, tmp_path / "out")


async def test_the_whole_corpus_as_a_folder(house: World, tmp_path: Path) -> None:
    """Every instance is taken, everything else refused with a reason, and again it is all there."""
    folder = tmp_path / "medium"
    folder.mkdir()
    for number, path in enumerate([*corpus.files(), *corpus.bare()]):
        shutil.copyfile(path, folder / f"{number:04d}")
    (folder / "readme.txt").write_text("not an image")
    (folder / "empty").write_bytes(b"")
    first = await take(house, folder)
    assert first.stored + first.duplicates + first.alternatives + first.held >= len(corpus.instances())
    assert {refused.refusal for refused in first.refused if refused.name.endswith("readme.txt")} == {
        "this is not a DICOM file"
    }
    assert all(refused.refusal for refused in first.refused)
    before = sorted(house.store.list("objects"))
    again = await take(house, folder)
    assert (again.stored, again.held, again.octets) == (0, 0, 0)
    assert again.digest == first.digest
    assert sorted(house.store.list("objects")) == before
    assert house.vault.deposits
    assert msgspec.json.decode(msgspec.json.encode(again), type=ImportReceipt) == again


async def test_a_medium_with_its_dicomdir(house: World) -> None:
    """By its folder, and by its DICOMDIR alone: the same instances."""
    folder = corpus.media()
    by_reference = await take(house, folder / "DICOMDIR")
    assert by_reference.stored > 20
    assert by_reference.refused == []
    by_folder = await take(house, folder)
    assert by_folder.duplicates >= by_reference.stored


def dicomdir(*references: str) -> bytes:
    """A DICOMDIR that refers to these files."""
    items = b""
    for reference in references:
        item = element(0x00041500, "CS", reference.encode())
        items += b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item
    body = element(0x00041220, "SQ", items)
    return file_meta(media.MEDIA_DIRECTORY, uid(5), EXPLICIT, "") + body


async def test_a_dicomdir_leads_nowhere_else(world: World, tmp_path: Path) -> None:
    """Neither up, nor to the root, nor through a link (CVE-2026-32711); the true ones are taken."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "SECRET").write_bytes(part10(9))
    root = tmp_path / "medium"
    (root / "images").mkdir(parents=True)
    (root / "images" / "im1.;1").write_bytes(part10(1))
    (root / "images" / "IM2").write_bytes(part10(2))
    (root / "images" / "LINK").symlink_to(outside / "SECRET")
    (root / "OUT").symlink_to(outside)
    ways = ["..\\outside\\SECRET", f"{outside}/SECRET", "../outside/SECRET", "IMAGES\\LINK"]
    evil = [*ways, "OUT\\SECRET", "..", "a\0b"]
    (root / "DICOMDIR").write_bytes(dicomdir("IMAGES\\IM1", "IMAGES\\IM2", *evil, "IMAGES", "NOTHING"))
    receipt = await take(world, root / "DICOMDIR")
    assert receipt.stored == 2
    assert len(receipt.refused) == len(evil) + 2
    assert uid(9) not in world.finder.by_uid


async def test_folders_with_traps(world: World, tmp_path: Path) -> None:
    """Links, pipes and loops are not followed or waited for; a link the person names is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "image").write_bytes(part10())
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (tmp_path / "elsewhere").write_bytes(part10(2))
    receipt = await take(world, folder, tmp_path / "nothing here")
    assert receipt.stored == 1
    assert len(receipt.refused) == 3
    (tmp_path / "named").symlink_to(tmp_path / "elsewhere")
    assert (await take(world, tmp_path / "named")).stored == 1


async def test_a_zip_file(house: World, tmp_path: Path) -> None:
    """Streamed, never unpacked; names inside become no paths; a DICOMDIR inside is passed over."""
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, 12):
            archive.writestr(f"DICOM/IM{number}", part10(instance=number))
        archive.writestr("../../escape", part10(2))
        archive.writestr("/etc/absolute", part10(3))
        archive.writestr("DICOMDIR", dicomdir("DICOM\\IM1"))
        archive.writestr("readme.txt", "text")
        archive.writestr("folder/", "")
    before = outside(tmp_path)
    receipt = await take(house, path)
    assert receipt.stored == 13
    assert [refused.refusal for refused in receipt.refused] == ["this is not a DICOM file"]
    assert outside(tmp_path) == before


def outside(folder: Path) -> set[Path]:
    """Everything in a folder but the archive."""
    return {path for path in folder.rglob("*") if "archive" not in path.parts}


def _zip_of(method: int, name: str = "a.dcm") -> bytearray:
    written = BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        archive.writestr(name, b"what it holds " * 20)
    return bytearray(written.getvalue())


def _coded_badly() -> bytes:
    lying = _zip_of(zipfile.ZIP_LZMA)
    at = lying.index(b"a.dcm") + 5 + 9
    lying[at : at + 8] = b"\xff" * 8
    return bytes(lying)


def _nameless() -> bytes:
    lying = _zip_of(zipfile.ZIP_STORED, "a")
    at = lying.index(b"PK\x01\x02")
    lying[at + 28 : at + 32] = bytes(2) + b"\1\0"  # no name, and what was one is an extra field
    return bytes(lying)


def _beyond_64_bits() -> bytes:
    plain = _zip_of(zipfile.ZIP_STORED)
    end = plain.index(b"PK\x05\x06")
    wide = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 2**64 - 1, 10)
    place = struct.pack("<IIQI", 0x07064B50, 0, 2**63, 1)
    return bytes(plain[:end] + wide + place + plain[end : end + 8] + b"\xff" * 12 + plain[end + 20 :])


@pytest.mark.parametrize("lying", [_coded_badly, _nameless, _beyond_64_bits])
def test_a_zip_file_that_lies_ends_no_import(tmp_path: Path, lying: Callable[[], bytes]) -> None:
    """Whatever a zip file says of itself, it is refused with a sentence and the rest is taken."""
    (tmp_path / "a.zip").write_bytes(lying())
    (tmp_path / "b.dcm").write_bytes(b"another")
    refused = []
    for item in media.items([tmp_path]):
        try:
            told = item.refusal or b"".join(item.pieces() if item.pieces else ())
        except NotDicom as error:
            told = error.message
        refused.append(told)
    assert [b"another"] == refused[1:]
    assert refused[0] in {"the zip file is damaged", "it does not unpack"}


async def test_hostile_zip_files(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb, an encrypted member, a zip in a zip, a damaged one, too many members."""
    monkeypatch.setattr(media, "FREE", 1024 * 1024)
    monkeypatch.setattr(media, "MAX_MEMBERS", 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", part10(pixels=bytes(50_000_000)))
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.writestr("x", part10())
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(tmp_path / "inner.zip", "inner.zip")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(30):
            archive.writestr(str(number), part10())
    secret = bytearray((tmp_path / "inner.zip").read_bytes())
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    whole = (tmp_path / "inner.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    changed = bytearray(whole)
    changed[300] ^= 1
    (tmp_path / "changed.zip").write_bytes(changed)
    (tmp_path / "inner.zip").unlink()
    refused = (await take(world, tmp_path)).refused
    reasons = {Path(one.name).parts[len(tmp_path.parts)]: one.refusal for one in refused}
    assert reasons == {
        "bomb.zip": "it unpacks to far more than an image does",
        "outer.zip": "a zip file within a zip file is not opened",
        "many.zip": "a zip file of more than 20 members",
        "secret.zip": "it is encrypted",
        "cut.zip": "the zip file is damaged",
        "changed.zip": "it does not unpack",
    }
    assert list(world.store.list()) == []


async def test_an_import_while_locked(house: World, tmp_path: Path) -> None:
    """It goes to a batch like everything else."""
    house.finder.away = True
    (tmp_path / "image").write_bytes(part10())
    receipt = await take(house, tmp_path / "image")
    assert (receipt.stored, receipt.batched) == (1, 1)


async def test_each_file_is_reported_as_it_is_done(world: World, tmp_path: Path) -> None:
    """For progress on a terminal."""
    (tmp_path / "a").write_bytes(part10())
    (tmp_path / "b").write_bytes(part10())
    (tmp_path / "c").write_bytes(b"no")
    told: list[Imported] = []
    await import_paths([tmp_path], world.receiver, PERSON, report=told.append)
    assert sorted(str(one.outcome) for one in told) == ["None", "duplicate", "stored"]
    assert all(one.digest or one.refusal for one in told)


async def test_a_full_archive_stops_the_import(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a bad file."""
    for number in range(10):
        (tmp_path / str(number)).write_bytes(part10(instance=number + 1))

    def full(_room: int) -> None:
        raise Full("full")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "begin", full)
        with pytest.raises(Full):
            await take(world, tmp_path)
    assert (await take(world, tmp_path)).stored == 10


def test_outcomes_are_all_counted() -> None:
    """A new outcome must find its place in the receipt."""
    assert {outcome.value for outcome in Outcome} == {"stored", "duplicate", "alternative", "held"}
