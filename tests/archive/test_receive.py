"""Receiving: what was sent is what lies sealed, durable before anybody is told."""

from __future__ import annotations

import asyncio
import hashlib
import os
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.access.nouns import Source
from huisclos.archive import telling
from huisclos.archive.layout import batch_place, instance_place, parse_place
from huisclos.archive.nouns import Deposit, Outcome, StoredObject
from huisclos.archive.ports import BatchKey
from huisclos.archive.receive import Received, Receiver
from huisclos.dicom.part10 import file_meta
from huisclos.errors import BadIdentifier, Full, NotDicom, StudyNotFound, TooLarge, Unreachable, Unreadable
from huisclos.seal import X25519Identity, header_facts, unseal
from huisclos.stores.local import LocalStore
from huisclos.stores.memory import MemoryStore, MemoryWriting
from tests import corpus
from tests.archive.samples import CT, EXPLICIT, data_set, element, names, uid
from tests.archive.world import MODALITY, PERSON, STRANGER, World


def opened(world: World, received: Received) -> bytes:
    """The Part 10 file inside what lies on disk."""
    stored = received.stored
    if stored.batch_id:
        identity = world.vault.batches[stored.batch_id][0]
        sealed = world.store.read(batch_place(stored.batch_id, stored.instance_id))
    else:
        identity = world.vault.studies[stored.study_id]
        sealed = world.store.read(instance_place(stored.study_id, stored.instance_id))
    return unseal(sealed, [identity])


async def test_a_data_set_from_the_network(house: World) -> None:
    """Our file meta, the same for the same call, then the data set byte for byte (P6)."""
    sent = data_set(pixels=os.urandom(200_000))
    received = await house.send(sent, names(), EXPLICIT)
    stored = received.stored
    content = opened(house, received)
    assert received.outcome is Outcome.STORED
    assert content == file_meta(*names(), EXPLICIT, "SCANNER") + sent
    assert (stored.length, stored.data_set_offset) == (len(content), len(content) - len(sent))
    assert stored.digest == hashlib.sha256(sent).digest()
    assert stored.heading.study_uid == uid(1)
    assert stored.looked_inside
    assert pydicom.dcmread(BytesIO(content)).PatientName == "EXEMPLE^CAMILLE"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200_000), st.lists(st.integers(1, 90_000), max_size=12))
