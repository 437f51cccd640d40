"""A small house in memory: vault and finder as the archive's ports describe them, over a real store.

Not mocks: keys are real, manifests are signed and sealed, a study is found again by its UID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huisclos.access.nouns import Actor, ActorKind, Grant, Proof, Right, Source
from huisclos.archive.finder_ports import Restored, RestoredStudy
from huisclos.archive.layout import manifest_place, new_id
from huisclos.archive.manifest import encode_manifest, manifest_digest, seal_manifest, to_sign
from huisclos.archive.nouns import (
    ArchiveCounts,
    Choice,
    Cut,
    Deposit,
    Doubt,
    DoubtKind,
    Manifest,
    ManifestEntry,
    ManifestSeries,
    Outcome,
    Placement,
    Quarantined,
    Query,
    QueryPage,
    QuietSeries,
    Rivals,
    Side,
    Standing,
    StoredObject,
    StudyPage,
    StudyState,
    StudyView,
)
from huisclos.archive.ports import BatchKey, BatchSecret, ObjectStore, StudyKey
from huisclos.archive.receive import Received, Receiver
from huisclos.archive.retrieve import OpenStudy
from huisclos.errors import Conflict, Full, Locked, NotFound, StudyNotFound
from huisclos.seal import X25519Identity

MODALITY = Source(ActorKind.PEER, "aa" * 16, "SCANNER")
STRANGER = Source(ActorKind.PEER, "bb" * 16, "STRANGER", quarantine=True)
PERSON = Source(ActorKind.USER, "cc" * 16, "Camille Exemple")
SOMEBODY = Actor(ActorKind.USER, "cc" * 16, "Camille Exemple", frozenset(Right))


class Vault:
    """`Keeper` (what receiving needs of it), `HouseKeys`, and the signature."""

    def __init__(self) -> None:
        self.signing = Ed25519PrivateKey.generate()
        self.verify_key = self.signing.public_key().public_bytes_raw()
        self.studies: dict[str, X25519Identity] = {}
        self.batches: dict[str, tuple[X25519Identity, Source]] = {}
        self.open_batches: dict[Source, str] = {}
        self.deposits: list[Deposit] = []
        self.decisions: list[Choice | None] = []
        self.settlements: list[Deposit] = []
        self.emptied: list[str] = []
        self.cut: list[tuple[str, Cut]] = []
        self.doubles: list[tuple[str, tuple[str, ...]]] = []
        self.approved: set[str] = set()
        self.locked = False
        self.room = 2**40
        """Sealed bytes that are still kept of senders not approved."""

    def new_study(self) -> Placement:
        """A fresh study."""
        study_id, identity = new_id(), X25519Identity.generate()
        self.studies[study_id] = identity
        return Placement(study_id, str(identity.recipient))

    async def actor(self, proof: Proof) -> Actor:
        """See the port."""
        return SOMEBODY

    async def grant(self, proof: Proof, right: Right, purpose: str) -> Grant:
        """See the port."""
        return Grant(new_id(), SOMEBODY, right, purpose, 4e9)

    async def open_study(self, proof: Proof, study_id: str, purpose: str) -> StudyKey:
        """See the port."""
        return self.key(study_id)

    def key(self, study_id: str, until: float = 4e9) -> StudyKey:
        """A study's key under a grant until then."""
        grant = Grant(new_id(), SOMEBODY, Right.READ, "", until, study_id)
        return StudyKey(str(self.studies[study_id]), grant)

    async def sum_reads(self, grant_id: str, instances: int, octets: int) -> None:
        """See the port."""

    async def batch(self, source: Source) -> BatchKey:
        """See the port."""
        batch_id = self.open_batches.get(source)
        if batch_id is None:
            batch_id = self.open_batches[source] = new_id()
            self.batches[batch_id] = (X25519Identity.generate(), source)
        return BatchKey(batch_id, str(self.batches[batch_id][0].recipient))

    async def reserve(self, source: Source, octets: int) -> None:
        """See the port."""
        if octets > self.room:
            raise Full("no room")
        self.room -= octets

    async def deposited(self, deposits: tuple[Deposit, ...]) -> None:
        """See the port."""
        self.deposits += deposits

    async def stored_by(self, proof: Proof) -> Source:
        """See the port."""
        return PERSON

    async def deciding(self, proof: Proof, choice: Choice | None) -> None:
        """See the port."""
        self.decisions.append(choice)

    async def study_key(self, study_id: str) -> str:
        """See the port."""
        if self.locked:
            raise Locked("locked")
        if study_id not in self.studies:
            raise StudyNotFound("no key")
        return str(self.studies[study_id])

    async def batch_key(self, batch_id: str) -> BatchSecret:
        """See the port."""
        if self.locked:
            raise Locked("locked")
        if batch_id not in self.batches:
            raise NotFound("no key")
        identity, source = self.batches[batch_id]
        waiting = source.quarantine and source.id not in self.approved
        now = Source(source.kind, source.id, source.label, source.address, waiting)
        return BatchSecret(batch_id, str(identity), now, 1_000.0)

    async def settled(self, deposits: tuple[Deposit, ...]) -> None:
        """See the port."""
        self.settlements += deposits

    async def doubled(self, study_id: str, instance_ids: tuple[str, ...]) -> None:
        """See the port."""
        self.doubles.append((study_id, instance_ids))

    async def compared(self, study_id: str, cut: Cut) -> None:
        """See the port."""
        self.cut.append((study_id, cut))

    async def batch_empty(self, batch_id: str) -> None:
        """See the port."""
        self.emptied.append(batch_id)


