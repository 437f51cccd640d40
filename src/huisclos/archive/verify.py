"""Verifying: everything on disk against manifests, index and keyring, every chunk read.

What is found is named by kind and ids alone. A study is judged from what lies on disk, the state
the finder vouches for, and the rows of the index; one that looks wrong is judged again with a
fresh state, since a house that lives goes on receiving.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.archive.layout import (
    PlaceKind,
    batch_place,
    instance_place,
    manifest_place,
    parse_place,
    study_folder,
)
from huisclos.archive.manifest import check_object, read_manifest
from huisclos.archive.nouns import Manifest, ManifestEntry, StudyState
from huisclos.archive.ports import HouseCatalog, HouseKeys, ObjectStore
from huisclos.errors import InstanceNotFound, NoIdentityMatch, NotFound, SealError, Unreadable, WrongObject
from huisclos.seal import HeaderFacts, Sealed, X25519Identity, header_facts, open_at

_AT_A_TIME: Final = 8
_FIRST: Final = 4096
"""Bytes that hold the header of an object sealed to one recipient, and much more."""

Receipts = Callable[[], Awaitable[dict[str, int]]]


class ProblemKind(StrEnum):
    """What is wrong with something on disk."""

    SWAPPED = "swapped"
    """Another object of this archive lies in its place."""
    REPLACED = "replaced"
    """An object or manifest lies there that the archive never accepted."""
    OLDER_MANIFEST = "older-manifest"
    """A true manifest, and not the newest."""
    DELETED = "deleted"
    """It should be there and is not."""
    MISSING = "missing"
    """The journal says that more came into this study than manifest, index and folder know together."""
    UNATTESTED = "unattested"
    """It is there, and no manifest and no row knows it."""
    UNINDEXED = "unindexed"
    """A study the index does not know: `reindex` finds it again."""
    DAMAGED = "damaged"
    """It does not open to the end."""
    MISSING_KEY = "missing-key"
    """Nothing opens it: its key is gone or does not open."""
    FOREIGN = "foreign"
    """Something that the archive does not put there."""


class Problem(Struct, frozen=True):
    """One thing that is wrong. Only a foreign file's place is not made of ids: never write it to disk."""

    kind: ProblemKind
    study_id: str = ""
    batch_id: str = ""
    instance_id: str = ""
    """Empty for the manifest, or for the study as a whole."""
    place: str = ""


