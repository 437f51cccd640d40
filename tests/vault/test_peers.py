"""Peers between approval and silence."""

from __future__ import annotations

from huisclos.access.admission import AssociationAsked
from huisclos.access.nouns import Actor, ActorKind
from huisclos.access.peers import EchoOutcome, EchoResult, PeerAsked
from huisclos.journal.entries import Act
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.recall import recall_peers
from tests.vault.world import CONSOLE, World

DAY = 86400.0
ADDRESS = "192.168.1.31"


class Deaf:
    """An `Echoer` without a reception."""

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        return EchoResult(EchoOutcome.UNREACHABLE)

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`."""


def services(world: World) -> tuple[PeerService, Doorkeeper]:
    """Peers and admission, as after a start."""
    doorkeeper = Doorkeeper(world.core, world.people)
    return PeerService(world.core, world.sessions, world.people, doorkeeper, Deaf()), doorkeeper


async def test_a_restart_makes_nobody_silent(world: World) -> None:
    """Seven days are counted from when we began to listen, if nothing was heard since."""
    peers, _ = services(world)
    await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    world.time.pass_(30 * DAY)
    peers, doorkeeper = services(world)
    assert peers.silent() == ()
    world.time.pass_(8 * DAY)
    assert [title for title, _ in peers.silent()] == ["CT01"]
    (peer,) = peers.everyone()
    await doorkeeper.heard(peer.id, 1)
    assert peers.silent() == ()


async def test_silence_is_read_back_from_the_journal(world: World) -> None:
    """After a restart, who was heard yesterday is not silent, and who was not heard for long is."""
    peers, _ = services(world)
    heard = await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    await peers.add(CONSOLE, PeerAsked("MR01", ADDRESS))
    world.time.pass_(30 * DAY)
    actor = Actor(ActorKind.PEER, heard.id, "CT01", frozenset())
    await world.core.journal(world.core.entry(Act.STORED, actor))
    at = world.core.now()
    world.time.pass_(DAY)
    peers, doorkeeper = services(world)
    await recall_peers(world.core, world.chronicle, doorkeeper, peers)
    assert ["MR01"] == [title for title, _ in peers.silent()]
    assert {"CT01": at, "MR01": 0.0} == {peer.title: peer.last_heard_at for peer in peers.everyone()}


async def test_asking_again_for_an_approved_peer_does_not_put_it_apart(world: World) -> None:
    """What it sends goes to its studies; the request in the dark takes nothing away."""
    peers, doorkeeper = services(world)
    approved = await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    world.lock()
    waiting = await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    verdict = await doorkeeper.admit(AssociationAsked("CT01", "HUISCLOS", ADDRESS, tls=False))
    assert verdict.source is not None
    assert (verdict.source.id, verdict.source.quarantine) == (approved.id, False)
    await peers.remove(CONSOLE, waiting.id)
    assert ("changed", "peer-removed", "CT01") in [
        (entry.act.value, entry.what, entry.subject) for entry in world.said()
    ]


async def test_asking_twice_in_the_dark_is_asking_once(world: World) -> None:
    """One request waits for one peer; enrolled by its owner, none does."""
    peers, _ = services(world)
    world.lock()
    first = await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    assert (await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))).id == first.id
    other = await peers.add(CONSOLE, PeerAsked("MR01", ADDRESS))
    assert len(world.core.accounts.pending()) == 2
    world.unlock()
    await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    assert [other.id] == [waiting.id for waiting in world.core.accounts.pending()]