def test_the_split_does_not_matter(size: int, cuts: list[int]) -> None:
    """Whatever pieces a network makes of it, from the network or as a file."""
    sent = data_set(pixels=bytes(size - size % 2))
    meta = file_meta(*names(), EXPLICIT, "SCANNER")

    async def run() -> None:
        world = World(MemoryStore())
        for content, reception in (
            (sent, world.receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")),
            (meta + sent, world.receiver.begin_file(MODALITY)),
        ):
            at = 0
            for cut in [*cuts, len(content)]:
                reception.write(memoryview(content)[at : at + cut])
                at += cut
            received = await reception.finish()
            if received.outcome is Outcome.STORED:
                assert opened(world, received) == meta + sent
            else:
                assert received.outcome is Outcome.DUPLICATE
        assert len(list(world.store.list("objects"))) == 1

    asyncio.run(run())


@pytest.mark.parametrize("path", corpus.instances(), ids=lambda path: path.name)
async def test_every_file_of_the_corpus_is_kept_byte_for_byte(world: World, path: Path) -> None:
    """As a file, and its data set as from the network (P6)."""
    content = path.read_bytes()
    received = await world.upload(content, piece=10_000)
    assert opened(world, received) == content
    assert received.stored.looked_inside is (path.name != "bad_sequence.dcm")
    data = content[received.stored.data_set_offset :]
    heading = received.stored.heading
    again = await world.send(
        data, (heading.sop_class_uid, heading.instance_uid), received.stored.transfer_syntax
    )
    assert again.outcome is Outcome.DUPLICATE
    assert again.stored.digest == received.stored.digest
    assert len(list(world.store.list("objects"))) == 1


BARE = [path for path in corpus.bare() if path.name != "no_meta.dcm"]
"""That one begins with a space that belongs to nothing: no reader can tell where it starts."""


@pytest.mark.parametrize("path", BARE, ids=lambda path: path.name)
async def test_a_file_without_preamble_or_meta_becomes_part_10(world: World, path: Path) -> None:
    """What old media left out is put in front; what was there stays as it was."""
    content = path.read_bytes()
    received = await world.upload(content, piece=1000)
    inside = opened(world, received)
    assert inside.endswith(content[-1000:])
    assert content in inside
    assert inside[128:132] == b"DICM"
    assert received.stored.digest == hashlib.sha256(inside[received.stored.data_set_offset :]).digest()
    assert pydicom.dcmread(BytesIO(inside), force=False).SOPInstanceUID


NAMELESS = [*corpus.unidentified(), *corpus.directories(), corpus.named("no_meta.dcm")]


@pytest.mark.parametrize("path", NAMELESS, ids=lambda path: path.name)
async def test_what_names_no_instance_is_refused_without_a_trace(world: World, path: Path) -> None:
    """The sender is told; nothing is left behind. A network command's UIDs still save it."""
    reception = world.receiver.begin_file(PERSON)
    try:
        reception.write(path.read_bytes())
        received = await reception.finish()
    except (NotDicom, BadIdentifier, TooLarge):
        assert list(world.store.list("objects")) == []
    else:
        assert received.stored.heading.instance_uid
    finally:
        reception.abandon()


async def test_the_same_again_is_acknowledged_and_not_stored_twice(house: World) -> None:
    """Also when only the file meta differs; from the second time on it is not even flushed."""
    sent = data_set()
    assert (await house.send(sent, names(), EXPLICIT)).outcome is Outcome.STORED
    other_meta = file_meta(*names(), EXPLICIT, "OTHER") + sent
    assert (await house.upload(other_meta)).outcome is Outcome.DUPLICATE
    for _ in range(3):
        assert (await house.send(sent, names(), EXPLICIT)).outcome is Outcome.DUPLICATE
    assert len(list(house.store.list("objects"))) == 1
    assert house.store.sweep() == 0


async def test_other_content_under_one_uid_is_held(world: World) -> None:
    """Acknowledged, kept apart, and nothing is overwritten."""
    first = await world.send(data_set(), names(), EXPLICIT)
    second = await world.send(data_set(name=b"AUTRE^CLAUDE"), names(), EXPLICIT)
    assert second.outcome is Outcome.HELD
    assert opened(world, first) != opened(world, second)


async def test_locked_it_goes_to_a_batch(house: World) -> None:
    """The night drop (P5): nothing but public keys."""
    house.finder.away = True
    received = await house.send(data_set(), names(), EXPLICIT)
    assert received.stored.batch_id
    assert not received.stored.study_id
    assert opened(house, received).endswith(data_set())
    assert [parse_place(place).kind for place, _ in house.store.list("batches")] == ["batch-instance"]


async def test_an_unapproved_sender_goes_to_a_batch_of_its_own(world: World) -> None:
    """Also while the finder is there."""
    received = await world.send(data_set(), names(), EXPLICIT, source=STRANGER)
    assert received.stored.batch_id
    assert world.finder.by_uid == {}


async def test_an_unapproved_sender_beyond_its_quota_leaves_nothing(world: World) -> None:
    """Refused as it is about to be made durable, with the size it would have; what came before stays."""
    received = await world.send(data_set(), names(), EXPLICIT, source=STRANGER)
    place = batch_place(received.stored.batch_id, received.stored.instance_id)
    assert 2**40 - world.vault.room == world.store.open(place).size
    world.vault.room = 100
    with pytest.raises(Full):
        await world.send(data_set(1, 1, 2), names(1, 1, 2), EXPLICIT, source=STRANGER)
    assert [place for place, _ in world.store.list("batches")] == [place]
    await world.send(data_set(1, 1, 3), names(1, 1, 3), EXPLICIT, source=MODALITY)


async def test_an_unapproved_sender_who_is_full_need_not_send_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as soon as the vault has answered, in the middle of an instance."""

    async def full(source: Source) -> BatchKey:
        raise Full(f"no room for {source.label}")

    monkeypatch.setattr(world.vault, "batch", full)
    sent = data_set(pixels=bytes(500_000))
    reception = world.receiver.begin(STRANGER, *names(), EXPLICIT, "SCANNER")
    reception.write(sent[:2000])
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(Full):
        reception.write(sent[2000:4000])
    reception.abandon()
    assert list(world.store.list("batches")) == []


async def test_placement_is_asked_while_the_rest_still_comes(world: World) -> None:
    """As soon as the heading is complete."""
    sent = data_set(pixels=bytes(500_000))
    reception = world.receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")
    reception.write(sent[:2000])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert uid(1) in world.finder.by_uid
    reception.write(sent[2000:])
    assert (await reception.finish()).outcome is Outcome.STORED


async def test_a_finder_that_dies_before_it_hears_changes_nothing(house: World) -> None:
    """The object is durable, so it is acknowledged; the scribe catches up."""

    def die(_stored: StoredObject) -> None:
        house.finder.away = True
        raise Unreachable("gone")

    house.finder.before_register = die
    received = await house.send(data_set(), names(), EXPLICIT)
    assert received.outcome is Outcome.STORED
    assert opened(house, received).endswith(data_set())


async def test_it_is_durable_before_the_finder_hears(house: World) -> None:
    """What is registered lies at its place already."""
    seen = []

    def look(stored: StoredObject) -> None:
        seen.append(house.store.read(instance_place(stored.study_id, stored.instance_id)))

    house.finder.before_register = look
    await house.send(data_set(), names(), EXPLICIT)
    assert len(seen) == 1


def nested(depth: int) -> bytes:
    """A sequence within a sequence within a sequence."""
    opening = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 100,
        b"this is not a data set at all, and long enough to be looked at",
        os.urandom(5000),
        nested(5000),
        element(0x00080018, "UI", uid(1, 1, 1).encode()) + nested(5000),
        element(0x00080018, "UI", uid(1, 1, 1).encode()),
    ],
    ids=["empty", "zeros", "text", "noise", "nested", "nested behind a UID", "no study"],
)
async def test_what_cannot_be_read_is_kept_under_the_names_of_its_command(world: World, body: bytes) -> None:
    """Never lost, never a crash: a study of its own, not looked inside, and a repeat is a duplicate."""
    received = await world.send(body, names(), EXPLICIT)
    assert not received.stored.looked_inside
    assert received.stored.heading.instance_uid == names()[1]
    assert received.stored.heading.study_uid.startswith("2.25.")
    assert opened(world, received).endswith(body)
    assert (await world.send(body, names(), EXPLICIT)).outcome is Outcome.DUPLICATE


@pytest.mark.parametrize("wrong", [(CT, uid(1, 1, 2)), ("1.2.840.10008.5.1.4.1.1.4", uid(1, 1, 1))])
async def test_a_data_set_that_is_not_what_its_command_says(world: World, wrong: tuple[str, str]) -> None:
    """Refused, with nothing left behind (PS3.4 section B.2.3: data set does not match)."""
    with pytest.raises(BadIdentifier):
        await world.send(data_set(), wrong, EXPLICIT)
    assert list(world.store.list()) == []


@pytest.mark.parametrize("wrong", [("", uid(1)), (CT, ""), (CT, "../../etc"), (CT, "1" * 65)])
def test_a_command_without_true_uids(world: World, wrong: tuple[str, str]) -> None:
    """Refused before a byte is taken."""
    with pytest.raises(BadIdentifier):
        world.receiver.begin(MODALITY, *wrong, EXPLICIT, "SCANNER")


async def test_too_large_is_refused_as_it_comes(world: World) -> None:
    """Before more of it is written."""
    receiver = Receiver(world.store, world.finder, world.vault, max_octets=100_000)
    reception = receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")
    for _ in range(5):
        reception.write(bytes(20_000))
    with pytest.raises(TooLarge):
        reception.write(b"one more")
    reception.abandon()
    assert list(world.store.list()) == []


async def test_a_full_disk_is_told_and_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At commit as well."""

    def full(*_args: object) -> None:
        raise Full("full")

    monkeypatch.setattr(MemoryWriting, "commit", full)
    with pytest.raises(Full):
        await world.send(data_set(), names(), EXPLICIT)
    assert list(world.store.list()) == []


async def test_an_abandoned_association_leaves_nothing(house: World, tmp_path: Path) -> None:
    """Whenever it breaks off, and whoever cancels it."""
    for size in (0, 100, 100_000):
        reception = house.receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")
        reception.write(data_set(pixels=bytes(200_000))[:size])
        reception.abandon()
    reception = house.receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")
    reception.write(data_set())
    task = asyncio.ensure_future(reception.finish())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert list((tmp_path / "archive" / "incoming").iterdir()) == []


async def test_deposits_are_summed_and_flushed(world: World) -> None:
    """One line for each source and study; the digest covers id and header MAC of each object, in order."""
    stored = [
        (await world.send(data_set(instance=number), names(instance=number), EXPLICIT)).stored
        for number in (1, 2, 3)
    ]
    await world.send(data_set(2), names(2), EXPLICIT)
    assert world.vault.deposits == []
    await world.receiver.deposits.flush()
    first, second = world.vault.deposits
    assert (first.objects, first.octets) == (3, sum(one.length for one in stored))
    assert (
        first.digest
        == hashlib.sha256(
            b"".join(bytes.fromhex(one.instance_id) + one.header_mac for one in stored)
        ).digest()
    )
    assert second.objects == 1
    await world.receiver.deposits.close()
    assert len(world.vault.deposits) == 2


async def test_deposits_wait_for_a_vault_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are told with the next sum."""

    async def away(_deposits: object) -> None:
        raise Unreachable("away")

    deposits = world.receiver.deposits
    await world.send(data_set(), names(), EXPLICIT)
    with monkeypatch.context() as patched:
        patched.setattr(deposits, "_tell", away)
        await deposits.flush()
    await deposits.close()
    assert [one.objects for one in world.vault.deposits] == [1]


def peak() -> int:
    """The most memory this process held at once, KiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1])


