"""What a practice reads on its worst days, and that nothing is lost by them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journey import wado
from tests.journey.living import Living, copy, until
from tests.journey.patients import WILHELMA
from tests.journey.sending import Load
from tests.tools import need

KEYS = (
    "keys/archive.recipient", "keys/signing.pub", "keys/index.age", "journal/key.age", "journal/pen",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept(template: Living, ground: Path) -> Living:
    """An archive with one study, not served."""
    house = copy(template, ground / "kept").serve()
    try:
        sent = house.store(WILHELMA.write(ground / "kept-files"))
        assert sent.returncode == 0, sent.stderr
        house.settled(WILHELMA.instances)
    finally:
        house.stop()
    return house


@pytest.fixture
def worn(kept: Living, ground: Path) -> Iterator[Living]:
    """A copy of it, to be damaged."""
    folder = ground / "worn"
    house = copy(kept, folder)
    yield house
    if house.process is not None:
        house.stop()
    shutil.rmtree(folder)


def _refused(house: Living, *arguments: str) -> str:
    """What the command says; it must refuse with the code of a store, and without a traceback."""
    ran = house.try_(*arguments)
    assert ran.returncode == 7, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hint: " in ran.stderr
    return ran.stderr


def _serve(house: Living) -> tuple[str, ...]:
    addresses = [f"--{name}=127.0.0.1:0" for name in ("http", "gate", "viewer", "dicom", "dicom-tls")]
    return ("serve", str(house.archive), "--unlock-with", house.passphrase, *addresses)


@pytest.mark.parametrize("place", KEYS)
def test_a_missing_key_is_named_before_anything_starts(worn: Living, place: str) -> None:
    """Serving and reading are refused with the file's name; put back, the archive opens."""
    lost = (worn.archive / place).read_bytes()
    (worn.archive / place).unlink()
    for arguments in (_serve(worn), ("verify", str(worn.archive), "--unlock-with", worn.recovery)):
        said = _refused(worn, *arguments)
        assert place in said
        assert "backup" in said
    (worn.archive / place).write_bytes(lost)
    assert worn.json("verify", str(worn.archive), "--unlock-with", worn.recovery)["problems"] == []


@pytest.mark.parametrize("lost", ["*.about.age", "*.sha256"])
@pytest.mark.parametrize("opener", ["passphrase", "recovery"])
def test_what_lies_beside_the_holders_files_is_lost(worn: Living, lost: str, opener: str) -> None:
    """Whoever has a passphrase or the recovery key opens the archive; who did is described again."""
    holders = worn.archive / "keys" / "holders"
    gone = {path.name for path in holders.glob(lost)}
    for name in gone:
        (holders / name).unlink()
    worn.serve(locked=True)
    by = worn.passphrase if opener == "passphrase" else worn.recovery
    worn.run("unlock", str(worn.archive), "--unlock-with", by)
    status = worn.status()
    assert status["contents"]["instances"] == WILHELMA.instances
    assert len({path.name for path in holders.glob(lost)} & gone) == 1
    with worn.client("physician") as client:
        assert len(wado.study(client, WILHELMA.study_uid)) == WILHELMA.instances


def test_no_holder_at_all(worn: Living) -> None:
    """Nothing could ever open it: said before a practice begins to send."""
    shutil.rmtree(worn.archive / "keys" / "holders")
    assert "keys/holders" in _refused(worn, *_serve(worn))


def test_a_folder_restored_without_its_settings_is_not_taken_for_no_archive(worn: Living) -> None:
    """The hint must not be to make a new archive over the keys of an old one."""
    (worn.archive / "huisclos.toml").unlink()
    said = _refused(worn, *_serve(worn))
    assert "huisclos.toml is missing" in said
    assert "huisclos init" not in said


def test_an_index_that_is_missing_is_made_anew(worn: Living) -> None:
    """An archive is never served as an empty one: the house fills the index by itself, and all is found."""
    (worn.archive / "index.sqlite").unlink()
    worn.serve()
    until(lambda: worn.status()["contents"]["instances"] == WILHELMA.instances, 30, "it is made anew")
    until(lambda: "rebuilding" not in {one["kind"] for one in worn.status()["findings"]}, 30, "it is whole")
    with worn.client("physician") as client:
        assert len(wado.study(client, WILHELMA.study_uid)) == WILHELMA.instances


def test_lost_decisions_are_not_passed_over(worn: Living) -> None:
    """What people decided is nowhere else: said, with the one command that goes on without."""
    (worn.archive / "decisions.sqlite").unlink()
    said = _refused(worn, *_serve(worn))
    assert "decisions.sqlite" in said
    assert f"huisclos reindex {worn.archive}" in said
    worn.run("reindex", str(worn.archive), "--unlock-with", worn.recovery)
    worn.serve()
    assert worn.status()["contents"]["instances"] == WILHELMA.instances


