"""The finder: loading, searching and answering at 1,000, 20,000 and 100,000 invented studies.

The peer is what the design promises ("bound"), the same work at 1,000 studies, or the same
question put to SQLite over names in clear, which huisclos does not allow itself.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, Final

from bench.finder_people import sealed, studies
from huisclos.archive.nouns import Level, Query
from huisclos.dicom.matching import fold
from huisclos.finder.answers import Answer
from huisclos.finder.memory import Loaded, MemoryIndex
from huisclos.finder.records import InstanceRecord, decode_sealed, encode
from huisclos.finder.search import prepare, search
from huisclos.seal.records import RecordKey

SIZES: Final = (1_000, 20_000, 100_000)
RUNS: Final = 15
TODAY: Final = date(2026, 3, 4)
FAR: Final = 100_000
"""Studies the bounds are set for."""

_MEGA: Final = 1e6
_KEY: Final = RecordKey(bytes(32))
_PAGE: Final = Query(Level.STUDY, limit=50, base="https://archive.example/dicom-web")
_QUESTIONS: Final = {
    "page of 50, newest": (_PAGE, 2.0),
    "one year's range, page of 50": (
        Query(Level.STUDY, {"StudyDate": "20190101-20191231"}, limit=50),
        3.0,
    ),
    "name by prefix, page of 50": (Query(Level.STUDY, {"PatientName": "MARTI*"}, limit=50), 50.0),
    "name by infix, page of 50": (Query(Level.STUDY, {"PatientName": "*PONRE*"}, limit=50), 50.0),
    "typed: two words, page of 50": (Query(Level.STUDY, text="marti elo", limit=50), 50.0),
    "by patient id": (Query(Level.STUDY, {"PatientID": "P0000123"}, limit=50), 2.0),
    "series over all, page of 50": (Query(Level.SERIES, limit=50), 50.0),
}
"""Question and its bound in milliseconds at 100,000 studies (of the whole answer, encoded)."""


def run() -> list[dict[str, Any]]:
    """One row per figure; medians of `RUNS`."""
    rows: list[dict[str, Any]] = []
    first_page = 0.0
    for size in SIZES:
        sealed_rows = [
            (study_id, _KEY.seal_record(encode(sealed(study, series, text)), b"bench"))
            for study_id, study, series, text in studies(size)
        ]
        memory, load = _load(sealed_rows)
        # its goal is in bench/search.py: beside a plain pass, on the disk
        rows.append(_row(f"load {size:,}", [load], 1.0 * size / FAR, "bound", "s", None))
        held = memory.size() / _MEGA
        rows.append(_row(f"memory at {size:,}", [held], 60.0 * size / FAR, "bound", "MB", 1.0))
        for name, (query, bound) in _QUESTIONS.items():
            times = _timed(partial(_answer, memory, query))
            goal = 1.0 if size == FAR or query is _PAGE else None
            rows.append(_row(f"{name}, {size:,}", times, bound, "bound", "ms", goal))
            if query is _PAGE:
                first_page = first_page or statistics.median(times)
                if size == FAR:
                    rows.append(
                        _row("page at 100,000", times, 2 * first_page, "twice the page at 1,000", "ms", 1.0)
                    )
        if size == FAR:
            rows += _raw(memory)
            rows.append(_beside_sqlite(memory))
    return rows


def _load(sealed_rows: list[tuple[str, bytes]]) -> tuple[MemoryIndex, float]:
    gc.collect()
    start = time.process_time()
    memory = MemoryIndex()
    memory.load(
        Loaded(study_id, decode_sealed(_KEY.open_record(row, b"bench"))) for study_id, row in sealed_rows
    )
    return memory, time.process_time() - start


def _answer(memory: MemoryIndex, query: Query) -> int:
    """Bytes of the answer."""
    plan = prepare(query, TODAY)
    asking = search(memory, _nothing, query, plan)
    try:
        # nothing here waits, so that the loop's own time stays out of the figure
        asking.send(None)
    except StopIteration as done:
        return len(Answer(memory, query, plan).rows(done.value.hits))
    raise RuntimeError("a search of studies or series waits for nothing")


async def _nothing(_row: int) -> list[InstanceRecord]:
    return []


def _raw(memory: MemoryIndex) -> list[dict[str, Any]]:
    """The index alone, without the answer."""
    questions: tuple[tuple[str, Callable[[], Any], float], ...] = (
        ("prefix of a name, rows only", lambda: memory.beginning("marti"), 0.5),
        ("infix over all, rows only", lambda: memory.holding("ponre"), 10.0),
        ("range of a year, rows only", lambda: memory.dated(20190101, 20191231), 0.2),
    )
    return [_row(name, _timed(question), bound, "bound", "ms", 1.0) for name, question, bound in questions]


def _beside_sqlite(memory: MemoryIndex) -> dict[str, Any]:
    clear = sqlite3.connect(":memory:")
    clear.execute("CREATE TABLE study (name TEXT)")
    names = ((fold(memory.study(row).patient_name),) for row in memory.rows())
    clear.executemany("INSERT INTO study VALUES (?)", names)
    theirs = _timed(lambda: clear.execute("SELECT count(*) FROM study WHERE name LIKE '%ponre%'").fetchone())
    ours = _timed(lambda: memory.holding("ponre").sum())
    clear.close()
    return _row(
        "infix over all", ours, statistics.median(theirs), "SQLite LIKE over names in clear", "ms", 1.0
    )


def _timed(work: Callable[[], object]) -> list[float]:
    """Milliseconds of the processor that each run takes: what else the machine does is no matter here."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1e3)
    return times


def _row(
    name: str, runs: list[float], peer: float, peer_name: str, unit: str, goal: float | None
) -> dict[str, Any]:
    ours = statistics.median(runs)
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": peer_name,
        "ratio": round(peer / ours, 2),
        "goal": goal,
        "unit": unit,
        "runs": [round(one, 4) for one in runs],
    }