class Verification(Struct):
    """What verifying came to; also the shape of `--json`."""

    studies: int = 0
    objects: int = 0
    octets: int = 0
    """Plaintext bytes that were read and authenticated."""
    batched: int = 0
    """Objects in batches, not settled yet."""
    problems: list[Problem] = msgspec.field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many problems of each kind."""
        return dict(Counter(problem.kind.value for problem in self.problems))


class StudyCheck(Struct):
    """What one study came to. `strays` are header MACs met where they do not belong, by instance id."""

    known: int = 0
    """Objects that manifest, index or folder know."""
    objects: int = 0
    octets: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    strays: dict[str, bytes] = msgspec.field(default_factory=dict)


class StudyTask(Struct, frozen=True):
    """All that judging one study needs; may be sent to another process."""

    study_id: str
    identity: str | None
    """`AGE-SECRET-KEY-1...`; None if there is no key."""
    state: StudyState | None
    rows: tuple[str, ...]
    verify_key: bytes

    def __repr__(self) -> str:
        return f"StudyTask({self.study_id})"


def verify_study(store: ObjectStore, task: StudyTask) -> StudyCheck:
    """Judge one study; reads every chunk of it."""
    check = StudyCheck()
    on_disk = _instances_on_disk(store, task.study_id)
    check.known = len({*task.rows, *on_disk})
    if task.identity is None:
        check.problems.append(Problem(ProblemKind.MISSING_KEY, task.study_id))
        return check
    identity = X25519Identity.parse(task.identity)
    manifest = _judge_manifest(store, task, identity, check)
    listed = {entry.instance_id: entry for entry in manifest.instances} if manifest is not None else {}
    for instance_id, entry in listed.items():
        if instance_id in on_disk:
            _judge_object(store, task.study_id, entry, identity, check)
        else:
            check.problems.append(Problem(ProblemKind.DELETED, task.study_id, instance_id=instance_id))
    known = {*listed, *task.rows}
    check.known = len(known | on_disk)
    for instance_id in sorted(on_disk - known):
        check.problems.append(Problem(ProblemKind.UNATTESTED, task.study_id, instance_id=instance_id))
    for instance_id in sorted(set(task.rows) - set(listed) - on_disk):
        check.problems.append(Problem(ProblemKind.DELETED, task.study_id, instance_id=instance_id))
    return check


class Verifier:
    """Verifies an archive.

    `receipts` tells how many objects the journal says came into each study, by its id: nothing on the
    rest of the disk can say that a study was there, once its folder and its row are gone.

    `executor` runs `verify_study`: a process pool by default, so the store must be one that can be
    sent to another process. `progress` is told how many studies of how many are done.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: HouseCatalog,
        keys: HouseKeys,
        verify_key: bytes,
        *,
        receipts: Receipts,
        executor: Executor | None = None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._keys = keys
        self._verify_key = verify_key
        self._receipts = receipts
        self._known: dict[str, int] = {}
        self._executor = executor
        self._progress = progress

    async def run(self) -> Verification:
        """Verify everything. Raises `Locked`, `Unreachable` when a process of the house goes away."""
        total = Verification()
        came = await self._receipts()
        studies, batches = await self._survey(total)
        states = {state.study_id: state async for state in self._states()}
        studies |= states.keys()
        total.studies = len(studies)
        waiting, strays = sorted(studies), dict[tuple[str, str], bytes]()
        for start in range(0, len(waiting), _AT_A_TIME):
            some = waiting[start : start + _AT_A_TIME]
            checks = await asyncio.gather(*(self._study(study_id, states.get(study_id)) for study_id in some))
            for study_id, check in zip(some, checks, strict=True):
                self._known[study_id] = check.known
                total.objects += check.objects
                total.octets += check.octets
                total.problems += check.problems
                strays |= {(study_id, instance_id): mac for instance_id, mac in check.strays.items()}
            self._progress(start + len(some), len(waiting))
        if strays:
            await self._find_swapped(total, strays, waiting)
        for batch_id, instance_ids in batches.items():
            await self._batch(batch_id, instance_ids, total)
        await self._find_missing(total, came)
        return total

    async def _find_missing(self, total: Verification, came: dict[str, int]) -> None:
        """Studies into which more came than anything knows; counted again, since doubles may have gone."""
        short = {study_id for study_id, count in came.items() if count > self._known.get(study_id, 0)}
        if short:
            again = await self._receipts()
            short = {one for one in short if again.get(one, 0) > self._known.get(one, 0)}
        total.problems += [Problem(ProblemKind.MISSING, study_id) for study_id in sorted(short)]

    async def _survey(self, total: Verification) -> tuple[set[str], dict[str, list[str]]]:
        """Ids of studies and batches on disk; foreign things are told at once."""
        studies: set[str] = set()
        batches: dict[str, list[str]] = {}
        for place, _ in await asyncio.to_thread(lambda: list(self._store.list())):
            read = parse_place(place)
            if read.kind is PlaceKind.FOREIGN:
                total.problems.append(Problem(ProblemKind.FOREIGN, place=place))
            elif read.kind is PlaceKind.BATCH_INSTANCE:
                batches.setdefault(read.owner_id, []).append(read.id)
            elif read.kind not in (PlaceKind.KEY, PlaceKind.BATCH_KEY):
                studies.add(read.owner_id)
        return studies, batches

    async def _states(self) -> AsyncIterator[StudyState]:
        after = ""
        while states := await self._catalog.states(after):
            for state in states:
                yield state
            after = states[-1].study_id

    async def _study(self, study_id: str, state: StudyState | None) -> StudyCheck:
        check = await self._judge(study_id, state)
        if check.problems:
            # It may have grown meanwhile: what is still wrong against a fresh state is wrong.
            fresh = await self._catalog.states(_before(study_id), 1)
            state = fresh[0] if fresh and fresh[0].study_id == study_id else None
            check = await self._judge(study_id, state)
        if state is None:
            check.problems.append(Problem(ProblemKind.UNINDEXED, study_id))
        return check

    async def _judge(self, study_id: str, state: StudyState | None) -> StudyCheck:
        rows = await self._catalog.rows(study_id)
        task = StudyTask(study_id, await self._identity(study_id), state, rows, self._verify_key)
        work = partial(verify_study, self._store, task)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _identity(self, study_id: str) -> str | None:
        try:
            return await self._keys.study_key(study_id)
        except (NotFound, SealError):
            return None

    async def _find_swapped(
        self, total: Verification, strays: dict[tuple[str, str], bytes], studies: list[str]
    ) -> None:
        """Tell objects that belong elsewhere in the archive from those that never were accepted."""
        ours: set[bytes] = set()
        wanted = set(strays.values())
        for study_id in studies:
            identity = await self._identity(study_id)
            if identity is not None:
                known = partial(_known_macs, self._store, study_id, identity, self._verify_key, wanted)
                ours |= await asyncio.to_thread(known)
        total.problems = [
            msgspec.structs.replace(problem, kind=ProblemKind.SWAPPED)
            if strays.get((problem.study_id, problem.instance_id)) in ours
            else problem
            for problem in total.problems
        ]

    async def _batch(self, batch_id: str, instance_ids: list[str], total: Verification) -> None:
        total.batched += len(instance_ids)
        try:
            secret = await self._keys.batch_key(batch_id)
        except (NotFound, SealError):
            total.problems.append(Problem(ProblemKind.MISSING_KEY, batch_id=batch_id))
            return
        identity = X25519Identity.parse(secret.identity)
        for instance_id in instance_ids:
            work = partial(_read_batched, self._store, batch_place(batch_id, instance_id), identity)
            octets = await asyncio.to_thread(work)
            if octets is None:
                problem = Problem(ProblemKind.DAMAGED, batch_id=batch_id, instance_id=instance_id)
                total.problems.append(problem)
            else:
                total.octets += octets


