"""Deciding about a sender who is not approved: admit it, or destroy what it sent. Implements `Quarantine`."""

from __future__ import annotations

import asyncio
from typing import Final

from huisclos.access.chronicle import Change
from huisclos.access.nouns import Actor, Proof, Right, Source
from huisclos.access.peers import PeerAsked
from huisclos.archive.layout import BATCHES, PlaceKind, batch_folder, batch_key_place, parse_place
from huisclos.errors import NotFound, SealError
from huisclos.journal.entries import Act
from huisclos.vault.core import Core
from huisclos.vault.keeper import Vaultkeeper
from huisclos.vault.peers import body_of
from huisclos.vault.people import PeopleService
from huisclos.vault.ports import Echoer
from huisclos.vault.sessions import Sessions

DISCARDED: Final = "quarantine"
"""The journal's word for what was destroyed."""


class QuarantineService:
    """The owner's side of what waits in batches of senders not approved."""

    def __init__(
        self, core: Core, sessions: Sessions, people: PeopleService, keeper: Vaultkeeper, echoer: Echoer
    ) -> None:
        self._core = core
        self._sessions = sessions
        self._people = people
        self._keeper = keeper
        self._echoer = echoer
        self._deciding = asyncio.Lock()

    async def admit(self, proof: Proof, source_id: str) -> str:
        """See `Quarantine`."""
        actor = await self._owner(proof)
        async with self._deciding:
            source, _ = await self._waiting(source_id)
            if source_id in dict(self._people.waiting_peers()):
                await self._people.approve(proof, source_id)
            else:
                await self._enrol(actor, source, proof.address)
        return source.label

    async def discard(self, proof: Proof, source_id: str) -> int:
        """See `Quarantine`."""
        actor = await self._owner(proof)
        async with self._deciding:
            source, batches = await self._waiting(source_id)
            objects = await asyncio.to_thread(self._objects, batches)
            counts = {"instances": len(objects), "octets": sum(objects.values())}
            entry = self._core.entry(
                Act.DECIDED,
                actor,
                address=proof.address,
                what=DISCARDED,
                purpose="refused",
                subject=source.label,
                counts=counts,
            )
            await self._core.journal(entry)
            await self._people.withdraw(source_id)
            await self._echoer.end_peer(source_id)
            self._keeper.close_batches(source_id)
            self._keeper.quota.forget(source_id)
            await asyncio.to_thread(self._destroy, batches)
        return len(objects)

    async def _owner(self, proof: Proof) -> Actor:
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        self._core.secret  # noqa: B018 - raises Locked
        return actor

    async def _waiting(self, source_id: str) -> tuple[Source, list[str]]:
        """The sender as it stands, and its batches. Raises `NotFound` when nothing waits of it."""
        sources, batches = [], []
        for batch_id in await asyncio.to_thread(self._batch_ids):
            try:
                secret = await self._keeper.batch_key(batch_id)
            except (NotFound, SealError):
                continue  # what is wrong with it is for `verify` to say
            if secret.source.quarantine and secret.source.id == source_id:
                sources.append(secret.source)
                batches.append(batch_id)
        if not sources:
            raise NotFound("nothing waits of this sender any more")
        return sources[-1], batches

    async def _enrol(self, actor: Actor, source: Source, address: str) -> None:
        """A sender whose request is gone, admitted as it sent."""
        # a batch may say anything of its sender: whoever writes the disk can seal one
        peer = body_of(PeerAsked(source.label, source.address), self._core.now())
        entry = self._core.entry(
            Act.CHANGED,
            actor,
            address=address,
            what=Change.PEER_ADDED,
            subject=f"{peer.title} {peer.address}",
            purpose=",".join(sorted(peer.may)),
            counts={"set": self._core.ledger.version},
        )
        await self._core.journal(entry)
        self._core.ledger.put(self._core.secret, peer, source.id)

    def _batch_ids(self) -> list[str]:
        read = (parse_place(place) for place, _ in self._core.store.list(BATCHES))
        return [one.owner_id for one in read if one.kind is PlaceKind.BATCH_KEY]

    def _objects(self, batches: list[str]) -> dict[str, int]:
        """Sealed bytes by place."""
        return {
            place: size
            for batch_id in batches
            for place, size in self._core.store.list(batch_folder(batch_id))
            if parse_place(place).kind is PlaceKind.BATCH_INSTANCE
        }

    def _destroy(self, batches: list[str]) -> None:
        """Keys last: cut short, what is left is still listed, and can be refused again."""
        for place in self._objects(batches):
            self._core.store.delete(place)
        for batch_id in batches:
            self._core.store.delete(batch_key_place(batch_id))
        # what was being committed while its association was ended
        for place in self._objects(batches):
            self._core.store.delete(place)
