"""Receiving: bytes come in, a sealed object is durable, and only then somebody is told.

An instance is sealed as it arrives, whatever its size. Where it belongs is asked as soon as its
heading is complete, while the rest still comes; the header, for the recipient that was answered,
is written last. What makes the sender wait is the object and its directory entry, nothing else
(P3): a network sender is answered before the finder is told. When the finder is away, or the sender
is not approved, the recipient is a batch's (P5).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final

from msgspec import Struct

from huisclos import clock
from huisclos.access.nouns import Source
from huisclos.archive.behind import WriteBehind
from huisclos.archive.committing import Committing
from huisclos.archive.deposits import Deposits
from huisclos.archive.hands import Hands, in_thread, leave_to_thread
from huisclos.archive.intake import FileIntake, Intake, NetworkIntake
from huisclos.archive.layout import batch_place, instance_place, new_id
from huisclos.archive.nouns import Outcome, StoredObject
from huisclos.archive.ports import Catalog, Keeper, ObjectStore
from huisclos.archive.preparing import Preparing
from huisclos.archive.telling import Telling
from huisclos.errors import BadIdentifier, Locked, NotDicom, StoreError, TooLarge, Unreachable
from huisclos.seal import X25519_OVERHEAD, Header, sealed_size

_LOG: Final = logging.getLogger(__name__)

MAX_OCTETS: Final = 16 * 1024**3
"""Bytes in one instance at most."""
SLOW: Final = 0.02
"""Seconds of one wait for the disk after which the loop leaves such waits to threads for a while."""
QUICK: Final = 0.002
"""Seconds that such waits take, on average, up to which the loop takes them upon itself whoever sends."""
_LATELY: Final = 16
"""Waits that the average is of."""
REST_SECONDS: Final = 2.0
"""After the last that was sent, until what was prepared for the next is let go of."""
_A_WHILE: Final = 100
"""Instances."""
_REMEMBERED: Final = 1000
"""Sources of whom it is remembered whether they repeat themselves."""


class Received(Struct, frozen=True):
    """What came of one instance; it is durable, or was there before."""

    outcome: Outcome
    stored: StoredObject


class Destination(Struct, frozen=True):
    """Where an instance goes: a study, or a batch."""

    recipient: str
    study_id: str = ""
    batch_id: str = ""


class Receiver:
    """Receives for one process.

    `executor` runs what blocks (flushing to disk): hands, a thread pool with a few threads, or
    None for the loop's own. `alone` says whether nobody but this sender is waiting for the loop:
    then the loop itself waits for the disk, and for a quick one in any case. Two changes of thread and
    the quarrel for Python's lock that come with a thread cost 0.4 ms of an instance's 2: while the loop
    waits for less than that, the others are served sooner, too, and what they send comes meanwhile.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        keeper: Keeper,
        *,
        executor: Executor | Hands | None = None,
        max_octets: int = MAX_OCTETS,
        timestamp: Callable[[], float] = clock.timestamp,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.deposits = Deposits(keeper.deposited)
        self.max_octets = max_octets
        self.timestamp = timestamp
        self._keeper = keeper
        self.executor = executor
        self._alone = alone
        self._by_thread = 0
        """Instances left for which a thread waits, since the disk was slow."""
        self._pace = math.inf
        """Seconds that the loop waited for the disk lately; nobody knows before it did."""
        self._repeats: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self.preparing = Preparing(store)
        self._resting: asyncio.TimerHandle | None = None
        self.committing = Committing(store, executor)
        self.telling = Telling(catalog, self._heard)

    def begin(
        self, source: Source, sop_class: str, sop_instance: str, transfer_syntax: str, calling: str
    ) -> Reception:
        """One instance by C-STORE: the UIDs of its command, and what was negotiated for it.

        What is sealed leaves in a thread: wait for what `write` gives.
        Raises `BadIdentifier` for a command that names none, `Full`, `Unreachable`.
        """
        intake = NetworkIntake(sop_class, sop_instance, transfer_syntax, calling)
        return Reception(self, source, intake, beside=True)

    def begin_file(self, source: Source, *, ask_first: bool = False, only_study: str = "") -> Reception:
        """One instance as a file, kept byte for byte.

        `ask_first`: it is likely here already, so ask before making it durable (an import
        resumed). `only_study`: an instance of another study is refused with `BadIdentifier`
        before it is durable (PS3.18 section 10.5.1). Raises `Full`, `Unreachable`.
        """
        return Reception(self, source, FileIntake(), ask_first=ask_first, only_study=only_study)

    async def destination(self, source: Source, study_uid: str) -> Destination:
        """Where an instance of this study goes now. Raises `Unreachable` when the vault is away too."""
        if not source.quarantine:
            try:
                placement = await self.catalog.place(study_uid)
            except (Locked, Unreachable):
                pass
            else:
                return Destination(placement.recipient, study_id=placement.study_id)
        batch = await self._keeper.batch(source)
        return Destination(batch.recipient, batch_id=batch.batch_id)

    async def reserve(self, source: Source, plain_size: int) -> None:
        """Have one instance counted before it is kept. Raises `Full` beyond a quarantine's quota."""
        if source.quarantine:
            await self._keeper.reserve(source, X25519_OVERHEAD + sealed_size(plain_size))

    def behind(self, *, beside: bool) -> WriteBehind:
        """One object on its way to the store; `beside`: written in a thread as it arrives."""
        return WriteBehind(self.preparing.writing(), self.executor, self.committing, beside=beside)

    def waits_itself(self) -> bool:
        """Whether the loop is to wait for the disk: nobody else wants it, or the disk is quick."""
        if self._by_thread:
            self._by_thread -= 1
            return False
        if self._pace <= QUICK or self._alone():
            return True
        self._by_thread, self._pace = _A_WHILE, QUICK  # then it is tried once more
        return False

    def waited(self, seconds: float) -> None:
        """How long the loop did."""
        self._pace = seconds if self._pace == math.inf else self._pace + (seconds - self._pace) / _LATELY
        if seconds > SLOW:
            self._by_thread = _A_WHILE

    async def delete(self, place: str) -> None:
        """Remove an object that turned out to be here already; if that fails, the scribe finds it."""
        with contextlib.suppress(StoreError):
            await in_thread(self.executor, lambda: self.store.delete(place))

    async def told(self) -> None:
        """Wait until the finder has heard of everything that is durable by now."""
        await asyncio.sleep(0)  # what is to be told next has its turn before
        await self.telling.all_told()
        self.preparing.rest()

    def rest_later(self) -> None:
        """One who sends may send more at once; a while after the last no prepared file lies about."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(
            REST_SECONDS, leave_to_thread, self.executor, self.preparing.rest
        )

    async def settle(self, stored: StoredObject) -> Outcome:
        """What became of a durable object: registered, or deleted since it was here already."""
        return await self.telling.outcome(stored)

    def settle_later(self, durable: Callable[[], StoredObject]) -> None:
        """As `settle`, when the finder gets to it."""
        self.telling.leave(durable())

    async def room_to_tell(self) -> None:
        """Wait while the finder is far behind."""
        await self.telling.caught_up()

    async def _heard(self, stored: StoredObject, outcome: Outcome) -> None:
        if outcome is Outcome.DUPLICATE:
            await self.delete(_place(stored))
        else:
            self.deposits.add(stored)
        self.remember(stored.source, outcome)

    def expects_repeat(self, source: Source) -> bool:
        """Whether the last thing this source sent was here already: then asking first is cheaper."""
        return self._repeats.get((source.kind, source.id), False)

    def remember(self, source: Source, outcome: Outcome) -> None:
        """Note what came of the last thing this source sent."""
        key = (source.kind, source.id)
        self._repeats[key] = outcome is Outcome.DUPLICATE
        self._repeats.move_to_end(key)
        if len(self._repeats) > _REMEMBERED:
            self._repeats.popitem(last=False)


class Reception:
    """One instance on its way in.

    Memory is bounded, whatever its size: a heading, a chunk, and what waits for the disk.
    `write` each piece, then `await finish()` or `keep()`; or `abandon()`. Not to be used again after.
    """

    def __init__(
        self,
        receiver: Receiver,
        source: Source,
        intake: Intake,
        *,
        beside: bool = False,
        ask_first: bool = False,
        only_study: str = "",
        one_of_many: bool = False,
    ) -> None:
        """`one_of_many`: the next one already arrives, and a thread waits for the disk, whoever sends."""
        self._receiver = receiver
        self._source = source
        self._intake = intake
        self._ask_first = ask_first or receiver.expects_repeat(source)
        self._only_study = only_study
        self._one_of_many = one_of_many
        self._prepared = receiver.preparing.sealer()
        self._sealer = self._prepared.sealer
        self._behind = receiver.behind(beside=beside)
        self._placing: asyncio.Task[Destination] | None = None
        self._octets = 0

    @property
    def octets(self) -> int:
        """Bytes that it was given."""
        return self._octets

    def write(self, piece: bytes | memoryview) -> Awaitable[None] | None:
        """Take the next bytes. Quick: seals, and hands to the system what is sealed.

        Given an awaitable (only what `Receiver.begin` makes gives one), the disk is behind: write
        no more until it is done. Raises `NotDicom`, `BadIdentifier`, `TooLarge` for what cannot be
        kept, `Full`, `Unreachable`; call `abandon` then.
        """
        self._octets += len(piece)
        if self._octets > self._receiver.max_octets:
            raise TooLarge("the instance is larger than the archive takes")
        behind = None
        for part in self._intake.push(piece):
            sealed = self._sealer.update_into(part, self._behind.room)
            if sealed:
                behind = self._behind.push(sealed)
        self._place_early()
        if self._source.quarantine and self._placing is not None and self._placing.done():
            self._placing.result()  # nothing more is kept of this sender: it need not send the rest
        return behind

    async def finish(self) -> Received:
        """Make the instance durable where it belongs, and say what came of it.

        When this returns, the instance survives power loss. Raises as `write`; then nothing
        of it is left. If the catalog dies between, the instance is kept and caught up later.
        """
        durable, outcome = await self._durable()
        stored = durable()
        if outcome is None:
            outcome = await self._receiver.settle(stored)
        else:
            self._receiver.remember(self._source, outcome)
        return Received(outcome, stored)

    async def keep(self) -> None:
        """As `finish`, but what came of it is found out later: see `Receiver.told`."""
        await self._receiver.room_to_tell()
        durable, outcome = await self._durable()
        if outcome is None:
            # Whoever sends is answered first.
            asyncio.get_running_loop().call_soon(self._receiver.settle_later, durable)
        else:
            self._receiver.remember(self._source, outcome)

    def abandon(self) -> None:
        """Leave no trace. Idempotent; harmless after `finish`."""
        if self._placing is not None:
            self._placing.cancel()
        self._behind.abandon()

    def _place_early(self) -> None:
        heading = self._intake.heading
        if heading is not None and self._placing is None:
            if self._only_study and heading.study_uid != self._only_study:
                raise BadIdentifier("an instance is of another study than the one named")
            where = self._receiver.destination(self._source, heading.study_uid)
            self._placing = asyncio.get_running_loop().create_task(where)
            self._placing.add_done_callback(_looked_at)

    async def _durable(self) -> tuple[Callable[[], StoredObject], Outcome | None]:
        """What says what the instance is, now or later; and what came of it if that is known already."""
        try:
            for part in self._intake.finish():
                self._behind.keep(self._sealer.update_into(part, self._behind.room))
            self._place_early()
            self._behind.keep(self._sealer.finish_into(self._behind.room))
            if self._placing is None:
                raise NotDicom("the data set ended before it said what it is")
            return await self._commit(await self._placing)
        finally:
            self.abandon()

    async def _commit(self, where: Destination) -> tuple[Callable[[], StoredObject], Outcome | None]:
        header, instance_id = self._prepared.header_for(where.recipient), new_id()
        if where.study_id and self._ask_first:
            stored = self._stored(where, header, instance_id)
            if await self._held(stored):
                return lambda: stored, Outcome.DUPLICATE
        await self._receiver.reserve(self._source, self._sealer.plain_size)
        place = _place_of(where, instance_id)
        loop = asyncio.get_running_loop()
        durable = partial(self._stored, where, header, instance_id)
        if not self._one_of_many and self._receiver.waits_itself() and self._behind.at_rest:
            digested, began = self._digest_beside(), clock.steady()
            self._behind.commit_here(place, header)
            self._receiver.waited(clock.steady() - began)
            durable = partial(_once, digested, durable)
        else:
            # The disk is at work from here on; the digest, too, is made while it is: here, or by the
            # thread, if it has others to wait for as well.
            here = not self._receiver.committing.at_work
            durable_soon = self._behind.commit(place, header, None if here else self._intake.digest)
            if here:
                self._intake.digest()
            await durable_soon
        loop.call_soon(self._receiver.preparing.make_sealer, where.recipient)
        return durable, None

    def _digest_beside(self) -> threading.Lock:
        """A thread makes the next file and the digest while this one waits; the lock is free after that."""
        digested = threading.Lock()
        digested.acquire()

        def meanwhile() -> None:
            try:
                self._receiver.preparing.make_file()
                self._intake.digest()
            finally:
                digested.release()

        leave_to_thread(self._receiver.executor, meanwhile)
        return digested

    async def _held(self, stored: StoredObject) -> bool:
        try:
            return await self._receiver.catalog.holds(stored.heading.instance_uid, stored.digest)
        except (Locked, Unreachable):
            return False

    def _stored(self, where: Destination, header: bytes, instance_id: str) -> StoredObject:
        intake, heading = self._intake, self._intake.heading
        if heading is None:
            raise NotDicom("the data set ended before it said what it is")
        return StoredObject(
            instance_id=instance_id,
            study_id=where.study_id,
            batch_id=where.batch_id,
            transfer_syntax=intake.syntax.uid,
            digest=intake.digest(),
            length=self._sealer.plain_size,
            data_set_offset=intake.data_set_offset,
            header_mac=Header.parse(header).mac,
            payload_nonce=self._sealer.payload_nonce,
            source=self._source,
            received_at=self._receiver.timestamp(),
            heading=heading,
            looked_inside=intake.looked_inside,
        )


def _once(free: threading.Lock, durable: Callable[[], StoredObject]) -> StoredObject:
    """What `durable` says, once `free` can be had."""
    with free:
        return durable()


def _looked_at(task: asyncio.Task[Destination]) -> None:
    """An instance abandoned before its placement was awaited leaves no unheard error."""
    if not task.cancelled():
        task.exception()


def _place(stored: StoredObject) -> str:
    return _place_of(Destination("", stored.study_id, stored.batch_id), stored.instance_id)


def _place_of(where: Destination, instance_id: str) -> str:
    if where.study_id:
        return instance_place(where.study_id, instance_id)
    return batch_place(where.batch_id, instance_id)
