"""The vault put together: its services, and what each sibling may ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from huisclos.access.admission import PeerDoor
from huisclos.access.chronicle import Change, JournalReader
from huisclos.access.gate import Gate, SetUp
from huisclos.access.house import HouseState
from huisclos.access.nouns import ActorKind, Proof, ProofKind, Source
from huisclos.access.peers import Peers
from huisclos.access.people import People
from huisclos.access.quarantine import Quarantine
from huisclos.access.sessions import Door
from huisclos.archive.finder_ports import Signer, StudyKeys
from huisclos.archive.nouns import Deposit
from huisclos.archive.ports import HouseKeys, Keeper, ObjectStore
from huisclos.channel import Methods, serve
from huisclos.doors.house import Looker, Looking, Watched
from huisclos.errors import HuisclosError, Locked, NotGranted, StoreError
from huisclos.journal.entries import Act
from huisclos.vault.admission import Doorkeeper
from huisclos.vault.budget import Budgets
from huisclos.vault.by_name import ByName
from huisclos.vault.chronicle import Chronicle
from huisclos.vault.console import Console
from huisclos.vault.console_service import ConsoleService
from huisclos.vault.core import HOUSE, Core
from huisclos.vault.doors import DoorsService
from huisclos.vault.gate import GateService
from huisclos.vault.keeper import Vaultkeeper
from huisclos.vault.leaf import LeafKeeper
from huisclos.vault.peers import PeerService
from huisclos.vault.people import PeopleService
from huisclos.vault.ports import Echoer
from huisclos.vault.quarantine import QuarantineService
from huisclos.vault.recall import recall_peers
from huisclos.vault.recovery import Recovery
from huisclos.vault.rotation import Rotation
from huisclos.vault.sessions import Sessions
from huisclos.vault.setup import SetUpService
from huisclos.vault.sources import Sources
from huisclos.vault.state import StateService

TICK: Final = 15 * 60.0
"""Seconds without an entry after which the journal ticks."""


class FinderKeys(msgspec.Struct, frozen=True):
    """What the finder is given when it starts."""

    records: bytes
    """Key of the sealed records."""
    grants: bytes
    """Key that binds grants."""

    def __repr__(self) -> str:
        return "FinderKeys()"


class FinderOpening(Protocol):
    """What only the finder may ask."""

    async def finder_keys(self) -> FinderKeys:
        """Raises `Locked`."""


class VaultServices:
    """Everything the vault answers, by the role of who asks."""

    def __init__(
        self,
        core: Core,
        objects: ObjectStore,
        echoer: Echoer,
        announce: Callable[[str], Awaitable[None]],
        looker: Looker | None = None,
    ) -> None:
        self.core = core
        self.sessions = Sessions(core)
        budgets = Budgets(core)
        self.rotation = Rotation(core)
        self.people = PeopleService(core, self.sessions, budgets, self.rotation)
        self.chronicle = Chronicle(core, self.sessions)
        self.leaf = LeafKeeper(core)
        self.recovery = Recovery(core, self.rotation, self.leaf)
        self.keeper = Vaultkeeper(core, self.sessions, budgets)
        self.doors = DoorsService(core, self.sessions, looker)
        self.doorkeeper = Doorkeeper(core, self.people, self.doors)
        self.peers = PeerService(core, self.sessions, self.people, self.doorkeeper, echoer)
        self.quarantine = QuarantineService(core, self.sessions, self.people, self.keeper, echoer)
        self.gate = GateService(core, self.keeper, self.sessions, self.people, self.chronicle, announce)
        self.set_up = SetUpService(core, self.gate, self.sessions, self.people, self.recovery)
        self.state = StateService(
            core,
            objects,
            self.sessions,
            self.gate,
            self.people,
            self.doorkeeper,
            self.peers,
            self.recovery,
            self.chronicle,
            self.leaf,
        )
        named = ByName(core, self.people, self.sessions.users)
        self.console = ConsoleService(core, named, self.peers, self.recovery, self.chronicle, self.state)
        self.console.watched = self.doors
        self.declared: tuple[str, ...] = ()
        """Networks that the settings declare near (P11)."""
        self._recalling: asyncio.Task[None] | None = None
        self.gate.on_unlocked = self._after_unlocking
        self.gate.on_locking = self.rotation.stop
        self.keeper.on_deposits = self._count
        self.people.on_rights_changed = self.keeper.end_actor

    def methods(self, role: str) -> Methods:
        """What a sibling of this role may ask: nothing but its own trade."""
        methods = Methods()
        tables: dict[str, tuple[tuple[type, object, frozenset[str] | None], ...]] = {
            "web": (
                (Keeper, self.keeper, None),
                (Door, self.sessions, None),
                (SetUp, self.set_up, None),
                (People, self.people, None),
                (Peers, self.peers, None),
                (Quarantine, self.quarantine, None),
                (PeerDoor, self.doorkeeper, frozenset({"turned_away"})),
                (JournalReader, self.chronicle, None),
                (HouseState, self.state, None),
                (Watched, self.doors, None),
                (Gate, self.gate, frozenset({"state", "lock"})),
            ),
            "gate": (
                (Gate, self.gate, frozenset({"state", "unlock"})),
                (HouseState, self.state, frozenset({"glance", "trust"})),
                (PeerDoor, self.doorkeeper, frozenset({"turned_away"})),
            ),
            "reception": (
                (Keeper, self.keeper, frozenset({"batch", "reserve", "deposited"})),
                (PeerDoor, self.doorkeeper, None),
            ),
            "finder": (
                (StudyKeys, self.keeper, None),
                (Signer, self.keeper, None),
                (FinderOpening, self, None),
            ),
            "scribe": ((HouseKeys, self.keeper, None),),
            "auditor": ((Looking, self.doors, None),),
            "cli": (
                (Console, self.console, None),
                (Gate, self.gate, None),
                (Keeper, self.keeper, None),
                (HouseKeys, self.keeper, None),
            ),
        }
        for port, implementation, only in tables.get(role, ()):
            guard = None if role == "cli" else _face_guard(role, self.core.sources)
            serve(methods, port, implementation, only=only, guard=guard)
        return methods

    async def finder_keys(self) -> FinderKeys:
        """See `FinderOpening`."""
        return FinderKeys(await asyncio.to_thread(self.core.record_key), self.core.grant_key)

    def _count(self, deposits: tuple[Deposit, ...]) -> None:
        self.state.last_received_at = self.core.now()
        self.gate.received(deposits)
        for deposit in deposits:
            self.doorkeeper.count(deposit.source.id, deposit.objects)

    async def _after_unlocking(self) -> None:
        self.core.ledger.vouch(self.core.secret)  # a row removed while locked is vouched for no more
        await self.people.sweep()
        with contextlib.suppress(StoreError):  # a full disk: at the next unlock, then
            await self.rotation.resume()
        await self._keep_leaf_fresh()
        await self.doors.join()
        self._recalling = asyncio.create_task(self._recall())

    async def _recall(self) -> None:
        with contextlib.suppress(HuisclosError):
            await recall_peers(self.core, self.chronicle, self.doorkeeper, self.peers)

    async def _keep_leaf_fresh(self) -> None:
        with contextlib.suppress(Locked):  # meanwhile
            await self.leaf.keep_fresh(self.core.secret)

    async def begin(self) -> None:
        """The first entry of this start, and from then on a tick when nothing happens."""
        await self.core.journal(self.core.entry(Act.STARTED, HOUSE, what=socket.gethostname()[:64]))
        for network in self.declared:
            opened = self.core.entry(
                Act.CHANGED, HOUSE, what=Change.SETTING_CHANGED, subject=f"declared_networks {network}"
            )
            await self.core.journal(opened)
        if self.core.pen.problem:
            await self.core.journal(self.core.entry(Act.BROKEN, HOUSE))

    async def tick(self) -> None:
        """Forever: an entry whenever nothing was written for `TICK` seconds."""
        while True:
            before = self.core.pen.entries
            await asyncio.sleep(TICK)
            if self.core.pen.entries == before:
                await self.core.journal(self.core.entry(Act.TICK, HOUSE))
            if not self.core.locked:
                with contextlib.suppress(HuisclosError):
                    await self.chronicle.anchor()
                with contextlib.suppress(HuisclosError):
                    await self.rotation.resume()
                await self._keep_leaf_fresh()

    async def finish(self) -> None:
        """Lock if unlocked, and write the last entry."""
        await self.gate.shut(HOUSE)
        await self.core.journal(self.core.entry(Act.STOPPED, HOUSE))
        self.core.pen.close()


def _face_guard(role: str, sources: Sources) -> Callable[[msgspec.Struct], None]:
    """What no face may say: that it is the console, or has objects from whom the vault did not name to it."""

    def guard(asked: msgspec.Struct) -> None:
        for name in asked.__struct_fields__:
            value = getattr(asked, name)
            if isinstance(value, Proof) and value.kind is ProofKind.CONSOLE:
                raise NotGranted("the console's proof is the command line's own channel")
            for one in value if isinstance(value, tuple) else (value,):
                source = one.source if isinstance(one, Deposit) else one
                # what the scribe settles came from the house's own batches
                if isinstance(source, Source) and role != "scribe":
                    sources.check(source)
                    if (source.kind is ActorKind.PEER) != (role == "reception"):
                        raise NotGranted("peers send to reception, people and programs to web")

    return guard
