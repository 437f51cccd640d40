"""Peers between approval and silence."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from huisclos.access.accounts import PeerRight
from huisclos.access.admission import AssociationAsked
from huisclos.access.nouns import Actor, ActorKind
from huisclos.access.peers import EchoOutcome, EchoResult, KnockReason, PeerAsked
from huisclos.errors import BadSetting
from huisclos.journal.entries import Act
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.recall import recall_peers
from tests.vault.world import CONSOLE, World

DAY = 86400.0
ADDRESS = "192.168.1.31"


class Deaf:
    """An `Echoer` without a reception."""

    answers_at = 0

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        if not port:
            return EchoResult(EchoOutcome.NO_PORT)
        return EchoResult(EchoOutcome.ANSWERED if port == self.answers_at else EchoOutcome.UNREACHABLE)

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`."""


def certificate(world: World, *, days: int) -> bytes:
    """A self-signed one that ends so many days from now, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "US09")])
    now = dt.datetime.fromtimestamp(world.core.now(), dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=days))
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


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


async def test_a_port_at_which_it_answered_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knocked was admitted without one: the first test echo that is answered says where it listens."""
    monkeypatch.setattr(Deaf, "answers_at", 104)
    peers, _ = services(world)
    peer = await peers.add(CONSOLE, PeerAsked("CT01", ADDRESS))
    assert EchoOutcome.NO_PORT is (await peers.echo(CONSOLE, peer.id)).outcome
    assert EchoOutcome.UNREACHABLE is (await peers.echo(CONSOLE, peer.id, 105)).outcome
    assert (0,) == tuple(one.port for one in peers.everyone())
    assert EchoOutcome.ANSWERED is (await peers.echo(CONSOLE, peer.id, 104)).outcome
    assert (104,) == tuple(one.port for one in peers.everyone())
    assert EchoOutcome.ANSWERED is (await peers.echo(CONSOLE, peer.id)).outcome
    assert (world.said()[-1].what, world.said()[-1].subject) == ("peer-changed", "CT01 port 104")
    with pytest.raises(BadSetting):
        await peers.echo(CONSOLE, peer.id, 70000)


async def test_a_certificate_that_ended_is_the_reason(world: World) -> None:
    """It may still send; what it may not any more is refused for that reason, and under its own code."""
    peers, doorkeeper = services(world)
    ended = certificate(world, days=-3)
    every = frozenset(PeerRight)
    peer = await peers.add(CONSOLE, PeerAsked("US09", ADDRESS, may=every, certificate=ended))
    assert peer.certificate_until < world.core.now()

    def asked(*wants: PeerRight) -> AssociationAsked:
        return AssociationAsked(
            "US09", "HUISCLOS", ADDRESS, tls=True, certificate=ended, wants=frozenset(wants)
        )

    sent = await doorkeeper.admit(asked(PeerRight.STORE))
    assert (sent.reason, sent.warning) == (None, True)
    assert KnockReason.CERTIFICATE_ENDED is (await doorkeeper.admit(asked(PeerRight.FIND))).reason
    (knock,) = doorkeeper.knocks()
    assert KnockReason.CERTIFICATE_ENDED is knock.reason


async def test_a_handshake_that_failed_was_no_rejected_association(world: World) -> None:
    """The code for the technician says what went over the wire: with another certificate, an alert of TLS."""
    _, doorkeeper = services(world)
    await doorkeeper.turned_away(ADDRESS, "dicom_tls", KnockReason.CERTIFICATE_OTHER)
    assert "TLS alert" == doorkeeper.knocks()[0].code
