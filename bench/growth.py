"""What storing and searching cost as the archive grows: small instances, ours beside Debian's Orthanc.

    python bench/growth.py [--most N] [--peer-most N] [--minutes M] [--folder FOLDER] [--draw]

Stock senders store up to N instances (1,000,000 unless said; in Orthanc 100,000) in studies of 100, the
two in turns. At 1, 2 and 5 thousand, ten thousand... it notes what the last instances took, of the clock and
of the processors, what a search takes that finds the same studies each time, and the memory of all processes.
Writes `bench/growth.json` after each note, so that a run that is ended early is not lost, and draws
`docs/images/growth.svg`; with --draw it draws what is there. A million take half an hour or more, and 10 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench.asking import Asker, asking, asking_house, token_of  # noqa: E402 - found from here
from bench.chart import Line, Panel, draw  # noqa: E402
from bench.images import template  # noqa: E402
from bench.processes import family, memory  # noqa: E402
from bench.store import PIXELS, Side, free_ports  # noqa: E402
from tests.peers import house, orthanc  # noqa: E402
from tests.tools import need  # noqa: E402

MOST: Final = 1_000_000
PEER_MOST: Final = 100_000
STUDY: Final = 100
"""Instances of one study."""
ROUND: Final = 500
"""Instances of one association."""
LAST: Final = 5
"""Associations of which a note gives the median."""
ASKED: Final = 15
QUESTIONS: Final = {
    "name by prefix, 10 found": ({"PatientName": "G0000000*", "limit": "50"}, 10),
    "day, 10 found": ({"StudyDate": "20000101", "limit": "50"}, 10),
    "id, 1 found": ({"PatientID": "P000000003", "limit": "50"}, 1),
}
NOTES: Final = HERE / "growth.json"
CHART: Final = HERE.parent / "docs" / "images" / "growth.svg"
OURS: Final = "huisclos"
PEER: Final = "Orthanc (Debian)"
_PIXEL_BYTES: Final = 2048
_STUDIES_OF_A_DAY: Final = 10
_MEGA: Final = 1e6

Note = dict[str, Any]


@dataclass
class Grower:
    """One of the two archives, while it grows."""

    name: str
    side: Side
    asker: Asker
    folder: Path
    most: int
    notes: list[Note] = field(default_factory=list)

    def note(self, instances: int) -> None:
        """Write down what it costs now."""
        self.notes.append(
            {
                "of": self.name,
                "instances": instances,
                "store_ms": round(1000 / statistics.median(self.side.rates[-LAST:]), 3),
                "store_processors_ms": round(statistics.median(self.side.costs[-LAST:]), 3),
                "search_ms": {
                    name: round(statistics.median(self.asker.times(question, ASKED, finds)), 3)
                    for name, (question, finds) in QUESTIONS.items()
                },
                "memory_mb": round(memory(family(self.folder)) / _MEGA, 1),
            }
        )


def main() -> None:
    """Grow both, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--most", type=int, default=MOST, help="instances stored in ours")
    parser.add_argument("--peer-most", type=int, default=PEER_MOST, help="instances stored in Orthanc")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end earlier, after so many")
    parser.add_argument("--folder", help="where the archives are made, and removed at the end")
    parser.add_argument("--draw", action="store_true", help="only draw what was noted before")
    asked = parser.parse_args()
    if not asked.draw:
        need("storescu", "Orthanc")
        _grow(asked.most, min(asked.most, asked.peer_most), asked.folder, asked.minutes)
    notes: list[Note] = json.loads(NOTES.read_text())
    CHART.write_text(draw(_panels(notes)))
    Console().print(_table(notes))


