"""Who is let in: by the vault's word, and before a byte is read where that can be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from huisclos.access.peers import KnockReason
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import VERIFICATION
from huisclos.dimse.requestor import associate
from huisclos.errors import AssociationEnded, AssociationRejected, Unreachable
from tests.archive.samples import data_set
from tests.archive.world import World
from tests.dimse.listening import TITLE, run, until
from tests.dimse.speaking import QUICK
from tests.reception.desk import Desk, DoorBook, Enrolled, Limits, receiving
from tests.reception.test_storing import EXPLICIT, calling, store
from tests.tools import program

SCANNER = Enrolled("SCANNER")


async def rejection(desk: Desk, *, title: str = "SCANNER", called: str = TITLE) -> tuple[int, int, int]:
    """The numbers of the rejection of an association."""
    with pytest.raises(AssociationRejected) as rejected:
        async with associate(
            "127.0.0.1",
            desk.plain,
            calling=title,
            called=called,
            contexts=[Proposal(VERIFICATION)],
            timeouts=QUICK,
        ):
            pass
    return rejected.value.result, rejected.value.source, rejected.value.reason


async def test_refusals_of_identity_read_the_same(world: World, leaf: Path) -> None:
    """A title that nobody has says nothing more than any other refusal; the called title says so."""
    async with receiving(world, DoorBook([SCANNER]), leaf) as desk:
        began = asyncio.get_running_loop().time()
        assert await rejection(desk, title="NOBODY") == (1, 1, 1)
        assert asyncio.get_running_loop().time() - began >= 0.1
        assert await rejection(desk, called="ANYSCP") == (1, 1, 7)
        asked = desk.door.asked[-1]
        assert (asked.calling, asked.called) == ("SCANNER", "ANYSCP")
        assert (asked.address, asked.tls) == ("127.0.0.1", False)
        assert desk.door.hearings == []


async def test_dcmtk_says_why(world: World, leaf: Path) -> None:
    """What a technician reads at the modality."""
    async with receiving(world, DoorBook([SCANNER]), leaf) as desk:
        echo = [program("echoscu"), "127.0.0.1", str(desk.plain), "-aet"]
        code, said = await run(*echo, "SCANNER", "-aec", TITLE)
        assert code == 0, said
        code, said = await run(*echo, "SCANNER", "-aec", "ARCHIVE")
        assert code != 0
        assert "Called AE Title Not Recognized" in said
        code, said = await run(*echo, "NOBODY", "-aec", TITLE)
        assert code != 0
        assert "No Reason" in said


async def test_without_a_vault_the_peer_may_try_again(world: World, leaf: Path) -> None:
    """A transient rejection: nobody is told that it is not admitted, which nobody can know."""
    async with receiving(world, DoorBook([SCANNER], broken=Unreachable("away")), leaf) as desk:
        assert await rejection(desk) == (2, 3, 1)
        desk.door.broken = None
        async with calling(desk) as association:
            assert await store(association, data_set()) == 0
            desk.door.broken = Unreachable("away")


async def test_a_far_address_is_closed_unread(world: World, leaf: Path) -> None:
    """P11: no answer, not even to a request; the vault is told, and not at each attempt."""
    async with receiving(world, DoorBook([SCANNER]), leaf, near=lambda _: False) as desk:
        for port in (desk.plain, desk.plain, desk.tls):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
        await until(lambda: desk.door.away)
        assert desk.door.away == [("127.0.0.1", "dicom", KnockReason.ADDRESS_PUBLIC)]
    assert desk.door.asked == []


async def test_who_does_not_speak_dicom(world: World, leaf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser on either port is a knock with its reason; somebody who says nothing is none."""
    async with receiving(world, DoorBook([SCANNER]), leaf) as desk:
        _, writer = await asyncio.open_connection("127.0.0.1", desk.plain)
        writer.close()
        await writer.wait_closed()
        for port, listener in ((desk.plain, "dicom"), (desk.tls, "dicom_tls")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n")
            await reader.read(1)
            writer.close()
            await until(lambda: desk.door.away)
            assert desk.door.away.pop()[1:] == (listener, KnockReason.NOT_DICOM)
            desk.door.away.clear()
            monkeypatch.setattr("huisclos.reception.tidings.TOLD_EVERY", 0.0)


async def test_too_many(world: World, leaf: Path) -> None:
    """Over the bound of its address a peer is told of congestion, and the vault of the peer."""
    limits = Limits(max_associations_per_address=1)
    async with receiving(world, DoorBook([SCANNER]), leaf, limits=limits) as desk:
        async with calling(desk):
            assert await rejection(desk) == (2, 3, 1)
            await until(lambda: desk.door.away)
        assert desk.door.away == [("127.0.0.1", "dicom", KnockReason.TOO_MANY)]
        assert len(desk.door.asked) == 1


async def test_a_peer_that_is_removed(world: World, leaf: Path) -> None:
    """Its associations end at once, those of others go on, and it is not let in again."""
    other = Enrolled("OTHER")
    async with receiving(world, DoorBook([SCANNER, other]), leaf) as desk:
        async with calling(desk, EXPLICIT, title="OTHER") as staying:
            with pytest.raises(AssociationEnded):
                await _stores_while_removed(desk)
            assert await store(staying, data_set(instance=3), 3) == 0
        assert await rejection(desk) == (1, 1, 1)
        assert {stored.heading.instance_number for stored in desk.kept()} == {1, 3}


async def _stores_while_removed(desk: Desk) -> None:
    async with calling(desk) as association:
        assert await store(association, data_set()) == 0
        desk.door.peers.remove(SCANNER)
        await desk.echoing.end_peer(SCANNER.id)
        await store(association, data_set(instance=2), 2)


async def test_a_start_without_a_vault(world: World, leaf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reception does not open its door without knowing whom to trust."""

    async def away(_self: DoorBook) -> tuple[bytes, ...]:
        raise Unreachable("away")

    monkeypatch.setattr(DoorBook, "pinned", away)
    with pytest.raises(Unreachable):
        await _begin_and_end(world, leaf)


async def _begin_and_end(world: World, leaf: Path) -> None:
    async with receiving(world, DoorBook(), leaf):
        pass