def _instances_on_disk(store: ObjectStore, study_id: str) -> set[str]:
    read = (parse_place(place) for place, _ in store.list(study_folder(study_id)))
    return {one.id for one in read if one.kind is PlaceKind.INSTANCE}


def _judge_manifest(
    store: ObjectStore, task: StudyTask, identity: X25519Identity, check: StudyCheck
) -> Manifest | None:
    """The manifest on disk if the archive signed it for this study; what is wrong with it is noted."""
    expected = task.state
    try:
        sealed = store.read(manifest_place(task.study_id))
        manifest, state = read_manifest(sealed, identity, task.verify_key)
    except NotFound:
        if expected is not None and expected.version:
            check.problems.append(Problem(ProblemKind.DELETED, task.study_id))
        return None
    except (SealError, Unreadable) as error:
        kind = ProblemKind.REPLACED if isinstance(error, NoIdentityMatch) else ProblemKind.DAMAGED
        check.problems.append(Problem(kind, task.study_id))
        return None
    if manifest.study_id != task.study_id:
        check.problems.append(Problem(ProblemKind.SWAPPED, task.study_id))
        return None
    if expected is not None and state.version < expected.version:
        check.problems.append(Problem(ProblemKind.OLDER_MANIFEST, task.study_id))
    elif expected is not None and state != expected:
        check.problems.append(Problem(ProblemKind.REPLACED, task.study_id))
    return manifest


def _judge_object(
    store: ObjectStore, study_id: str, entry: ManifestEntry, identity: X25519Identity, check: StudyCheck
) -> None:
    """Open and read one object; what is wrong with it is noted."""
    check.objects += 1
    mac: bytes | None = None
    try:
        with store.open(instance_place(study_id, entry.instance_id)) as source:
            mac = _mac_of(source.read_at(0, min(source.size, _FIRST)))
            sealed = open_at(source, [identity])
            facts = HeaderFacts(sealed.header_length, sealed.header_mac, sealed.payload_nonce)
            check_object(entry, facts, sealed.payload.size)
            if not _digest_holds(sealed, entry):
                raise WrongObject("the data set is not the one that was received")
            check.octets += sealed.payload.size
    except InstanceNotFound:
        check.problems.append(Problem(ProblemKind.DELETED, study_id, instance_id=entry.instance_id))
    except (WrongObject, NoIdentityMatch):
        other = mac is not None and mac != entry.header_mac
        kind = ProblemKind.REPLACED if other else ProblemKind.DAMAGED
        check.problems.append(Problem(kind, study_id, instance_id=entry.instance_id))
        if mac is not None and other:
            check.strays[entry.instance_id] = mac
    except (SealError, Unreadable):
        check.problems.append(Problem(ProblemKind.DAMAGED, study_id, instance_id=entry.instance_id))


def _mac_of(first: bytes | memoryview) -> bytes | None:
    """The header MAC that an object claims; None if it has no header."""
    try:
        return header_facts(first).header_mac
    except Unreadable:
        return None


def _digest_holds(sealed: Sealed, entry: ManifestEntry) -> bool:
    total = hashlib.sha256()
    for piece in sealed.payload.pieces(entry.data_set_offset):
        total.update(piece)
    sealed.payload.read_at(0, entry.data_set_offset)
    return total.digest() == entry.digest


def _read_batched(store: ObjectStore, place: str, identity: X25519Identity) -> int | None:
    """Bytes in an object of a batch, all read; None if it does not open to its end."""
    try:
        with store.open(place) as source:
            return sum(len(piece) for piece in open_at(source, [identity]).payload.pieces())
    except InstanceNotFound:
        return 0  # settled meanwhile
    except (SealError, Unreadable):
        return None


def _known_macs(
    store: ObjectStore, study_id: str, identity: str, verify_key: bytes, wanted: set[bytes]
) -> set[bytes]:
    """Those of `wanted` that the study's manifest lists."""
    try:
        manifest, _ = read_manifest(store.read(manifest_place(study_id)), identity, verify_key)
    except (NotFound, SealError, Unreadable):
        return set()
    return {entry.header_mac for entry in manifest.instances} & wanted


def _before(study_id: str) -> str:
    """The id just before, so that a page of one begins with `study_id`."""
    number = int(study_id, 16)
    return f"{number - 1:032x}" if number else ""
