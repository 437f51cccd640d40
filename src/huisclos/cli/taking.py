"""The work behind `huisclos export`: a study into a folder, counted in the journal however it ends."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huisclos.access.nouns import Right
from huisclos.archive.export import ExportReceipt, export_study
from huisclos.archive.ports import StudyKey
from huisclos.archive.retrieve import OpenStudy
from huisclos.cli import output
from huisclos.clock import timestamp
from huisclos.wiring.connection import House

_TELL_EVERY: Final = 0.5
"""Seconds between two sums of what was read; the vault writes them down within another."""
_LEFT: Final = 1.0
"""Seconds before a grant's end at which another is asked for; the vault gives none before."""


@dataclass
class _Taking:
    """One export under way: its thread fills the receipt, its task tells the vault of it."""

    house: House
    key: StudyKey
    study: OpenStudy
    receipt: ExportReceipt
    told_instances: int = 0
    told_octets: int = 0

    async def tell(self) -> None:
        """What was read since the last time."""
        instances = self.receipt.opened - self.told_instances
        octets = self.receipt.read - self.told_octets
        if instances or octets:
            self.told_instances += instances
            self.told_octets += octets
            await self.house.keeper.sum_reads(self.key.grant.id, instances, octets)

    async def watch(self) -> None:
        """Tell, and ask for another grant when this one ends, until cancelled."""
        while True:
            await asyncio.sleep(_TELL_EVERY)
            await self.tell()
            if self.key.grant.until - timestamp() <= _LEFT:
                proof, purpose = self.house.proof, Right.EXPORT.value
                self.key = await self.house.keeper.open_study(proof, self.study.manifest.study_id, purpose)
                self.study.renew(self.key)


async def take_out(house: House, study_uid: str, to: Path, *, resume: bool) -> ExportReceipt:
    """Export a study; raises as `export_study`, and what the vault and the finder raise."""
    purpose = Right.EXPORT.value
    grant = await house.keeper.grant(house.proof, Right.LIST, purpose)
    state = await house.catalog.state_of(grant, study_uid)
    key = await house.keeper.open_study(house.proof, state.study_id, purpose)
    verify_key = await house.console.verify_key()
    study = await asyncio.to_thread(OpenStudy.under, house.store, key, state, verify_key)
    taking = _Taking(house, key, study, ExportReceipt())
    watching = asyncio.create_task(taking.watch())
    try:
        await _written(taking, to, resume=resume)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await taking.tell()
        await house.console.exported(state.study_id, len(taking.receipt.files), taking.receipt.octets)
    return taking.receipt


class _BrokenOff(Exception):
    """Whoever asked for the export is gone."""


async def _written(taking: _Taking, to: Path, *, resume: bool) -> None:
    gone = threading.Event()
    with output.progress("exporting") as step:

        def progress(done: int, of: int) -> None:
            if gone.is_set():
                raise _BrokenOff
            step(done, of)

        def write() -> None:
            export_study(taking.study, to, resume=resume, receipt=taking.receipt, progress=progress)

        writing = asyncio.ensure_future(asyncio.to_thread(write))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # the file it is at is written to its end, or removed
            gone.set()
            await asyncio.gather(writing, return_exceptions=True)
            raise
