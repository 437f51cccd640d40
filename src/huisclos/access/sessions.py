"""Logging in, and what a person does to their own account.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from huisclos.access.nouns import Actor, Proof, Role


class PasswordFault(StrEnum):
    """Why a password or passphrase is not taken (CNIL deliberation 2022-100)."""

    TOO_SHORT = "too-short"
    """Less than 80 bits for its length and classes."""
    TOO_LONG = "too-long"
    GUESSABLE = "guessable"
    """A known one, or one that follows a known pattern or holds the person's name."""
    SAME_AS_BEFORE = "same-as-before"


class Session(Struct, frozen=True):
    """A person's session in one browser."""

    secret: str
    """Goes into the cookie and, back from there, into `Proof.secret`."""
    actor: Actor
    until: float
    """Ends then, whatever happens."""
    idle: bool = False
    """15 minutes without a deed of its person: only `confirm`, `logout` and `session` are answered."""
    must_change_password: bool = False
    """Logged in with a password that somebody else has seen: only `change_password` is answered."""

    def __repr__(self) -> str:
        return f"Session({self.actor.id})"


class Login(Struct, frozen=True):
    """What a right name and password came to: a session, or a second question."""

    session: Session | None = None
    ticket: str = ""
    """Present when a TOTP code is asked for: to be shown again with the code, within 5 minutes."""


class Enrolment(Struct, frozen=True):
    """A second factor being set up; in force only once a code made from it was typed back."""

    uri: str
    """`otpauth://totp/...` for the QR code."""
    secret: str
    """The same secret in base32, to be typed."""


class Account(Struct, frozen=True):
    """What a person sees about themselves."""

    user_id: str
    name: str
    role: Role
    language: str
    totp: bool
    recovery_codes: int
    """How many one-time codes are left."""
    password_changed_at: float
    last_login_at: float
    """The login before this one."""
    last_login_from: str
    failed_since: int
    """Wrong passwords typed for this name since the last login."""
    sessions: int
    """How many sessions of this person live, this one included."""
    holder: bool
    """Whether this person's passphrase opens the archive."""


class Viewing(Struct, frozen=True):
    """A viewer's read-only hold on one study, a child of the session it was opened from."""

    secret: str
    """In `Proof(SESSION, secret)` it lists and reads this one study, and nothing else."""
    study_id: str
    study_uid: str
    until: float
    """15 minutes from the last renewal; never beyond its session."""

    def __repr__(self) -> str:
        return f"Viewing({self.study_id})"


class Door(Protocol):
    """Sessions and what a person does to their own account."""

    async def login(self, name: str, password: str, address: str) -> Login:
        """Raises `NotAdmitted`, `TooManyAttempts`, `Locked`.

        A wrong name and a wrong password give the same message in the same time.
        """

    async def finish_login(self, ticket: str, code: str, address: str) -> Session:
        """The second step: a TOTP code, or a recovery code, which is then spent. Raises as `login`."""

    async def session(self, proof: Proof, *, active: bool) -> Session:
        """Who this is. `active` says that its person did something: it puts the idle lock off.

        Answered for an idle session too (`idle` is then true). Raises `NotAdmitted`, `Locked`.
        """

    async def confirm(self, proof: Proof, password: str) -> Session:
        """Wake an idle session. Raises `NotAdmitted`, `TooManyAttempts`."""

    async def logout(self, proof: Proof) -> None:
        """End the session and its viewings. Idempotent."""

    async def logout_others(self, proof: Proof) -> int:
        """End this person's other sessions; how many."""

    async def account(self, proof: Proof) -> Account:
        """What the person may know about themselves."""

    async def change_password(self, proof: Proof, old: str, new: str) -> tuple[PasswordFault, ...]:
        """Empty when done; ends the person's other sessions. Raises `NotAdmitted` when `old` is wrong."""

    async def begin_totp(self, proof: Proof) -> Enrolment:
        """A fresh secret; nothing changes until `confirm_totp`."""

    async def confirm_totp(self, proof: Proof, code: str) -> tuple[str, ...]:
        """Put the second factor in force; the recovery codes, shown once. Raises `NotAdmitted`."""

    async def drop_totp(self, proof: Proof, password: str) -> None:
        """Take the second factor away. Raises `NotAdmitted` when the password is wrong."""

    async def set_language(self, proof: Proof, language: str) -> None:
        """`fr`, `en`, or empty for the browser's."""

    async def begin_viewing(self, proof: Proof, study_id: str, study_uid: str) -> str:
        """A ticket for the viewer: single use, 60 seconds. Raises `NotGranted` without READ."""

    async def exchange(self, ticket: str, address: str) -> Viewing:
        """The viewing a ticket stands for, once. Raises `NotAdmitted`."""

    async def viewing(self, secret: str, address: str, *, active: bool) -> Viewing:
        """The living viewing with this secret, renewed. `active` as in `session`.

        Raises `NotAdmitted` when it, or its session, has ended or gone idle.
        """