class Study:
    """What the finder knows of one study."""

    def __init__(self, placement: Placement, study_uid: str) -> None:
        self.placement = placement
        self.study_uid = study_uid
        self.objects: dict[str, tuple[StoredObject, Standing]] = {}
        self.series_ids: dict[str, str] = {}
        self.version = 0
        self.digest = b""
        self.dirty = True


class Finder:
    """`Catalog` (what receiving needs of it) and `HouseCatalog`, over one vault and one store."""

    def __init__(self, vault: Vault, store: ObjectStore) -> None:
        self.vault = vault
        self.store = store
        self.by_uid: dict[str, Study] = {}
        self.under_way = False
        self.away = False
        self.before_register: Callable[[StoredObject], None] = lambda _: None
        self.notes: list[tuple[DoubtKind, str]] = []
        self.quarantine: tuple[Quarantined, ...] | None = None
        self.rivals: list[Rivals] = []
        self.comparisons: list[tuple[str, Cut]] = []
        self.written: set[str] = set()
        self.open: set[str] = set()

    def _here(self) -> None:
        if self.away:
            raise Locked("the finder is away")

    def study_of(self, study_id: str) -> Study:
        """A study by its id."""
        for study in self.by_uid.values():
            if study.placement.study_id == study_id:
                return study
        raise StudyNotFound("no such study")

    async def place(self, study_uid: str) -> Placement:
        """See the port."""
        await asyncio.sleep(0)
        self._here()
        if study_uid not in self.by_uid:
            self.by_uid[study_uid] = Study(self.vault.new_study(), study_uid)
        return self.by_uid[study_uid].placement

    async def register(self, stored: StoredObject) -> Outcome:
        """See the port."""
        await asyncio.sleep(0)
        self._here()
        self.before_register(stored)
        study = self.study_of(stored.study_id)
        if study.study_uid != stored.heading.study_uid:
            raise Conflict("an instance lies in the folder of another study")
        if stored.instance_id in study.objects:
            return Outcome.STORED
        outcome = self._judged(stored)
        if outcome is not Outcome.DUPLICATE:
            standing = Standing.PRIMARY if outcome is Outcome.STORED else Standing(outcome.value)
            study.objects[stored.instance_id] = (stored, standing)
            study.series_ids.setdefault(stored.heading.series_uid, new_id())
            study.dirty = True
            self.written.discard(study.series_ids[stored.heading.series_uid])
        return outcome

    def _judged(self, stored: StoredObject) -> Outcome:
        same = [
            other
            for study in self.by_uid.values()
            for other, _ in study.objects.values()
            if other.heading.instance_uid == stored.heading.instance_uid
        ]
        if not same:
            return Outcome.STORED
        if any(other.digest == stored.digest for other in same):
            return Outcome.DUPLICATE
        if any(other.transfer_syntax == stored.transfer_syntax for other in same):
            return Outcome.HELD
        return Outcome.ALTERNATIVE

    async def register_all(self, stored: tuple[StoredObject, ...]) -> tuple[Outcome | None, ...]:
        """See the port."""
        outcomes: list[Outcome | None] = []
        for one in stored:
            try:
                outcomes.append(await self.register(one))
            except (StudyNotFound, Conflict):
                outcomes.append(None)
        return tuple(outcomes)

    async def holds(self, sop_instance_uid: str, digest: bytes) -> bool:
        """See the port."""
        self._here()
        return any(
            stored.heading.instance_uid == sop_instance_uid and stored.digest == digest
            for study in self.by_uid.values()
            for stored, _ in study.objects.values()
        )

    async def query(self, grant: Grant, query: Query) -> QueryPage:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def studies(self, grant: Grant, query: Query) -> StudyPage:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def study(self, grant: Grant, study_uid: str) -> StudyView:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def patient(self, grant: Grant, study_uid: str) -> StudyPage:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def state_of(self, grant: Grant, study_uid: str) -> StudyState:
        """See the port."""
        return self.settle(self.by_uid[study_uid])

    async def found_by(self, grant: Grant, text: str) -> tuple[str, ...]:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def resolve(self, grant: Grant, study_ids: tuple[str, ...]) -> dict[str, str]:
        """Not part of this world."""
        raise NotFound("no queries here")

    async def doubts(self, grant: Grant, *, decided: bool = False) -> tuple[Doubt, ...]:
        """Not part of this world."""
        raise NotFound("no doubts here")

    async def doubt(self, grant: Grant, doubt_id: str) -> Doubt:
        """Not part of this world."""
        raise NotFound("no doubts here")

    async def decide(self, grant: Grant, doubt_id: str, choice: Choice | None) -> Doubt:
        """Not part of this world."""
        raise NotFound("no doubts here")

    async def counts(self) -> ArchiveCounts:
        """See the port."""
        return ArchiveCounts(studies=len(self.by_uid))

    # HouseCatalog

    async def unsettled(self) -> tuple[str, ...]:
        """See the port."""
        return tuple(self.open)

    async def unknown(self, study_id: str, instance_ids: tuple[str, ...]) -> tuple[str, ...]:
        """See the port."""
        known = await self.rows(study_id)
        return tuple(value for value in instance_ids if value not in known)

    async def caught_up(self, study_id: str) -> None:
        """See the port."""
        self.open.discard(study_id)

    async def note(
        self, kind: DoubtKind, left: Side, right: Side, choices: tuple[Choice, ...], key: str
    ) -> str:
        """See the port."""
        self.notes.append((kind, key))
        return new_id()

    async def commit(self) -> None:
        """See the port: what is registered here is known, until somebody kills it."""

    async def flush(self) -> None:
        """See the port."""
        for study in self.by_uid.values():
            self.settle(study)

    async def clear(self) -> None:
        """See the port."""
        self.by_uid.clear()
        self.under_way = True

    async def rebuilding(self) -> None:
        """See the port."""

    async def abandoned(self) -> bool:
        """See the port: whoever rebuilds here is gone at once."""
        return self.under_way

    async def rebuilt(self) -> None:
        """See the port."""
        await self.flush()
        self.under_way = False

    async def decided(self, kind: DoubtKind) -> tuple[tuple[str, Choice], ...]:
        """See the port; nobody decides here."""
        return ()

    async def quarantined(self, waiting: tuple[Quarantined, ...]) -> None:
        """See the port."""
        self._here()
        self.quarantine = waiting

    async def uncompared(self) -> tuple[Rivals, ...]:
        """See the port."""
        return tuple(self.rivals)

    async def compared(self, doubt_id: str, cut: Cut) -> bool:
        """See the port."""
        self.rivals = [one for one in self.rivals if one.doubt_id != doubt_id]
        self.comparisons.append((doubt_id, cut))
        return cut is not Cut.NEITHER

    async def restore_study(self, study: RestoredStudy) -> None:
        """See the port."""
        there = self.by_uid.get(study.study_uid)
        if there is not None and there.placement.study_id != study.study_id:
            raise Conflict("two studies have one UID")
        found = Study(Placement(study.study_id, study.recipient), study.study_uid)
        found.version, found.digest = study.version, study.manifest_digest
        found.series_ids = dict(study.series_ids)
        found.dirty = not study.version
        self.by_uid[study.study_uid] = found

    async def restore(self, restored: tuple[Restored, ...]) -> None:
        """See the port."""
        for one in restored:
            if one.standing is None:
                await self.register(one.stored)
                continue
            self.study_of(one.stored.study_id).objects[one.stored.instance_id] = (one.stored, one.standing)

    async def quiet_series(self, seconds: float) -> tuple[QuietSeries, ...]:
        """See the port; every series is quiet here."""
        return tuple(
            QuietSeries(series_id, series_uid, self.settle(study))
            for study in self.by_uid.values()
            for series_uid, series_id in study.series_ids.items()
            if series_id not in self.written
        )

    async def described(self, series: QuietSeries) -> None:
        """See the port."""
        self.written.add(series.series_id)

    async def states(self, after: str = "", limit: int = 500) -> tuple[StudyState, ...]:
        """See the port."""
        wanted = sorted((s for s in self.by_uid.values() if s.objects), key=lambda s: s.placement.study_id)
        chosen = [study for study in wanted if study.placement.study_id > after][:limit]
        return tuple(self.settle(study) for study in chosen)

    async def rows(self, study_id: str) -> tuple[str, ...]:
        """See the port."""
        try:
            return tuple(self.study_of(study_id).objects)
        except StudyNotFound:
            return ()

    def settle(self, study: Study) -> StudyState:
        """Write the manifest if the study changed since."""
        if study.dirty:
            study.version += 1
            body = encode_manifest(manifest_of(study))
            signature = self.vault.signing.sign(to_sign(body))
            sealed = seal_manifest(body, signature, study.placement.recipient)
            self.store.put(manifest_place(study.placement.study_id), sealed)
            study.digest, study.dirty = manifest_digest(body, signature), False
        return StudyState(study.placement.study_id, study.study_uid, study.version, study.digest)


