"""Who shows a proof: sessions, viewings, tokens and the console judged in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from huisclos import clock
from huisclos.access.accounts import TokenBody, UserBody
from huisclos.access.nouns import RIGHTS, Actor, ActorKind, Proof, ProofKind, Right
from huisclos.access.passwords import same, secret_digest
from huisclos.errors import NotAdmitted, NotGranted, PasswordDue, SessionIdle
from huisclos.journal.entries import Act
from huisclos.vault.core import CONSOLE, Core
from huisclos.vault.hashing import Hashing
from huisclos.vault.session_table import Live, SessionTable
from huisclos.vault.throttle import Throttle, address_key
from huisclos.vault.users import Known, Users
from huisclos.vault.watch import Watch

NOBODY: Final = Actor(ActorKind.USER, "", "", frozenset())
"""Whoever was not admitted, in the journal."""
_VIEWING: Final = frozenset({Right.LIST, Right.READ})
_JOURNAL_EVERY: Final = 60.0
"""Seconds between two entries about wrong tokens from one address: a stuck client must not fill the disk."""
_MAX_ADDRESSES: Final = 1000
_LOG_IN: Final = "log in again"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whoever shows a proof, and the one study it is for, if it is a viewing."""

    actor: Actor
    study_id: str = ""
    study_uid: str = ""


@dataclass(slots=True)
class _Wrong:
    told_at: float
    since: int = 0


