"""What the house knows of its own doors (P11). Implements `Watched` and `Looking`.

The rows are kept sealed to the archive and signed by it; while locked they are in memory only, and joined
with those kept once somebody unlocks. That a door opened or closed is in the journal either way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from huisclos.access.addresses import is_loopback, is_private, parse_address
from huisclos.access.nouns import Proof, Right
from huisclos.clock import steady
from huisclos.doors.house import (
    DoorState,
    HouseDoor,
    HouseDoors,
    Looker,
    PublicKnocks,
    knocks_as_door,
    merged,
)
from huisclos.errors import Conflict, HuisclosError, Unreachable
from huisclos.journal.entries import Act, Entry
from huisclos.seal import seal, unseal
from huisclos.vault import places
from huisclos.vault.core import CONSOLE, HOUSE, Core
from huisclos.vault.sessions import Sessions

LONGEST_LOOK: Final = 900.0
"""Seconds after which the auditor's own knocks are knocks again, whatever became of it."""
MAX_DOORS: Final = 2000
_FOR: Final = b"huisclos doors v1\0"
"""What the archive signs with the rows."""
_SIGNATURE: Final = 64


class _Kept(msgspec.Struct, frozen=True):
    looked_at: float
    doors: tuple[HouseDoor, ...]
    knocks: tuple[PublicKnocks, ...]


