"""Storing: what peers send is kept byte for byte, and each answer is the Standard's own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from huisclos.access.accounts import PeerRight
from huisclos.archive.nouns import Standing
from huisclos.dicom.part10 import read_part10
from huisclos.dimse.protocol.commands import store_request
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.requested import RequestedAssociation
from huisclos.dimse.requestor import associate
from huisclos.errors import AssociationEnded, Full, OperationFailed
from huisclos.stores.local import LocalWriting
from huisclos.stores.memory import MemoryWriting
from tests import corpus
from tests.archive.samples import CT, data_set, names, uid
from tests.archive.world import World
from tests.dimse.listening import TITLE, run, until
from tests.dimse.speaking import QUICK
from tests.reception.desk import Desk, DoorBook, Enrolled, Limits, receiving
from tests.tools import need, program

SCANNER = Enrolled("SCANNER")
EXPLICIT = Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))


def calling(
    desk: Desk, *contexts: Proposal, title: str = "SCANNER"
) -> AbstractAsyncContextManager[RequestedAssociation]:
    """An association with the reception, for CT images unless it is told otherwise."""
    return associate(
        "127.0.0.1",
        desk.plain,
        calling=title,
        called=TITLE,
        contexts=list(contexts) or [EXPLICIT],
        timeouts=QUICK,
    )


async def store(association: RequestedAssociation, sent: bytes, instance: int = 1) -> int:
    """A C-STORE of an invented instance; the status, a failure as well."""
    return await stored_as(association, sent, names(instance=instance)[1])


async def stored_as(association: RequestedAssociation, sent: bytes, sop_instance: str) -> int:
    """A C-STORE under this SOP Instance UID."""
    try:
        return await association.store(
            sent, sop_class=CT, sop_instance=sop_instance, transfer_syntax=EXPLICIT_LITTLE_ENDIAN
        )
    except OperationFailed as failed:
        return failed.status


async def test_the_whole_corpus_by_pynetdicom(house: World, leaf: Path) -> None:
    """Every class and transfer syntax as it comes; what lies sealed ends with the very bytes sent."""
    need("python:pynetdicom")
    sent = {path: parts_of(path) for path in corpus.instances()}

    def talk(port: int, pairs: list[tuple[str, str]]) -> dict[Path, int]:
        """What each file of these classes and transfer syntaxes was answered."""
        from pynetdicom import AE, _config
        from pynetdicom.presentation import build_context

        _config.STORE_SEND_CHUNKED_DATASET = True
        entity = AE("SCANNER")
        entity.dimse_timeout = 5
        entity.requested_contexts = [build_context(*pair) for pair in pairs]
        left = [path for path, (sop_class, _, syntax, _) in sent.items() if (sop_class, syntax) in pairs]
        statuses: dict[Path, int] = {}
        for _ in range(4):
            association = entity.associate("127.0.0.1", port, ae_title=TITLE)
            assert association.is_established
            assert len(association.accepted_contexts) == len(pairs)
            for path in [path for path in left if path not in statuses]:
                answer = association.send_c_store(path)
                if "Status" not in answer:
                    # Two of its threads take from one queue, and the wrong one took a quick answer.
                    break
                statuses[path] = int(answer.Status)
            association.release()
            if len(statuses) == len(left):
                break
        return statuses

    pairs = sorted({(sop_class, syntax) for sop_class, _, syntax, _ in sent.values()})
    async with receiving(house, DoorBook([SCANNER]), leaf) as desk:
        statuses: dict[Path, int] = {}
        for first in range(0, len(pairs), 100):
            statuses |= await asyncio.to_thread(talk, desk.plain, pairs[first : first + 100])
        assert set(statuses) == set(sent)
        refused = {path for path, status in statuses.items() if status}
        assert {statuses[path] for path in refused} == {Status.DOES_NOT_MATCH_SOP_CLASS}
        for path in refused:
            sop_class, sop_instance, syntax, data = sent[path]
            itself = str(corpus.read(path).SOPInstanceUID)
            assert itself != sop_instance  # the file meta names another instance than the data set
            async with calling(desk, Proposal(sop_class, (syntax,))) as association:
                again = association.store(
                    data, sop_class=sop_class, sop_instance=itself, transfer_syntax=syntax
                )
                assert await again == 0
        kept = Counter(desk.data_set(stored) for stored in desk.kept())
        assert kept == Counter({data for _, _, _, data in sent.values()})
    assert len(sent) > 80


def parts_of(path: Path) -> tuple[str, str, str, bytes]:
    """SOP class, SOP instance and transfer syntax of the file meta, and the data set's bytes."""
    content = path.read_bytes()
    start = read_part10(content[:65536])
    meta = corpus.read(path).file_meta
    return (
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        content[start.data_offset :],
    )


