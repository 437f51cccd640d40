"""Retrieving: all that was stored, and nothing that lies in its place instead."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest

from huisclos.archive import metadata
from huisclos.archive.layout import instance_place, manifest_place, metadata_place, new_id
from huisclos.archive.metadata import seal_metadata
from huisclos.archive.nouns import Standing
from huisclos.archive.ports import StudyKey
from huisclos.archive.retrieve import OpenStudy
from huisclos.dicom.walk import Bounds
from huisclos.errors import (
    InstanceNotFound,
    NotDicom,
    NotGranted,
    SealError,
    StudyNotFound,
    Tampered,
    WrongObject,
)
from huisclos.seal import X25519Identity, seal, unseal
from tests import corpus
from tests.archive.samples import EXPLICIT, data_set, names, uid
from tests.archive.world import World
from tests.dicom.encoding import explicit

BASE = "https://house.example/dicom-web/studies/x"


async def ct(world: World, count: int = 3, study: int = 1) -> OpenStudy:
    """A study of some images, open."""
    for number in range(1, count + 1):
        pixels = bytes([number]) * 150_000
        await world.send(data_set(study, 1, number, pixels=pixels), names(study, 1, number), EXPLICIT)
    return world.open(uid(study))


@pytest.mark.parametrize("path", corpus.instances(), ids=lambda path: path.name)
async def test_every_file_of_the_corpus_comes_back(world: World, path: Path) -> None:
    """Byte for byte, by range as whole, with its metadata and its frames."""
    content = path.read_bytes()
    stored = (await world.upload(content)).stored
    study = world.open(stored.heading.study_uid)
    entry = study.instance(stored.heading.instance_uid)
    assert b"".join(study.read_part10(entry)) == content
    middle = len(content) // 2
    assert study.read_range(entry, middle, 1000) == content[middle : middle + 1000]
    described = json.loads(b"".join(study.metadata(BASE, entry.series_uid)))
    assert [one["00080018"]["Value"][0] for one in described] == [entry.sop_instance_uid]
    for tag in ("7FE00010", "7FE00008", "7FE00009"):
        if tag in described[0]:
            assert described[0][tag]["BulkDataURI"].startswith(f"{BASE}/series/{entry.series_uid}/instances/")
            with contextlib.suppress(NotDicom):  # some files of the corpus break off within their pixels
                value = study.bulk(entry, tag)
                assert sum(len(piece) for piece in value.pieces()) == value.length
    try:
        frames = study.frames(entry)
    except (InstanceNotFound, NotDicom):
        return
    assert [frames.read(number) for number in (0, len(frames) - 1)]


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KR.dcm", "color3d_jpeg_baseline.dcm", "liver.dcm"])
async def test_frames_are_those_pydicom_finds(world: World, name: str) -> None:
    """Independently of our own walk."""
    content = corpus.named(name).read_bytes()
    stored = (await world.upload(content)).stored
    study = world.open(stored.heading.study_uid)
    entry = study.instance(stored.heading.instance_uid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(content))
        count = int(dataset.get("NumberOfFrames", 1))
    frames = study.frames(entry)
    assert len(frames) == count
    if entry.transfer_syntax in (EXPLICIT, "1.2.840.10008.1.2") and dataset.BitsAllocated >= 8:
        whole = b"".join(frames.read(n) for n in range(count))
        assert whole == dataset.PixelData[: len(whole)]
    else:
        cut = pydicom.dcmread(BytesIO(study.frames(entry).cut(count - 1)))
        assert cut.PixelData
    with pytest.raises(InstanceNotFound):
        frames.read(count)


async def test_series_and_instances_in_order(world: World) -> None:
    """As the manifest lists them; what is not there is not found."""
    study = await ct(world)
    assert [entry.number for entry in study.instances(uid(1, 1))] == [1, 2, 3]
    assert study.series(uid(1, 1)).modality == "CT"
    for wrong in (lambda: study.series(uid(9)), lambda: study.instance(uid(9))):
        with pytest.raises(InstanceNotFound):
            wrong()


async def test_held_and_alternative_instances_do_not_answer(world: World) -> None:
    """Only the primary one does."""
    await world.send(data_set(), names(), EXPLICIT)
    await world.send(data_set(name=b"AUTRE^CLAUDE"), names(), EXPLICIT)
    study = world.open(uid(1))
    assert {entry.standing for entry in study.manifest.instances} == {Standing.PRIMARY, Standing.HELD}
    assert len(study.instances()) == 1
    assert b"EXEMPLE" in b"".join(study.read_part10(study.instance(names()[1])))


async def swap(world: World, one: str, other: str) -> None:
    """Exchange two sealed files."""
    first, second = world.store.read(one), world.store.read(other)
    world.store.put(one, second)
    world.store.put(other, first)


async def test_a_swapped_object_is_never_served(house: World) -> None:
    """Of the same study, or of another."""
    study, other = await ct(house), await ct(house, study=2)
    first, second = study.instances()[:2]
    places = [instance_place(study.manifest.study_id, entry.instance_id) for entry in (first, second)]
    foreign = instance_place(other.manifest.study_id, other.instances()[0].instance_id)
    await swap(house, *places)
    for entry in (first, second):
        with pytest.raises(WrongObject):
            study.read_part10(entry)
    await swap(house, *places)
    await swap(house, places[0], foreign)
    with pytest.raises(WrongObject):
        study.read_range(first, 0, 10)
    assert study.read_range(second, 128, 4) == b"DICM"


async def test_an_object_replaced_by_another_sealed_to_the_study_is_never_served(house: World) -> None:
    """Whoever knows the recipient can seal, and is found out."""
    study = await ct(house)
    entry = study.instances()[0]
    recipient = study.identity.recipient
    forged = seal(b"".join(study.read_part10(entry)), [recipient])
    house.store.put(instance_place(study.manifest.study_id, entry.instance_id), forged)
    with pytest.raises(WrongObject):
        house.open(uid(1)).read_part10(entry)
    with pytest.raises(SealError):
        list(study.read_part10(entry))


async def test_a_deleted_object_is_an_error_and_not_a_gap(house: World) -> None:
    """Listed, and not there."""
    study = await ct(house)
    entry = study.instances()[0]
    house.store.delete(instance_place(study.manifest.study_id, entry.instance_id))
    with pytest.raises(InstanceNotFound):
        study.read_part10(entry)


@pytest.mark.parametrize("at", [0, 30, 100, 150, 170, 190, 70_000, -1])
async def test_a_changed_byte_is_never_served(house: World, at: int) -> None:
    """In the header, the nonce, any chunk: only chunks before it are released."""
    study = await ct(house)
    entry = study.instances()[0]
    whole = b"".join(study.read_part10(entry))
    place = instance_place(study.manifest.study_id, entry.instance_id)
    changed = bytearray(house.store.read(place))
    changed[at] ^= 1
    house.store.put(place, bytes(changed))
    released = bytearray()

    def read() -> None:
        for piece in house.open(uid(1)).read_part10(entry):
            released.extend(piece)

    with pytest.raises(SealError):
        read()
    assert whole.startswith(bytes(released))
    assert len(released) < len(whole)


async def test_an_older_manifest_does_not_open_the_study(house: World) -> None:
    """Nor a missing one, nor another study's."""
    await ct(house, 1)
    study = house.finder.by_uid[uid(1)]
    place = manifest_place(study.placement.study_id)
    older = house.store.read(place)
    await ct(house, 2)
    house.store.put(place, older)
    with pytest.raises(WrongObject):
        house.open(uid(1))
    await ct(house, 1, study=2)
    house.store.put(place, house.store.read(manifest_place(house.finder.by_uid[uid(2)].placement.study_id)))
    with pytest.raises(SealError):
        house.open(uid(1))
    house.store.delete(place)
    with pytest.raises(Tampered):
        house.open(uid(1))


