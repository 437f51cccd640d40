"""Writing manifests: what the index knows of a study, signed by the vault, sealed to the study."""

from __future__ import annotations

import asyncio
from typing import Final

from huisclos.archive.finder_ports import Signer
from huisclos.archive.layout import manifest_place
from huisclos.archive.manifest import encode_manifest, manifest_digest, seal_manifest
from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries, StudyState
from huisclos.archive.ports import ObjectStore
from huisclos.finder.records import InstanceRecord
from huisclos.finder.search import series_order
from huisclos.finder.shelf import Shelf, Study

QUIET: Final = 2.0
"""Seconds without a change after which a study's manifest is written."""


class ManifestWriter:
    """Brings manifests on disk up to what the index knows."""

    def __init__(self, shelf: Shelf, store: ObjectStore, signer: Signer) -> None:
        self._shelf = shelf
        self._store = store
        self._signer = signer

    async def settle(self, study: Study) -> StudyState:
        """Write the study's manifest if it lacks anything; what must be found on disk.

        Its version and digest are in the index, durably, when this returns: versions never come
        twice. Raises `Locked`, `Unreachable`, `Full`.
        """
        async with study.lock:
            if study.stale:
                await self._write(study)
            return StudyState(study.study_id, study.uid, study.version, study.digest)

    async def _write(self, study: Study) -> None:
        changes = study.changes
        instances = await self._shelf.rows.instances(study.study_id)
        if not instances and not study.version:
            study.stale = False
            return
        await self._shelf.open(study)
        body = encode_manifest(manifest_of(study, instances, study.version + 1))
        signature = await self._signer.sign("manifest", body)
        sealed = seal_manifest(body, signature, study.recipient)
        await asyncio.to_thread(self._store.put, manifest_place(study.study_id), sealed)
        study.version += 1
        study.digest = manifest_digest(body, signature)
        study.stale = study.changes != changes
        self._shelf.mark(study)
        await self._shelf.commit()
        await self._shelf.rows.write_study(study.uid, study.kept())


def manifest_of(study: Study, instances: list[InstanceRecord], version: int) -> Manifest:
    """The manifest of a study, the same for the same rows."""
    series = sorted(study.series.values(), key=series_order)
    return Manifest(
        study_id=study.study_id,
        version=version,
        study_uid=study.uid,
        series=tuple(
            ManifestSeries(
                one.series_id, one.series_uid, one.modality, one.series_number, one.series_description
            )
            for one in series
        ),
        instances=tuple(map(_entry, sorted(instances, key=lambda one: one.instance_id))),
    )


def _entry(instance: InstanceRecord) -> ManifestEntry:
    return ManifestEntry(
        instance_id=instance.instance_id,
        standing=instance.standing,
        sop_instance_uid=instance.instance_uid,
        sop_class_uid=instance.sop_class_uid,
        series_uid=instance.series_uid,
        transfer_syntax=instance.transfer_syntax,
        digest=instance.digest,
        length=instance.length,
        data_set_offset=instance.data_set_offset,
        header_mac=instance.header_mac,
        payload_nonce=instance.payload_nonce,
        received_at=instance.received_at,
        source=instance.source,
        number=instance.instance_number,
        frames=instance.number_of_frames or 1,
        rows=instance.rows or 0,
        columns=instance.columns or 0,
    )