async def test_a_folder_by_storescu(house: World, leaf: Path) -> None:
    """DCMTK's sender goes through a medium of several patients; again, and everything is a duplicate."""
    need("storescu")
    folder = corpus.media()
    command = [program("storescu"), "-aet", "SCANNER", "-aec", TITLE, "+r", "+sd", "-nh", "-R"]
    async with receiving(house, DoorBook([SCANNER]), leaf) as desk:
        for _ in range(2):
            code, said = await run(*command, "127.0.0.1", str(desk.plain), folder)
            assert code in (0, 1), said  # 1: the DICOMDIR itself is not sent
        images = [path for path in corpus.instances() if folder in path.parents]
        wanted = {str(corpus.read(path).SOPInstanceUID) for path in images}
        assert {stored.heading.instance_uid for stored in desk.kept()} == wanted
        sealed = [place for place, _ in house.store.list() if place.endswith(".dcm.age")]
        assert len(sealed) == len(desk.kept())


async def test_the_same_again_another_way_and_another_content(house: World, leaf: Path) -> None:
    """A duplicate is not kept twice; an alternative is; other content is held apart: all are acknowledged."""
    first, other = data_set(pixels=b"\1\2" * 500), data_set(pixels=b"\3\4" * 500)
    plain = corpus.read(corpus.named("MR_small.dcm"))
    async with receiving(house, DoorBook([SCANNER]), leaf) as desk:
        async with calling(desk) as association:
            assert [await store(association, one) for one in (first, first, other)] == [0, 0, 0]
        standings = Counter(standing for _, standing in studies(house)[uid(1)])
        assert standings == {Standing.PRIMARY: 1, Standing.HELD: 1}
        for path in (corpus.named("MR_small.dcm"), corpus.named("MR_small_RLE.dcm")):
            sop_class, sop_instance, syntax, sent = parts_of(path)
            async with calling(desk, Proposal(sop_class, (syntax,))) as association:
                stored = association.store(
                    sent, sop_class=sop_class, sop_instance=sop_instance, transfer_syntax=syntax
                )
                assert await stored == 0
        standings = Counter(standing for _, standing in studies(house)[str(plain.StudyInstanceUID)])
        assert standings == {Standing.PRIMARY: 1, Standing.ALTERNATIVE: 1}


def studies(world: World) -> dict[str, list[tuple[Any, Standing]]]:
    """What the finder knows, by Study Instance UID."""
    return {study_uid: list(study.objects.values()) for study_uid, study in world.finder.by_uid.items()}


async def test_what_does_not_match_its_command(world: World, leaf: Path) -> None:
    """A900 for another instance or class than the command's, 0122 for a class beside its context."""
    async with receiving(world, DoorBook([SCANNER]), leaf) as desk, calling(desk) as association:
        assert await store(association, data_set(instance=2), instance=1) == 0xA900
        other = data_set().replace(CT.encode(), b"1.2.840.10008.5.1.4.1.1.4")
        assert await store(association, other) == 0xA900
        beside = store_request(9, "1.2.840.10008.5.1.4.1.1.4", uid(1, 1, 1))
        answer, _ = await association._ask(association.context_for(CT), beside, data_set())
        assert answer.status == 0x0122
        assert await store(association, data_set()) == 0
    assert len([place for place, _ in world.store.list() if place.endswith(".dcm.age")]) == 1


