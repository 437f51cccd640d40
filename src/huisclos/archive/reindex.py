"""Rebuilding the index from objects, manifests and keys (P4), and saying what nothing attests.

A manifest on disk is believed if the archive signed it for its study. Whether it is the newest only
the lost index or the journal could tell, so each study's version is in the report.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from huisclos import clock
from huisclos.archive.examine import (
    HOUSE,
    Whereabouts,
    examine,
    read_heading_of,
    stored_as_listed,
    stored_from,
)
from huisclos.archive.finder_ports import Restored, RestoredStudy
from huisclos.archive.layout import (
    OBJECTS,
    PlaceKind,
    instance_place,
    manifest_place,
    parse_place,
    study_folder,
)
from huisclos.archive.manifest import check_object, read_manifest
from huisclos.archive.nouns import Choice, DoubtKind, Manifest, ManifestEntry, Side, StudyState
from huisclos.archive.ports import HouseCatalog, HouseKeys, ObjectStore
from huisclos.archive.verify import Problem, ProblemKind
from huisclos.errors import (
    Conflict,
    InstanceNotFound,
    Locked,
    NoIdentityMatch,
    NotFound,
    SealError,
    StoreError,
    Unreadable,
    WrongObject,
)
from huisclos.seal import HeaderFacts, X25519Identity, open_at

_AT_A_TIME: Final = 8
_TOLD: Final = 500
_SIGN_EVERY: Final = 5.0


class Reindexed(Struct):
    """What rebuilding came to; also the shape of `--json`."""

    studies: int = 0
    objects: int = 0
    unattested: int = 0
    """Objects found that no manifest lists: restored, and listed under "to decide"."""
    problems: list[Problem] = msgspec.field(default_factory=list)
    versions: dict[str, int] = msgspec.field(default_factory=dict)
    """Version of the manifest found for each study id; 0 for none."""


class Surveyed(Struct):
    """What one study's folder holds."""

    study_id: str
    study: RestoredStudy | None = None
    """None if nothing in the folder could be believed."""
    restored: list[Restored] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)


def survey_study(
    store: ObjectStore, study_id: str, identity: str, verify_key: bytes, received_at: float
) -> Surveyed:
    """Read a study's folder; `received_at` stands for objects of which nothing tells when they came."""
    found = Surveyed(study_id)
    key = X25519Identity.parse(identity)
    manifest, state = _manifest(store, study_id, key, verify_key, found)
    on_disk = _instances(store, study_id)
    listed = manifest.instances if manifest is not None else ()
    for entry in listed:
        if entry.instance_id in on_disk:
            _take_listed(store, study_id, entry, key, found)
        else:
            found.problems.append(Problem(ProblemKind.DELETED, study_id, instance_id=entry.instance_id))
    for instance_id in sorted(on_disk - {entry.instance_id for entry in listed}):
        _take_unattested(store, Whereabouts(instance_id, study_id, HOUSE, received_at), key, found)
    recipient = str(key.recipient)
    if manifest is not None and state is not None:
        series = tuple((series.series_uid, series.series_id) for series in manifest.series)
        found.study = RestoredStudy(
            study_id, manifest.study_uid, recipient, state.version, state.manifest_digest, series
        )
    elif found.restored:
        found.study = RestoredStudy(study_id, found.restored[0].stored.heading.study_uid, recipient)
    return found


async def reindex(
    store: ObjectStore,
    catalog: HouseCatalog,
    keys: HouseKeys,
    verify_key: bytes,
    *,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    timestamp: Callable[[], float] = clock.timestamp,
) -> Reindexed:
    """Empty the index and fill it from what lies on disk. What waits in batches is settled afterwards.

    `executor` runs `survey_study`, a process pool by default. Raises `Locked`, `Unreachable` when
    a process of the house goes away: then begin again, or leave it to the scribe.
    """
    total = Reindexed()
    await catalog.clear()
    signing = asyncio.create_task(_sign(catalog))
    try:
        done: set[str] = set()
        # Once more at the end: what was on its way when it began may have made a folder meanwhile.
        while waiting := sorted(await asyncio.to_thread(_studies, store) - done):
            for start in range(0, len(waiting), _AT_A_TIME):
                some = waiting[start : start + _AT_A_TIME]
                surveys = (_survey(store, one, keys, verify_key, executor, timestamp) for one in some)
                for found in await asyncio.gather(*surveys):
                    await _restore(catalog, found, total)
                done.update(some)
                progress(len(done), len(done) + len(waiting) - start - len(some))
        await catalog.rebuilt()
    finally:
        signing.cancel()
    return total


async def _sign(catalog: HouseCatalog) -> None:
    with contextlib.suppress(Locked, StoreError):
        while True:
            await asyncio.sleep(_SIGN_EVERY)
            await catalog.rebuilding()