def test_a_missing_certificate_is_made_anew(worn: Living) -> None:
    """The pages have nothing to show: said, and the command in the hint is enough."""
    (worn.archive / "tls" / "leaf.pem").unlink()
    said = _refused(worn, *_serve(worn))
    assert f"huisclos verify {worn.archive}" in said
    worn.run("verify", str(worn.archive), "--unlock-with", worn.recovery)
    worn.serve()
    with worn.client() as client:
        assert client.get("/login").status_code == 200


@pytest.mark.parametrize(
    ("place", "finding"),
    [("accounts.sqlite", "accounts-put-back"), ("journal/entries.log", "journal-broken")],
)
def test_lost_accounts_or_a_lost_journal_are_standing_findings(
    worn: Living, place: str, finding: str
) -> None:
    """The images are there, so the house opens; what is missing is said until somebody acts."""
    (worn.archive / place).unlink()
    worn.serve()
    status = worn.status()
    assert finding in {found["kind"] for found in status["findings"]}
    assert status["contents"]["instances"] == WILHELMA.instances


def test_objects_without_their_keys(worn: Living) -> None:
    """Half a restore: each study is named by `verify`, and nothing else is harmed."""
    shutil.rmtree(worn.archive / "keyring")
    found = worn.json("verify", str(worn.archive), "--unlock-with", worn.recovery, code=6)
    assert {problem["kind"] for problem in found["problems"]} == {"missing-key"}


class Disk:
    """A file system of its own below a folder, made and ended by the test."""

    def __init__(self, place: Path, megabytes: int) -> None:
        self.place = place
        place.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", str(place)], check=True
        )

    def set(self, way: str) -> None:
        """Mount it again, `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{way}", str(self.place)], check=True)

    def end(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.place)], check=True)
        self.place.rmdir()


@pytest.fixture
def disk(ground: Path) -> Iterator[Disk]:
    """48 MB in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    try:
        disk = Disk(ground / "disk", 48)
    except subprocess.CalledProcessError:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    disk.end()


def test_a_full_disk(kept: Living, disk: Disk) -> None:
    """The sender is told, what is there is still shown, and with room again it goes on without a restart."""
    house = copy(kept, disk.place / "house").serve()
    try:
        _fill(disk.place / "filler")
        load = Load(house, replace(WILHELMA, patient_id="FULL-1"), range(1, 21))
        load.begin()
        until(lambda: load.refused > 0, 30, "the sender is told")
        status = house.status()
        assert status["disk"]["low"]
        assert "disk-low" in {finding["kind"] for finding in status["findings"]}
        (disk.place / "filler").unlink()
        load.end(30)
        assert len(load.acknowledged) == 20
        house.settled(WILHELMA.instances + 20)
        assert house.json("verify", str(house.archive))["problems"] == []
        assert house.json("journal", "verify", str(house.archive))["holds"]
    finally:
        house.stop()


def _fill(path: Path) -> None:
    def without_end() -> None:
        with path.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    with pytest.raises(OSError, match="No space"):
        without_end()


def test_a_read_only_disk(kept: Living, disk: Disk) -> None:
    """Nothing could be stored or journalled: serving is refused with a sentence."""
    house = copy(kept, disk.place / "house")
    disk.set("ro")
    try:
        said = _refused(house, *_serve(house))
        assert "read-only" in said.lower()
    finally:
        disk.set("rw")
    house.serve()
    house.stop()


def test_a_clock_set_back(worn: Living) -> None:
    """Said until it is set; what had run out does not come back to life, and images are still taken."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        need("faketime")
    until_day = "--until", (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=2)).isoformat()
    worn.faked = {"LD_PRELOAD": str(library), "FAKETIME": "-5d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    worn.serve()
    assert "clock-behind" in {finding["kind"] for finding in worn.status()["findings"]}
    token = worn.try_(
        "token", "add", str(worn.archive), "--user", "Phil Physician", "--may", "read", *until_day
    )
    assert token.returncode != 0, "by the machine's clock this day is still to come"
    assert worn.store(WILHELMA.write(worn.folder / "late", range(30, 32))).returncode == 0
    worn.settled(WILHELMA.instances + 2)
    assert worn.json("journal", "verify", str(worn.archive))["holds"]
    worn.stop()
    worn.faked = {}
    worn.serve()
    assert "clock-behind" not in {finding["kind"] for finding in worn.status()["findings"]}
