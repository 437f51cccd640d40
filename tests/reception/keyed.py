"""A reception in a process of its own, to be killed: `python keyed.py FOLDER`, which prints its port.

Study keys are durable in FOLDER/keys before anything is sealed to them, as the vault keeps them.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from huisclos.archive.nouns import Placement
from huisclos.stores.local import LocalStore
from tests.archive.world import Vault, World
from tests.dimse.listening import credentials
from tests.reception.desk import DoorBook, Enrolled, leaf_of, receiving


class KeyedVault(Vault):
    """A vault that writes down each study's identity."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def new_study(self) -> Placement:
        """A fresh study."""
        placement = super().new_study()
        (self.folder / placement.study_id).write_text(str(self.studies[placement.study_id]), encoding="ascii")
        return placement


async def main(folder: Path) -> None:
    """Serve until killed."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    world = World(LocalStore(folder / "archive"))
    world.vault = world.finder.vault = KeyedVault(keys)
    leaf = leaf_of(credentials(folder, "house"))
    async with receiving(world, DoorBook([Enrolled("SCANNER"), Enrolled("STORESCU")]), leaf) as desk:
        print(desk.plain, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
