"""The auditor: looks at the doors of its own house when it starts and once a day. It holds no secret.

It asks the house's listeners what a stranger would, reads what lies in the archive's folders as a thief
would, and the box in front, once the house can be reached from further than this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from huisclos.access.addresses import is_loopback, is_private, parse_address
from huisclos.channel import Methods, remote, serve
from huisclos.clock import steady
from huisclos.doors.box.igd import gateway, probe_box
from huisclos.doors.house import HouseDoor, Looker, Looking, judged
from huisclos.doors.observation import Miss, Seen
from huisclos.doors.probes import secure, services, web  # noqa: F401 - confined, it could not load them
from huisclos.doors.record import only, watched
from huisclos.doors.rest.audit import Walk, audit, observe
from huisclos.doors.runner import Manners, run
from huisclos.doors.target import Target
from huisclos.errors import HuisclosError
from huisclos.findings.nouns import Reason
from huisclos.wiring.child import Child
from huisclos.wiring.listeners import Bound
from huisclos.wiring.places import Archive

DAY: Final = 24 * 3600.0
"""Seconds from one look to the next."""
SETTLE: Final = 3.0
"""Seconds after the start: the faces come first."""
REST_SECONDS: Final = 600.0
"""For the files, once a day; what was not read by then is said to be so."""
ASKED_SECONDS: Final = 30.0
"""For the files, when somebody waits for the answer: then what the day's look read stands."""
TITLE: Final = "HUISCLOS"
"""The title that this house is called by: whoever does not know it is refused before anything is asked."""
_SEALED: Final = ("objects", "batches", "keyring", "incoming", "journal")
"""Folders of the archive that the auditor may read; keys/ and tls/ are not among them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is looked at."""

    archive: Archive
    bound: tuple[Bound, ...]


def folders(archive: Archive) -> tuple[Path, ...]:
    """What the auditor may read of the archive."""
    inside = [archive.root / name for name in _SEALED]
    if archive.settings.objects:
        inside.append(Path(archive.settings.objects))
    return tuple(path for path in inside if path.exists())


async def auditor_main(child: Child, bound: tuple[Bound, ...]) -> None:
    """Look, tell the vault, wait for the next day or until somebody asks."""
    vault = child.sibling("vault")
    await vault.arrived()
    looking = _Lookings(Surroundings(child.archive, bound), remote(Looking, vault))
    methods = Methods()
    serve(methods, Looker, looking)
    child.serve_to(lambda role: methods if role == "vault" else Methods())
    child.ready()
    daily = asyncio.create_task(looking.daily())
    await child.stopping.wait()
    daily.cancel()


class _Lookings:
    """One look at a time. Implements `Looker`."""

    def __init__(self, around: Surroundings, vault: Looking) -> None:
        self._around = around
        self._vault = vault
        self._lock = asyncio.Lock()
        self._read: list[Seen] = []
        """What the files last showed, whole or as far as it came."""

    async def daily(self) -> None:
        """For ever; steady time stands still while the machine sleeps, and so may the doors."""
        await asyncio.sleep(SETTLE)
        while True:
            with contextlib.suppress(HuisclosError):
                await self._look(REST_SECONDS)
            await asyncio.sleep(DAY)

    async def look(self) -> tuple[HouseDoor, ...]:
        """See `Looker`."""
        return await self._look(ASKED_SECONDS)

    async def _look(self, seconds: float) -> tuple[HouseDoor, ...]:
        async with self._lock:
            await self._vault.begin()
            doors: tuple[HouseDoor, ...] = ()
            try:
                seen = await look_at(self._around.bound)
                doors = judged(seen + await self._files(seconds))
            finally:
                await self._vault.looked(doors)
            return doors

    async def _files(self, seconds: float) -> list[Seen]:
        read = await asyncio.to_thread(_files, self._around.archive, seconds)
        cut = any(isinstance(one, Miss) and one.reason is Reason.BUDGET for one in read)
        if not (cut and self._read):
            self._read = read
        return self._read


async def look_at(bound: tuple[Bound, ...]) -> list[Seen]:
    """What the house's listeners let a stranger do, and its box."""
    targets = [farthest(one) for one in bound]
    allowed = only(frozenset(one.address for one in targets))
    seen: list[Seen] = []
    with watched(None, allowed):
        for target in targets:
            # A run each: how often another's host is connected to is no bound on one's own house.
            async for _, answers in run([target], Manners(called=TITLE)):
                seen += answers
    return seen + await _box(targets)


def farthest(one: Bound) -> Target:
    """A listener at the farthest address it is bound to: what is asked there is what the network sees."""
    parsed = [parse_address(text) for text in one.addresses]
    wide = (address for address in parsed if is_private(address) and not is_loopback(address))
    address = next(wide, parsed[0])
    return Target(str(address), address, one.port)


def _files(archive: Archive, seconds: float) -> list[Seen]:
    walk = Walk(until=steady() + seconds)
    seen: list[Seen] = []
    for folder in folders(archive):
        seen += [_of_archive(one, archive) for one in observe(folder, audit(folder, walk))]
    return seen


def _of_archive(one: Seen, archive: Archive) -> Seen:
    """One row for the archive, whichever of its folders it was seen in."""
    return replace(one, target=str(archive.root))


async def _box(targets: list[Target]) -> list[Seen]:
    """What the box lets in; a house that only this machine reaches has nothing behind a box."""
    address = gateway()
    if address is None or not is_private(address) or all(is_loopback(one.address) for one in targets):
        return []
    with watched(None, only(frozenset({address}))):
        return await probe_box(address)
