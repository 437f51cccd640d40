"""Import: whatever lies on media and disks, into the house, with a receipt.

An import cut short is simply begun again: what is here already is told by its digest before
anything is written durably, so that it costs a reading of the file and no more.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from huisclos.access.nouns import Source
from huisclos.archive.intake import FileIntake
from huisclos.archive.media import Item, items
from huisclos.archive.nouns import Outcome
from huisclos.archive.receive import Received, Receiver, Reception
from huisclos.errors import Unreadable

_AT_A_TIME: Final = 4
"""Files under way at once: while one waits for the disk, another is read and sealed."""


class Imported(Struct, frozen=True):
    """What came of one file. The name is for the person who asked: never write it to disk or journal."""

    name: str
    outcome: Outcome | None
    """None if it was refused."""
    digest: str = ""
    """SHA-256 of the data set, hex."""
    refusal: str = ""


class ImportReceipt(Struct):
    """What an import came to; also the shape of `--json`."""

    files: int = 0
    stored: int = 0
    duplicates: int = 0
    """Here already, the same data set: nothing was written."""
    alternatives: int = 0
    held: int = 0
    """The same SOP Instance UID with other content: under "to decide"."""
    batched: int = 0
    """Of the stored ones, those that lie in a batch since the archive is locked."""
    octets: int = 0
    refused: list[Imported] = msgspec.field(default_factory=list)
    digest: str = ""
    """SHA-256 over the data set digests that are in the house now, sorted: equal for equal media."""


async def import_paths(
    paths: list[Path],
    receiver: Receiver,
    source: Source,
    *,
    report: Callable[[Imported], None] = lambda _imported: None,
) -> ImportReceipt:
    """Take in everything at `paths`: folders, files, zip files, DICOMDIR media.

    `report` is told of each file as it is done. A file that is no instance is refused and the
    rest goes on; raises `StoreError` when the house itself cannot store: begin again later.
    """
    importing = _Importing(receiver, source, report)
    waiting = items(paths)
    await _all_or_first_error(importing.work(waiting) for _ in range(_AT_A_TIME))
    await receiver.deposits.flush()
    return importing.receipt()


class _Importing:
    """One import under way."""

    def __init__(self, receiver: Receiver, source: Source, report: Callable[[Imported], None]) -> None:
        self._receiver = receiver
        self._source = source
        self._report = report
        self._total = ImportReceipt()
        self._digests: set[bytes] = set()

    async def work(self, waiting: Iterator[Item]) -> None:
        """Take one item after the other, until none is left."""
        for item in waiting:
            await self._one(item)

    def receipt(self) -> ImportReceipt:
        """What it came to."""
        self._total.digest = hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()
        return self._total

    async def _one(self, item: Item) -> None:
        self._total.files += 1
        if item.pieces is None:
            self._refused(item, item.refusal)
            return
        reception = Reception(self._receiver, self._source, FileIntake(), beside=True, ask_first=True)
        try:
            for piece in item.pieces():
                behind = reception.write(piece)
                # the disk it is written to may be slower than the medium it is read from
                await (behind or asyncio.sleep(0))
            received = await reception.finish()
        except Unreadable as error:
            self._refused(item, error.message)
        else:
            self._taken(item, received)
        finally:
            reception.abandon()

    def _refused(self, item: Item, reason: str) -> None:
        refused = Imported(item.name, None, refusal=reason)
        self._total.refused.append(refused)
        self._report(refused)

    def _taken(self, item: Item, received: Received) -> None:
        total, stored = self._total, received.stored
        self._digests.add(stored.digest)
        if received.outcome is Outcome.DUPLICATE:
            total.duplicates += 1
        else:
            total.octets += stored.length
            total.stored += received.outcome is Outcome.STORED
            total.alternatives += received.outcome is Outcome.ALTERNATIVE
            total.held += received.outcome is Outcome.HELD
            total.batched += bool(stored.batch_id)
        self._report(Imported(item.name, received.outcome, stored.digest.hex()))


async def _all_or_first_error(work: Iterator[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
