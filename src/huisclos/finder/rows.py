"""The finder's side of the index: records sealed into rows, buffered, committed in groups.

A row waits 100 ms at most for others to be committed with it; memory and this buffer know it at
once. What the buffer held when the process died is found again, because its study's row says
OPEN (see `shelf`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.archive.index_ports import Index, IndexedInstance, IndexedStudy, Settling
from huisclos.errors import Unreadable
from huisclos.finder.records import EPOCH, InstanceRecord, SealedStudy, decode_instance, decode_sealed, encode
from huisclos.seal.records import RecordKey

WAIT: Final = 0.1
"""Seconds a row waits for company."""
MANY: Final = 500
"""Rows that are committed without waiting any longer."""


class KeptStudy(Struct, frozen=True, gc=False):
    """A study's row, opened."""

    study_id: str
    version: int
    manifest_digest: bytes
    state: Settling
    sealed: SealedStudy


class RowKeeper:
    """Seals, opens and buffers rows. Used from one event loop; commits run in a thread."""

    def __init__(self, index: Index, key: RecordKey) -> None:
        self._index = index
        self._key = key
        self._waiting: dict[str, InstanceRecord] = {}
        self._committing: dict[str, InstanceRecord] = {}
        self._turn = asyncio.Lock()
        self.many = asyncio.Event()
        """Set when so many rows wait that they should be committed now."""

    # studies

    def studies(self) -> Iterator[KeptStudy]:
        """Every study's row. Raises `Tampered`."""
        return map(self._opened_study, self._index.studies())

    def study(self, study_uid: str) -> KeptStudy | None:
        """The row of a study as it was last committed. Raises `Tampered`."""
        row = self._index.study_by_token(self._key.token("study", study_uid))
        return None if row is None else self._opened_study(row)

    async def write_study(self, study_uid: str, kept: KeptStudy) -> None:
        """Replace a study's row now, durably. Raises `Conflict`, `Unreachable`."""
        async with self._turn:
            await asyncio.to_thread(
                self._index.write, [self._sealed_study(study_uid, kept)], (), durable=True
            )

    def _opened_study(self, row: IndexedStudy) -> KeptStudy:
        if row.epoch != EPOCH:
            raise Unreadable("the index is of another format", hint="rebuild it: huisclos reindex ARCHIVE")
        sealed = decode_sealed(self._key.open_record(row.record, study_context(row)))
        return KeptStudy(row.study_id, row.version, row.manifest_digest, row.state, sealed)

    def _sealed_study(self, study_uid: str, kept: KeptStudy) -> IndexedStudy:
        row = IndexedStudy(
            kept.study_id,
            self._key.token("study", study_uid),
            kept.version,
            kept.manifest_digest,
            kept.state,
            EPOCH,
            b"",
        )
        record = self._key.seal_record(encode(kept.sealed), study_context(row))
        return msgspec.structs.replace(row, record=record)

    # instances

    def put_instance(self, record: InstanceRecord) -> None:
        """Add or replace an instance's row at the next commit."""
        self._waiting[record.instance_id] = record
        if len(self._waiting) >= MANY:
            self.many.set()

    async def instances(self, study_id: str) -> list[InstanceRecord]:
        """Every instance of a study. Raises `Tampered`."""
        before = self._held(lambda record: record.study_id == study_id)
        stored = await asyncio.to_thread(self._stored, study_id)
        # what was committed in between is in neither of the first two as it stands now
        return list((stored | before | self._held(lambda record: record.study_id == study_id)).values())

    def same_uid(self, instance_uid: str) -> list[InstanceRecord]:
        """Every instance with this SOP Instance UID, in any study. Raises `Tampered`.

        Blocks for about 0.1 ms: nothing may happen between this and what is made of it.
        """
        rows = self._index.instances_by_token(self._key.token("instance", instance_uid))
        stored = {row.instance_id: self._opened(row) for row in rows}
        return list((stored | self._held(lambda record: record.instance_uid == instance_uid)).values())

    def known(self, instance_ids: Iterable[str]) -> set[str]:
        """Those of `instance_ids` that have a row or wait for one."""
        asked = set(instance_ids)
        held = asked & (self._waiting.keys() | self._committing.keys())
        return held | self._index.known(asked - held)

    def _held(self, wanted: Callable[[InstanceRecord], bool]) -> dict[str, InstanceRecord]:
        both = self._committing | self._waiting
        return {record.instance_id: record for record in both.values() if wanted(record)}

    def _stored(self, study_id: str) -> dict[str, InstanceRecord]:
        return {row.instance_id: self._opened(row) for row in self._index.instances(study_id)}

    def _opened(self, row: IndexedInstance) -> InstanceRecord:
        context = _instance_context(row.instance_id, row.study_id)
        return decode_instance(self._key.open_record(row.record, context))

    # commits

    @property
    def waiting(self) -> bool:
        """Whether instances wait to be committed."""
        return bool(self._waiting)

    async def commit(self, studies: Callable[[], list[tuple[str, KeptStudy]]]) -> None:
        """Commit the instances that wait, and the rows of `studies`, asked for when the turn comes.

        Raises `Unreachable`; then the instances go on waiting.
        """
        async with self._turn:
            chosen = studies()
            self._committing, self._waiting = self._waiting, {}
            self.many.clear()
            done = False
            try:
                if chosen or self._committing:
                    await asyncio.to_thread(self._write, chosen, list(self._committing.values()))
                done = True
            finally:
                if not done:
                    self._waiting = self._committing | self._waiting
                self._committing = {}

    def _write(self, studies: list[tuple[str, KeptStudy]], instances: list[InstanceRecord]) -> None:
        self._index.write(
            [self._sealed_study(uid, kept) for uid, kept in studies], [self._sealed(one) for one in instances]
        )

    def _sealed(self, record: InstanceRecord) -> IndexedInstance:
        context = _instance_context(record.instance_id, record.study_id)
        return IndexedInstance(
            record.instance_id,
            record.study_id,
            self._key.token("instance", record.instance_uid),
            self._key.seal_record(encode(record), context),
        )

    def clear(self, mark: bytes) -> None:
        """Remove every row, waiting or not; `mark` is the checkpoint from now on."""
        self._waiting.clear()
        self._index.clear(mark)


def study_context(row: IndexedStudy) -> bytes:
    """Binds a record to the clear columns beside it: none can be changed alone."""
    head = f"huisclos study\0{row.study_id}\0{row.version}\0{row.state}\0".encode()
    return head + row.uid_token + row.manifest_digest


def _instance_context(instance_id: str, study_id: str) -> bytes:
    return f"huisclos instance\0{instance_id}\0{study_id}".encode()