def _grow(most: int, peer_most: int, where: str | None, minutes: float) -> None:
    ends = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory(prefix="hcgrowth", dir=where) as work, ExitStack() as running:
        folder = Path(work)
        growers = [_ours(folder, most, running), _theirs(folder, peer_most, running)]
        points = set(_points(most))
        for round_ in range(most // ROUND):
            # the questions find what they should from the second association on
            over = time.monotonic() > ends and round_ > 0
            sent = _write(folder / "sent", range(round_ * ROUND // STUDY, (round_ + 1) * ROUND // STUDY))
            instances = (round_ + 1) * ROUND
            for grower in growers:
                if instances > grower.most:
                    continue
                grower.side.measure([sent], {"TCP_NODELAY": "1"})
                if instances in points or over:
                    grower.note(instances)
            shutil.rmtree(sent)
            if instances in points or over:
                print(f"{instances:,}", file=sys.stderr, flush=True)
                notes = [note for grower in growers for note in grower.notes]
                NOTES.write_text(json.dumps(notes, indent=1) + "\n")
            if over:
                break


def _ours(folder: Path, most: int, running: ExitStack) -> Grower:
    archive, kept = house.make_archive(folder / "ours")
    token = token_of(archive, kept)
    served = running.enter_context(house.serve(archive, kept, free_ports(len(house.LISTENERS))))
    asker = running.enter_context(asking_house(served, token))
    return Grower(OURS, Side(served.title, served.dicom_port, archive), asker, archive, most)


def _theirs(folder: Path, most: int, running: ExitStack) -> Grower:
    dicom, http = free_ports(2)
    made, best = folder / "orthanc", {"TCP_NODELAY": "1"}
    peer = running.enter_context(orthanc.orthanc(made, dicom_port=dicom, http_port=http, environment=best))
    asker = running.enter_context(asking(peer.dicomweb))
    return Grower(PEER, Side(peer.title, peer.dicom_port, made), asker, made, most)


def _points(most: int) -> Iterator[int]:
    """1,000, 2,000, 5,000, 10,000... up to `most`."""
    decade = 1000
    while decade <= most:
        yield from (decade * step for step in (1, 2, 5) if decade * step <= most)
        decade *= 10


def _write(folder: Path, studies: Sequence[int]) -> Path:
    """Small instances of these studies: a patient of its own for each, ten studies a day."""
    folder.mkdir()
    whole = template()
    tail = PIXELS + _PIXEL_BYTES.to_bytes(4, "little") + bytes(_PIXEL_BYTES)
    for study in studies:
        day = date(2000, 1, 1) + timedelta(study // _STUDIES_OF_A_DAY)
        head = whole[: whole.index(PIXELS)]
        for before, after in (
            ("2.25.1" + "0" * 9, f"2.25.1{study:09}"),
            ("2.25.2" + "0" * 9, f"2.25.2{study:09}"),
            ("Inventée^Personne", f"G{study:08}^Inventee"),
            ("INVENTED-1", f"P{study:09}"),
            ("20260101", f"{day:%Y%m%d}"),
        ):
            head = head.replace(before.encode(), after.encode())
        for position in range(STUDY):
            instance = f"2.25.3{study:06}{position:03}".encode()
            made = head.replace(b"2.25.3" + b"0" * 9, instance) + tail
            (folder / f"{study:06}-{position:03}.dcm").write_bytes(made)
    return folder


def _panels(notes: Sequence[Note]) -> list[Panel]:
    question = next(iter(QUESTIONS))
    return [
        Panel("storing one instance, ms", _lines(notes, lambda note: note["store_ms"])),
        Panel("storing one, ms of the processors", _lines(notes, lambda note: note["store_processors_ms"])),
        Panel(f"search: {question}, ms", _lines(notes, lambda note: note["search_ms"][question]), log=True),
    ]


def _lines(notes: Sequence[Note], value: Any) -> list[Line]:
    return [
        Line(name, [(note["instances"], value(note)) for note in notes if note["of"] == name])
        for name in (OURS, PEER)
    ]


def _table(notes: Sequence[Note]) -> Table:
    shown = Table(
        "", "instances", "store, ms", "processors, ms", *(f"{name}, ms" for name in QUESTIONS), "MB"
    )
    for note in notes:
        searches = (f"{note['search_ms'][name]:.1f}" for name in QUESTIONS)
        shown.add_row(
            note["of"],
            f"{note['instances']:,}",
            f"{note['store_ms']:.2f}",
            f"{note['store_processors_ms']:.2f}",
            *searches,
            f"{note['memory_mb']:.0f}",
        )
    return shown


if __name__ == "__main__":
    main()
