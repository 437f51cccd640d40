"""The `Catalog` and `HouseCatalog` ports: everything the finder answers.

Reading needs a grant of the vault (P9). A grant bound to one study shows that study and no
other, whatever is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from huisclos import clock
from huisclos.access.grants import check
from huisclos.access.nouns import Grant, Right
from huisclos.archive.finder_ports import Restored, RestoredStudy, Signer, StudyKeys
from huisclos.archive.index_ports import Decisions, Index
from huisclos.archive.nouns import (
    FINAL,
    ArchiveCounts,
    Choice,
    Cut,
    Doubt,
    DoubtKind,
    Level,
    Located,
    Outcome,
    Placement,
    Quarantined,
    Query,
    QueryPage,
    QuietSeries,
    Rivals,
    Side,
    StoredObject,
    StudyPage,
    StudyState,
    StudyView,
)
from huisclos.archive.ports import ObjectStore
from huisclos.errors import Conflict, HuisclosError, NotGranted, StudyNotFound
from huisclos.finder.answers import Answer, person, series_row, study_row
from huisclos.finder.conditions import Plan
from huisclos.finder.doubts import DoubtBook, KeptDoubt, new_doubt
from huisclos.finder.manifests import QUIET, ManifestWriter
from huisclos.finder.memory import MemoryIndex
from huisclos.finder.rebuilding import Rebuild
from huisclos.finder.records import InstanceRecord
from huisclos.finder.registrar import Registrar
from huisclos.finder.rows import WAIT, RowKeeper
from huisclos.finder.search import prepare, search, series_order
from huisclos.finder.shelf import Shelf
from huisclos.seal.records import RecordKey

MAX_OF_ONE: Final = 1000
"""Studies of one patient answered at once."""
MAX_DESCRIBED: Final = 100
"""Quiet series answered at once."""
PATIENCE: Final = 6.0
"""Seconds that opening a study waits for its folder to be looked through: two rounds of the scribe."""
_COMPARED_AT_ONCE: Final = 20
_SETTLED_AT_ONCE: Final = 8
"""Manifests written in one round, so that rows are committed in between."""

_STORE: Final = ("reception", "web")
"""Roles of the faces that store."""
_SHOW: Final = (Right.LIST, Right.READ, Right.EXPORT)


class FinderCatalog:
    """All studies of the unlocked archive. `load` first; `keep_up` runs beside it; `flush` at the end."""

    def __init__(  # noqa: PLR0913 - what the finder is made of
        self,
        *,
        index: Index,
        decisions: Decisions,
        store: ObjectStore,
        keys: StudyKeys,
        signer: Signer,
        record_key: RecordKey,
        grant_key: bytes,
        now: clock.Clock = clock.now,
        steady: Callable[[], float] = clock.steady,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._grant_key = grant_key
        self._now = now
        self._rows = RowKeeper(index, record_key)
        self._shelf = Shelf(MemoryIndex(), self._rows, keys, steady)
        self._doubts = DoubtBook(decisions, record_key)
        self._registrar = Registrar(self._shelf, self._doubts)
        self._manifests = ManifestWriter(self._shelf, store, signer)
        self._rebuild = Rebuild(index, self._shelf, steady)

    @property
    def _memory(self) -> MemoryIndex:
        return self._shelf.memory

    def load(self) -> None:
        """Take everything from the index. Blocks. Raises `Tampered`, `Unreadable`, `Unreachable`."""
        self._shelf.load()
        self._rebuild.load()

    # storing

    async def place(self, study_uid: str) -> Placement:
        """See `Catalog`."""
        self._rebuild.keep_out()
        return await self._shelf.place(study_uid)

    async def register(self, stored: StoredObject) -> Outcome:
        """See `HouseCatalog`. Raises `StudyNotFound`; `Conflict` if the study lies in another folder."""
        self._rebuild.keep_out()
        return self._registrar.register(stored)

    async def register_all(self, stored: tuple[StoredObject, ...]) -> tuple[Outcome | None, ...]:
        """See `Catalog`."""
        self._rebuild.keep_out()
        return tuple(map(self._register_if_there, stored))

    def _register_if_there(self, stored: StoredObject) -> Outcome | None:
        try:
            return self._registrar.register(stored)
        except (StudyNotFound, Conflict):
            return None
        except HuisclosError:
            # its database is away: the sender was answered, so the scribe is to find it in its folder
            self._shelf.doubt({stored.study_id})
            return Outcome.STORED

    async def holds(self, sop_instance_uid: str, digest: bytes) -> bool:
        """See `Catalog`."""
        return any(one.digest == digest for one in self._rows.same_uid(sop_instance_uid))

    # reading

    async def query(self, grant: Grant, query: Query) -> QueryPage:
        """See `Catalog`."""
        plan = self._plan(grant, query)
        found = await search(self._memory, self._read, query, plan)
        return QueryPage(found.total, len(found.hits), Answer(self._memory, query, plan).rows(found.hits))

    async def studies(self, grant: Grant, query: Query) -> StudyPage:
        """See `Catalog`."""
        plan = self._plan(grant, query)
        plan.level = Level.STUDY
        found = await search(self._memory, self._read, query, plan)
        rows = (study_row(self._memory, hit.row, self._about(hit.row)) for hit in found.hits)
        return StudyPage(found.total, tuple(rows))

    async def study(self, grant: Grant, study_uid: str) -> StudyView:
        """See `Catalog`."""
        self._check(grant, *_SHOW)
        row = self._row(grant, study_uid)
        series = sorted((one for one in self._memory.series(row) if one.instances), key=series_order)
        return StudyView(study_row(self._memory, row, self._about(row)), tuple(map(series_row, series)))

    async def patient(self, grant: Grant, study_uid: str) -> StudyPage:
        """See `Catalog`."""
        self._check(grant, *_SHOW)
        row = self._row(grant, study_uid)
        rows = {row} if grant.study_id else {row, *self._registrar.same_person(row)}
        found = [study_row(self._memory, one, self._about(one)) for one in rows]
        found.sort(key=lambda one: (one.study_date, one.study_time, one.study_id), reverse=True)
        return StudyPage(len(found), tuple(found[:MAX_OF_ONE]))

    async def state_of(self, grant: Grant, study_uid: str) -> StudyState:
        """See `Catalog`."""
        self._check(grant, *_SHOW, Right.DECIDE)
        study_id = self._memory.study_id(self._row(grant, study_uid))
        await self._shelf.looked_through(study_id, self._patience)
        return await self._manifests.settle(self._shelf.by_id(study_id))

    async def resolve(self, grant: Grant, study_ids: tuple[str, ...]) -> dict[str, str]:
        """See `Catalog`."""
        self._check(grant, Right.JOURNAL, Right.LIST)
        rows = {study_id: self._memory.row_of_id(study_id) for study_id in study_ids}
        return {
            study_id: person(self._memory.study(row))
            for study_id, row in rows.items()
            if row is not None and grant.study_id in ("", study_id)
        }

    async def found_by(self, grant: Grant, text: str) -> tuple[str, ...]:
        """See `Catalog`."""
        query = Query(Level.STUDY, text=text, fuzzy=True, limit=MAX_OF_ONE)
        plan = self._plan(grant, query, Right.JOURNAL, Right.LIST)
        found = await search(self._memory, self._read, query, plan)
        return tuple(self._memory.study_id(hit.row) for hit in found.hits)

    def _plan(self, grant: Grant, query: Query, *rights: Right) -> Plan:
        self._check(grant, *(rights or _SHOW))
        plan = prepare(query, self._now().astimezone().date())
        if grant.study_id:
            row = self._memory.row_of_id(grant.study_id)
            plan.narrowings.append(
                lambda memory: memory.only(row) if row is not None else ~memory.all() & False
            )
        return plan

    def _check(self, grant: Grant, *rights: Right) -> None:
        check(grant, self._grant_key, self._now().timestamp(), *rights)
        self._rebuild.ask_to_wait()

    def _row(self, grant: Grant, name: str) -> int:
        """The row of a study that is found, by UID or id, if the grant is not for another.

        Whoever decides finds also a study in which nothing answers: all there is may be held.
        """
        row = self._memory.row_of_uid(name)
        if row is None:
            row = self._memory.row_of_id(name)
        if row is None or not (self._memory.instances_in(row) or grant.right is Right.DECIDE):
            raise StudyNotFound("no such study")
        if grant.study_id and grant.study_id != self._memory.study_id(row):
            raise StudyNotFound("no such study")
        return row

    async def _read(self, row: int) -> list[InstanceRecord]:
        return await self._rows.instances(self._memory.study_id(row))

    def _about(self, row: int) -> int:
        return self._doubts.about(self._memory.study_id(row))

    async def counts(self) -> ArchiveCounts:
        """See `Catalog`."""
        series, instances = self._memory.totals_of_all()
        others = self._doubts.of_kind(DoubtKind.SAME_ID_OTHER_PERSON)
        apart = sum(kept.doubt.decided is not Choice.SAME_PERSON for kept in others)
        return ArchiveCounts(
            patients=self._memory.persons() + apart,
            studies=len(self._memory),
            series=series,
            instances=instances,
            doubts=self._doubts.open(),
            last_received_at=self._memory.last_received_at,
            rebuilding=self._rebuild.under_way,
        )

    # deciding

    async def doubts(self, grant: Grant, *, decided: bool = False) -> tuple[Doubt, ...]:
        """See `Catalog`."""
        self._check(grant, Right.DECIDE)
        return self._doubts.listed(decided=decided)

    async def doubt(self, grant: Grant, doubt_id: str) -> Doubt:
        """See `Catalog`."""
        self._check(grant, Right.DECIDE)
        return self._doubts.shown(doubt_id)

    async def decide(self, grant: Grant, doubt_id: str, choice: Choice | None) -> Doubt:
        """See `Catalog`."""
        self._check(grant, Right.DECIDE)
        if choice in FINAL and not grant.actor.may(Right.PEOPLE):
            raise NotGranted("only an owner decides who is admitted")
        at = self._now().timestamp()
        kept = self._registrar.decide(doubt_id, choice, grant.actor.name, at)
        return kept.doubt

    async def note(
        self, kind: DoubtKind, left: Side, right: Side, choices: tuple[Choice, ...], key: str
    ) -> str:
        """See `Upkeep`."""
        doubt = new_doubt(kind, left, right, self._now().timestamp(), choices)
        uids = {side.study_uid for side in (left, right) if side.study_uid}
        rows = (self._memory.row_of_uid(uid) for uid in uids)
        study_ids = tuple(self._memory.study_id(row) for row in rows if row is not None)
        return self._doubts.note(KeptDoubt(doubt, key, study_ids))

    async def decided(self, kind: DoubtKind) -> tuple[tuple[str, Choice], ...]:
        """See `Upkeep`."""
        kept = self._doubts.of_kind(kind)
        return tuple((one.key, one.doubt.decided) for one in kept if one.doubt.decided is not None)

    async def quarantined(self, waiting: tuple[Quarantined, ...]) -> None:
        """See `Upkeep`."""
        self._registrar.quarantined(waiting)

    async def uncompared(self) -> tuple[Rivals, ...]:
        """See `Upkeep`."""
        return tuple(
            [
                Rivals(doubt_id, await self._located(first), await self._located(second))
                for doubt_id, first, second in self._registrar.rivals(_COMPARED_AT_ONCE)
            ]
        )

    async def compared(self, doubt_id: str, cut: Cut) -> bool:
        """See `Upkeep`."""
        return self._registrar.compared(doubt_id, cut, self._now().timestamp())

    async def _located(self, record: InstanceRecord) -> Located:
        state = await self._manifests.settle(self._shelf.by_id(record.study_id))
        return Located(state, record.instance_id)

    # the house's own work

    def gone(self, role: str) -> None:
        """A face has ended: what it had made durable, and not told of yet, is looked for in its folders.

        A sender is answered before the finder is told, so that it waits for the disk alone.
        """
        if role in _STORE:
            self._shelf.doubt_open()

    async def unsettled(self) -> tuple[str, ...]:
        """See `Upkeep`."""
        return tuple(sorted(self._shelf.unsettled))

    async def unknown(self, study_id: str, instance_ids: tuple[str, ...]) -> tuple[str, ...]:
        """See `Upkeep`."""
        known = self._rows.known(instance_ids)
        return tuple(one for one in instance_ids if one not in known)

    async def caught_up(self, study_id: str) -> None:
        """See `Upkeep`."""
        self._shelf.unsettled.discard(study_id)

    async def quiet_series(self, seconds: float) -> tuple[QuietSeries, ...]:
        """See `HouseCatalog`."""
        now = self._shelf.steady()
        waiting: list[tuple[float, str, str]] = []
        for study_id in list(self._shelf.undescribed):
            study = self._shelf.by_id(study_id)
            fresh = [one for one in study.series.values() if one.instances and not one.described]
            if not fresh:
                self._shelf.undescribed.discard(study_id)
            for one in fresh:
                since = study.series_changed.get(one.series_uid, float("-inf"))
                if now - since >= seconds:
                    waiting.append((since, study_id, one.series_uid))
            if len(waiting) > 10 * MAX_DESCRIBED:
                break
        quiet: list[QuietSeries] = []
        for _, study_id, series_uid in sorted(waiting)[:MAX_DESCRIBED]:
            study = self._shelf.by_id(study_id)
            state = await self._manifests.settle(study)
            quiet.append(QuietSeries(study.series[series_uid].series_id, series_uid, state))
        return tuple(quiet)

    async def described(self, series: QuietSeries) -> None:
        """See `HouseCatalog`. A series that changed since it was quiet stays to be described."""
        study = self._shelf.by_id(series.state.study_id)
        record = study.series.get(series.series_uid)
        if record is not None and study.version == series.state.version and not study.stale:
            record.described = True
            self._shelf.mark(study)

    async def states(self, after: str = "", limit: int = 500) -> tuple[StudyState, ...]:
        """See `HouseCatalog`."""
        chosen = [study_id for study_id in self._memory.ids() if study_id > after][:limit]
        return tuple([await self._manifests.settle(self._shelf.by_id(study_id)) for study_id in chosen])

    async def rows(self, study_id: str) -> tuple[str, ...]:
        """See `HouseCatalog`."""
        return tuple(one.instance_id for one in await self._rows.instances(study_id))

    async def clear(self) -> None:
        """See `Upkeep`."""
        self._rebuild.begin()

    async def rebuilding(self) -> None:
        """See `Upkeep`."""
        self._rebuild.sign()

    async def abandoned(self) -> bool:
        """See `Upkeep`."""
        return self._rebuild.abandoned

    async def rebuilt(self) -> None:
        """See `Upkeep`."""
        self._registrar.carry_out_all()
        await self.flush()
        await self._rebuild.end()

    async def restore_study(self, study: RestoredStudy) -> None:
        """See `Upkeep`."""
        await self._shelf.restore(study)

    async def restore(self, restored: tuple[Restored, ...]) -> None:
        """See `Upkeep`."""
        for one in restored:
            self._registrar.restore(one)
        await self._shelf.commit()

    # keeping up

    async def commit(self) -> None:
        """See `Upkeep`."""
        await self._shelf.commit()

    async def flush(self) -> None:
        """See `Upkeep`. Raises `Locked`, `Unreachable`, `Full`; rows are committed all the same."""
        try:
            for study in self._shelf.stale():
                await self._manifests.settle(study)
        finally:
            self._shelf.settle_old()
            self._shelf.rest()
            await self._shelf.commit()

    async def keep_up(self) -> None:
        """Commit rows and write manifests as they fall due, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rows.many.wait(), WAIT)
            await self._round()

    async def _round(self) -> None:
        try:
            self._shelf.tidy()
            await self._shelf.commit()
            for study in self._shelf.stale(QUIET)[:_SETTLED_AT_ONCE]:
                await self._manifests.settle(study)
        except HuisclosError:
            # vault, store or database is away for a moment: nothing is lost, the next round tries again
            await asyncio.sleep(1.0)
