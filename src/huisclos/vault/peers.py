"""Peers as people see them: list, enrol, remove, admit who knocked, test. Implements `Peers`."""

from __future__ import annotations

from typing import Final

import msgspec

from huisclos.access.accounts import PLAIN_FOR_GOOD, PLAIN_READING_DAYS, PeerBody, RowKind
from huisclos.access.addresses import MAX_PORT, is_private, parse_address
from huisclos.access.chronicle import Change
from huisclos.access.nouns import Actor, Proof, Right
from huisclos.access.peers import (
    EchoOutcome,
    EchoResult,
    Knock,
    Listening,
    ListeningPort,
    Peer,
    PeerAsked,
)
from huisclos.certificates import describe, fingerprint, to_der
from huisclos.errors import BadIdentifier, BadSetting, Conflict, NotGranted
from huisclos.journal.entries import Act
from huisclos.vault.admission import TITLE, Doorkeeper
from huisclos.vault.asking import same_peer
from huisclos.vault.core import Core
from huisclos.vault.people import PeopleService
from huisclos.vault.ports import Echoer
from huisclos.vault.sessions import Sessions

MAX_TITLE: Final = 16
_DAY: Final = 86400.0
SILENT: Final = 7 * _DAY


class PeerService:
    """The people's side of admission."""

    def __init__(
        self, core: Core, sessions: Sessions, people: PeopleService, doorkeeper: Doorkeeper, echoer: Echoer
    ) -> None:
        self._core = core
        self._sessions = sessions
        self._people = people
        self._doorkeeper = doorkeeper
        self._echoer = echoer
        self.listening_since = core.now()
        """Since when we know who was heard: the start, or as far back as the journal was read."""
        """When a peer was heard is known since then only: before that nobody was silent."""
        self.listeners: tuple[ListeningPort, ...] = ()
        self.lan = False
        self.command = ""

    async def listening(self) -> Listening:
        """See `Peers`."""
        return Listening(TITLE, self.listeners, self.lan, self.command)

    async def peers(self, proof: Proof) -> tuple[Peer, ...]:
        """See `Peers`."""
        await self._core.demand(await self._sessions.actor(proof), Right.PEERS, address=proof.address)
        return self.everyone()

    def everyone(self) -> tuple[Peer, ...]:
        """Every peer, approved or waiting, by title."""
        known = [self._shown(peer_id, peer, approved=True) for peer_id, peer in self._approved().items()]
        known += [
            self._shown(peer_id, peer, approved=False) for peer_id, peer in self._people.waiting_peers()
        ]
        return tuple(sorted(known, key=lambda peer: (peer.title, peer.address)))

    async def add(self, proof: Proof, asked: PeerAsked) -> Peer:
        """See `Peers`."""
        body = body_of(asked, self._core.now())
        if self._core.locked:
            peer_id = await self._people.ask_peer(proof, body)
            if body.certificate:
                await self._echoer.pin(body.certificate)
            return self._shown(peer_id, body, approved=False)
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEERS, address=proof.address)
        if not body.may <= PLAIN_FOR_GOOD:
            await self._core.demand(actor, Right.PEOPLE, address=proof.address, what="peer-rights")
        return await self._enrol(actor, body, proof.address)

    async def remove(self, proof: Proof, peer_id: str) -> None:
        """See `Peers`. Narrows: works locked, for the console."""
        actor = await self._sessions.actor(proof, narrowing=True)
        await self._core.demand(actor, Right.PEERS, address=proof.address)
        peer = self._core.ledger.get(PeerBody, peer_id) or dict(self._people.waiting_peers()).get(peer_id)
        self._core.ledger.remove(self._core.secret_or_none, RowKind.PEER, peer_id)
        await self._people.withdraw(peer_id)
        await self._echoer.end_peer(peer_id)
        title = peer.title if peer is not None else ""
        await self._core.journal(
            self._core.entry(
                Act.CHANGED, actor, address=proof.address, what=Change.PEER_REMOVED, subject=title
            )
        )

    async def knocks(self, proof: Proof) -> tuple[Knock, ...]:
        """See `Peers`."""
        await self._core.demand(await self._sessions.actor(proof), Right.PEERS, address=proof.address)
        return self._doorkeeper.knocks()

    async def admit(self, proof: Proof, knock_id: str) -> Peer:
        """See `Peers`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEERS, address=proof.address)
        knock = self._doorkeeper.knock(knock_id)
        if not knock.admissible:
            raise Conflict("this knock cannot be admitted as it is")
        body = body_of(PeerAsked(knock.title, knock.address), self._core.now())
        peer = await self._enrol(actor, body, proof.address)
        self._doorkeeper.admitted(knock_id)
        return peer

    async def ignore(self, proof: Proof, knock_id: str) -> None:
        """See `Peers`."""
        await self._core.demand(await self._sessions.actor(proof), Right.PEERS, address=proof.address)
        self._doorkeeper.ignore(knock_id)

    async def echo(self, proof: Proof, peer_id: str, port: int = 0) -> EchoResult:
        """See `Peers`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEERS, address=proof.address)
        peer = self._core.ledger.need(PeerBody, peer_id)
        at = _checked(port) or peer.port
        result = await self._echoer.echo(peer.address, at, peer.title, TITLE)
        if result.outcome is EchoOutcome.ANSWERED and at != peer.port and not self._core.locked:
            await self._found_at(actor, peer_id, at, proof.address)
        return result

    async def _found_at(self, actor: Actor, peer_id: str, port: int, address: str) -> None:
        peer = self._core.ledger.get(PeerBody, peer_id)
        if peer is None:  # removed while it was asked
            return
        self._core.ledger.put(self._core.secret, msgspec.structs.replace(peer, port=port), peer_id)
        await self._core.journal(
            self._core.entry(
                Act.CHANGED,
                actor,
                address=address,
                what=Change.PEER_CHANGED,
                subject=f"{peer.title} port {port}",
                counts={"set": self._core.ledger.version},
            )
        )

    def silent(self) -> tuple[tuple[str, float], ...]:
        """(title, last heard, or else since when we listen for it) of peers not heard for 7 days."""
        limit = self._core.now() - SILENT
        since = self.listening_since
        listened = ((peer.title, max(peer.last_heard_at, peer.added_at, since)) for peer in self.everyone())
        return tuple((title, at) for title, at in listened if at < limit)

    async def _enrol(self, actor: Actor, body: PeerBody, address: str) -> Peer:
        for peer in self._approved().values():
            if same_peer(peer, body):
                raise Conflict("this peer is enrolled already", hint="remove it first to change it")
        peer_id = self._core.ledger.put(self._core.secret, body)
        if body.certificate:
            await self._echoer.pin(body.certificate)
        await self._core.journal(
            self._core.entry(
                Act.CHANGED,
                actor,
                address=address,
                what=Change.PEER_ADDED,
                subject=f"{body.title} {body.address}",
                purpose=",".join(sorted(body.may)),
                counts={"set": self._core.ledger.version},
            )
        )
        self._people.enrolled(body)
        return self._shown(peer_id, body, approved=True)

    def _approved(self) -> dict[str, PeerBody]:
        return self._core.ledger.all(PeerBody)

    def _shown(self, peer_id: str, peer: PeerBody, *, approved: bool) -> Peer:
        heard = self._doorkeeper.last_heard(peer_id)
        pinned = peer.certificate
        return Peer(
            id=peer_id,
            title=peer.title,
            address=peer.address,
            port=peer.port,
            may=peer.may,
            until=peer.until,
            fingerprint=fingerprint(pinned).hex() if pinned else "",
            certificate_until=describe(pinned).until.timestamp() if pinned else 0.0,
            approved=approved,
            added_at=peer.made_at,
            last_heard_at=heard.at,
            objects=heard.objects,
        )


