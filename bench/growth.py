"""What storing costs as the archive grows: small instances, the finder unlocked, one sender.

    python bench/growth.py [MOST] [FOLDER]

Stores up to MOST instances (10,000 unless said) in studies of 1,000, and prints for each power of ten what
the 1,000 before it took: instances a second, and milliseconds of the processors for one, of all processes of
the house. A million take hours and 5 GB: that is for a machine that does nothing else.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.images import template
from bench.store import PIXELS, Side, free_ports
from tests.peers import house

STEP: Final = 1000
"""Instances of one study, and of one measurement."""
_PIXEL_BYTES: Final = 2048


def main() -> None:
    """Store, and print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10 * STEP
    where = sys.argv[2] if len(sys.argv) > 2 else None  # noqa: PLR2004 - the second of two
    shown = Table("instances", "instances/s", "ms of the processors each")
    with tempfile.TemporaryDirectory(prefix="hcgrowth", dir=where) as work, ExitStack() as running:
        folder = Path(work)
        archive, kept = house.make_archive(folder / "ours")
        served = running.enter_context(house.serve(archive, kept, free_ports(len(house.LISTENERS))))
        side = Side(served.title, served.dicom_port, archive)
        for number in range(1, most // STEP + 1):
            sent = series(folder / "sent", number)
            side.measure([sent], {})
            shutil.rmtree(sent)
            if set(str(number)[1:]) <= {"0"} and str(number)[0] == "1":
                shown.add_row(f"{number * STEP:,}", f"{side.rates[-1]:.0f}", f"{side.costs[-1]:.2f}")
    Console().print(shown)


def series(folder: Path, number: int) -> Path:
    """One study of `STEP` small instances, unlike every other."""
    folder.mkdir()
    content = template()
    head = content[: content.index(PIXELS)].replace(b"2.25.1" + b"0" * 9, b"2.25.1%09d" % number)
    head = head.replace(b"2.25.2" + b"0" * 9, b"2.25.2%09d" % number)
    tail = PIXELS + _PIXEL_BYTES.to_bytes(4, "little") + bytes(_PIXEL_BYTES)
    for position in range(STEP):
        instance = b"2.25.3%05d%04d" % (number, position)
        (folder / f"{position:04}.dcm").write_bytes(head.replace(b"2.25.3" + b"0" * 9, instance) + tail)
    return folder


if __name__ == "__main__":
    main()
