"""Locking and unlocking. Implements `Gate`.

One attempt at a time, with growing waits after wrong ones. Unlocking verifies the journal and
signs its head before anything is opened; locking narrows, so it never waits on anybody long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from huisclos.access.accounts import UserBody
from huisclos.access.gate import DarkReceipt, GateState, Unlocked
from huisclos.access.nouns import Actor, ActorKind, Proof, Right
from huisclos.archive.nouns import Deposit
from huisclos.errors import DamagedHolder, HuisclosError, NoIdentityMatch, TooManyAttempts, WrongPassphrase
from huisclos.journal.entries import Act
from huisclos.vault.chronicle import Chronicle
from huisclos.vault.core import HOUSE, Core
from huisclos.vault.hashing import canonical
from huisclos.vault.holders import About, HolderKind, is_recovery_key
from huisclos.vault.keeper import Vaultkeeper
from huisclos.vault.people import PeopleService
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.sessions import Sessions

FREE_ATTEMPTS: Final = 3
LONGEST_WAIT: Final = 60.0
"""Seconds; scrypt already costs a second an attempt."""
MAX_WAITING: Final = 8
"""Attempts that wait for the one under way; each costs a second and 256 MiB."""
MAX_WAITING_PER_ADDRESS: Final = 2


class GateService:
    """The archive's lock."""

    def __init__(
        self,
        core: Core,
        keeper: Vaultkeeper,
        sessions: Sessions,
        people: PeopleService,
        chronicle: Chronicle,
        announce: Callable[[str], Awaitable[None]],
    ) -> None:
        self._core = core
        self._keeper = keeper
        self._sessions = sessions
        self._people = people
        self._chronicle = chronicle
        self._announce = announce
        """Tells the supervisor `unlocked`, or `locking`; returns once siblings follow."""
        self.on_unlocked: Callable[[], Awaitable[None]] = _nothing
        """Work that had to wait for the secret."""
        self.on_locking: Callable[[], Awaitable[None]] = _nothing
        """Work that ends before the secret goes."""
        self._attempt = asyncio.Lock()
        self._shutting = asyncio.Lock()
        self._trying: Counter[str] = Counter()
        """Attempts not yet answered, by address; empty for the console."""
        self._wrong = 0
        self._hear_again_at = 0.0
        self._dark: dict[str, DarkReceipt] = {}

    async def state(self) -> GateState:
        """See `Gate`."""
        core = self._core
        return GateState(
            locked=core.locked,
            since=core.since,
            received=tuple(self._dark.values()) if core.locked else (),
            unlocked_by=core.unlocked_by,
            unlocked_at=core.unlocked_at,
            damaged=await asyncio.to_thread(core.holders.damaged),
            wait=max(0.0, self._hear_again_at - core.now()),
            set_up=bool(core.owners()) or not await asyncio.to_thread(core.holders.by_link),
        )

    async def unlock(self, passphrase: str, name: str, address: str) -> Unlocked:
        """See `Gate`."""
        self._check_wait(address)
        if self._trying.total() >= MAX_WAITING or self._trying[address] >= MAX_WAITING_PER_ADDRESS:
            raise TooManyAttempts("somebody is unlocking: wait 5 s, then try again")
        self._trying[address] += 1
        try:
            async with self._attempt:
                # again: those that came together must not slip past the wait of the first
                self._check_wait(address)
                try:
                    secret, holder_id = await asyncio.to_thread(self._open, passphrase)
                except (WrongPassphrase, NoIdentityMatch, DamagedHolder):
                    await self._wrong_attempt(name, address)
                    raise
                self._wrong, self._hear_again_at = 0, 0.0
                return await self._unlocked(secret, holder_id, passphrase, address)
        finally:
            self._trying[address] -= 1
            self._trying += Counter()  # drops those who wait no more

    def _check_wait(self, address: str) -> None:
        # the console's account can try passphrases on the holders' files anyway, so nobody on the
        # network may keep it waiting
        left = self._hear_again_at - self._core.now()
        if address and left > 0:
            raise TooManyAttempts(f"too many wrong attempts: wait {round(left) or 1} s, then try again")

    async def unlock_with(self, secret: ArchiveSecret, holder_id: str, address: str) -> Unlocked:
        """Unlock with a secret that another service opened: the set-up."""
        async with self._attempt:
            return await self._unlocked(secret, holder_id, "", address)

    async def lock(self, proof: Proof) -> None:
        """See `Gate`."""
        if self._core.locked:
            return
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.LOCK, address=proof.address)
        await self.shut(actor, proof.address)

    async def shut(self, actor: Actor, address: str = "") -> None:
        """Lock, whoever asked: siblings write what waits and go, then the secret is forgotten."""
        async with self._shutting:
            if not self._core.locked:
                await self._shut(actor, address)

    async def _shut(self, actor: Actor, address: str) -> None:
        await self._announce("locking")
        self._sessions.end_all()
        counts = {"set": max(self._core.newest_set, self._core.ledger.version)}
        try:
            await self.on_locking()
            await self._keeper.end()
            await self._core.journal(self._core.entry(Act.LOCKED, actor, address=address, counts=counts))
            await self._chronicle.leave()
        finally:
            # a journal that cannot be written must not keep the archive open
            self._core.forget()
            self._keeper.close_batches()
            self._dark.clear()
            await self._announce("locked")

    def received(self, deposits: tuple[Deposit, ...]) -> None:
        """Count what arrives in the dark, for the gate's page."""
        if not self._core.locked:
            return
        for deposit in deposits:
            label = deposit.source.label
            before = self._dark.get(label, DarkReceipt(label, 0, 0.0))
            self._dark[label] = DarkReceipt(label, before.objects + deposit.objects, self._core.now())

    def _open(self, passphrase: str) -> tuple[ArchiveSecret, str]:
        holders = self._core.holders
        opener = passphrase
        try:
            secret, holder_id = holders.open(opener)
        except WrongPassphrase:
            # as typed first, since a passphrase file is taken to the letter; then as people mean it
            opener = canonical(passphrase)
            if is_recovery_key(passphrase) or opener == passphrase:
                raise
            secret, holder_id = holders.open(opener)
        if self._core.owners() and holders.described(secret, holder_id).kind is HolderKind.SET_UP:
            raise WrongPassphrase("the set-up link was used: it opens nothing any more")
        with contextlib.suppress(HuisclosError):
            # it opens as it is too, and a full disk must not keep it shut
            holders.upgrade(secret, holder_id, opener, self._core.now())
        return secret, holder_id

    async def _unlocked(self, secret: ArchiveSecret, holder_id: str, opener: str, address: str) -> Unlocked:
        core = self._core
        about = await asyncio.to_thread(core.holders.described, secret, holder_id)
        if core.locked:
            await self._enter(secret, holder_id, about, address)
            await self._announce("unlocked")
        received = tuple(self._dark.values())
        session = None
        if opener and await self._is_user(about, opener):
            session = await self._sessions.open_for(about.user_id, address)
        self._dark.clear()
        return Unlocked(about.name, received, session, len(self._people.pending_asked()))

    async def _is_user(self, about: About, opener: str) -> bool:
        """Whether what opened is the password of the user whose holder it says it is.

        Files of holders can be exchanged, and a description written, by whoever writes to the disk; the
        user's row by the archive alone.
        """
        user = self._core.ledger.get(UserBody, about.user_id) if about.user_id else None
        if user is None or user.disabled or user.holder_id != about.holder_id:
            return False
        known = self._sessions.users.need(about.user_id)
        try:
            return await self._sessions.hashing.matches(known.secret.password, opener)
        except TooManyAttempts:
            return False

    async def _enter(self, secret: ArchiveSecret, holder_id: str, about: About, address: str) -> None:
        """Hold the secret, once the journal was judged and says so. Whatever fails, it is locked again."""
        core = self._core
        actor = Actor(ActorKind.USER, about.user_id or holder_id, about.name, frozenset())
        with contextlib.ExitStack() as undone:
            core.take(secret, holder_id, about.name)
            undone.callback(core.forget)
            head = await self._chronicle.verify_now()
            core.newest_set, dark = await self._chronicle.last_spell()
            # what came before this process was started, too
            self._dark = dark | {
                label: told for label, told in self._dark.items() if told.objects > _objects(dark, label)
            }
            core.put_back = core.newest_set > core.ledger.version
            objects = sum(receipt.objects for receipt in self._dark.values())
            # the newest that ever was, or the next unlocking would take the old ones for it
            counts = {"instances": objects, "set": max(core.newest_set, core.ledger.version)}
            entries = [core.entry(Act.UNLOCKED, actor, address=address, subject=about.name, counts=counts)]
            if not head.holds:
                entries.append(core.entry(Act.BROKEN, HOUSE, counts={"entry": head.broken_at}))
            if core.put_back:
                entries.append(core.entry(Act.BROKEN, HOUSE, what="accounts-put-back"))
            await core.journal(*entries)
            self._keeper.close_batches()
            await self.on_unlocked()
            undone.pop_all()

    async def _wrong_attempt(self, name: str, address: str) -> None:
        self._wrong += 1
        if self._wrong >= FREE_ATTEMPTS:
            wait = min(LONGEST_WAIT, 2.0 ** (self._wrong - FREE_ATTEMPTS + 1))
            self._hear_again_at = self._core.now() + wait
        entry = self._core.entry(
            Act.UNLOCK_FAILED, HOUSE, address=address, counts={"attempts": self._wrong}, subject=name[:80]
        )
        await self._core.journal(entry)


def _objects(dark: Mapping[str, DarkReceipt], label: str) -> int:
    return dark[label].objects if label in dark else 0


async def _nothing() -> None:
    """What nobody has asked for yet."""