def check_title(title: str) -> str:
    """An AE title as PS3.5 section 6.2 allows it, spaces around dropped. Raises `BadIdentifier`."""
    tidy = title.strip(" ")
    if not 1 <= len(tidy) <= MAX_TITLE or not all(" " <= char <= "~" and char != "\\" for char in tidy):
        raise BadIdentifier("an AE title has 1 to 16 printable ASCII characters, without backslash")
    return tidy


def body_of(asked: PeerAsked, now: float) -> PeerBody:
    """A peer as it may be enrolled. Raises `BadIdentifier`, `BadSetting`, `NotGranted`."""
    address = parse_address(asked.address)
    if not is_private(address):
        raise BadSetting("a peer's address must be a private one", hint="a public address is the Internet")
    certificate = to_der(asked.certificate) if asked.certificate else b""
    if not asked.may:
        raise BadSetting("a peer without rights is no peer", hint="--may echo,store")
    if not certificate and not asked.may <= PLAIN_FOR_GOOD:
        if not asked.until:
            raise NotGranted(
                "find, move and get over a plain connection need an end date",
                hint=f"--until, at most {PLAIN_READING_DAYS} days away; or pin a certificate",
            )
        if asked.until > now + (PLAIN_READING_DAYS + 1) * _DAY:
            raise NotGranted(f"the end date is more than {PLAIN_READING_DAYS} days away")
    if asked.until and asked.until <= now:
        raise BadSetting("the end date has passed")
    return PeerBody(
        check_title(asked.title), str(address), asked.may, now, _checked(asked.port), certificate, asked.until
    )


def _checked(port: int) -> int:
    if not 0 <= port <= MAX_PORT:
        raise BadSetting("a port is a number from 1 to 65535")
    return port