class DoorsService:
    """The state of each door, and since when."""

    def __init__(self, core: Core, sessions: Sessions, looker: Looker | None) -> None:
        self._core = core
        self._sessions = sessions
        self._looker = looker
        self._doors: tuple[HouseDoor, ...] = ()
        self._knocks: dict[str, PublicKnocks] = {}
        self._looked_at = 0.0
        self._looking_until = 0.0
        self._joined = False
        """What was kept was read back."""
        self.listeners: dict[str, str] = {}
        """`dicom`, `http`...: host:port."""
        self.addresses: frozenset[str] = frozenset()
        """What the listeners are bound to: the auditor knocks from there."""

    @property
    def stands_open(self) -> bool:
        """Whether strangers come to the house from the Internet."""
        return knocks_as_door(self._knocks.values(), self._core.now())[0].state is DoorState.OPEN

    def is_own(self, address: str) -> bool:
        """Whether a knock is the auditor's: from this machine, while it looks."""
        if steady() > self._looking_until:
            return False
        return address in self.addresses or is_loopback(parse_address(address))

    async def doors(self, proof: Proof) -> HouseDoors:
        """See `Watched`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.DOORS, address=proof.address)
        return self.now()

    async def look(self, proof: Proof) -> HouseDoors:
        """See `Watched`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.DOORS, address=proof.address)
        if steady() < self._looking_until:
            raise Conflict("the house is looking at its doors already", hint="look at this page in a minute")
        await self._again()
        return self.now()

    async def look_from_console(self) -> HouseDoors:
        """What the account that owns the archive asks at the command line."""
        await self._core.demand(CONSOLE, Right.DOORS)
        with contextlib.suppress(HuisclosError):
            await self._again()
        return self.now()

    async def _again(self) -> None:
        if self._looker is None:
            raise Unreachable("nobody is here to look", hint="serve the archive: huisclos serve ARCHIVE")
        await self._looker.look()

    def now(self) -> HouseDoors:
        """Every door, the one in front of the house among them."""
        outside = knocks_as_door(self._knocks.values(), self._core.now())
        return HouseDoors(self._looked_at, (*outside, *self._doors), steady() < self._looking_until)

    async def begin(self) -> None:
        """See `Looking`."""
        self._looking_until = steady() + LONGEST_LOOK

    async def looked(self, doors: tuple[HouseDoor, ...]) -> None:
        """See `Looking`."""
        self._looking_until = 0.0
        first = not self._looked_at
        before, self._looked_at = self._doors, self._core.now()
        self._doors = merged(before, doors[:MAX_DOORS], self._looked_at)
        if not first or self._joined:
            await self._tell(before)
        counted = Counter(one.state.value for one in self._doors)
        await self._core.journal(self._core.entry(Act.DOOR, HOUSE, what="looked", counts=dict(counted)))
        await self._keep()

    async def knocked(self, address: str, listener: str) -> None:
        """Somebody came from a public address, and was turned away (P11)."""
        at = self.listeners.get(listener, listener)
        now, known = self._core.now(), self._knocks.get(at)
        nat = _was_passed_on(address, at) or (known is not None and known.nat)
        if known is None or not self._is_open(known):
            self._knocks[at] = PublicKnocks(at, 1, now, now, nat)
            await self._core.journal(self._entry("opened", f"BOX-016 {at}"))
            await self._keep()
        else:
            self._knocks[at] = msgspec.structs.replace(known, count=known.count + 1, last_at=now, nat=nat)

    async def join(self) -> None:
        """The archive was unlocked: what was kept comes back, each door since it was first so."""
        kept = await asyncio.to_thread(self._read)
        if kept is not None:
            self._doors = _since(self._doors, kept.doors) if self._looked_at else kept.doors
            self._looked_at = self._looked_at or kept.looked_at
            for one in kept.knocks:
                now = self._knocks.get(one.listener)
                self._knocks[one.listener] = one if now is None else _both(one, now)
            if self._looked_at > kept.looked_at:
                await self._tell(kept.doors)
        self._joined = True
        await self._keep()

    def _is_open(self, one: PublicKnocks) -> bool:
        return knocks_as_door((one,), self._core.now())[0].state is DoorState.OPEN

    async def _tell(self, before: Iterable[HouseDoor]) -> None:
        """Each door that changed its state, in the journal."""
        known = {(one.check, one.target): one.state for one in before}
        words = {DoorState.OPEN: "opened", DoorState.CLOSED: "closed"}
        entries = [
            self._entry(words[one.state], f"{one.check} {one.target}")
            for one in self._doors
            if one.state in words and known.get((one.check, one.target), DoorState.CLOSED) is not one.state
        ]
        if entries:
            await self._core.journal(*entries)

    def _entry(self, what: str, subject: str) -> Entry:
        return self._core.entry(Act.DOOR, HOUSE, what=what, subject=subject[:128])

    async def _keep(self) -> None:
        # Written while locked it would take the place of what only the archive's secret can read.
        if self._core.locked or not self._joined:
            return
        body = msgspec.msgpack.encode(_Kept(self._looked_at, self._doors, tuple(self._knocks.values())))
        secret = self._core.secret
        sealed = seal(secret.signing.sign(_FOR + body) + body, [secret.identity.recipient])
        with contextlib.suppress(HuisclosError):
            await asyncio.to_thread(self._core.store.put, places.DOORS, sealed)

    def _read(self) -> _Kept | None:
        try:
            plain = unseal(self._core.store.read(places.DOORS), self._core.secret.identities)
            self._core.verify_key.verify(plain[:_SIGNATURE], _FOR + plain[_SIGNATURE:])
            return msgspec.msgpack.decode(plain[_SIGNATURE:], type=_Kept)
        except (HuisclosError, InvalidSignature, msgspec.MsgspecError, ValueError):
            # None yet, or none that this archive wrote: the house looks again, and knows since today.
            return None


def _was_passed_on(address: str, listener: str) -> bool:
    """Whether only a translation of addresses explains it: public IPv4, come to a private address."""
    try:
        source, here = parse_address(address), parse_address(listener.rpartition(":")[0])
    except HuisclosError:
        return False
    both = isinstance(source, IPv4Address) and isinstance(here, IPv4Address)
    return both and is_private(here) and not is_loopback(here)


def _since(now: Iterable[HouseDoor], kept: Iterable[HouseDoor]) -> tuple[HouseDoor, ...]:
    known = {(one.check, one.target): one for one in kept}
    joined = []
    for one in now:
        old = known.get((one.check, one.target))
        same = old is not None and old.state is one.state
        joined.append(msgspec.structs.replace(one, since=old.since) if same and old is not None else one)
    return tuple(joined)


def _both(kept: PublicKnocks, now: PublicKnocks) -> PublicKnocks:
    return PublicKnocks(now.listener, kept.count + now.count, kept.first_at, now.last_at, kept.nat or now.nat)
