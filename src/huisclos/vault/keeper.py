"""Keys on request: grants and study keys for faces (P9), batches, and what the house's own work needs.

Implements the ports `Keeper`, `HouseKeys`, `StudyKeys` and `Signer`. Study keys go out only after
the entry that says so is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from huisclos.access import grants
from huisclos.access.accounts import PeerBody
from huisclos.access.addresses import parse_address
from huisclos.access.chronicle import DOUBLED
from huisclos.access.nouns import Actor, Grant, Proof, Right, Source
from huisclos.archive.layout import batch_key_place, key_place
from huisclos.archive.nouns import Choice, Cut, Deposit, Placement
from huisclos.archive.ports import BatchKey, BatchSecret, StudyKey
from huisclos.errors import NotFound, NotGranted, StoreError, StudyNotFound
from huisclos.journal.entries import Act, Entry
from huisclos.seal import X25519Identity, seal, unseal
from huisclos.vault.budget import Budgets
from huisclos.vault.core import HOUSE, Core
from huisclos.vault.quota import Quota
from huisclos.vault.sessions import Sessions

_BATCH_LIFE: Final = 15 * 60.0
"""Seconds a batch stays open: the younger the key, the less one stolen file of it opens."""

_BATCH_KEPT: Final = 24 * 3600.0
"""Seconds a batch's key is kept at least: longer than any association that may still write into it."""


class _BatchDocument(msgspec.Struct, frozen=True):
    identity: str
    source: Source
    opened_at: float


@dataclass(slots=True)
class _Reading:
    actor: Actor
    grant: Grant
    address: str
    instances: int = 0
    octets: int = 0


@dataclass(slots=True)
class _OpenBatch:
    key: BatchKey
    source: Source
    until: float


