"""The quarantine: who waits is admitted or refused by an owner, and what it sent with it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from huisclos.access.accounts import PendingBody
from huisclos.access.admission import AssociationAsked
from huisclos.access.nouns import ActorKind, Proof, Role, Source
from huisclos.access.peers import EchoOutcome, EchoResult, PeerAsked
from huisclos.archive.layout import BATCHES, batch_place, new_id
from huisclos.errors import BadIdentifier, BadSetting, Full, Locked, NotFound, NotGranted
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.quarantine import QuarantineService
from huisclos.vault.quota import FULL
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


class Filling:
    """A sender that fills its quota, as reception asks for it."""

    def __init__(self, dark: Dark, source: Source) -> None:
        self.dark = dark
        self.source = source

    async def sends(self, octets: int = 100) -> str:
        """One object, counted and then put; the batch. Raises `Full`."""
        keeper = self.dark.world.keeper
        batch = await keeper.batch(self.source)
        await keeper.reserve(self.source, octets)
        self.dark.world.store.put(batch_place(batch.batch_id, new_id()), bytes(octets))
        return batch.batch_id

    async def is_full(self, octets: int = 100) -> bool:
        """Whether one more is refused."""
        try:
            await self.sends(octets)
        except Full:
            return True
        return False


async def filling(dark: Dark, *, images: int = 1000, octets: int = 10**6) -> Filling:
    """The sender of a request, under these quotas."""
    await dark.asks()
    source, _ = await dark.sends(0)
    quota = dark.world.keeper.quota
    quota.images, quota.octets = images, octets
    return Filling(dark, source)


def restarted(dark: Dark, *, images: int = 1000, octets: int = 10**6) -> None:
    """The vault begins anew on the same files, and stays locked."""
    dark.world.start()
    dark.world.lock()
    dark.__init__(dark.world)  # type: ignore[misc]
    quota = dark.world.keeper.quota
    quota.images, quota.octets = images, octets


@pytest.mark.parametrize("locked", [False, True])
async def test_a_sender_not_approved_has_a_quota(dark: Dark, *, locked: bool) -> None:
    """By number and by size; told in the journal once, and on the card since when."""
    sender = await filling(dark, images=3)
    if locked:
        dark.world.lock()
    batch_id = await sender.sends()
    await sender.sends()
    await sender.sends()
    since = dark.world.time.wall
    assert await sender.is_full()
    dark.world.time.pass_(60)
    assert await sender.is_full()
    dark.world.unlock()
    secret = await dark.world.keeper.batch_key(batch_id)
    assert (secret.full_since, secret.source.quarantine) == (since, True)
    told = [entry for entry in dark.world.said() if entry.what == FULL]
    assert [(entry.act.value, entry.actor, entry.subject, entry.counts) for entry in told] == [
        ("refused", TITLE, TITLE, {"instances": 3, "octets": 300, "times": 1})
    ]
    dark.world.time.pass_(3600)
    assert await sender.is_full()
    assert [entry.counts["times"] for entry in dark.world.said() if entry.what == FULL] == [1, 2]
    assert len(list(dark.world.store.list(BATCHES))) == 4


async def test_what_does_not_fit_is_refused_and_what_fits_is_kept(dark: Dark) -> None:
    """Sizes count as the store has them; several at one time do not slip through together."""
    sender = await filling(dark, octets=1000)
    assert not await sender.is_full(600)
    assert await sender.is_full(401)
    assert sorted(await asyncio.gather(*(sender.is_full(100) for _ in range(8)))) == [False] * 4 + [True] * 4
    assert await sender.is_full(1)
    assert sum(len(dark.world.store.read(place)) for place in objects(dark)) == 1000


def objects(dark: Dark) -> list[str]:
    """Places of what waits."""
    return [place for place, _ in dark.world.store.list(BATCHES) if place.endswith(".dcm.age")]


async def test_a_quota_outlives_restarts_and_the_lock(dark: Dark) -> None:
    """Counted anew from the batches, whose sender only the request tells in the dark."""
    sender = await filling(dark, images=4)
    await sender.sends()
    dark.world.time.pass_(3600)
    await sender.sends()
    for _ in range(2):
        restarted(dark, images=4)
        sender = Filling(dark, sender.source)
        await sender.sends()
        assert not dark.world.core.secret_or_none
    assert await sender.is_full()
    restarted(dark, images=4)
    assert await Filling(dark, sender.source).is_full()
    assert len(objects(dark)) == 4
    restarted(dark, images=9)
    assert not await Filling(dark, sender.source).is_full()


async def test_an_admitted_sender_has_none(dark: Dark) -> None:
    """At once, for an association that began before too; a refused one leaves no count."""
    sender = await filling(dark, images=1)
    await sender.sends()
    assert await sender.is_full()
    await dark.service.admit(CONSOLE, sender.source.id)
    assert not await sender.is_full()
    assert not await sender.is_full(10**7)


async def test_each_sender_has_a_quota_of_its_own(dark: Dark) -> None:
    """One that is full takes nothing from another."""
    sender = await filling(dark, images=1)
    await sender.sends()
    await dark.asks("OTHER")
    other, _ = await dark.sends(0, "OTHER")
    assert not await Filling(dark, other).is_full()
    assert await sender.is_full()


async def test_a_forged_list_of_batches_opens_nothing(dark: Dark) -> None:
    """Whoever writes the database can spoil a count: no path comes of it, and nothing is raised."""
    sender = await filling(dark, images=2)
    await sender.sends()
    (pending,) = dark.world.accounts.pending()
    body = msgspec.msgpack.decode(pending.body, type=PendingBody)
    forged = msgspec.structs.replace(body, batches=("../../keys", "", "zz", *body.batches, *body.batches))
    packed = msgspec.msgpack.encode(forged)
    dark.world.accounts.replace_pending(msgspec.structs.replace(pending, body=packed))
    restarted(dark, images=2)
    sender = Filling(dark, sender.source)
    assert not await sender.is_full()
    assert await sender.is_full()


async def test_a_made_up_batch_admits_nobody_who_could_not_be_enrolled(dark: Dark) -> None:
    """Whoever writes the disk can seal a batch that says anything of its sender."""
    for title, address in ((TITLE, "8.8.8.8"), ("SEVENTEEN LETTERS", ADDRESS), ("A\\B", ADDRESS)):
        source = Source(ActorKind.PEER, new_id(), title, address, quarantine=True)
        await dark.world.keeper.batch(source)
        with pytest.raises((BadSetting, BadIdentifier)):
            await dark.service.admit(CONSOLE, source.id)
    assert dark.peers.everyone() == ()
