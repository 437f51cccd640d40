"""The finder as a process: over a channel, role by role, until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from huisclos.access.nouns import Right
from huisclos.archive.finder_ports import Upkeep
from huisclos.archive.nouns import Level, Outcome, Query
from huisclos.channel import Channel, Methods, Sibling
from huisclos.channel.calls import locked_when_away
from huisclos.channel.remote import remote
from huisclos.errors import Locked, NotGranted
from huisclos.finder.client import finder_client
from huisclos.finder.keys import keys_of
from huisclos.finder.main import run_finder
from huisclos.finder.memory import Loaded, MemoryIndex
from huisclos.finder.records import SealedStudy, SeriesRecord, StudyRecord, encode, pack_series
from huisclos.finder.text import study_text
from huisclos.seal.records import RecordKey
from tests.finder.house import World, heading, stored


async def test_the_process_serves_each_role_what_it_may(tmp_path: Path) -> None:
    """Web reads under a grant, reception stores and reads nothing; at the end all is written."""
    world = World(tmp_path)
    key = RecordKey.generate()
    world.record_key = RecordKey(key)
    tables: list[Callable[[str], Methods]] = []
    ready, stop = asyncio.Event(), asyncio.Event()
    process = asyncio.create_task(
        run_finder(
            index=world.index,
            decisions=world.decisions,
            store=world.store,
            keys=world,
            signer=world,
            record_key=key,
            grant_key=world.grant_key,
            serve_to=lambda table, _: tables.append(table),
            ready=ready.set,
            stop=stop,
        )
    )
    await ready.wait()
    siblings = {}
    for role in ("web", "reception", "scribe", "stranger"):
        ours, theirs = socket.socketpair()
        await Channel.over(theirs, tables[0](role))
        siblings[role] = Sibling("finder", locked_when_away)
        siblings[role].arrive(await Channel.over(ours))
    reception, web = finder_client(siblings["reception"]), finder_client(siblings["web"])
    said = heading()
    placement = await reception.place(said.study_uid)
    assert await reception.place(said.study_uid) is placement, "asked once a second"
    assert await reception.register_all((stored(placement, said),)) == (Outcome.STORED,)
    grant = world.grant(Right.LIST, until=4e9)
    page = await web.query(grant, Query(Level.STUDY, text="exemple"))
    assert page.total == 1
    with pytest.raises(NotGranted):
        await reception.query(grant, Query(Level.STUDY))
    with pytest.raises(NotGranted):
        await web.states()
    with pytest.raises(NotGranted):
        await finder_client(siblings["stranger"]).counts()
    assert await remote(Upkeep, siblings["scribe"]).unsettled() == ()
    with pytest.raises(Locked):
        await finder_client(Sibling("finder", locked_when_away)).counts()
    stop.set()
    await process
    (row,) = world.index.studies()
    assert row.version == 1
    for sibling in siblings.values():
        sibling.leave()
    world.close()


def test_thousands_of_changes_and_loads() -> None:
    """Studies that cool, and a buffer that is compacted, lose nothing; loading gives the same index."""
    memory = MemoryIndex()
    series = [SeriesRecord("0" * 32, "1.2.3", "CT", instances=1, series_description="x" * 400)]
    studies = [
        StudyRecord(f"1.2.{at}", f"NAME{at}^A", f"P{at}", study_date="20200101", series=1, instances=1)
        for at in range(5000)
    ]
    for at, study in enumerate(studies):
        memory.put(None, f"{at:032x}", study, series, study_text(study))
    for _ in range(3):
        for at in range(5000):
            changed = msgspec.structs.replace(studies[at], patient_age=str(at))
            memory.put(at, f"{at:032x}", changed, series, study_text(changed))
    assert all(memory.study(at).patient_age == str(at) for at in range(0, 5000, 7))
    assert memory.series(17) == series
    assert memory.row_of_uid("1.2.4321") == 4321
    assert memory.row_of_id(f"{77:032x}") == 77
    assert memory.row_of_id("no id") is None
    assert memory.same_patient_id(studies[9]) == [9]
    loaded = MemoryIndex()
    loaded.load(
        Loaded(
            memory.study_id(row),
            SealedStudy(
                "",
                encode(memory.study(row)),
                pack_series(series),
                memory.text(row),
                keys_of(memory.study(row)),
            ),
        )
        for row in memory.rows()
    )
    assert loaded.newest(0, 5000).tolist() == memory.newest(0, 5000).tolist()
    assert loaded.study(4999) == memory.study(4999)
    assert loaded.size() < memory.size() * 2
