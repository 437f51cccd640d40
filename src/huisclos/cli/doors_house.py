"""`huisclos doors check ARCHIVE` on an archive that is served: what the house says of its own doors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huisclos.doors.observation import Seen
    from huisclos.wiring.connection import House


@dataclass
class Own:
    """What the house looked at itself, and nobody has to look at again."""

    seen: list[Seen] = field(default_factory=list)
    ports: frozenset[int] = frozenset()
    trees: tuple[Path, ...] = ()
    """to be read by the caller: the archive, when nobody serves it"""


def own_doors(archive: Path | None) -> Own:
    """Let a served house look again, so that the report and its page say the same.

    Raises `ArchiveNotFound`, `HouseOpen`.
    """
    if archive is None:
        return Own()  # What a house is made of takes a second to load, and nobody asked for one.

    from huisclos.cli.house import as_it_stands
    from huisclos.doors.house import HouseDoors, as_seen
    from huisclos.wiring.connection import is_served
    from huisclos.wiring.places import find_archive

    if not is_served(find_archive(archive)):
        return Own(trees=(archive,))

    async def work(house: House) -> tuple[HouseDoors, frozenset[int]]:
        report = await house.console.report()
        ports = frozenset(int(text.rpartition(":")[2]) for _, text in report.listeners)
        return await house.console.doors(again=True), ports

    found, ports = as_it_stands(archive, work)
    return Own(as_seen(found.doors), ports, () if found.looked_at else (archive,))