async def test_an_instance_over_its_bound_and_a_full_disk(
    world: World, leaf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A700 when there is no room, and the association goes on; over its bound it does not."""
    full = True

    def commit(self: MemoryWriting, *given: Any) -> None:
        if full:
            raise Full("no room")
        real(self, *given)

    real = MemoryWriting.commit
    monkeypatch.setattr(MemoryWriting, "commit", commit)
    limits = Limits(max_object=200_000)
    async with receiving(world, DoorBook([SCANNER]), leaf, limits=limits) as desk:
        async with calling(desk) as association:
            assert await store(association, data_set()) == 0xA700
            full = False
            assert await store(association, data_set()) == 0
        with pytest.raises(AssociationEnded):
            async with calling(desk) as association:
                await store(association, data_set(instance=2, pixels=bytes(400_000)), 2)
        await until(lambda: len(desk.door.hearings) == 2)
    assert len(desk.kept()) == 1


async def test_while_locked_and_from_an_unapproved_peer(house: World, leaf: Path) -> None:
    """The night drop: acknowledged, sealed into a batch of its source, nothing in any study."""
    stranger = Enrolled("STRANGER", quarantine=True)
    async with receiving(house, DoorBook([SCANNER, stranger]), leaf) as desk:
        async with calling(desk, title="STRANGER") as association:
            assert await store(association, data_set(study=2)) == 0xA900
            assert await stored_as(association, data_set(study=2), uid(2, 1, 1)) == 0
        house.finder.away = True
        async with calling(desk) as association:
            assert await store(association, data_set()) == 0
    assert desk.kept() == []
    batches = {source.label: identity for identity, source in house.vault.batches.values()}
    assert set(batches) == {"STRANGER", "SCANNER"}
    sealed = [place for place, _ in house.store.list("batches") if place.endswith(".dcm.age")]
    assert len(sealed) == 2
    assert sorted(one.source.label for one in house.vault.deposits) == ["SCANNER", "STRANGER"]


async def test_receipts_each_second_and_at_the_end(world: World, leaf: Path) -> None:
    """What an association stored is journalled within a second, and the rest when it ends."""
    async with receiving(world, DoorBook([SCANNER]), leaf) as desk:
        async with calling(desk) as association:
            for number in range(1, 4):
                assert await store(association, data_set(instance=number), number) == 0
            await until(lambda: sum(one.objects for one in world.vault.deposits) == 3, 3)
            assert await store(association, data_set(instance=4), 4) == 0
            assert sum(one.objects for one in world.vault.deposits) == 3
        await until(lambda: sum(one.objects for one in world.vault.deposits) == 4, 0.5)
        await until(lambda: desk.door.hearings == [(SCANNER.id, 0)])


async def test_a_stop_lets_what_is_in_progress_finish(house: World, leaf: Path) -> None:
    """No new association, but the one that stands goes on to its end; its receipts are told."""
    async with receiving(house, DoorBook([SCANNER]), leaf) as desk, calling(desk) as association:
        assert await store(association, data_set()) == 0
        desk.stop.set()
        await asyncio.sleep(0.05)
        assert await store(association, data_set(instance=2), 2) == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", desk.plain)
    assert sum(one.objects for one in house.vault.deposits) == 2


async def test_an_instance_cut_off_leaves_nothing(house: World, leaf: Path, tmp_path: Path) -> None:
    """A peer that goes in the middle of an instance, and a house that aborts it."""
    gone = asyncio.Event()

    async def pieces() -> Any:
        sent = data_set(pixels=os.urandom(3_000_000))
        for at in range(0, 2_000_000, 100_000):
            yield sent[at : at + 100_000]
        gone.set()
        await asyncio.Event().wait()

    async with receiving(house, DoorBook([SCANNER]), leaf) as desk:
        for end in (None, SCANNER.id):
            gone.clear()

            async def send() -> None:
                async with calling(desk) as one:
                    await one.store(
                        pieces(),
                        sop_class=CT,
                        sop_instance=uid(1, 1, 1),
                        transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
                    )

            sending = asyncio.create_task(send())
            await gone.wait()
            await asyncio.sleep(0.05)
            assert list((tmp_path / "archive" / "incoming").iterdir())
            if end is not None:
                await desk.echoing.end_peer(end)
            sending.cancel()
            await asyncio.wait([sending])
            await until(lambda: not list((tmp_path / "archive" / "incoming").iterdir()))
    assert desk.kept() == []


async def test_a_disk_that_is_behind_holds_its_sender_back(
    house: World, leaf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender waits in its own socket; nothing piles up here, and another association goes on."""
    go = threading.Event()
    real = LocalWriting.write

    def write(self: LocalWriting) -> None:
        assert go.wait(20)
        real(self)

    monkeypatch.setattr(LocalWriting, "write", write)
    sent = data_set(pixels=bytes(120_000_000))
    pieces = 0

    async def slowly() -> Any:
        nonlocal pieces
        for at in range(0, len(sent), 1_000_000):
            yield sent[at : at + 1_000_000]
            pieces += 1

    async with receiving(house, DoorBook([SCANNER]), leaf) as desk, calling(desk) as association:
        storing = asyncio.ensure_future(
            association.store(
                slowly(), sop_class=CT, sop_instance=uid(1, 1, 1), transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
        )
        await asyncio.sleep(1)
        assert pieces < 100
        async with calling(desk) as other:
            assert await store(other, data_set(instance=2), 2) == 0
        go.set()
        assert await storing == 0
        await until(lambda: len(desk.kept()) == 2)
        assert {desk.data_set(stored) for stored in desk.kept()} == {sent, data_set(instance=2)}


async def test_rights(world: World, leaf: Path) -> None:
    """Contexts of what a peer may not do are not accepted; find, move and get by nobody yet."""
    find = Proposal("1.2.840.10008.5.1.4.1.2.2.1")
    everything = Enrolled("WORKSTATION", frozenset(PeerRight))
    echoes = Enrolled("ECHOES", frozenset({PeerRight.ECHO}))
    stores = Enrolled("STORES", frozenset({PeerRight.STORE}))
    door = DoorBook([everything, echoes, stores])
    async with receiving(world, door, leaf) as desk:
        for peer, wanted in ((everything, {VERIFICATION, CT}), (echoes, {VERIFICATION}), (stores, {CT})):
            async with calling(desk, Proposal(VERIFICATION), EXPLICIT, find, title=peer.title) as association:
                assert {context.abstract_syntax for context in association.contexts} == wanted
                if VERIFICATION in wanted:
                    assert await association.echo() == 0
    assert door.asked[0].wants == {PeerRight.ECHO, PeerRight.STORE, PeerRight.FIND}
