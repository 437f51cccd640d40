"""Settling: what came in the dark goes to its studies; what a crash left untold is told.

An object leaves its batch by a new header over the same payload: the file key is wrapped for the
study, and the payload is copied as it is. It keeps its id, so that a crash at any step is made good
by doing the same again: the copy is found, proven to be the same payload, told of, and only then
the batch's copy is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from huisclos import clock
from huisclos.archive.behind import append
from huisclos.archive.deposits import Deposits
from huisclos.archive.examine import HOUSE, Examined, Whereabouts, examine, stored_from
from huisclos.archive.layout import (
    BATCHES,
    PlaceKind,
    batch_place,
    instance_place,
    parse_place,
    study_folder,
)
from huisclos.archive.nouns import Outcome, Quarantined, StoredObject
from huisclos.archive.ports import BatchSecret, HouseCatalog, HouseKeys, ObjectStore, SealedAt
from huisclos.errors import Conflict, NotFound, SealError, Unreadable, WrongObject
from huisclos.seal import (
    X25519_HEADER_LENGTH,
    Sealed,
    X25519Identity,
    X25519Recipient,
    make_header,
    open_at,
    open_with,
)

BATCH_REST: Final = 24 * 3600.0
"""Seconds after which nothing can be on its way to a batch any more: only then may its key go.

Longer than any association lives; a reception that began before the batch was closed may still
commit into it.
"""
_AT_A_TIME: Final = 8
_AT_ONCE: Final = 1000
"""Second copies that one entry of the journal names: 34 KB of it."""
_PIECE: Final = 1024**2

_Result = TypeVar("_Result")


class Settled(Struct):
    """What a settling came to: counts only."""

    objects: int = 0
    """Objects that went to their study, or were told of."""
    duplicates: int = 0
    held: int = 0
    apart: dict[str, Quarantined] = msgspec.field(default_factory=dict)
    """What waits of senders who are not approved, by the id of the sender's request."""
    failed: int = 0
    """Objects that did not open, or are not what they should be: left as they are; `verify` names them."""


