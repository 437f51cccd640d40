"""QIDO-RS: ours over TLS with a token, beside Debian's Orthanc over plain HTTP; and beside itself when small.

One client, one connection that stays, the two of a pair in turns. Orthanc has the same 20,000 studies; its
store is made once, in `.run/bench`, and copied for each run. Each question finds as many studies in every
archive, and a question that does not is an error: what finds nothing is fast.
"""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.asking import Asker, asking, asking_house, token_of
from bench.filled import MANY, QUESTIONS, Question, fill, filled_orthanc, record_key
from bench.store import free_ports
from huisclos.archive.nouns import Placement
from huisclos.database.index import SqlIndex
from huisclos.errors import Locked
from huisclos.finder.memory import MemoryIndex
from huisclos.finder.rows import RowKeeper, study_context
from huisclos.finder.shelf import Shelf
from huisclos.seal.records import RecordKey
from tests.peers import house
from tests.tools import need

SMALL: Final = 1_000
BESIDE: Final = 20_000
"""Studies in ours and in Orthanc."""
LARGE: Final = 100_000
ROUNDS: Final = 9
ASKED: Final = 5
"""Searches of each side in one round."""
PEER_GOAL: Final = 5.0
GROWTH: Final = 2.0
"""How many times its cost at `SMALL` a search may cost at `LARGE`."""
PASSES: Final = 3.0
"""How many plain passes over the records loading them may take."""
LOADS: Final = 5
KEPT: Final = Path(__file__).resolve().parent.parent / ".run" / "bench"
_PEER: Final = "Orthanc (Debian), DICOMweb plugin"

Figure = dict[str, Any]


def run() -> list[Figure]:
    """Searches beside Orthanc's and beside a small archive's; loading beside a plain pass."""
    need("Orthanc")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hcbench") as work:
        folder = Path(work)
        first, kept = house.make_archive(folder / "first")
        token = token_of(first, kept)
        key = record_key(first, kept)
        archives = {size: _filled(folder, first, kept, key, size) for size in (SMALL, BESIDE, LARGE)}
        figures = [_loading(archives[LARGE][0], key)]
        figures += _beside_orthanc(folder, archives[BESIDE], token)
        figures += _beside_small(archives[SMALL], archives[LARGE], token)
        figures.append(_unlocking(archives, token))
    return figures


def _filled(folder: Path, first: Path, kept: Path, key: RecordKey, size: int) -> tuple[Path, Path]:
    """A copy of an archive, with so many studies, and the folder of its secrets."""
    archive, secrets = folder / str(size) / "archive", folder / str(size) / "secrets"
    shutil.copytree(first, archive)
    shutil.copytree(kept, secrets)
    fill(archive, key, size)
    return archive, secrets


@contextmanager
def _served(archive: tuple[Path, Path], token: str) -> Iterator[Asker]:
    with (
        house.serve(*archive, free_ports(len(house.LISTENERS))) as served,
        asking_house(served, token) as asker,
    ):
        yield asker


def _beside_orthanc(folder: Path, archive: tuple[Path, Path], token: str) -> list[Figure]:
    figures = []
    with (
        filled_orthanc(KEPT, folder / "orthanc", BESIDE) as peer,
        asking(peer.dicomweb) as theirs,
        _served(archive, token) as ours,
    ):
        for name, question in (*QUESTIONS.items(), ("name by prefix, first of many", MANY)):
            mine, beside = _in_turns(ours, theirs, question)
            what = f"QIDO-RS by {name}, {BESIDE:,} studies, {question.finds} answered"
            figures.append(_figure(what, mine, beside, _PEER, PEER_GOAL))
    return figures


def _beside_small(small: tuple[Path, Path], large: tuple[Path, Path], token: str) -> list[Figure]:
    figures = []
    with _served(small, token) as few, _served(large, token) as many:
        for name, question in QUESTIONS.items():
            mine, beside = _in_turns(many, few, question)
            what = f"QIDO-RS by {name}, {LARGE:,} studies, {question.finds} answered"
            allowed = [GROWTH * one for one in beside]
            figures.append(_figure(what, mine, allowed, f"{GROWTH:g} times ours at {SMALL:,}, at most", 1.0))
    return figures


def _in_turns(ours: Asker, theirs: Asker, question: Question) -> tuple[list[float], list[float]]:
    """Milliseconds of each: a median of a few searches for each round."""
    mine: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        for asker, times in ((ours, mine), (theirs, beside)):
            times.append(statistics.median(asker.times(question.parameters, ASKED, question.finds)))
    return mine, beside


# unlocking


class _NoKeys:
    """Nothing is stored while loading is measured."""

    async def new_study(self) -> Placement:
        raise Locked("there is no vault here")


def _loading(archive: Path, key: RecordKey) -> Figure:
    """What the finder does with the index at unlock, beside reading and opening its records and no more."""
    index = SqlIndex(archive / "index.sqlite")
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(LOADS):
        for times, work in ((plain, _pass), (ours, _load)):
            gc.collect()
            began = time.perf_counter()
            work(index, key)
            times.append(time.perf_counter() - began)
    index.close()
    allowed = [PASSES * one for one in plain]
    name = f"unlocking {LARGE:,} studies: loading the index"
    return _figure(name, ours, allowed, f"{PASSES:g} passes that read and unseal, at most", 1.0, "s")


def _unlocking(archives: Mapping[int, tuple[Path, Path]], token: str) -> Figure:
    """From the command to the first answer, its start and the passphrase included; a small archive beside."""
    took: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for size, times in took.items():
        archive, secrets = archives[size]
        with _served(archives[size], token) as asker:
            for _ in range(LOADS):
                house.huisclos("lock", str(archive))
                began = time.perf_counter()
                house.huisclos("unlock", str(archive), "--unlock-with", f"file:{secrets / 'passphrase'}")
                while not _answers(asker):
                    time.sleep(0.02)
                times.append(time.perf_counter() - began)
    name = f"unlocking {LARGE:,} studies: from the command to the first answer"
    return _figure(name, took[LARGE], took[SMALL], f"ours with {SMALL:,}", None, "s")


def _answers(asker: Asker) -> bool:
    asker.close()
    try:
        asker.ask(QUESTIONS["id"].parameters)
    except RuntimeError:
        return False
    return True


def _load(index: SqlIndex, key: RecordKey) -> None:
    Shelf(MemoryIndex(), RowKeeper(index, key), _NoKeys()).load()


def _pass(index: SqlIndex, key: RecordKey) -> None:
    for row in index.studies():
        key.open_record(row.record, study_context(row))


def _figure(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float],
    peer_name: str,
    goal: float | None,
    unit: str = "ms",
) -> Figure:
    """Times: the ratio says how many times longer the peer takes, or may take."""
    mine, theirs = statistics.median(ours), statistics.median(peer)
    return {
        "name": name,
        "ours": round(mine, 2),
        "peer": round(theirs, 2),
        "peer_name": peer_name,
        "ratio": round(theirs / mine, 2),
        "goal": goal,
        "unit": unit,
        "runs": {"ours": [round(one, 3) for one in ours], "peer": [round(one, 3) for one in peer]},
    }