class Vaultkeeper:
    """The one that hands out keys."""

    def __init__(self, core: Core, sessions: Sessions, budgets: Budgets) -> None:
        self._core = core
        self._sessions = sessions
        self._budgets = budgets
        self._lists: dict[tuple[str, Right, str, str], Grant] = {}
        self._readings: dict[tuple[str, str, str], _Reading] = {}
        self._by_grant: dict[str, _Reading] = {}
        self._batches: dict[Source, _OpenBatch] = {}
        self._opening = asyncio.Lock()
        self._summing: asyncio.Task[None] | None = None
        self.quota = Quota(core, self._approved)
        """How much is kept of a sender who is not approved."""
        self.on_deposits: Callable[[tuple[Deposit, ...]], None] = lambda _: None
        """Told of each deposit, for the state page and the gate."""

    # Keeper

    async def actor(self, proof: Proof) -> Actor:
        """See `Keeper`."""
        return (await self._sessions.admit(proof)).actor

    async def grant(self, proof: Proof, right: Right, purpose: str) -> Grant:
        """See `Keeper`."""
        admitted = await self._sessions.admit(proof)
        actor = admitted.actor
        await self._core.demand(actor, right, address=proof.address)
        self._core.secret  # noqa: B018 - raises Locked
        key = (actor.id, right, purpose, admitted.study_id)
        known = self._lists.get(key)
        now = self._core.now()
        if known is not None and known.until - now > grants.LIFE / 3 and known.actor == actor:
            return known
        made = self._sign(
            Grant(secrets.token_hex(16), actor, right, purpose, now + grants.LIFE, admitted.study_id)
        )
        await self._core.journal(
            self._core.entry(
                Act.GRANTED,
                actor,
                address=proof.address,
                study_id=admitted.study_id,
                purpose=purpose,
                what=right.value,
                grant_id=made.id,
            )
        )
        self._core.secret  # noqa: B018 - raises Locked: it may have been locked meanwhile
        self._lists = {other: grant for other, grant in self._lists.items() if grant.until > now}
        self._lists[key] = made
        return made

    async def open_study(self, proof: Proof, study_id: str, purpose: str) -> StudyKey:
        """See `Keeper`."""
        actor = await self._sessions.actor(proof, study_id=study_id)
        right = Right.EXPORT if purpose == Right.EXPORT.value else Right.READ
        await self._core.demand(actor, right, address=proof.address)
        identity = await asyncio.to_thread(self._study_identity, study_id)
        now = self._core.now()
        known = self._readings.get((actor.id, study_id, purpose))
        if known is not None and known.actor == actor and known.grant.until - now > 1.0:
            return StudyKey(identity, known.grant)
        await self._budgets.spend(actor, proof.address)
        until = now + grants.LIFE
        made = self._sign(Grant(secrets.token_hex(16), actor, right, purpose, until, study_id))
        await self._core.journal(
            self._core.entry(
                Act.GRANTED,
                actor,
                address=proof.address,
                study_id=study_id,
                purpose=purpose,
                what=right.value,
                grant_id=made.id,
            )
        )
        self._core.secret  # noqa: B018 - raises Locked: it may have been locked meanwhile
        self._forget_ended(now)
        reading = _Reading(actor, made, proof.address)
        self._readings[actor.id, study_id, purpose] = self._by_grant[made.id] = reading
        return StudyKey(identity, made)

    async def sum_reads(self, grant_id: str, instances: int, octets: int) -> None:
        """See `Keeper`."""
        reading = self._by_grant.get(grant_id)
        if reading is None:
            return
        reading.instances += instances
        reading.octets += octets
        if self._summing is None or self._summing.done():
            self._summing = asyncio.create_task(self._sum_soon())

    async def batch(self, source: Source) -> BatchKey:
        """See `Keeper`."""
        await self.quota.check(source)
        async with self._opening:
            now = self._core.now()
            self._batches = {other: open_ for other, open_ in self._batches.items() if open_.until >= now}
            known = self._batches.get(source)
            if known is None:
                batch_id = secrets.token_hex(16)
                self.quota.opened(source, batch_id)
                key = await asyncio.to_thread(self._new_batch, batch_id, source, now)
                known = self._batches[source] = _OpenBatch(key, source, now + _BATCH_LIFE)
            return known.key

    async def reserve(self, source: Source, octets: int) -> None:
        """See `Keeper`."""
        await self.quota.reserve(source, octets)

    async def deposited(self, deposits: tuple[Deposit, ...]) -> None:
        """See `Keeper`."""
        self.on_deposits(deposits)
        await self._core.journal(*(self._stored(Act.STORED, deposit) for deposit in deposits))

    async def stored_by(self, proof: Proof) -> Source:
        """See `Keeper`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.STORE, address=proof.address)
        return self._core.sources.name(Source(actor.kind, actor.id, actor.name, proof.address))

    async def deciding(self, proof: Proof, choice: Choice | None) -> None:
        """See `Keeper`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.DECIDE, address=proof.address)
        self._core.secret  # noqa: B018 - raises Locked
        purpose = "undone" if choice is None else choice.value
        entry = self._core.entry(Act.DECIDED, actor, address=proof.address, what="doubt", purpose=purpose)
        await self._core.journal(entry)

    # HouseKeys, StudyKeys, Signer

    async def study_key(self, study_id: str) -> str:
        """See `HouseKeys`."""
        return await asyncio.to_thread(self._study_identity, study_id)

    async def batch_key(self, batch_id: str) -> BatchSecret:
        """See `HouseKeys`."""
        sealed = await asyncio.to_thread(self._core.store.read, batch_key_place(batch_id))
        document = msgspec.json.decode(unseal(sealed, self._core.secret.identities), type=_BatchDocument)
        source = document.source
        if source.quarantine and self._approved(source):
            source = msgspec.structs.replace(source, quarantine=False)
        full_since = await self.quota.full_since(source.id) if source.quarantine else 0.0
        return BatchSecret(batch_id, document.identity, source, document.opened_at, full_since)

    async def settled(self, deposits: tuple[Deposit, ...]) -> None:
        """See `HouseKeys`."""
        await self._core.journal(*(self._stored(Act.SETTLED, deposit) for deposit in deposits))

    async def doubled(self, study_id: str, instance_ids: tuple[str, ...]) -> None:
        """See `HouseKeys`."""
        counts = {"instances": len(instance_ids)}
        told = self._core.entry(Act.SETTLED, HOUSE, study_id=study_id, what=DOUBLED, counts=counts)
        await self._core.journal(msgspec.structs.replace(told, instance_ids=instance_ids))

    async def compared(self, study_id: str, cut: Cut) -> None:
        """See `HouseKeys`."""
        what = "written-anew" if cut is Cut.SAME else "cut-short"
        await self._core.journal(self._core.entry(Act.DECIDED, HOUSE, study_id=study_id, what=what))

    async def batch_empty(self, batch_id: str) -> None:
        """See `HouseKeys`."""
        opened_at = (await self.batch_key(batch_id)).opened_at
        if self._core.now() - opened_at > _BATCH_KEPT:
            await asyncio.to_thread(self._core.store.delete, batch_key_place(batch_id))

    async def new_study(self) -> Placement:
        """See `StudyKeys`."""
        secret = self._core.secret
        study_id = secrets.token_hex(16)
        identity = X25519Identity.generate()
        sealed = seal(str(identity).encode() + b"\n", [secret.identity.recipient])
        await asyncio.to_thread(self._core.store.put, key_place(study_id), sealed)
        return Placement(study_id, str(identity.recipient))

    async def sign(self, context: str, body: bytes) -> bytes:
        """See `Signer`."""
        if context != "manifest":
            raise NotGranted("the vault signs manifests only for the finder")
        return self._core.secret.signing.sign(f"huisclos {context} v1\0".encode() + body)

    # what the vault's other services ask

    def close_batches(self, source_id: str = "") -> None:
        """Begin new batches from now on: at unlock, or when a source changes its standing."""
        self._batches = {
            source: open_ for source, open_ in self._batches.items() if source_id and source.id != source_id
        }

    async def end(self) -> None:
        """At lock: every grant ends, what was read is summed."""
        try:
            await self._sum()
        finally:
            self._lists.clear()
            self._readings.clear()
            self._by_grant.clear()

    def end_actor(self, actor_id: str) -> None:
        """An actor lost rights: what it holds is not renewed."""
        self._lists = {key: grant for key, grant in self._lists.items() if key[0] != actor_id}
        self._readings = {key: reading for key, reading in self._readings.items() if key[0] != actor_id}

    def _approved(self, source: Source) -> bool:
        """Whether a sender was approved since: under its own request, or enrolled anew as what it is."""
        if self._core.ledger.get(PeerBody, source.id) is not None:
            return True
        plain = (
            (peer.title, peer.address, peer.certificate) for peer in self._core.ledger.all(PeerBody).values()
        )
        return bool(source.address) and (source.label, _plain(source.address), b"") in plain

    def _sign(self, grant: Grant) -> Grant:
        return grants.sign(grant, self._core.grant_key)

    def _study_identity(self, study_id: str) -> str:
        secret = self._core.secret
        try:
            sealed = self._core.store.read(key_place(study_id))
        except NotFound:
            raise StudyNotFound(
                "this study has no key in the keyring",
                hint="restore keyring/ from a backup, then: huisclos verify",
            ) from None
        return unseal(sealed, secret.identities).decode("ascii").strip()

    def _new_batch(self, batch_id: str, source: Source, now: float) -> BatchKey:
        identity = X25519Identity.generate()
        document = msgspec.json.encode(_BatchDocument(str(identity), source, now))
        self._core.store.put(batch_key_place(batch_id), seal(document, [self._core.recipient]))
        return BatchKey(batch_id, str(identity.recipient))

    async def _sum_soon(self) -> None:
        await asyncio.sleep(0.8)
        with contextlib.suppress(StoreError):  # what was read is told with the next sum
            await self._sum()

    async def _sum(self) -> None:
        entries: list[Entry] = []
        told: list[tuple[_Reading, int, int]] = []
        for reading in self._by_grant.values():
            if reading.instances or reading.octets:
                entries.append(
                    self._core.entry(
                        Act.READ,
                        reading.actor,
                        address=reading.address,
                        study_id=reading.grant.study_id,
                        purpose=reading.grant.purpose,
                        counts={"instances": reading.instances, "octets": reading.octets},
                        grant_id=reading.grant.id,
                    )
                )
                told.append((reading, reading.instances, reading.octets))
                reading.instances = reading.octets = 0
        try:
            if entries:
                await self._core.journal(*entries)
        except StoreError:
            for reading, instances, octets in told:
                reading.instances += instances
                reading.octets += octets
            raise

    def _forget_ended(self, now: float) -> None:
        """Drop the readings that nobody sums up any more; of one grant renewed, each goes in its time."""
        ended = [reading for reading in self._by_grant.values() if reading.grant.until + 60 < now]
        for reading in ended:
            del self._by_grant[reading.grant.id]
        self._readings = {
            key: reading for key, reading in self._readings.items() if reading.grant.id in self._by_grant
        }

    def _stored(self, act: Act, deposit: Deposit) -> Entry:
        source = deposit.source
        actor = Actor(source.kind, source.id, source.label, frozenset()) if act is Act.STORED else HOUSE
        return self._core.entry(
            act,
            actor,
            address=source.address,
            study_id=deposit.study_id,
            what=deposit.digest.hex(),
            subject=source.label,
            counts={"instances": deposit.objects, "octets": deposit.octets},
        )


def _plain(address: str) -> str:
    """An address as peers are enrolled with it."""
    return str(parse_address(address))