async def test_deposits_are_told_each_second_and_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that come while a sum is being told, and whoever asks for them at the same time."""
    monkeypatch.setattr("huisclos.archive.deposits.INTERVAL", 0.02)
    deposits = world.receiver.deposits
    real = deposits._tell

    async def slow(told: tuple[Deposit, ...]) -> None:
        await asyncio.sleep(0.05)
        await real(told)

    monkeypatch.setattr(deposits, "_tell", slow)
    for number in range(1, 6):
        await world.send(data_set(1, 1, number), names(1, 1, number), EXPLICIT)
        await asyncio.sleep(0.03)
    await asyncio.gather(deposits.flush(), deposits.flush())
    await asyncio.sleep(0.15)
    assert sum(one.objects for one in world.vault.deposits) == 5
    await deposits.close()
    assert sum(one.objects for one in world.vault.deposits) == 5


async def test_memory_stays_bounded_for_a_large_object(tmp_path: Path) -> None:
    """256 MiB pass through; the process does not grow by more than a few of them."""
    world = World(LocalStore(tmp_path))
    piece = os.urandom(1 << 20)
    sent = data_set(pixels=piece)
    head = sent[: -len(piece) - 4] + (256 << 20).to_bytes(4, "little")
    reception = world.receiver.begin(MODALITY, *names(), EXPLICIT, "SCANNER")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of what ran before
    before = peak()
    reception.write(head)
    for _ in range(256):
        behind = reception.write(piece)
        if behind is not None:
            await behind
    received = await reception.finish()
    study = world.open(uid(1))
    total = sum(len(part) for part in study.read_part10(study.instance(names()[1])))
    grown = peak() - before
    assert total == received.stored.length > 256 << 20
    assert grown < 32 * 1024
    world.store.delete(instance_place(received.stored.study_id, received.stored.instance_id))


def test_an_identity_other_than_the_study_does_not_open_it() -> None:
    """Each object is sealed to its study alone."""

    async def run() -> None:
        world = World(MemoryStore())
        received = await world.send(data_set(), names(), EXPLICIT)
        sealed = world.store.read(instance_place(received.stored.study_id, received.stored.instance_id))
        with pytest.raises(Exception, match="none of these identities"):
            unseal(sealed, [X25519Identity.generate()])

    asyncio.run(run())


async def kept(world: World, sent: bytes, *, number: int = 1) -> None:
    """One instance by C-STORE, as reception answers it: durable, the finder not yet asked."""
    reception = world.receiver.begin(MODALITY, *names(instance=number), EXPLICIT, "SCANNER")
    reception.write(sent)
    await reception.keep()


async def test_a_sender_is_answered_before_the_finder(house: World) -> None:
    """The object and its entry are durable when `keep` returns; the rest follows, in order (P3)."""
    heard: list[str] = []
    house.finder.before_register = lambda stored: heard.append(stored.heading.instance_uid)
    go = asyncio.Event()
    register = house.finder.register

    async def slowly(stored: StoredObject) -> Outcome:
        await go.wait()
        return await register(stored)

    house.finder.register = slowly  # type: ignore[method-assign]
    for number in (1, 2, 3):
        await kept(house, data_set(instance=number), number=number)
        assert len(list(house.store.list("objects"))) == number
    assert heard == []
    waiting = asyncio.ensure_future(house.receiver.told())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    go.set()
    await waiting
    assert heard == [uid(1, 1, number) for number in (1, 2, 3)]
    await house.receiver.told()
    await house.receiver.deposits.flush()
    assert sum(deposit.objects for deposit in house.vault.deposits) == 3


async def test_a_duplicate_found_out_later_is_deleted(house: World) -> None:
    """It was answered with success as well; the second one is asked about before it is written."""
    for _ in range(3):
        await kept(house, data_set())
        await house.receiver.told()
        assert len(list(house.store.list("objects"))) == 1


async def test_what_the_finder_refuses_later_holds_nothing_up(house: World) -> None:
    """A study erased between its placing and the finder's hearing of it: told in the log, by kind."""
    calls: list[StoredObject] = []

    def erased(stored: StoredObject) -> None:
        calls.append(stored)
        if len(calls) == 1:
            raise StudyNotFound("no such study")

    house.finder.before_register = erased
    await kept(house, data_set(instance=1), number=1)
    await kept(house, data_set(instance=2), number=2)
    await house.receiver.told()
    assert len(calls) == 2
    assert len(house.finder.study_of(calls[1].study_id).objects) == 1