async def test_a_grant_is_for_one_study_and_its_time(world: World) -> None:
    """After it nothing more is read."""
    await ct(world)
    state = world.finder.settle(world.finder.by_uid[uid(1)])
    key = world.vault.key(state.study_id, until=1000.0)
    moment = 999.0
    study = OpenStudy.under(world.store, key, state, world.vault.verify_key, timestamp=lambda: moment)
    entry = study.instances()[0]
    assert study.read_range(entry, 128, 4) == b"DICM"
    moment = 1000.5
    for read in (
        lambda: study.read_range(entry, 0, 1),
        lambda: study.read_part10(entry),
        lambda: study.frames(entry),
        lambda: study.metadata(BASE),
    ):
        with pytest.raises(NotGranted):
            read()
    other = StudyKey(key.identity, msgspec.structs.replace(key.grant, study_id=new_id()))
    with pytest.raises(NotGranted):
        OpenStudy.under(world.store, other, state, world.vault.verify_key)


async def test_a_study_without_a_manifest_is_not_found(world: World) -> None:
    """Version 0 is none."""
    await ct(world, 1)
    state = world.finder.settle(world.finder.by_uid[uid(1)])
    with pytest.raises(StudyNotFound):
        OpenStudy(
            world.store,
            world.vault.key(state.study_id).identity,
            msgspec.structs.replace(state, version=0),
            world.vault.verify_key,
        )


