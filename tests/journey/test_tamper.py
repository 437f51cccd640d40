"""Whoever writes the disk can spoil an archive, and not lie with it: the two verifications name it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from huisclos.errors import SealError
from huisclos.journal.chain import read_records
from huisclos.seal import Recipient, X25519Identity, X25519Recipient, seal, unseal
from tests.journey import wado
from tests.journey.living import Living, copy, stow, until
from tests.journey.patients import GLAFIRA, ZEPHYRINE, Patient, data_set_of, read

SEAL_ERROR = 6


@dataclass
class Known:
    """A stopped house with two studies, and what an adversary with its disk may have kept."""

    house: Living
    older_manifest: bytes
    older_journal: Path
    """The whole folder `journal/` as it was some entries ago."""
    head: Path
    """A head anchored outside before the last entries."""


@pytest.fixture(scope="module")
def base(template: Living, ground: Path) -> Known:
    """Two studies of three instances, stopped and never served again."""
    house = copy(template, Path(tempfile.mkdtemp(prefix="b", dir=ground)) / "base").serve()
    _send(house, ZEPHYRINE, range(1, 3))
    _send(house, GLAFIRA, range(1, 4))
    head = house.folder / "head.json"
    house.run("journal", "verify", str(house.archive), "--head", str(head))
    house.stop()
    manifest = (_folder(house, ZEPHYRINE) / "manifest.age").read_bytes()
    older = house.folder / "older-journal"
    shutil.copytree(house.archive / "journal", older)
    house.serve()
    _send(house, ZEPHYRINE, range(3, 4))
    house.run("journal", "verify", str(house.archive), "--head", str(head))
    house.stop()
    return Known(house, manifest, older, head)


@pytest.fixture
def spoiled(base: Known, ground: Path) -> Iterator[Living]:
    """A copy to be spoiled."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir=ground)) / "copy"
    house = copy(base.house, folder)
    yield house
    if house.process is not None:
        house.stop()
    shutil.rmtree(folder.parent, ignore_errors=True)


def _send(house: Living, patient: Patient, numbers: range) -> None:
    with house.client("physician") as client:
        assert stow(client, [patient.file(number) for number in numbers]).status_code == 200


def _identity(house: Living, study_id: str) -> X25519Identity:
    """The study's identity, as whoever holds the recovery key gets it."""
    recovery = X25519Identity.parse((house.folder / "secrets" / "recovery").read_text().strip())
    archive = X25519Identity.parse(json.loads(_opened_by(house, recovery))["identity"])
    key = house.archive / "keyring" / study_id[:2] / f"{study_id}.age"
    return X25519Identity.parse(unseal(key.read_bytes(), [archive]).decode().strip())


def _opened_by(house: Living, recovery: X25519Identity) -> bytes:
    """The archive's secret: each holder has a file of it, and one opens with the recovery key."""
    for path in (house.archive / "keys" / "holders").glob("*.age"):
        with suppress(SealError):
            if path.name.count(".") == 1:
                return unseal(path.read_bytes(), [recovery])
    raise LookupError("no holder's file opens with the recovery key")


def _folder(house: Living, patient: Patient) -> Path:
    """The folder of a patient's study, told by what opens there."""
    for folder in (house.archive / "objects").glob("*/*"):
        identity = _identity(house, folder.name)
        first = min(folder.glob("*.dcm.age"))
        if str(read(unseal(first.read_bytes(), [identity])).StudyInstanceUID) == patient.study_uid:
            return folder
    raise LookupError(patient.study_uid)


def _objects(house: Living, patient: Patient) -> dict[int, Path]:
    """InstanceNumber to object."""
    folder = _folder(house, patient)
    identity = _identity(house, folder.name)
    found = {}
    for path in folder.glob("*.dcm.age"):
        found[int(read(unseal(path.read_bytes(), [identity])).InstanceNumber)] = path
    return found


def _verify(house: Living, code: int = SEAL_ERROR) -> list[dict[str, str]]:
    unlock = ("--unlock-with", house.recovery)
    problems: list[dict[str, str]] = house.json("verify", str(house.archive), *unlock, code=code)["problems"]
    return problems


def _kinds(problems: list[dict[str, str]]) -> dict[str, str]:
    """Instance id (or `manifest`, or the place) to kind."""
    return {one["instance_id"] or one["place"] or "manifest": one["kind"] for one in problems}


def _id(path: Path) -> str:
    return path.name.partition(".")[0]