async def test_one_at_fault_takes_no_other_with_it(house: World) -> None:
    """A failure that is not the finder's being away is told of one instance, and the others are taken."""
    real = house.finder.register_all

    async def faulty(stored: tuple[StoredObject, ...]) -> tuple[Outcome | None, ...]:
        if any(one.heading.instance_uid == uid(1, 1, 2) for one in stored):
            raise Unreadable("something went wrong in the house")
        return await real(stored)

    house.finder.register_all = faulty  # type: ignore[method-assign]
    for number in (1, 2, 3):
        await kept(house, data_set(instance=number), number=number)
    await house.receiver.told()
    (study,) = house.finder.by_uid.values()
    told = {stored.heading.instance_uid for stored, _ in study.objects.values()}
    assert told == {uid(1, 1, 1), uid(1, 1, 3)}


async def test_the_finder_is_not_left_behind_without_end(
    house: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stores faster than it hears waits for it."""
    monkeypatch.setattr(telling, "UNTOLD", 2)
    go = asyncio.Event()
    register = house.finder.register

    async def slowly(stored: StoredObject) -> Outcome:
        await go.wait()
        return await register(stored)

    house.finder.register = slowly  # type: ignore[method-assign]

    async def many() -> None:
        for number in range(1, 8):
            await kept(house, data_set(instance=number), number=number)

    storing = asyncio.create_task(many())
    await asyncio.sleep(0.3)
    assert not storing.done()
    assert len(list(house.store.list("objects"))) < 7
    go.set()
    await storing
    await house.receiver.told()


async def test_no_two_objects_share_a_key(house: World) -> None:
    """What was prepared for one instance serves one: a nonce and a header each, however they come."""
    for number in range(1, 6):
        await kept(house, data_set(instance=number), number=number)
    await house.receiver.told()
    sealed = [house.store.read(place) for place, _ in house.store.list("objects")]
    facts = [header_facts(one) for one in sealed]
    assert len({one.header_mac for one in facts}) == len({one.payload_nonce for one in facts}) == 5
