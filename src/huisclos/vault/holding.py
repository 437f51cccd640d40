"""Holders as people see them. A user's holder file is sealed to the password they log in with."""

from __future__ import annotations

import asyncio

from huisclos.access.accounts import UserBody
from huisclos.access.people import Holder
from huisclos.access.people import HolderKind as Shown
from huisclos.errors import Conflict, NotFound
from huisclos.vault.core import Core
from huisclos.vault.hashing import canonical
from huisclos.vault.holders import About, HolderKind
from huisclos.vault.users import Known

_SHOWN = {
    HolderKind.PASSPHRASE: Shown.PASSPHRASE,
    HolderKind.USER: Shown.PASSPHRASE,
    HolderKind.RECOVERY: Shown.RECOVERY,
    HolderKind.SET_UP: Shown.TEMPORARY,
}
_TYPED = frozenset({HolderKind.PASSPHRASE, HolderKind.USER})


class Holding:
    """Adds, lists and removes holders."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def all(self) -> tuple[Holder, ...]:
        """Every holder, oldest first; one whose description is damaged comes without it, locked each one."""
        secret, holders = self._core.secret_or_none, self._core.holders
        ids, damaged, everyone = await asyncio.to_thread(
            lambda: (holders.ids(), holders.damaged(), holders.everyone(secret) if secret else ())
        )
        described = {about.holder_id: about for about in everyone}
        shown = [_shown(holder_id, described.get(holder_id), holder_id in damaged) for holder_id in ids]
        return tuple(sorted(shown, key=lambda holder: (holder.created_at, holder.id)))

    async def seal_to(self, user: Known, password: str) -> str:
        """A holder file that this user's password opens; its id. Takes about a second."""
        core = self._core
        return await asyncio.to_thread(
            core.holders.add,
            core.secret,
            canonical(password),
            HolderKind.USER,
            user.name,
            core.now(),
            user.id,
        )

    async def remove(self, holder_id: str) -> None:
        """Destroy a holder file. Idempotent; nothing happens without an id."""
        if holder_id:
            await asyncio.to_thread(self._core.holders.remove, holder_id)

    async def check_removable(self, holder_id: str) -> About | None:
        """Whose holder it is, as far as known; nothing of it while locked.

        Raises `NotFound`; `Conflict` for the recovery key, and when no whole passphrase holder would be left.
        """
        holders = self._core.holders
        if self._core.locked:
            await asyncio.to_thread(self._check_in_the_dark, holder_id)
            return None
        secret = self._core.secret
        ids, damaged, everyone = await asyncio.to_thread(
            lambda: (holders.ids(), holders.damaged(), holders.everyone(secret))
        )
        if holder_id not in ids:
            raise NotFound("there is no such holder")
        about = next((about for about in everyone if about.holder_id == holder_id), None)
        if about is not None and about.kind is HolderKind.RECOVERY:
            raise Conflict("the recovery key is not taken away", hint="make a new one: it replaces this one")
        left = [
            other
            for other in everyone
            if other.kind in _TYPED and other.holder_id != holder_id and other.holder_id not in damaged
        ]
        if not left:
            raise _last()
        return about

    def _check_in_the_dark(self, holder_id: str) -> None:
        openers = self._core.holders.with_passphrase()
        if holder_id not in self._core.holders.ids():
            raise NotFound("there is no such holder")
        if holder_id not in openers and holder_id not in self._core.holders.damaged():
            raise Conflict("the recovery key is not taken away", hint="make a new one: it replaces this one")
        if not set(openers) - {holder_id}:
            raise _last()

    async def sweep(self) -> int:
        """Destroy holder files that a password change cut short has left behind; how many."""
        core = self._core
        damaged = await asyncio.to_thread(core.holders.damaged)
        everyone = await asyncio.to_thread(core.holders.everyone, core.secret)
        whole = {about.holder_id for about in everyone} - set(damaged)
        users = core.ledger.all(UserBody)
        old = [
            about.holder_id
            for about in everyone
            if about.kind is HolderKind.USER and _is_old(about, users.get(about.user_id), whole)
        ]
        for holder_id in old:
            await self.remove(holder_id)
        return len(old)


def _last() -> Conflict:
    return Conflict("no other passphrase would open this archive", hint="make another user a holder first")


def _is_old(about: About, user: UserBody | None, whole: set[str]) -> bool:
    # only beside the one that took its place: accounts that were lost must not cost a way in
    return user is not None and user.holder_id in whole and user.holder_id != about.holder_id


def _shown(holder_id: str, about: About | None, damaged: bool) -> Holder:  # noqa: FBT001 - a fact, not a mode
    if about is None:
        return Holder(holder_id, "", Shown.PASSPHRASE, damaged=damaged, created_at=0.0)
    return Holder(holder_id, about.name, _SHOWN[about.kind], damaged, about.made_at, about.user_id)
