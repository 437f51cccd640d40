"""A finder over real adapters: SQLite in a folder, keys of its own, a store in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huisclos.access.grants import sign
from huisclos.access.nouns import Actor, ActorKind, Grant, Right, Source
from huisclos.archive.layout import manifest_place, new_id
from huisclos.archive.manifest import open_manifest
from huisclos.archive.nouns import Manifest, Placement, StoredObject, StudyState
from huisclos.database import SqlDecisions, SqlIndex
from huisclos.dicom.heading import Heading
from huisclos.errors import Locked
from huisclos.finder.catalog import FinderCatalog
from huisclos.seal import X25519Identity
from huisclos.seal.records import RecordKey
from huisclos.stores.memory import MemoryStore

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.70"
SOURCE = Source(ActorKind.PEER, "aa" * 16, "SCANNER")


class World:
    """One archive: its disk stays when its finder is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.signing = Ed25519PrivateKey.generate()
        self.record_key = RecordKey(RecordKey.generate())
        self.grant_key = b"g" * 32
        self.identities: dict[str, X25519Identity] = {}
        self.locked = False
        self.signed = 0
        self.moment = 1_000.0
        self.index = SqlIndex(folder / "index.sqlite")
        self.decisions = SqlDecisions(folder / "decisions.sqlite")
        self.before_new_study: Callable[[], None] = lambda: None

    async def new_study(self) -> Placement:
        """See `StudyKeys`."""
        self.before_new_study()
        study_id, identity = new_id(), X25519Identity.generate()
        self.identities[study_id] = identity
        return Placement(study_id, str(identity.recipient))

    async def sign(self, context: str, body: bytes) -> bytes:
        """See `Signer`."""
        if self.locked:
            raise Locked("locked")
        self.signed += 1
        return self.signing.sign(f"huisclos {context} v1\0".encode() + body)

    def start(self) -> FinderCatalog:
        """A finder, as after an unlock: it knows what is on disk."""
        catalog = FinderCatalog(
            index=self.index,
            decisions=self.decisions,
            store=self.store,
            keys=self,
            signer=self,
            record_key=self.record_key,
            grant_key=self.grant_key,
            now=lambda: NOW,
            steady=lambda: self.moment,
            patience=0.2,
        )
        catalog.load()
        return catalog

    def grant(self, right: Right = Right.LIST, study_id: str = "", until: float = 0.0) -> Grant:
        """A grant of the vault."""
        actor = Actor(ActorKind.USER, "cc" * 16, "Camille Exemple", frozenset(Right))
        until = until or NOW.timestamp() + 60
        return sign(Grant(new_id(), actor, right, "", until, study_id), self.grant_key)

    def manifest(self, state: StudyState) -> Manifest:
        """The manifest on disk, which must be the one the finder vouches for."""
        sealed = self.store.read(manifest_place(state.study_id))
        verify_key = self.signing.public_key().public_bytes_raw()
        return open_manifest(sealed, self.identities[state.study_id], verify_key, state)

    def close(self) -> None:
        """Let go of the databases."""
        self.index.close()
        self.decisions.close()


def heading(study: int = 1, series: int = 1, instance: int = 1, **said: object) -> Heading:
    """What an invented CT instance says of itself."""
    root = f"1.2.826.0.1.3680043.10.99999.{study}"
    plain: dict[str, object] = {
        "transfer_syntax_uid": EXPLICIT,
        "specific_character_set": "ISO_IR 100",
        "study_uid": root,
        "series_uid": f"{root}.{series}",
        "instance_uid": f"{root}.{series}.{instance}",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "patient_name": "EXEMPLE^Camille",
        "patient_id": "P1",
        "patient_birth_date": "19540312",
        "patient_sex": "F",
        "study_date": "20240229",
        "modality": "CT",
        "instance_number": instance,
        "rows": 512,
        "columns": 512,
    }
    return msgspec.convert(plain | said, Heading)


def stored(
    placement: Placement, said: Heading, content: bytes = b"", syntax: str = EXPLICIT, **more: object
) -> StoredObject:
    """An object of this heading, as the archive would have sealed it."""
    made = StoredObject(
        instance_id=new_id(),
        study_id=placement.study_id,
        batch_id="",
        transfer_syntax=syntax,
        digest=hashlib.sha256(content or said.instance_uid.encode()).digest(),
        length=1000,
        data_set_offset=300,
        header_mac=b"m" * 32,
        payload_nonce=b"n" * 16,
        source=SOURCE,
        received_at=1.7e9,
        heading=said,
    )
    return msgspec.structs.replace(made, **more)
