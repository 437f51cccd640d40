"""Promise P3 without power: what a disk had been given when the power went is enough.

The archive lies on a file system of its own, in a file. What the file holds at a moment is what the disk had
been given by then: all that was only in the system's memory is not in it. A copy of it, made while instances
are being stored, is the disk after a power cut; the house is served from that copy.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.journey import wado
from tests.journey.living import Living, copy, until
from tests.journey.patients import WILHELMA, data_set_of
from tests.journey.sending import Load
from tests.tools import need

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
LATE = "commit=300"
"""The system writes nothing of its own accord for longer than the test takes."""


class Disk:
    """An ext4 in a file, mounted at `place`."""

    def __init__(self, ground: Path) -> None:
        self.place, self.image, self.after = ground / "disk", ground / "disk.img", ground / "after.img"
        self.unsynced = self.place / "unsynced"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(256 * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        self.mount()

    def mount(self) -> None:
        """Mount what is in the file."""
        _run("mount", "-o", f"loop,{LATE}", str(self.image), str(self.place))
        self.place.chmod(0o700)

    def cut(self, house: Living) -> None:
        """Keep what the disk has been given by now. The house stands still meanwhile, as the disk does."""
        supervisor = psutil.Process(house.supervisor)
        everybody = [supervisor, *supervisor.children(recursive=True)]
        for process in everybody:
            process.send_signal(signal.SIGSTOP)
        _run("cp", "--sparse=always", str(self.image), str(self.after))
        for process in everybody:
            process.send_signal(signal.SIGCONT)

    def power_comes_back(self) -> None:
        """Mount what the disk had been given."""
        # the children of the house end a moment after it
        until(self._unmounted, 15, "nobody uses the disk any more")
        self.after.replace(self.image)
        self.mount()

    def _unmounted(self) -> bool:
        return subprocess.run(["umount", str(self.place)], check=False, capture_output=True).returncode == 0

    def end(self) -> None:
        """Unmount it."""
        subprocess.run(["umount", "-l", str(self.place)], check=False)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected before the next."""
    yield
    gc.collect()


@pytest.fixture
def disk(ground: Path) -> Iterator[Disk]:
    """A new one."""
    need("mkfs.ext4")
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder = ground / "power"
    folder.mkdir()
    try:
        made = Disk(folder)
    except subprocess.CalledProcessError:
        pytest.skip("a file system cannot be mounted here")
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


def _study(house: Living, uid: str) -> dict[str, bytes]:
    with house.client("physician") as client:
        if not wado.query(client, "studies", StudyInstanceUID=uid):
            return {}
        return wado.study(client, uid)


@pytest.mark.parametrize("way", ["dicom", "stow"])
def test_what_was_acknowledged_before_the_power_went_is_there(template: Living, disk: Disk, way: str) -> None:
    """In the middle of a load, over DICOM and over HTTP; what the journal and `verify` say holds too."""
    need("python:pynetdicom")
    house = copy(template, disk.place / "house")
    _run("sync")
    house.serve()
    patient = replace(WILHELMA, patient_id=f"POWER-{way}")
    load = Load(house, patient, range(1, 400), by=way)
    try:
        load.begin()
        until(lambda: len(load.acknowledged) >= 25, 60, "some are acknowledged")
        acknowledged = dict(load.acknowledged)
        disk.unsynced.write_bytes(b"x" * 4096)
        disk.cut(house)
    finally:
        house.kill()
        load.end(30, give_up=True)
    disk.power_comes_back()
    # its name may have come to the disk with somebody else's
    assert not disk.unsynced.exists() or disk.unsynced.read_bytes() == b"", "the control: it was made durable"
    house.serve()
    try:
        until(lambda: set(acknowledged) <= set(_study(house, patient.study_uid)), 30, "all are found")
        found = _study(house, patient.study_uid)
        for uid, part10 in acknowledged.items():
            assert found[uid] == data_set_of(part10)
        assert house.json("verify", str(house.archive))["problems"] == []
        assert house.json("journal", "verify", str(house.archive))["holds"]
    finally:
        house.stop()
