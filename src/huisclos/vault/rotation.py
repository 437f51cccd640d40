"""A new archive identity, and everything sealed to it anew: what a holder taken away knew opens nothing more.

It begins with `keys/rotation.age` and ends when that is gone (docs/adr/0009). Killed at any moment, the
archive opens for whoever stays, and goes on with it at the next unlock.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Final

import msgspec

from huisclos.access.accounts import PendingBody
from huisclos.access.chronicle import Change
from huisclos.access.nouns import Actor
from huisclos.access.people import RotationState
from huisclos.access.ports import Pending
from huisclos.archive.layout import BATCHES, KEYRING, PlaceKind, parse_place
from huisclos.errors import (
    Conflict,
    HuisclosError,
    Locked,
    NoIdentityMatch,
    NotFound,
    SealError,
    StoreError,
    Unreadable,
)
from huisclos.journal.entries import Act
from huisclos.seal import seal, unseal
from huisclos.vault import places
from huisclos.vault.core import HOUSE, Core
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.turn import Turn, write_turn

SLICE: Final = 50
"""Keys sealed anew at a stretch: about 0.1 s, most of it the disk's."""
_KEYS: Final = frozenset({PlaceKind.KEY, PlaceKind.BATCH_KEY})
_OTHERS: Final = (places.RECORD_KEY, places.CA_KEY, places.JOURNAL_KEY, places.DOORS)