def manifest_of(study: Study) -> Manifest:
    """The manifest that says what the finder knows."""
    series = {
        stored.heading.series_uid: ManifestSeries(
            study.series_ids[stored.heading.series_uid], stored.heading.series_uid, stored.heading.modality
        )
        for stored, _ in study.objects.values()
    }
    entries = tuple(entry_of(stored, standing) for stored, standing in study.objects.values())
    return Manifest(study.placement.study_id, study.version, study.study_uid, tuple(series.values()), entries)


def entry_of(stored: StoredObject, standing: Standing = Standing.PRIMARY) -> ManifestEntry:
    """The manifest's entry of an object."""
    return ManifestEntry(
        stored.instance_id,
        standing,
        stored.heading.instance_uid,
        stored.heading.sop_class_uid,
        stored.heading.series_uid,
        stored.transfer_syntax,
        stored.digest,
        stored.length,
        stored.data_set_offset,
        stored.header_mac,
        stored.payload_nonce,
        stored.received_at,
        stored.source,
        stored.heading.instance_number,
        rows=stored.heading.rows or 0,
        columns=stored.heading.columns or 0,
    )


class World:
    """A house: vault, finder, store, receiver."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.vault = Vault()
        self.finder = Finder(self.vault, store)
        self.receiver = Receiver(store, self.finder, self.vault)

    async def send(
        self,
        data_set: bytes,
        names: tuple[str, str],
        syntax: str,
        *,
        source: Source = MODALITY,
        piece: int = 16384,
    ) -> Received:
        """A C-STORE: `names` are SOP class and instance of the command."""
        reception = self.receiver.begin(source, *names, syntax, "SCANNER")
        for at in range(0, len(data_set), piece):
            behind = reception.write(data_set[at : at + piece])
            if behind is not None:
                await behind
        return await reception.finish()

    async def upload(
        self, content: bytes, *, source: Source = PERSON, piece: int = 65536, ask_first: bool = False
    ) -> Received:
        """One file by STOW-RS."""
        reception = self.receiver.begin_file(source, ask_first=ask_first)
        try:
            for at in range(0, len(content), piece):
                reception.write(content[at : at + piece])
            return await reception.finish()
        finally:
            reception.abandon()

    async def import_file(self, path: Path) -> Received:
        """One file of the corpus."""
        return await self.upload(path.read_bytes())

    def open(self, study_uid: str) -> OpenStudy:
        """A study, open for reading."""
        study = self.finder.by_uid[study_uid]
        state = self.finder.settle(study)
        return OpenStudy.under(self.store, self.vault.key(state.study_id), state, self.vault.verify_key)