async def _survey(
    store: ObjectStore,
    study_id: str,
    keys: HouseKeys,
    verify_key: bytes,
    executor: Executor | None,
    timestamp: Callable[[], float],
) -> Surveyed:
    try:
        identity = await keys.study_key(study_id)
    except (NotFound, SealError):
        return Surveyed(study_id, problems=[Problem(ProblemKind.MISSING_KEY, study_id)])
    work = partial(survey_study, store, study_id, identity, verify_key, timestamp())
    return await asyncio.get_running_loop().run_in_executor(executor, work)


async def _restore(catalog: HouseCatalog, found: Surveyed, total: Reindexed) -> None:
    total.problems += found.problems
    if found.study is None:
        return
    try:
        await catalog.restore_study(found.study)
    except Conflict:
        total.problems.append(Problem(ProblemKind.UNATTESTED, found.study_id))
        return
    for start in range(0, len(found.restored), _TOLD):
        await catalog.restore(tuple(found.restored[start : start + _TOLD]))
    total.studies += 1
    total.objects += len(found.restored)
    total.versions[found.study_id] = found.study.version
    for one in found.restored:
        if one.standing is None:
            total.unattested += 1
            total.problems.append(
                Problem(ProblemKind.UNATTESTED, found.study_id, instance_id=one.stored.instance_id)
            )
            await _note(catalog, one)


async def _note(catalog: HouseCatalog, one: Restored) -> None:
    heading = one.stored.heading
    side = Side(
        study_uid=heading.study_uid,
        sop_instance_uid=heading.instance_uid,
        patient_name=heading.patient_name,
        patient_id=heading.patient_id,
        birth_date=heading.patient_birth_date,
        sex=heading.patient_sex,
        study_date=heading.study_date,
        description=heading.study_description,
        modality=heading.modality,
        received_at=one.stored.received_at,
    )
    choices = (Choice.ACCEPT, Choice.SET_APART)
    await catalog.note(DoubtKind.UNATTESTED, side, Side(), choices, one.stored.instance_id)


def _studies(store: ObjectStore) -> set[str]:
    """Ids of all studies that have a folder; a key without one is that of a study nobody ever used."""
    read = (parse_place(place) for place, _ in store.list(OBJECTS))
    return {one.owner_id for one in read if one.kind is not PlaceKind.FOREIGN}


def _instances(store: ObjectStore, study_id: str) -> set[str]:
    read = (parse_place(place) for place, _ in store.list(study_folder(study_id)))
    return {one.id for one in read if one.kind is PlaceKind.INSTANCE}


def _manifest(
    store: ObjectStore, study_id: str, key: X25519Identity, verify_key: bytes, found: Surveyed
) -> tuple[Manifest | None, StudyState | None]:
    try:
        manifest, state = read_manifest(store.read(manifest_place(study_id)), key, verify_key)
    except InstanceNotFound:
        return None, None
    except NoIdentityMatch:
        found.problems.append(Problem(ProblemKind.REPLACED, study_id))
        return None, None
    except (SealError, Unreadable):
        found.problems.append(Problem(ProblemKind.DAMAGED, study_id))
        return None, None
    if manifest.study_id != study_id:
        found.problems.append(Problem(ProblemKind.SWAPPED, study_id))
        return None, None
    return manifest, state


def _take_listed(
    store: ObjectStore, study_id: str, entry: ManifestEntry, key: X25519Identity, found: Surveyed
) -> None:
    try:
        with store.open(instance_place(study_id, entry.instance_id)) as source:
            sealed = open_at(source, [key])
            facts = HeaderFacts(sealed.header_length, sealed.header_mac, sealed.payload_nonce)
            check_object(entry, facts, sealed.payload.size)
            heading, looked = read_heading_of(sealed)
    except (SealError, Unreadable, InstanceNotFound) as error:
        replaced = isinstance(error, WrongObject | NoIdentityMatch)
        kind = ProblemKind.REPLACED if replaced else ProblemKind.DAMAGED
        found.problems.append(Problem(kind, study_id, instance_id=entry.instance_id))
        return
    stored = stored_as_listed(study_id, entry, heading, looked=looked)
    found.restored.append(Restored(stored, entry.standing))


def _take_unattested(store: ObjectStore, where: Whereabouts, key: X25519Identity, found: Surveyed) -> None:
    try:
        with store.open(instance_place(where.study_id, where.instance_id)) as source:
            sealed = open_at(source, [key])
            found.restored.append(Restored(stored_from(sealed, examine(sealed), where)))
    except (SealError, Unreadable, InstanceNotFound):
        problem = Problem(ProblemKind.DAMAGED, where.study_id, instance_id=where.instance_id)
        found.problems.append(problem)