class Proofs:
    """Judges proofs. Rights are read from the ledger each time, so that narrowing works at once."""

    def __init__(self, core: Core, steady: Callable[[], float] = clock.steady) -> None:
        self._core = core
        self.users = Users(core)
        core.told_as = self.told_as
        self.hashing = Hashing()
        self._watch = Watch(core.now, steady)
        self._table = SessionTable(self._watch)
        self._throttle = Throttle(self._watch)
        self._wrong: dict[tuple[str, str], _Wrong] = {}
        self.tokens_used: dict[str, float] = {}
        """Token id to when it was last shown, since the start."""

    async def actor(
        self, proof: Proof, *, study_id: str = "", console: bool = True, narrowing: bool = False
    ) -> Actor:
        """Who shows `proof`. Raises `NotAdmitted` (`SessionIdle`, `PasswordDue`), `Locked`.

        A viewing is let through only for the study it is for: name it, else `NotGranted`. `console`
        says whether the console's proof, which is the channel it came over, is taken: what serves other
        channels turns it away before. While locked only store tokens pass, and the console for what
        narrows access.
        """
        admitted = await self.admit(proof, console=console, narrowing=narrowing)
        if admitted.study_id and admitted.study_id != study_id:
            raise NotGranted("a viewing shows one study and does nothing else")
        return admitted.actor

    async def admit(self, proof: Proof, *, console: bool = True, narrowing: bool = False) -> Admitted:
        """As `actor`, for callers that bind what they hand out to a viewing's study themselves."""
        if proof.kind is ProofKind.CONSOLE:
            return Admitted(self._judge_console(taken=console, narrowing=narrowing))
        if proof.kind is ProofKind.TOKEN:
            return Admitted(await self._judge_token(proof))
        self._demand_unlocked()
        live = self._table.find(proof.secret)
        if live is not None:
            return Admitted(self._awake(live).actor)
        look = self._table.look(proof.secret)
        if look is None:
            raise NotAdmitted("nobody is logged in here", hint=_LOG_IN)
        person = self._awake(look.session).actor
        rights = person.rights & _VIEWING
        viewer = Actor(person.kind, person.id, person.name, rights, person.role, person.language)
        return Admitted(viewer, look.study_id, look.study_uid)

    def told_as(self, actor: Actor) -> str:
        """What the journal calls `actor`: of a token, its user's name and its label, as far as known now."""
        if actor.kind is not ActorKind.TOKEN or self._core.locked:
            return actor.name
        token = self._core.ledger.get(TokenBody, actor.id)
        user = None if token is None else self.users.get(token.user_id)
        return actor.name if token is None or user is None else token_of(user.name, token.label)

    def end_all(self) -> None:
        """End every session, viewing and half-made login: at lock."""
        self._table.clear()

    def end_user(self, user_id: str) -> int:
        """End a user's sessions; how many there were."""
        return self._table.end_user(user_id)

    def _demand_unlocked(self) -> None:
        self._core.secret  # noqa: B018 - raises Locked

    def _judge_console(self, *, taken: bool, narrowing: bool) -> Actor:
        if not taken:
            raise NotAdmitted("this is not the console")
        if not narrowing:
            self._demand_unlocked()
        return CONSOLE

    async def _judge_token(self, proof: Proof) -> Actor:
        digest = secret_digest(proof.secret)
        tokens = self._core.ledger.all(TokenBody)
        found = next((token_id for token_id, token in tokens.items() if same(token.digest, digest)), "")
        if not found:
            await self._tell_wrong(NOBODY, "token", proof.address)
            raise NotAdmitted("this token is not known")
        token = tokens[found]
        actor = self._token_actor(found, token)
        if actor is None:
            ended = Actor(ActorKind.TOKEN, found, _token_name(found, token), frozenset())
            await self._tell_wrong(ended, "token-ended", proof.address)
            raise NotAdmitted("this token has ended", hint="an owner can make a new one")
        if self._core.locked and not actor.may(Right.STORE):
            self._demand_unlocked()
        self.tokens_used[found] = self._core.now()
        return actor

    def _token_actor(self, token_id: str, token: TokenBody) -> Actor | None:
        user = self._core.ledger.get(UserBody, token.user_id)
        if user is None or user.disabled or self._core.now() >= token.until:
            return None
        may = token.may | {Right.LIST} if Right.READ in token.may else token.may
        rights = may & RIGHTS[user.role]
        return Actor(ActorKind.TOKEN, token_id, _token_name(token_id, token), rights, user.role)

    async def _tell_wrong(self, actor: Actor, what: str, address: str) -> None:
        now = self._watch.now()
        key = address_key(address)
        wrong = self._wrong.get(key)
        if wrong is not None and now - wrong.told_at < _JOURNAL_EVERY:
            wrong.since += 1
            return
        attempts = 1 + (wrong.since if wrong is not None else 0)
        if len(self._wrong) >= _MAX_ADDRESSES:
            self._wrong.clear()
        self._wrong[key] = _Wrong(now)
        counts = {"attempts": attempts}
        entry = self._core.entry(Act.LOGIN_FAILED, actor, address=address, what=what, counts=counts)
        await self._core.journal(entry)

    def _person(self, live: Live) -> Known:
        """Whose session it is, as the ledger has them now."""
        user = self.users.get(live.user_id)
        if user is None or user.body.disabled:
            self._table.end_user(live.user_id)
            raise NotAdmitted("this account has been closed")
        return user

    def _awake(self, live: Live) -> Known:
        user = self._person(live)
        if self._table.idle(live):
            raise SessionIdle("nothing was done here for a while", hint="type your password to go on")
        if user.secret.invited:
            raise PasswordDue("somebody else has seen this password", hint="choose a new one first")
        return user

    def _own(self, proof: Proof) -> Live:
        """The session itself, of a person, whatever its state. Raises `NotAdmitted`, `Locked`."""
        self._demand_unlocked()
        live = self._table.find(proof.secret) if proof.kind is ProofKind.SESSION else None
        if live is None:
            raise NotAdmitted("nobody is logged in here", hint=_LOG_IN)
        return live


def token_of(user_name: str, label: str) -> str:
    """A token as the journal names it."""
    return f"{user_name} ({label})" if label else user_name


def _token_name(token_id: str, token: TokenBody) -> str:
    return token.label or f"token {token_id[:8]}"
