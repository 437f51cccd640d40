"""Rebuilding the index from objects, manifests and keys (P4), and saying what nothing attests.

A manifest on disk is believed if the archive signed it for its study. Whether it is the newest only
the lost index or the journal could tell, so each study's version is in the report.

What a manifest lists is taken back even when it is not there as it was accepted: what lies in its
place must not pass for it later, and whoever opens it, or verifies, is told as before.
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
    heading_as_listed,
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
    HuisclosError,
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
    """Objects found, each as it was accepted or attested by nothing."""
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
    missed: list[Restored] = msgspec.field(default_factory=list)
    """What the manifest lists and is not there as it was accepted."""
    unlisted: tuple[str, ...] = ()
    """Ids of the objects that no manifest lists."""
    problems: list[Problem] = msgspec.field(default_factory=list)


def survey_study(store: ObjectStore, study_id: str, identity: str, verify_key: bytes) -> Surveyed:
    """Read what a study's manifest lists."""
    found = Surveyed(study_id)
    key = X25519Identity.parse(identity)
    manifest, state = _manifest(store, study_id, key, verify_key, found)
    listed: set[str] = set()
    if manifest is not None and state is not None:
        listed = {entry.instance_id for entry in manifest.instances}
        for entry in manifest.instances:
            _take_listed(store, manifest, entry, key, found)
        series = tuple((series.series_uid, series.series_id) for series in manifest.series)
        found.study = RestoredStudy(
            study_id, manifest.study_uid, str(key.recipient), state.version, state.manifest_digest, series
        )
    found.unlisted = tuple(sorted(_instances(store, study_id) - listed))
    return found


def survey_unlisted(store: ObjectStore, surveyed: Surveyed, identity: str, received_at: float) -> Surveyed:
    """Read what no manifest lists in a folder surveyed before; `received_at` stands for when it came.

    Without a manifest the study is the one that its first object says.
    """
    found = Surveyed(surveyed.study_id, surveyed.study)
    key = X25519Identity.parse(identity)
    for instance_id in surveyed.unlisted:
        _take_unattested(store, Whereabouts(instance_id, found.study_id, HOUSE, received_at), key, found)
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

    What a manifest attests comes first, in all studies: nothing else can then take the place of it.
    `executor` runs the surveys, a process pool by default. Raises `Locked`, `Unreachable` when
    a process of the house goes away: then begin again, or leave it to the scribe.
    """
    total = Reindexed()
    await catalog.clear()
    signing = asyncio.create_task(_sign(catalog))
    surveyor = _Surveyor(store, keys, verify_key, executor, timestamp)
    try:
        done: set[str] = set()
        unlisted: list[Surveyed] = []
        # Once more at the end: what was on its way when it began may have made a folder meanwhile.
        while waiting := sorted(await asyncio.to_thread(_studies, store) - done):
            for start in range(0, len(waiting), _AT_A_TIME):
                some = waiting[start : start + _AT_A_TIME]
                for found in await asyncio.gather(*map(surveyor.study, some)):
                    await _restore(catalog, found, total)
                    if found.unlisted:
                        unlisted.append(found)
                done.update(some)
                progress(len(done), len(done) + len(waiting) - start - len(some))
        for start in range(0, len(unlisted), _AT_A_TIME):
            some_left = unlisted[start : start + _AT_A_TIME]
            for found in await asyncio.gather(*map(surveyor.unlisted, some_left)):
                await _restore(catalog, found, total)
        await catalog.rebuilt()
    finally:
        signing.cancel()
    return total


class _Surveyor:
    """Surveys folders, each under its key."""

    def __init__(
        self,
        store: ObjectStore,
        keys: HouseKeys,
        verify_key: bytes,
        executor: Executor | None,
        timestamp: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._verify_key = verify_key
        self._executor = executor
        self._timestamp = timestamp

    async def study(self, study_id: str) -> Surveyed:
        try:
            identity = await self._keys.study_key(study_id)
        except (NotFound, SealError):
            return Surveyed(study_id, problems=[Problem(ProblemKind.MISSING_KEY, study_id)])
        return await self._run(partial(survey_study, self._store, study_id, identity, self._verify_key))

    async def unlisted(self, surveyed: Surveyed) -> Surveyed:
        identity = await self._keys.study_key(surveyed.study_id)
        return await self._run(partial(survey_unlisted, self._store, surveyed, identity, self._timestamp()))

    async def _run(self, work: Callable[[], Surveyed]) -> Surveyed:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


async def _sign(catalog: HouseCatalog) -> None:
    with contextlib.suppress(Locked, StoreError):
        while True:
            await asyncio.sleep(_SIGN_EVERY)
            await catalog.rebuilding()


async def _restore(catalog: HouseCatalog, found: Surveyed, total: Reindexed) -> None:
    total.problems += found.problems
    if found.study is None:
        return
    if found.study_id not in total.versions:
        try:
            await catalog.restore_study(found.study)
        except Conflict:
            # another folder holds the study of this UID, and a manifest or an earlier one speaks for it
            total.problems.append(Problem(ProblemKind.UNATTESTED, found.study_id))
            return
        total.studies += 1
        total.versions[found.study_id] = found.study.version
    restored = [*found.restored, *found.missed]
    for start in range(0, len(restored), _TOLD):
        await catalog.restore(tuple(restored[start : start + _TOLD]))
    total.objects += len(found.restored)
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
    store: ObjectStore, manifest: Manifest, entry: ManifestEntry, key: X25519Identity, found: Surveyed
) -> None:
    study_id = manifest.study_id
    try:
        with store.open(instance_place(study_id, entry.instance_id)) as source:
            sealed = open_at(source, [key])
            facts = HeaderFacts(sealed.header_length, sealed.header_mac, sealed.payload_nonce)
            check_object(entry, facts, sealed.payload.size)
            heading, looked = read_heading_of(sealed)
    except (SealError, Unreadable, InstanceNotFound) as error:
        found.problems.append(Problem(_kind_of(error), study_id, instance_id=entry.instance_id))
        missed = stored_as_listed(study_id, entry, heading_as_listed(manifest, entry), looked=True)
        found.missed.append(Restored(missed, entry.standing))
        return
    stored = stored_as_listed(study_id, entry, heading, looked=looked)
    found.restored.append(Restored(stored, entry.standing))


def _kind_of(error: HuisclosError) -> ProblemKind:
    if isinstance(error, InstanceNotFound):
        return ProblemKind.DELETED
    return ProblemKind.REPLACED if isinstance(error, WrongObject | NoIdentityMatch) else ProblemKind.DAMAGED


def _take_unattested(store: ObjectStore, where: Whereabouts, key: X25519Identity, found: Surveyed) -> None:
    try:
        with store.open(instance_place(where.study_id, where.instance_id)) as source:
            sealed = open_at(source, [key])
            stored = stored_from(sealed, examine(sealed), where)
    except (SealError, Unreadable, InstanceNotFound):
        problem = Problem(ProblemKind.DAMAGED, where.study_id, instance_id=where.instance_id)
        found.problems.append(problem)
        return
    study_uid = stored.heading.study_uid
    if found.study is None:
        found.study = RestoredStudy(where.study_id, study_uid, str(key.recipient))
    if found.study.study_uid == study_uid:
        found.restored.append(Restored(stored))
    else:
        # nobody put it there: each study has a folder of its own
        problem = Problem(ProblemKind.UNATTESTED, where.study_id, instance_id=where.instance_id)
        found.problems.append(problem)