def _swap(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_untouched_it_verifies(spoiled: Living) -> None:
    """All that the other tests find wrong is what they did."""
    assert _verify(spoiled, code=0) == []


def test_swapped_objects(spoiled: Living) -> None:
    """Two objects of a study exchanged, and two of different studies: each of the four is named."""
    z, g = _objects(spoiled, ZEPHYRINE), _objects(spoiled, GLAFIRA)
    _swap(z[1], z[2])
    _swap(z[3], g[1])
    assert _kinds(_verify(spoiled)) == {_id(path): "swapped" for path in (z[1], z[2], z[3], g[1])}


def test_an_object_replaced_by_another_sealed_to_the_same_key(spoiled: Living) -> None:
    """Sealing to the study is no proof: what the archive never accepted is named."""
    z = _objects(spoiled, ZEPHYRINE)
    recipient = _identity(spoiled, z[1].parent.name).recipient
    forged = read(ZEPHYRINE.file(1))
    forged.PixelData = bytes(len(forged.PixelData))
    z[1].write_bytes(seal(_encoded(forged), [recipient]))
    assert _kinds(_verify(spoiled)) == {_id(z[1]): "replaced"}


def _encoded(dataset: Any) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_the_same_file_sealed_anew_is_not_the_object(spoiled: Living) -> None:
    """Even the true content, sealed by somebody else, is not what was accepted."""
    z = _objects(spoiled, ZEPHYRINE)
    recipient: Recipient = X25519Recipient.parse(str(_identity(spoiled, z[1].parent.name).recipient))
    z[1].write_bytes(seal(ZEPHYRINE.file(1), [recipient]))
    assert _kinds(_verify(spoiled)) == {_id(z[1]): "replaced"}


def test_an_older_manifest(spoiled: Living, base: Known) -> None:
    """A true manifest from before the last instance came is told as older."""
    (_folder(spoiled, ZEPHYRINE) / "manifest.age").write_bytes(base.older_manifest)
    assert "older-manifest" in {one["kind"] for one in _verify(spoiled)}


def test_a_deleted_object_and_a_deleted_manifest(spoiled: Living) -> None:
    """What should be there and is not is named."""
    z = _objects(spoiled, ZEPHYRINE)
    z[2].unlink()
    (_folder(spoiled, GLAFIRA) / "manifest.age").unlink()
    found = _kinds(_verify(spoiled))
    assert found.pop(_id(z[2])) == "deleted"
    assert found.pop("manifest") == "deleted"
    assert set(found.values()) <= {"deleted", "unattested"}


def test_one_byte_flipped_anywhere(spoiled: Living) -> None:
    """In the header, the nonce, the payload's middle, its last byte, a manifest: each is named."""
    z, g = _objects(spoiled, ZEPHYRINE), _objects(spoiled, GLAFIRA)
    _flip(z[1], 40)
    _flip(z[2], z[2].read_bytes().index(b"\n---") + 60)
    _flip(z[3], z[3].stat().st_size // 2)
    _flip(g[1], g[1].stat().st_size - 1)
    _flip(g[2], 0)
    found = _kinds(_verify(spoiled))
    assert set(found) == {_id(path) for path in (z[1], z[2], z[3], g[1], g[2])}
    assert set(found.values()) <= {"damaged", "replaced"}


def test_a_flipped_byte_in_a_manifest(spoiled: Living) -> None:
    """A manifest that was changed is no manifest."""
    _flip(_folder(spoiled, ZEPHYRINE) / "manifest.age", 300)
    assert _kinds(_verify(spoiled))["manifest"] in {"damaged", "replaced"}


def test_a_deleted_key_and_foreign_files(spoiled: Living) -> None:
    """A study without its key, a file that the archive did not put there, an object nobody accepted."""
    z, g = _folder(spoiled, ZEPHYRINE), _folder(spoiled, GLAFIRA)
    stray = z / f"{'ab' * 16}.dcm.age"
    spoiled.serve()
    (spoiled.archive / "keyring" / g.name[:2] / f"{g.name}.age").unlink()
    (z / "notes.txt").write_text("left here by a person")
    stray.write_bytes(seal(ZEPHYRINE.file(9), [X25519Identity.generate().recipient]))
    problems = _verify(spoiled)
    assert [one["study_id"] for one in problems if one["kind"] == "missing-key"] == [g.name]
    assert [one["kind"] for one in problems if one["place"]] == ["foreign"]
    assert _kinds(problems)[_id(stray)] == "unattested"


def test_none_of_it_is_served_as_what_it_is_not(spoiled: Living) -> None:
    """Served with swapped, forged, cut and deleted objects, the house answers errors, never a wrong image."""
    z, g = _objects(spoiled, ZEPHYRINE), _objects(spoiled, GLAFIRA)
    _swap(z[1], g[1])
    z[2].write_bytes(seal(ZEPHYRINE.file(2), [_identity(spoiled, z[2].parent.name).recipient]))
    z[3].write_bytes(z[3].read_bytes()[:-20])
    g[2].unlink()
    spoiled.serve()
    with spoiled.client("physician") as client:
        for patient, number in ((ZEPHYRINE, 1), (ZEPHYRINE, 2), (ZEPHYRINE, 3), (GLAFIRA, 1), (GLAFIRA, 2)):
            names = (patient.study_uid, patient.series_uid, patient.instance_uid(number))
            answer = wado.instance(client, *names)
            assert answer.status_code in {404, 500}, (number, answer.status_code)
            assert answer.headers["content-type"] == "application/problem+json"
            for suffix in ("/rendered", "/frames/1", "/metadata"):
                other = client.get(wado.instance_path(*names) + suffix)
                assert other.status_code >= 400 or suffix == "/metadata"
        whole = wado.instance(client, GLAFIRA.study_uid, GLAFIRA.series_uid, GLAFIRA.instance_uid(3))
        assert data_set_of(wado.parts(whole)[0]) == data_set_of(GLAFIRA.file(3))


def test_an_older_manifest_is_not_served(spoiled: Living, base: Known) -> None:
    """A study whose manifest was rolled back is an error, not a shorter study."""
    (_folder(spoiled, ZEPHYRINE) / "manifest.age").write_bytes(base.older_manifest)
    spoiled.serve()
    with spoiled.client("physician") as client:
        answer = client.get(f"/dicom-web/studies/{ZEPHYRINE.study_uid}", headers={"Accept": wado.AS_STORED})
    assert answer.status_code == 500


def test_an_index_that_is_gone_is_made_anew(spoiled: Living) -> None:
    """The index is derived: `reindex` finds all of it again."""
    for path in spoiled.archive.glob("index.sqlite*"):
        path.unlink()
    again = spoiled.json("reindex", str(spoiled.archive), "--unlock-with", spoiled.recovery)
    assert (again["studies"], again["objects"], again["unattested"]) == (2, 6, 0)
    assert _verify(spoiled, code=0) == []
    spoiled.serve()
    with spoiled.client("physician") as client:
        for patient in (ZEPHYRINE, GLAFIRA):
            assert wado.study(client, patient.study_uid) == {
                patient.instance_uid(number): data_set_of(patient.file(number)) for number in (1, 2, 3)
            }


# the journal


def _records(log: bytes) -> list[bytes]:
    cut, begun = [], 0
    for end, _ in read_records(log):
        cut.append(log[begun:end])
        begun = end
    return cut


def _cut(records: list[bytes]) -> list[bytes]:
    return records[:-3]


def _changed(records: list[bytes]) -> list[bytes]:
    spoilt = bytearray(records[4])
    spoilt[-5] ^= 1
    return [*records[:4], bytes(spoilt), *records[5:]]


def _moved(records: list[bytes]) -> list[bytes]:
    return [*records[:4], records[5], records[4], *records[6:]]


def _removed(records: list[bytes]) -> list[bytes]:
    return [*records[:4], *records[5:]]


def _torn(records: list[bytes]) -> list[bytes]:
    return [*records[:-1], records[-1][:-7]]


def _emptied(_: list[bytes]) -> list[bytes]:
    return []


@pytest.mark.parametrize("spoil", [_cut, _changed, _moved, _removed, _torn, _emptied])
@pytest.mark.parametrize("anchored", [False, True], ids=["alone", "anchored"])
def test_a_spoiled_journal(
    spoiled: Living, base: Known, spoil: Callable[[list[bytes]], list[bytes]], anchored: bool
) -> None:
    """Entries cut off, changed, moved or removed: found by itself, and against a head kept outside."""
    log = spoiled.archive / "journal" / "entries.log"
    log.write_bytes(b"".join(spoil(_records(log.read_bytes()))))
    ran = _journal(spoiled, base.head if anchored else None)
    assert ran.returncode == SEAL_ERROR, ran.stderr
    assert not json.loads(ran.stdout)["holds"]


def _journal(house: Living, head: Path | None) -> subprocess.CompletedProcess[str]:
    against = ("--head", str(head)) if head is not None else ()
    archive = str(house.archive)
    return house.try_("journal", "verify", archive, *against, "--unlock-with", house.recovery, "--json")


def test_a_journal_rolled_back_as_a_whole(spoiled: Living, base: Known, tmp_path: Path) -> None:
    """The folder as it was is consistent in itself; a later head kept outside tells it apart."""
    later = tmp_path / "later.json"
    shutil.copytree(spoiled.archive, tmp_path / "before")
    assert _journal(spoiled, later).returncode == 0
    shutil.rmtree(spoiled.archive / "journal")
    shutil.copytree(base.older_journal, spoiled.archive / "journal")
    ran = _journal(spoiled, later)
    assert ran.returncode == SEAL_ERROR, ran.stderr


def test_a_head_of_its_own_holds(spoiled: Living, base: Known) -> None:
    """An untouched journal goes on from a head anchored before."""
    ran = _journal(spoiled, base.head)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["holds"]


def test_a_spoiled_journal_is_told_while_the_house_lives(spoiled: Living) -> None:
    """A log changed under a living house is seen by the next check, and by the house's state."""
    spoiled.serve()
    log = spoiled.archive / "journal" / "entries.log"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    ran = spoiled.try_("journal", "verify", str(spoiled.archive), "--json")
    assert ran.returncode == SEAL_ERROR
    until(lambda: not spoiled.status()["journal"]["holds"], 10, "the state says so")
    assert "journal-broken" in {one["kind"] for one in spoiled.status()["findings"]}
