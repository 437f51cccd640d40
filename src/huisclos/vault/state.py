"""How the house is. Implements `HouseState`."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
import ssl
from typing import Final

from msgspec import Struct, field

from huisclos import __version__
from huisclos.access.house import Certificate, Glance, HouseReport, Separation, Trust
from huisclos.access.nouns import Proof, Right
from huisclos.archive.ports import ObjectStore
from huisclos.certificates import describe, fingerprint, fingerprint_text
from huisclos.errors import HuisclosError
from huisclos.seal import words_of
from huisclos.vault import places
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.chronicle import Chronicle
from huisclos.vault.core import Core
from huisclos.vault.gate import GateService
from huisclos.vault.leaf import LeafKeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.people import PeopleService
from huisclos.vault.recovery import Recovery
from huisclos.vault.sessions import Sessions

CLOCK_MAY_BE_BEHIND: Final = 60.0
"""Seconds: a clock is set by that much every day without anybody noticing."""
LOW_DISK: Final = 0.05
"""Share of the disk free under which the house says so."""
_FINGERPRINT_BYTES: Final = 16


class Surroundings(Struct, frozen=True):
    """What the supervisor tells the vault about the house around it."""

    listeners: tuple[tuple[str, str], ...] = ()
    separation: Separation = Separation.NONE
    missing: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    passphrase_near: bool = False
    """The file that unlocks at the start lies on the archive's file system."""


class StateService:
    """Answers the line on top of each page, and the state page."""

    def __init__(  # noqa: PLR0913, PLR0917 - the state page tells of every service
        self,
        core: Core,
        objects: ObjectStore,
        sessions: Sessions,
        gate: GateService,
        people: PeopleService,
        doorkeeper: Doorkeeper,
        peers: PeerService,
        recovery: Recovery,
        chronicle: Chronicle,
        leaf: LeafKeeper,
    ) -> None:
        self._core = core
        self._objects = objects
        self._sessions = sessions
        self._gate = gate
        self._people = people
        self._doorkeeper = doorkeeper
        self._peers = peers
        self._recovery = recovery
        self._chronicle = chronicle
        self._leaf = leaf
        self._started_at = core.now()
        self.surroundings = Surroundings()
        self.last_received_at = 0.0
        self.verified_at = 0.0

    async def glance(self) -> Glance:
        """See `HouseState`."""
        core = self._core
        free, total = await asyncio.to_thread(self._objects.room)
        return Glance(
            locked=core.locked,
            set_up=bool(core.owners()),
            recovery_confirmed=self._recovery.confirmed_at() > 0,
            peers=len(self._peers.everyone()),
            last_received_at=self.last_received_at,
            silent=len(self._peers.silent()),
            knocks=self._doorkeeper.new_knocks(),
            pending=self._people.waiting(),
            disk_low=free < total * LOW_DISK,
            journal_holds=self._chronicle.holds,
            open_listener=self._doorkeeper.strangers_come,
            by_link=not core.owners() and await asyncio.to_thread(core.holders.by_link),
            unnamed=await asyncio.to_thread(self._leaf.unnamed),
        )

    async def report(self, proof: Proof) -> HouseReport:
        """See `HouseState`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.STATE, address=proof.address)
        return await self.plain_report()

    async def plain_report(self) -> HouseReport:
        """The report without a proof: for the console, which names no patient either."""
        core, around = self._core, self.surroundings
        free, total = await asyncio.to_thread(self._objects.room)
        return HouseReport(
            glance=await self.glance(),
            since=core.since,
            unlocked_by=core.unlocked_by,
            separation=around.separation,
            separation_missing=around.missing,
            disk_free=free,
            disk_total=total,
            holders=len(core.holders.ids()),
            recovery_confirmed_at=self._recovery.confirmed_at(),
            journal=self._chronicle.last_head(),
            objects_verified_at=self.verified_at,
            silent=self._peers.silent(),
            certificates=self._certificates(),
            listeners=around.listeners,
            pending=self._people.waiting(),
            version=__version__,
            versions={**_versions(), **around.versions},
            started_at=self._started_at,
            rows_ignored=core.ledger.ignored,
            accounts_put_back=core.put_back,
            clock_set_back=core.behind() > CLOCK_MAY_BE_BEHIND,
            passphrase_near=around.passphrase_near,
            journal_written=core.pen.entries,
        )

    async def trust(self) -> Trust:
        """See `HouseState`."""
        pem = await asyncio.to_thread(self._core.store.read, places.CA)
        digest = fingerprint(pem)
        words = tuple(words_of(digest[:_FINGERPRINT_BYTES]).split())
        return Trust(pem, fingerprint_text(digest), words, describe(pem).until.timestamp())

    def _certificates(self) -> tuple[Certificate, ...]:
        found = []
        for label, place in (("ca", places.CA), ("leaf", places.LEAF)):
            try:
                leaf = describe(self._core.store.read(place))
            except HuisclosError:
                continue
            found.append(Certificate(label, leaf.names, leaf.until.timestamp()))
        return tuple(found)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "sqlite": sqlite3.sqlite_version,
    }
