"""The first minutes of an archive. Implements `SetUp`.

The one-time link's secret is itself a temporary holder: nothing else on the machine can open the
new archive. Spending the link gives a ticket that lives in memory; once the recovery key was
typed back, the temporary holder is destroyed.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from huisclos.access.accounts import PeerBody
from huisclos.access.addresses import is_loopback, parse_address
from huisclos.access.chronicle import Change
from huisclos.access.gate import RecoveryKey, SetUpState, Stage
from huisclos.access.nouns import Proof, Right, Role
from huisclos.access.passwords import check_password
from huisclos.access.sessions import Login, PasswordFault
from huisclos.errors import BadSetting, HuisclosError, NotAdmitted, TooManyAttempts, WrongPassphrase
from huisclos.journal.entries import Act
from huisclos.seal import generate_passphrase, tidy_passphrase
from huisclos.vault.core import CONSOLE, Core
from huisclos.vault.gate import GateService
from huisclos.vault.holders import HolderKind
from huisclos.vault.people import PeopleService
from huisclos.vault.recovery import Recovery
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.sessions import Sessions

LINK_LIFE: Final = 15 * 60.0
"""Seconds a set-up link lives."""
MAX_ATTEMPTS: Final = 10
_NEARLY: Final = 0.8
"""Alike by this share, two passphrases are one and a slip of the hand."""


@dataclass(slots=True)
class _Ticket:
    ticket: str
    secret: ArchiveSecret
    holder_id: str
    name: str = ""
    password: str = ""
    language: str = ""
    suggested: str = ""


class SetUpService:
    """From the one-time link to an archive with an owner and a proven recovery key."""

    def __init__(
        self, core: Core, gate: GateService, sessions: Sessions, people: PeopleService, recovery: Recovery
    ) -> None:
        self._core = core
        self._gate = gate
        self._sessions = sessions
        self._people = people
        self._recovery = recovery
        self._link_until = core.now() + LINK_LIFE
        self._attempts = 0
        self._checking = asyncio.Lock()
        self._ticket: _Ticket | None = None
        self._modality_done = bool(core.owners()) and recovery.confirmed_at() > 0

    async def state(self) -> SetUpState:
        """See `SetUp`."""
        waiting = self._ticket is None and self._core.now() < self._link_until and not self._core.owners()
        name = self._ticket.name if self._ticket is not None else ""
        return SetUpState(self._stage(), waiting, console_code=False, name=name)

    async def check(self, secret: str, console_code: str, address: str) -> str:
        """See `SetUp`."""
        if address and not is_loopback(parse_address(address)):
            raise NotAdmitted("the set-up link works on this machine only")
        async with self._checking:  # or two that come together would both spend it
            return await self._check(secret)

    async def _check(self, secret: str) -> str:
        if self._core.owners():
            raise NotAdmitted("this archive is set up already", hint="log in, or unlock it at the gate")
        if self._ticket is not None or self._core.now() >= self._link_until:
            raise NotAdmitted(
                "this link has been used, or is older than 15 minutes",
                hint="start the archive again for a new one",
            )
        if self._attempts >= MAX_ATTEMPTS:
            raise TooManyAttempts("too many wrong links", hint="start the archive again for a new one")
        self._attempts += 1
        try:
            archive_secret, holder_id = await asyncio.to_thread(self._core.holders.open, secret)
        except HuisclosError:
            raise NotAdmitted("this is not the set-up link of this archive") from None
        ticket = secrets.token_urlsafe(32)
        self._ticket = _Ticket(ticket, archive_secret, holder_id)
        return ticket

    async def who(self, ticket: str, name: str, password: str, language: str) -> tuple[PasswordFault, ...]:
        """See `SetUp`."""
        held = self._held(ticket)
        name = self._people.check_name(name)
        faults = self._people.faults_of(password, name)
        if not faults:
            held.name, held.password, held.language = name, password, language
        return faults

    async def suggest(self, ticket: str) -> str:
        """See `SetUp`."""
        held = self._held(ticket)
        held.suggested = held.suggested or generate_passphrase()
        return held.suggested

    async def finish_owner(self, ticket: str, passphrase: str) -> Login:
        """See `SetUp`."""
        held = self._held(ticket)
        if not held.name:
            raise BadSetting("say who you are first")
        passphrase = tidy_passphrase(passphrase)
        if slipped(passphrase, held.suggested):
            raise WrongPassphrase("this is the suggested passphrase with a slip")
        check_password(passphrase, names=(held.name,))
        now = self._core.now()
        holder_id = await asyncio.to_thread(
            self._core.holders.add, held.secret, passphrase, HolderKind.PASSPHRASE, held.name, now
        )
        await self._gate.unlock_with(held.secret, holder_id, "")
        user_id = await self._people.create(
            CONSOLE, held.name, Role.OWNER, held.password, language=held.language
        )
        self._ticket = None
        return Login(await self._sessions.open_for(user_id, ""))

    async def recovery(self, proof: Proof) -> RecoveryKey:
        """See `SetUp`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        return await self._recovery.make(actor)

    async def confirm_recovery(self, proof: Proof, typed: str) -> None:
        """See `SetUp`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        await self._recovery.confirm(actor, typed)

    async def finish(self, proof: Proof) -> None:
        """See `SetUp`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        if not self._modality_done:
            self._modality_done = True
            await self._core.journal(self._core.entry(Act.CHANGED, actor, what=Change.SET_UP_FINISHED))

    def _stage(self) -> Stage:
        if not self._core.owners():
            return Stage.PASSPHRASE if self._ticket is not None and self._ticket.name else Stage.WHO
        if not self._recovery.confirmed_at():
            return Stage.RECOVERY
        if not self._modality_done and not self._core.ledger.all(PeerBody):
            return Stage.MODALITY
        return Stage.DONE

    def _held(self, ticket: str) -> _Ticket:
        if self._ticket is None or not secrets.compare_digest(self._ticket.ticket, ticket):
            raise NotAdmitted("this set-up was begun elsewhere, or is over")
        return self._ticket


def slipped(typed: str, suggested: str) -> bool:
    """Whether the suggested one was meant: on paper one way and in force another, it would be lost."""
    return typed != suggested and SequenceMatcher(None, typed, suggested).ratio() >= _NEARLY