class Rotation:
    """Makes new archive identities, one at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._working: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._stopped: ArchiveSecret | None = None
        """The secret that is about to be forgotten."""
        self._done = self._total = self._unopened = 0

    def state(self) -> RotationState:
        """How far it is. Works locked, without the names of those it waits for."""
        core = self._core
        running = self._working is not None and not self._working.done()
        wanted = bool(self._wanted())
        waiting = not running and (wanted or self._under_way())
        unready = () if core.locked or not wanted else core.holders.unready(core.secret)
        return RotationState(running, waiting, self._done, self._total, unready)

    async def want(self) -> None:
        """Before a holder is taken away: killed in between, the archive still gets its new identity."""
        await asyncio.to_thread(self._want)

    async def holder_gone(self, actor: Actor) -> None:
        """A holder was taken away: rotate now, or once everybody who stays can be given the new identity."""
        await self.want()
        if not self._core.locked:
            with contextlib.suppress(Conflict, Locked):
                await self.begin(actor)

    async def begin(self, actor: Actor, address: str = "") -> None:
        """A new identity is in force when this returns; the keyring follows behind.

        Raises `Locked`, and `Conflict` while a holder stays who has not unlocked since the archive was
        upgraded: nothing can be sealed to them.
        """
        async with self._beginning:
            await self._begin(actor, address)

    async def _begin(self, actor: Actor, address: str = "") -> None:
        core = self._core
        await self.settled()
        secret = self._open_secret()
        cut = await asyncio.to_thread(core.holders.turn, secret)
        if cut is not None and not cut.holders_done:
            # one that a full disk, say, has stopped; who was taken away since may have been given that key
            await self._put_in_force(cut)
            if not await asyncio.to_thread(self._wanted):
                self._follow()
                return
        unready = await asyncio.to_thread(core.holders.unready, core.secret)
        if unready:
            raise Conflict(
                f"{len(unready)} holders must unlock once before the archive's key can change",
                hint="see: huisclos holder list; or take them away",
            )
        await core.journal(core.entry(Act.CHANGED, actor, address=address, what=Change.IDENTITY_ROTATED))
        await self._put_in_force(await asyncio.to_thread(self._turn, self._open_secret()))
        self._follow()

    async def resume(self) -> None:
        """After an unlocking, and now and then: finish what was cut short, or begin what had to wait."""
        core = self._core
        if self._working is not None and not self._working.done():
            return
        async with self._beginning:
            turn = await asyncio.to_thread(core.holders.turn, self._open_secret())
            if turn is not None:
                if not turn.holders_done:
                    await self._put_in_force(turn)
                core.holders.latest = self._open_secret()
                self._follow()
            elif await asyncio.to_thread(self._wanted):
                with contextlib.suppress(Conflict):
                    await self._begin(HOUSE)

    async def settled(self) -> None:
        """Until the keys that are being sealed anew all are, or it was stopped."""
        working = self._working
        if working is not None:
            await asyncio.wait([working])
            if not working.cancelled():
                working.result()

    async def stop(self) -> None:
        """Before the archive is locked: the rest is done at the next unlock, and none begins until then."""
        self._stopped = self._core.secret_or_none
        await self._cancel()
        async with self._beginning:  # holders who are being given the new secret get it: well under a second
            self._stopped = self._core.secret_or_none
        await self._cancel()

    async def _cancel(self) -> None:
        if self._working is not None:
            self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError, HuisclosError):
                await self._working
            self._working = None

    def _open_secret(self) -> ArchiveSecret:
        """The secret in force. Raises `Locked`, also when it is about to be: it must not come back."""
        secret = self._core.secret
        if secret is self._stopped:
            raise Locked("the archive is being locked", hint="unlock it, then try again")
        return secret

    async def _put_in_force(self, turn: Turn) -> None:
        new = ArchiveSecret(turn.secret)
        self._open_secret()
        self._core.renew(new)
        await asyncio.to_thread(self._give, new, turn)

    # in a thread, holders held still

    def _turn(self, secret: ArchiveSecret) -> Turn:
        """The rotation that is to be made, or the one whose holders have not all got it yet."""
        core = self._core
        with core.holders.changing:
            turn = core.holders.turn(secret)
            if turn is None or turn.holders_done:
                turn = Turn(secret.rotated().document, core.holders.ids(), self._wanted())
                write_turn(core.store, turn, secret)
        return turn

    def _give(self, new: ArchiveSecret, turn: Turn) -> None:
        """The new secret to every holder that stays. As often as it takes."""
        core = self._core
        with core.holders.changing:
            for holder_id in core.holders.ids():
                if holder_id in turn.keep:
                    core.holders.reseal(new, holder_id)
                else:
                    core.holders.remove(holder_id)
            for holder_id in core.holders.gone().difference(turn.keep):
                core.holders.remove(holder_id)  # a removal that was cut short: nothing is to be restored
            self._reseal(places.RECOVERY, new)
            core.store.put(places.RECIPIENT, new.recipient.encode() + b"\n")
            if turn.answers and self._wanted() == turn.answers:
                core.store.delete(places.ROTATION_WANTED)
            write_turn(core.store, msgspec.structs.replace(turn, holders_done=True), new)
            core.holders.latest = new

    def _want(self) -> None:
        with self._core.holders.changing:
            self._core.store.put(places.ROTATION_WANTED, secrets.token_hex(8).encode() + b"\n")

    def _wanted(self) -> str:
        """What asks for a rotation, since a holder was taken away; empty when nothing does."""
        try:
            return (
                self._core.store.read(places.ROTATION_WANTED).decode("ascii", "replace").strip() or "wanted"
            )
        except NotFound:
            return ""

    # behind

    def _follow(self) -> None:
        self._done = self._total = self._unopened = 0
        self._working = asyncio.create_task(self._work(self._core.secret))

    async def _work(self, new: ArchiveSecret) -> None:
        with contextlib.suppress(StoreError):  # a full disk, say: gone on with later
            await self._reseal_everything(new)

    async def _reseal_everything(self, new: ArchiveSecret) -> None:
        core = self._core
        self._reseal_pending(new)
        await self._reseal_all(list(_OTHERS), new)
        seen: set[str] = set()
        while True:
            # again, for keys that somebody who still had the old identity has made meanwhile
            listed = await asyncio.to_thread(self._listed)
            fresh = [place for place in listed if place not in seen]
            if not fresh:
                break
            await self._reseal_all(fresh, new)
            seen.update(fresh)
        await asyncio.to_thread(core.store.delete, places.ROTATION)
        counts = {"keys": self._done, "problems": self._unopened}
        await core.journal(core.entry(Act.CHANGED, HOUSE, what=Change.KEYS_RESEALED, counts=counts))

    async def _reseal_all(self, listed: list[str], new: ArchiveSecret) -> None:
        self._total += len(listed)
        for at in range(0, len(listed), SLICE):
            await asyncio.to_thread(self._reseal_some, listed[at : at + SLICE], new)

    def _reseal_some(self, listed: list[str], new: ArchiveSecret) -> None:
        for place in listed:
            self._reseal(place, new)
            self._done += 1

    def _reseal(self, place: str, new: ArchiveSecret) -> None:
        """Idempotent. What does not open, or has gone meanwhile, is left: `verify` names it."""
        store = self._core.store
        try:
            resealed = _resealed(store.read(place), new)
        except NotFound:
            return
        except (SealError, Unreadable):
            self._unopened += 1
            return
        if resealed is not None:
            store.put(place, resealed)

    def _reseal_pending(self, new: ArchiveSecret) -> None:
        # on the loop, as requests come and go: one decided meanwhile must not come back
        for pending in self._core.accounts.pending():
            with contextlib.suppress(msgspec.DecodeError, SealError, Unreadable):
                body = msgspec.msgpack.decode(pending.body, type=PendingBody)
                if (resealed := _resealed(body.sealed, new)) is not None:
                    packed = msgspec.msgpack.encode(msgspec.structs.replace(body, sealed=resealed))
                    self._core.accounts.replace_pending(Pending(pending.id, pending.made, packed))

    def _listed(self) -> list[str]:
        store = self._core.store
        return [
            place
            for folder in (KEYRING, BATCHES)
            for place, _ in store.list(folder)
            if parse_place(place).kind in _KEYS
        ]

    def _under_way(self) -> bool:
        try:
            self._core.store.read(places.ROTATION)
        except NotFound:
            return False
        return True


def _resealed(sealed: bytes, new: ArchiveSecret) -> bytes | None:
    """The same sealed to the identity in force; None when it is. Raises `SealError`, `Unreadable`."""
    try:
        unseal(sealed, [new.identity])
    except NoIdentityMatch:
        return seal(unseal(sealed, new.identities[1:]), [new.identity.recipient])
    return None
