"""Reading, verifying and anchoring the journal. Implements `JournalReader`.

The newest entries are opened for the page that shows them; the rest are opened behind it, a slice at
a time and off the event loop, since a filter needs them all.
"""

from __future__ import annotations

import asyncio
import contextlib

from huisclos.access.chronicle import VERIFIED_JOURNAL, JournalAsked, JournalHead, JournalLine, JournalPage
from huisclos.access.gate import DarkReceipt
from huisclos.access.nouns import Actor, Proof, Right
from huisclos.errors import HuisclosError, JournalBroken, Locked
from huisclos.journal.chain import Nib, first_nib
from huisclos.journal.entries import Act
from huisclos.journal.heads import Head
from huisclos.seal import words_of
from huisclos.vault import places
from huisclos.vault.core import Core, unwritten
from huisclos.vault.first_key import open_first_key
from huisclos.vault.lines import SLICE, Lines, narrows
from huisclos.vault.sessions import Sessions
from huisclos.vault.verifying import Evidence, head_of, verify


class Chronicle:
    """The journal as people read it."""

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions
        self._lines = Lines(core.pen.read, core.told_as)
        self._reading = asyncio.Lock()
        self._filling: asyncio.Task[None] | None = None
        self._last: JournalHead | None = None

    @property
    def holds(self) -> bool:
        """Whether the journal held when it was last looked at."""
        return self.last_head().holds

    async def entries(self, proof: Proof, asked: JournalAsked) -> JournalPage:
        """See `JournalReader`."""
        actor = await self._sessions.actor(proof, study_id=asked.study_id)
        if not (asked.study_id and actor.may(Right.READ)):
            await self._core.demand(actor, Right.JOURNAL, address=proof.address)
        return await self._page(asked)

    async def head(self, proof: Proof) -> JournalHead:
        """See `JournalReader`."""
        await self._demand(proof)
        return self.last_head()

    async def verify(self, proof: Proof) -> JournalHead:
        """See `JournalReader`. The outcome is journalled."""
        actor = await self._demand(proof)
        head = await self.verify_now()
        act, what = (Act.VERIFIED, VERIFIED_JOURNAL) if head.holds else (Act.BROKEN, "")
        counts = {"entries": head.entries}
        entry = self._core.entry(act, actor, address=proof.address, what=what, counts=counts)
        await self._core.journal(entry)
        return head

    async def verify_now(self, anchored: Head | None = None) -> JournalHead:
        """Verify the whole chain, and sign a head if it holds. Raises `Locked`.

        With `anchored`, a head kept outside, the answer says too whether the journal goes on from it;
        that one may be of another archive, so a no of this kind is not remembered.
        """
        head, nib = await self._judge(())
        self._last = head
        if head.holds:
            await self._sign(nib)
        if anchored is None or not head.holds:
            return head
        return (await self._judge((anchored,)))[0]

    async def anchor(self) -> Head:
        """A signed head of the journal as it stands. Raises `JournalBroken` when it does not hold."""
        if not self.holds:
            raise JournalBroken("the journal does not hold: no head is signed over it")
        return await self._sign(self._core.pen.nib)

    async def leave(self) -> None:
        """Before the archive is locked: anchor if possible, and forget what was opened."""
        with contextlib.suppress(HuisclosError):
            await self.anchor()
        async with self._reading:
            self._lines = Lines(self._core.pen.read, self._core.told_as)

    def last_head(self) -> JournalHead:
        """The result of the last verification; before the first since the start, the last head signed."""
        if self._last is not None:
            return self._last
        problem = self._core.pen.problem
        heads = self._core.pen.heads()
        if not heads:
            return JournalHead(holds=not problem, entries=0, words=(), verified_at=0.0, problem=problem)
        head = max(heads, key=lambda head: head.entries)
        return JournalHead(not problem, head.entries, _words(head), head.at, problem=problem)

    async def lines(self, offset: int, limit: int) -> tuple[JournalLine, ...]:
        """Entries from sequence `offset` on, oldest first; 1,000 at most. Raises `Locked`."""
        identities = self._core.secret.identities
        async with self._reading:
            await self._catch_up()
            return await asyncio.to_thread(self._lines.oldest_first, offset, limit, identities)

    async def last_spell(self) -> tuple[int, dict[str, DarkReceipt]]:
        """What the journal says since the archive was last locked or unlocked. Raises `Locked`.

        The newest version of the accounts, 0 for none; and what came into batches, by who sent it.
        """
        identities = self._core.secret.identities
        async with self._reading:
            await self._catch_up()
            return await asyncio.to_thread(self._lines.last_spell, identities)

    async def _page(self, asked: JournalAsked) -> JournalPage:
        identities = self._core.secret.identities
        async with self._reading:
            await self._catch_up()
            if self._lines.unread <= SLICE:
                await asyncio.to_thread(self._lines.open_some, identities)
        if self._lines.unread:
            if self._filling is None or self._filling.done():
                self._filling = asyncio.create_task(self._fill(self._lines))
            if narrows(asked):
                await asyncio.shield(self._filling)
        async with self._reading:
            return await asyncio.to_thread(self._lines.page, asked, self._core.secret.identities)

    async def _fill(self, lines: Lines) -> None:
        with contextlib.suppress(Locked):
            while lines is self._lines and lines.unread:
                async with self._reading:
                    await asyncio.to_thread(lines.open_some, self._core.secret.identities)

    async def _catch_up(self) -> None:
        _, size = self._core.pen.stand()
        await asyncio.to_thread(self._lines.catch_up, size)

    async def _demand(self, proof: Proof) -> Actor:
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.JOURNAL, address=proof.address)
        return actor

    async def _judge(self, anchored: tuple[Head, ...]) -> tuple[JournalHead, Nib]:
        core = self._core
        nib, size = core.pen.stand()
        problem = ""
        try:
            first = open_first_key(core.secret, core.store.read(places.JOURNAL_KEY))
            evidence = Evidence(core.pen.read, size, nib, (*core.pen.heads(), *anchored))
            nib, problem = await asyncio.to_thread(verify, first, core.archive_id, core.verify_key, evidence)
        except JournalBroken as broken:
            nib, problem = first_nib(b""), broken.message
        problem = problem or core.pen.problem
        words = _words(Head(core.archive_id, nib.sequence, nib.mac.hex(), 0.0))
        broken_at = nib.sequence if problem else 0
        return JournalHead(not problem, nib.sequence, words, core.now(), broken_at, problem), nib

    async def _sign(self, nib: Nib) -> Head:
        core = self._core
        head = head_of(nib, core.archive_id, core.now(), core.secret)
        try:
            await asyncio.to_thread(core.pen.sign_head, head)
        except OSError as error:
            raise unwritten(error) from error
        return head


def _words(head: Head) -> tuple[str, ...]:
    return tuple(words_of(head.words()).split())
