"""Sessions, viewings and tickets, in memory only: a restart or a lock ends them all.

Of each secret (256 random bits) only the digest is kept. Every count is bounded; the oldest gives
way. Times are those of a `Watch`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from huisclos.access.passwords import secret_digest
from huisclos.vault.watch import Watch

IDLE: Final = 15 * 60.0
"""Seconds without a deed of its person after which a session is idle."""
LIFE: Final = 12 * 3600.0
"""Seconds a session lives, whatever happens: a working day."""
VIEWING_LIFE: Final = 15 * 60.0
TICKET_LIFE: Final = 60.0
QUESTION_LIFE: Final = 5 * 60.0
WRONG_CODES: Final = 5
"""Wrong codes after which the password is asked for again."""
MAX_SESSIONS: Final = 16
"""Of one user."""
MAX_VIEWINGS: Final = 32
"""Of one session; tickets too."""
MAX_QUESTIONS: Final = 8
"""Of one user."""


@dataclass(frozen=True, slots=True)
class LastTime:
    """The login before this one."""

    at: float
    address: str
    failed: int


@dataclass(slots=True, eq=False)
class Live:
    """A session."""

    user_id: str
    begun: float
    active: float
    before: LastTime
    enrolling: str = ""
    """TOTP seed shown and not yet confirmed."""


@dataclass(slots=True, eq=False)
class Look:
    """A viewing, or with `TICKET_LIFE` the ticket for one."""

    session: Live
    study_id: str
    study_uid: str
    renewed: float


@dataclass(slots=True, eq=False)
class Question:
    """A right password whose second factor is asked for."""

    user_id: str
    asked: float
    wrong: int = 0


Kept = TypeVar("Kept", Live, Look, Question)


class SessionTable:
    """Everything that somebody logged in holds."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._sessions: dict[bytes, Live] = {}
        self._looks: dict[bytes, Look] = {}
        self._tickets: dict[bytes, Look] = {}
        self._questions: dict[bytes, Question] = {}

    def begin(self, user_id: str, before: LastTime) -> tuple[str, Live]:
        """A new session and its secret."""
        now = self._watch.now()
        self._drop(lambda live: not self.alive(live))
        mine = self.of(user_id)
        for oldest in sorted(mine, key=lambda live: live.active)[: _over(len(mine), MAX_SESSIONS)]:
            self.end(oldest)
        live = Live(user_id, now, now, before)
        return _keep(self._sessions, live), live

    def find(self, secret: str) -> Live | None:
        """The living session with this secret, idle or not."""
        live = self._sessions.get(secret_digest(secret))
        return live if live is not None and self.alive(live) else None

    def alive(self, live: Live) -> bool:
        """Whether the session's absolute life is not over."""
        return self.left(live) > 0

    def left(self, live: Live) -> float:
        """Seconds until it ends, whatever happens."""
        return live.begun + LIFE - self._watch.now()

    def idle(self, live: Live) -> bool:
        """Whether its person did nothing for a while."""
        return self._watch.now() - live.active >= IDLE

    def touch(self, live: Live) -> None:
        """Its person did something."""
        live.active = self._watch.now()

    def of(self, user_id: str) -> list[Live]:
        """The living sessions of a user."""
        return [live for live in self._sessions.values() if live.user_id == user_id and self.alive(live)]

    def end(self, live: Live) -> None:
        """End a session, its viewings and its tickets. Idempotent."""
        self._drop(lambda other: other is live)

    def end_user(self, user_id: str, keep: Live | None = None) -> int:
        """End the sessions of a user, but `keep`; how many living ones there were."""
        ended = sum(live is not keep for live in self.of(user_id))
        self._drop(lambda live: live.user_id == user_id and live is not keep)
        self._questions = {
            digest: question for digest, question in self._questions.items() if question.user_id != user_id
        }
        return ended

    def clear(self) -> None:
        """End everything."""
        for table in (self._sessions, self._looks, self._tickets, self._questions):
            table.clear()

    # viewings

    def make_ticket(self, live: Live, study_id: str, study_uid: str) -> str:
        """A ticket for a viewing of one study, to be used once."""
        self._room(self._tickets, live, TICKET_LIFE)
        return _keep(self._tickets, Look(live, study_id, study_uid, self._watch.now()))

    def spend_ticket(self, ticket: str) -> tuple[str, Look] | None:
        """The secret and the viewing for a ticket; None when it was used, is too old, or has no session."""
        look = self._tickets.pop(secret_digest(ticket), None)
        if look is None or not self._holds(look, TICKET_LIFE):
            return None
        self._room(self._looks, look.session, VIEWING_LIFE)
        begun = Look(look.session, look.study_id, look.study_uid, self._watch.now())
        return _keep(self._looks, begun), begun

    def look(self, secret: str) -> Look | None:
        """The living viewing with this secret; None too when its session has ended or is idle."""
        look = self._looks.get(secret_digest(secret))
        return look if look is not None and self._holds(look, VIEWING_LIFE) else None

    def renew(self, look: Look) -> float:
        """Begin the viewing's time again; how many seconds it has."""
        look.renewed = self._watch.now()
        return min(VIEWING_LIFE, self.left(look.session))

    # second steps of a login

    def ask(self, user_id: str) -> str:
        """A ticket under which the second factor is awaited."""
        now = self._watch.now()
        kept = {
            digest: question
            for digest, question in self._questions.items()
            if now - question.asked < QUESTION_LIFE
        }
        mine = [digest for digest, question in kept.items() if question.user_id == user_id]
        for digest in mine[: _over(len(mine), MAX_QUESTIONS)]:
            del kept[digest]
        self._questions = kept
        return _keep(self._questions, Question(user_id, now))

    def question(self, ticket: str) -> Question | None:
        """The living question with this ticket."""
        question = self._questions.get(secret_digest(ticket))
        if question is None or self._watch.now() - question.asked >= QUESTION_LIFE:
            return None
        return question

    def answered(self, ticket: str, *, rightly: bool) -> None:
        """Close the question, or after too many wrong answers."""
        question = self._questions.get(secret_digest(ticket))
        if question is None:
            return
        question.wrong += not rightly
        if rightly or question.wrong >= WRONG_CODES:
            del self._questions[secret_digest(ticket)]

    def _holds(self, look: Look, life: float) -> bool:
        live = look.session
        return self._watch.now() - look.renewed < life and self.alive(live) and not self.idle(live)

    def _room(self, table: dict[bytes, Look], live: Live, life: float) -> None:
        now = self._watch.now()
        for digest in [digest for digest, look in table.items() if now - look.renewed >= life]:
            del table[digest]
        mine = [digest for digest, look in table.items() if look.session is live]
        for digest in mine[: _over(len(mine), MAX_VIEWINGS)]:
            del table[digest]

    def _drop(self, gone: Callable[[Live], bool]) -> None:
        self._sessions = {digest: live for digest, live in self._sessions.items() if not gone(live)}
        self._looks = {digest: look for digest, look in self._looks.items() if not gone(look.session)}
        self._tickets = {digest: look for digest, look in self._tickets.items() if not gone(look.session)}


def _over(count: int, limit: int) -> int:
    """How many of `count` must go so that one more is within `limit`."""
    return max(0, count + 1 - limit)


def _keep(table: dict[bytes, Kept], kept: Kept) -> str:
    secret = secrets.token_urlsafe(32)
    table[secret_digest(secret)] = kept
    return secret