async def test_no_file_stays_open(house: World) -> None:
    """Between two reads, and after a body that nobody read to its end."""
    study = await ct(house)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for entry in study.instances():
        next(study.read_part10(entry))
        study.read_range(entry, 0, 10)
        study.frames(entry).read(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_several_threads_read_one_study(house: World) -> None:
    """And each gets what it asked for."""
    study = await ct(house, 5)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(40):
            entry = study.instances()[(seed + turn) % 5]
            if study.frames(entry).read(0)[:1] != bytes([entry.number or 0]):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def sealed_metadata(study: OpenStudy, series_uid: str) -> bytes:
    """As the scribe makes it."""
    return seal_metadata(study.manifest, study.series(series_uid), study.data_set, study.identity)


async def test_sealed_metadata_says_what_the_objects_say(house: World) -> None:
    """The same JSON, with the URLs of whoever asks."""
    study = await ct(house)
    series = study.series(uid(1, 1))
    computed = b"".join(study.metadata(BASE))
    place = metadata_place(study.manifest.study_id, series.series_id)
    house.store.put(place, sealed_metadata(study, uid(1, 1)))
    kept = study.sealed_metadata(series)
    assert kept is not None
    assert b"".join(study.metadata(BASE)) == computed
    assert b"".join(study.metadata("https://elsewhere.example/s")) == computed.replace(
        BASE.encode(), b"https://elsewhere.example/s"
    )
    assert BASE.encode() not in b"".join(kept.pieces(""))
    one = study.instances()[0]
    assert json.loads(study.instance_metadata(one, BASE)) == json.loads(computed)[0]


async def test_stale_or_forged_metadata_is_not_used(house: World) -> None:
    """After another image came; written by somebody without the study's key; another series' or study's."""
    study = await ct(house, 2)
    series = study.series(uid(1, 1))
    place = metadata_place(study.manifest.study_id, series.series_id)
    true = sealed_metadata(study, uid(1, 1))
    house.store.put(place, true)
    plain = bytearray(unseal(true, [study.identity]))
    for at in (-1, -5, -40, -100):
        forged = bytearray(plain)
        forged[at] ^= 1
        house.store.put(place, seal(forged, [study.identity.recipient]))
        assert study.sealed_metadata(series) is None
    for forged_plain in (b"", b"x" * 36, b"[]" * 100):
        house.store.put(place, seal(forged_plain, [study.identity.recipient]))
        assert study.sealed_metadata(series) is None
    chunk = bytearray(plain)
    chunk[3] ^= 1
    house.store.put(place, seal(chunk, [study.identity.recipient]))
    with pytest.raises(Tampered):
        list(study.metadata(BASE))
    house.store.put(place, seal(plain, [X25519Identity.generate().recipient]))
    assert study.sealed_metadata(series) is None
    house.store.put(place, true)
    later = await ct(house, 3)
    assert later.sealed_metadata(series) is None
    assert len(json.loads(b"".join(later.metadata(BASE)))) == 3


async def test_an_instance_that_does_not_read_is_described_by_its_uids(world: World) -> None:
    """Metadata of a study never fails for one bad instance."""
    received = await world.send(b"noise" * 100, names(), EXPLICIT)
    study = world.open(received.stored.heading.study_uid)
    described = json.loads(b"".join(study.metadata(BASE)))
    assert described[0]["00080018"]["Value"] == [names()[1]]


async def test_what_names_too_much_is_not_described(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance of more elements than are described is known by its UIDs, and costs no more than a look."""
    monkeypatch.setattr(metadata, "_BOUNDS", Bounds(elements=100))
    elements = explicit(*((0x70010010 + number, "CS", b"AB") for number in range(100)))
    received = await world.send(data_set(1, 1, 1) + elements, names(), EXPLICIT)
    study = world.open(received.stored.heading.study_uid)
    described = json.loads(b"".join(study.metadata(BASE)))
    assert set(described[0]) == {"00080016", "00080018", "0020000E"}


async def test_bulk_data_of_a_big_endian_instance_is_little_endian(world: World) -> None:
    """Whatever range is asked for (PS3.18 section F.2.6)."""
    content = corpus.named("ExplVR_BigEnd.dcm").read_bytes()
    stored = (await world.upload(content)).stored
    study = world.open(stored.heading.study_uid)
    entry = study.instance(stored.heading.instance_uid)
    value = study.bulk(entry, "7FE00010")
    whole = b"".join(value.pieces())
    assert len(whole) == value.length
    for offset, length in ((0, 7), (1, 2), (3, 10), (value.length - 3, 100), (value.length, 1)):
        assert value.read_at(offset, length) == whole[offset : offset + length]


@pytest.mark.parametrize("name", ["ExplVR_BigEnd.dcm", "emri_small_big_endian.dcm", "rtdose_expb.dcm"])
async def test_frames_of_a_big_endian_instance_are_little_endian(world: World, name: str) -> None:
    """Its cells are turned round and nothing else: planes stay planes, as its metadata says."""
    content = corpus.named(name).read_bytes()
    stored = (await world.upload(content)).stored
    study = world.open(stored.heading.study_uid)
    found = study.frames(study.instance(stored.heading.instance_uid))
    dataset = pydicom.dcmread(BytesIO(content))
    bits = dataset.BitsAllocated
    whole = np.frombuffer(dataset.PixelData, f">u{bits // 8}").astype(f"<u{bits // 8}").tobytes()
    assert b"".join(found.read(number) for number in range(len(found))) == whole[: len(whole) // 2 * 2]
    assert len(found) == int(dataset.get("NumberOfFrames") or 1)