class Settler:
    """Settles for one process. `executor` runs what blocks."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: HouseCatalog,
        keys: HouseKeys,
        *,
        executor: Executor | None = None,
        timestamp: Callable[[], float] = clock.timestamp,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._keys = keys
        self._executor = executor
        self._timestamp = timestamp
        self._deposits = Deposits(keys.settled)
        self._given_up: set[str] = set()
        """Places of objects that failed: not read again in each round, but after the next unlocking."""

    async def batches(self) -> Settled:
        """Settle every batch whose sender may store.

        Raises `Locked`, `Unreachable`, `Full`: call it again later; nothing is lost or doubled.
        """
        total = Settled()
        try:
            for batch_id, sizes in (await self._run(_list_batches, self._store)).items():
                await self._batch(batch_id, sizes, total)
        finally:
            await self._deposits.close()
        return total

    async def catch_up(self) -> Settled:
        """Tell the finder of objects that are durable in their studies and that no row knows.

        A study that does not open is left as it is: the others, and the batches, do not wait for it.
        Raises as `batches`.
        """
        total = Settled()
        for study_id in await self._catalog.unsettled():
            on_disk = await self._run(_list_study, self._store, study_id)
            unknown: list[str] = []
            for start in range(0, len(on_disk), 1000):
                unknown += await self._catalog.unknown(study_id, on_disk[start : start + 1000])
            if unknown:
                await self._tell_all(study_id, unknown, total)
            await self._catalog.caught_up(study_id)
        return total

    async def _tell_all(self, study_id: str, instance_ids: list[str], total: Settled) -> None:
        try:
            identity = X25519Identity.parse(await self._keys.study_key(study_id))
        except (NotFound, SealError, Unreadable):
            total.failed += len(instance_ids)
            return
        doubles: list[str] = []
        await self._each(partial(self._tell, study_id, identity, total, doubles), instance_ids)
        if doubles:
            # a run after a crash must not take the second copy for the first, and tell of that one as well
            await self._catalog.commit()
        for start in range(0, len(doubles), _AT_ONCE):
            some = tuple(doubles[start : start + _AT_ONCE])
            # Before they go: `verify` would miss for ever what is deleted and not told of. A crash in between
            # leaves them where the next run finds them, and tells of them again.
            await self._keys.doubled(study_id, some)
            for instance_id in some:
                await self._run(self._store.delete, instance_place(study_id, instance_id))

    async def _batch(self, batch_id: str, sizes: dict[str, int], total: Settled) -> None:
        """Settle one batch; `sizes` are the sealed bytes of what lies in it, by instance id."""
        try:
            secret = await self._keys.batch_key(batch_id)
        except (NotFound, SealError):
            total.failed += len(sizes)
            return
        if secret.source.quarantine and (sizes or secret.full_since):
            _set_apart(secret, sizes, total)
            return
        failed = total.failed
        await self._each(partial(self._settle, secret, total), sizes)
        if total.failed == failed and self._timestamp() - secret.opened_at > BATCH_REST:
            await self._keys.batch_empty(batch_id)

    async def _each(
        self, work: Callable[[str], Coroutine[Any, Any, None]], instance_ids: Iterable[str]
    ) -> None:
        waiting = list(instance_ids)
        for start in range(0, len(waiting), _AT_A_TIME):
            some = (work(instance_id) for instance_id in waiting[start : start + _AT_A_TIME])
            for error in await asyncio.gather(*some, return_exceptions=True):
                if error is not None:
                    raise error

    async def _settle(self, secret: BatchSecret, total: Settled, instance_id: str) -> None:
        place = batch_place(secret.batch_id, instance_id)
        if place in self._given_up:
            total.failed += 1
            return
        try:
            stored = await self._move(secret, place, instance_id)
        except NotFound:
            return  # another run was quicker
        except (SealError, Unreadable):
            self._given_up.add(place)
            total.failed += 1
            return
        outcome = await self._told(stored, total)
        if outcome is Outcome.DUPLICATE:
            await self._run(self._store.delete, instance_place(stored.study_id, stored.instance_id))
        await self._run(self._store.delete, place)
        if outcome is not Outcome.DUPLICATE:
            self._deposits.add(stored)

    async def _move(self, secret: BatchSecret, old: str, instance_id: str) -> StoredObject:
        """Copy one object to its study, durably; what is to be told of it."""
        identity = X25519Identity.parse(secret.identity)
        sealed, found = await self._run(_read, self._store, old, identity)
        placement = await self._catalog.place(found.heading.study_uid)
        recipient = X25519Recipient.parse(placement.recipient)
        new = instance_place(placement.study_id, instance_id)
        copied = await self._run(_copy, self._store, sealed, recipient, (old, new))
        where = Whereabouts(instance_id, placement.study_id, secret.source, secret.opened_at)
        return stored_from(copied, found, where)

    async def _tell(
        self, study_id: str, identity: X25519Identity, total: Settled, doubles: list[str], instance_id: str
    ) -> None:
        place = instance_place(study_id, instance_id)
        try:
            sealed, found = await self._run(_read, self._store, place, identity)
        except (NotFound, SealError, Unreadable):
            total.failed += 1
            return
        where = Whereabouts(instance_id, study_id, HOUSE, self._timestamp())
        try:
            outcome = await self._told(stored_from(sealed, found, where), total)
        except (Conflict, NotFound):
            total.failed += 1  # it says that it is of another study than the one whose folder it lies in
            return
        if outcome is Outcome.DUPLICATE:
            doubles.append(instance_id)

    async def _told(self, stored: StoredObject, total: Settled) -> Outcome:
        outcome = await self._catalog.register(stored)
        total.objects += 1
        if outcome is Outcome.DUPLICATE:
            total.duplicates += 1
        elif outcome is Outcome.HELD:
            total.held += 1
        return outcome

    async def _run(self, work: Callable[..., _Result], *args: object) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)


def _set_apart(secret: BatchSecret, sizes: dict[str, int], total: Settled) -> None:
    source = secret.source
    before = total.apart.get(source.id, Quarantined(source, 0, 0, secret.opened_at))
    total.apart[source.id] = Quarantined(
        source,
        before.instances + len(sizes),
        before.octets + sum(sizes.values()),
        min(before.since, secret.opened_at),
        max(before.full_since, secret.full_since),
    )


def _list_batches(store: ObjectStore) -> dict[str, dict[str, int]]:
    """Sealed bytes by instance id by batch id; a batch that holds only its key is there with none."""
    found: dict[str, dict[str, int]] = {}
    for place, size in store.list(BATCHES):
        read = parse_place(place)
        if read.kind is PlaceKind.BATCH_INSTANCE:
            found.setdefault(read.owner_id, {})[read.id] = size
        elif read.kind is PlaceKind.BATCH_KEY:
            found.setdefault(read.owner_id, {})
    return found


def _list_study(store: ObjectStore, study_id: str) -> tuple[str, ...]:
    read = (parse_place(place) for place, _ in store.list(study_folder(study_id)))
    return tuple(one.id for one in read if one.kind is PlaceKind.INSTANCE)


def _read(store: ObjectStore, place: str, identity: X25519Identity) -> tuple[Sealed, Examined]:
    with store.open(place) as source:
        sealed = open_at(source, [identity])
        return sealed, examine(sealed)


def _copy(store: ObjectStore, sealed: Sealed, recipient: X25519Recipient, places: tuple[str, str]) -> Sealed:
    """The same payload under a header for `recipient`, durable at the second place; what lies there then.

    Raises `WrongObject` if something else lies there.
    """
    old, new = places
    with store.open(old) as source:
        fresh = _copied(store, source, sealed, recipient, new)
        with store.open(new) as copy:
            try:
                found = open_with(copy, sealed.file_key)
            except (SealError, Unreadable):
                raise WrongObject("another object lies where this one belongs") from None
            if not fresh:
                _check_same(source, sealed, copy, found)
            return found


def _copied(
    store: ObjectStore, source: SealedAt, sealed: Sealed, recipient: X25519Recipient, place: str
) -> bool:
    """Copy the object to `place` under a new header; False if something lies there already."""
    header = make_header(sealed.file_key, [recipient]).encode()
    writing = store.begin(X25519_HEADER_LENGTH)
    try:
        for at in range(sealed.header_length, source.size, _PIECE):
            append(writing, source.read_at(at, _PIECE))
        writing.commit(place, header)
    except Conflict:
        return False  # a settling cut short left it, and it must prove to be the same
    finally:
        writing.abandon()
    return True


def _check_same(source: SealedAt, sealed: Sealed, copy: SealedAt, found: Sealed) -> None:
    """Raise `WrongObject` unless both hold the same payload, byte for byte."""
    length = source.size - sealed.header_length
    same = length == copy.size - found.header_length and all(
        source.read_at(sealed.header_length + at, _PIECE) == copy.read_at(found.header_length + at, _PIECE)
        for at in range(0, length, _PIECE)
    )
    if not same:
        raise WrongObject("another object lies where this one belongs")
