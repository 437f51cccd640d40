"""The quarantine: who waits is admitted or refused by an owner, and what it sent with it."""

from __future__ import annotations

import pytest

from huisclos.access.admission import AssociationAsked
from huisclos.access.nouns import Proof, Role, Source
from huisclos.access.peers import EchoOutcome, EchoResult, PeerAsked
from huisclos.archive.layout import BATCHES, batch_place, new_id
from huisclos.errors import Locked, NotFound, NotGranted
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.quarantine import QuarantineService
from tests.vault.world import CONSOLE, World

ADDRESS = "192.168.1.31"
TITLE = "NEWCT"


class Ending:
    """An `Echoer` that notes whose associations were ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        return EchoResult(EchoOutcome.UNREACHABLE)

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""
        self.ended.append(peer_id)

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`."""


class Dark:
    """A world in which somebody was enrolled and sent while it was locked."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.echoer = Ending()
        self.doorkeeper = Doorkeeper(world.core, world.people)
        self.peers = PeerService(world.core, world.sessions, world.people, self.doorkeeper, self.echoer)
        self.service = QuarantineService(world.core, world.sessions, world.people, world.keeper, self.echoer)

    async def asks(self, title: str = TITLE) -> str:
        """Asked for while locked; the request's id."""
        self.world.lock()
        peer = await self.peers.add(CONSOLE, PeerAsked(title, ADDRESS))
        self.world.unlock()
        return peer.id

    async def sends(self, objects: int, title: str = TITLE) -> tuple[Source, str]:
        """So many objects into the open batch; who sent, and the batch."""
        verdict = await self.doorkeeper.admit(AssociationAsked(title, "HUISCLOS", ADDRESS, tls=False))
        assert verdict.source is not None
        batch = await self.world.keeper.batch(verdict.source)
        for _ in range(objects):
            self.world.store.put(batch_place(batch.batch_id, new_id()), b"sealed")
        return verdict.source, batch.batch_id

    async def quarantined(self, batch_id: str) -> bool:
        """Whether the scribe leaves this batch alone."""
        return (await self.world.keeper.batch_key(batch_id)).source.quarantine

    def objects(self) -> int:
        """How many places the batches take, keys included."""
        return len(list(self.world.store.list(BATCHES)))


@pytest.fixture
def dark(world: World) -> Dark:
    """With nobody in it yet."""
    return Dark(world)


async def test_admitting_puts_the_request_in_force(dark: Dark) -> None:
    """The peer is approved under its request's id, and its batches are settled from then on."""
    source_id = await dark.asks()
    source, batch_id = await dark.sends(2)
    assert source.id == source_id
    assert await dark.quarantined(batch_id)
    assert await dark.service.admit(CONSOLE, source_id) == TITLE
    assert not await dark.quarantined(batch_id)
    (peer,) = dark.peers.everyone()
    assert (peer.id, peer.approved) == (source_id, True)
    assert ("changed", "peer-added") in dark.world.acts()
    source, _ = await dark.sends(0)
    assert not source.quarantine


async def test_a_request_that_is_gone_does_not_lose_the_images(dark: Dark) -> None:
    """Removed on the Peers page meanwhile: its images can still be had, and it is admitted as it sent."""
    source_id = await dark.asks()
    _, batch_id = await dark.sends(1)
    await dark.peers.remove(CONSOLE, source_id)
    assert dark.peers.everyone() == ()
    assert await dark.service.admit(CONSOLE, source_id) == TITLE
    assert not await dark.quarantined(batch_id)
    assert [(peer.title, peer.address) for peer in dark.peers.everyone()] == [(TITLE, ADDRESS)]


async def test_the_same_machine_enrolled_anew_is_the_same_machine(dark: Dark) -> None:
    """Title and address are all a plain peer is: what it sent under a request that is gone is settled."""
    source_id = await dark.asks()
    _, batch_id = await dark.sends(1)
    await dark.peers.remove(CONSOLE, source_id)
    await dark.peers.add(CONSOLE, PeerAsked(TITLE, "192.168.1.99"))
    assert await dark.quarantined(batch_id)
    await dark.peers.add(CONSOLE, PeerAsked(TITLE, ADDRESS))
    assert not await dark.quarantined(batch_id)
    with pytest.raises(NotFound):
        await dark.service.discard(CONSOLE, source_id)


async def test_refusing_destroys_what_waits_and_nothing_else(dark: Dark) -> None:
    """Associations end, objects and keys go, another sender's stay; it is journalled with counts."""
    source_id = await dark.asks()
    await dark.sends(3)
    other = await dark.asks("OTHER")
    _, kept = await dark.sends(1, "OTHER")
    assert await dark.service.discard(CONSOLE, source_id) == 3
    assert dark.echoer.ended == [source_id]
    assert dark.objects() == 2
    assert await dark.quarantined(kept)
    assert [peer.id for peer in dark.peers.everyone()] == [other]
    told = [entry for entry in dark.world.said() if entry.what == "quarantine"]
    assert [(entry.act.value, entry.subject, entry.counts) for entry in told] == [
        ("decided", TITLE, {"instances": 3, "octets": 18})
    ]
    refused = await dark.doorkeeper.admit(AssociationAsked(TITLE, "HUISCLOS", ADDRESS, tls=False))
    assert refused.source is None
    with pytest.raises(NotFound):
        await dark.service.discard(CONSOLE, source_id)


async def test_only_an_owner_and_only_unlocked(dark: Dark) -> None:
    """Nobody else admits or destroys, and nothing is destroyed in the dark."""
    source_id = await dark.asks()
    await dark.sends(1)
    world = dark.world
    proofs: list[Proof] = []
    for role in (Role.PHYSICIAN, Role.TECHNICIAN, Role.SECRETARY, Role.AUDITOR):
        world.user(f"Some {role}", role)
        proofs.append(await world.login(f"Some {role}"))
    for proof in proofs:
        with pytest.raises(NotGranted):
            await dark.service.admit(proof, source_id)
        with pytest.raises(NotGranted):
            await dark.service.discard(proof, source_id)
    world.lock()
    for decide in (dark.service.admit, dark.service.discard):
        with pytest.raises(Locked):
            await decide(CONSOLE, source_id)
    assert dark.objects() == 2


async def test_nothing_waits_of_an_approved_peer(dark: Dark) -> None:
    """What it sends is not the quarantine's to destroy."""
    peer = await dark.peers.add(CONSOLE, PeerAsked(TITLE, ADDRESS))
    await dark.sends(1)
    with pytest.raises(NotFound):
        await dark.service.discard(CONSOLE, peer.id)
    assert dark.objects() == 2
