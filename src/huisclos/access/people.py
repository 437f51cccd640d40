"""Users, tokens, holders, and what waits for an owner.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from huisclos.access.nouns import ActorKind, Proof, Right, Role
from huisclos.access.sessions import PasswordFault


class User(Struct, frozen=True):
    """One account in the table of people."""

    id: str
    name: str
    role: Role
    totp: bool
    holder: bool
    created_at: float
    last_login_at: float
    invited: bool
    """Has not yet chosen a password of their own."""


class Invitation(Struct, frozen=True):
    """A password to hand over once; it must be changed at the first login."""

    user_id: str
    name: str
    password: str

    def __repr__(self) -> str:
        return f"Invitation({self.user_id})"


class Token(Struct, frozen=True):
    """A token as listed; its secret is known to whoever holds it only."""

    id: str
    user_id: str
    user_name: str
    label: str
    may: frozenset[Right]
    """READ (which includes LIST) and STORE; never beyond its user's role."""
    created_at: float
    until: float
    last_used_at: float


class NewToken(Struct, frozen=True):
    """A token at the only moment its secret is shown."""

    token: Token
    secret: str

    def __repr__(self) -> str:
        return f"NewToken({self.token.id})"


class PendingKind(StrEnum):
    """What was asked for in the dark and widens access."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    ROLE = "role"
    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    PEER = "peer"
    """A peer, or rights of a peer beyond echo and store."""


class Pending(Struct, frozen=True):
    """One request that waits for an owner."""

    id: str
    kind: PendingKind
    subject: str
    """Whom it is about: a user's name, an AE title."""
    detail: str
    """Role, rights or address asked for, as glossary words separated by commas."""
    asked_at: float
    asked_by: str
    """Name of who asked, or `console`."""


class FastReader(Struct, frozen=True):
    """Somebody who opened studies faster than people read, and was stopped."""

    id: str
    """Of the user or the token."""
    kind: ActorKind
    name: str
    """Of the user."""
    stopped_at: float


class HolderKind(StrEnum):
    """What opens a holder file."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word, not a secret
    RECOVERY = "recovery"
    TEMPORARY = "temporary"


class Holder(Struct, frozen=True):
    """One way to open the archive."""

    id: str
    label: str
    kind: HolderKind
    damaged: bool
    created_at: float
    user_id: str = ""
    """The user whose passphrase it is."""


class RotationState(Struct, frozen=True):
    """How far a new archive key is in force."""

    running: bool
    """Keys are being sealed anew."""
    waiting: bool
    """It is due, or was cut short: it waits for an unlock, or for `unready`."""
    done: int = 0
    total: int = 0
    """Keys sealed anew of those found, since it was begun or taken up again."""
    unready: tuple[str, ...] = ()
    """Holders who must unlock once before anything can be sealed to them."""


class People(Protocol):
    """Users, tokens, holders, and what waits for approval; all need PEOPLE."""

    async def users(self, proof: Proof) -> tuple[User, ...]:
        """By name."""

    async def add(self, proof: Proof, name: str, role: Role) -> Invitation:
        """Raises `Conflict` when the name is taken, `BadSetting`."""

    async def set_role(self, proof: Proof, user_id: str, role: Role) -> None:
        """Takes effect at once. Raises `Conflict` for the last owner, `NotFound`."""

    async def reset(self, proof: Proof, user_id: str) -> Invitation:
        """A new password to hand over; sessions end, the second factor is taken away."""

    async def remove(self, proof: Proof, user_id: str) -> None:
        """Sessions and tokens end at once. Raises `Conflict` for the last owner, `NotFound`."""

    async def tokens(self, proof: Proof) -> tuple[Token, ...]:
        """Newest first; ended ones are left out."""

    async def add_token(
        self, proof: Proof, user_id: str, label: str, may: frozenset[Right], until: float
    ) -> NewToken:
        """Raises `NotFound`, `NotGranted` when `may` goes beyond the user's role, `BadSetting`."""

    async def remove_token(self, proof: Proof, token_id: str) -> None:
        """Ends at once. Idempotent."""

    async def pending(self, proof: Proof) -> tuple[Pending, ...]:
        """Oldest first."""

    async def approve(self, proof: Proof, pending_id: str) -> Invitation | None:
        """Put it in force; an invitation when a password has to be handed over. Raises `NotFound`."""

    async def refuse(self, proof: Proof, pending_id: str) -> None:
        """Drop it. Idempotent."""

    async def fast_readers(self, proof: Proof) -> tuple[FastReader, ...]:
        """Who was stopped by the reading budget in the last ten minutes, the latest first."""

    async def confirm_reading(self, proof: Proof, actor_id: str) -> None:
        """Let a reader who was stopped go on: an hour without the budget. Raises `NotFound`."""

    async def holders(self, proof: Proof) -> tuple[Holder, ...]:
        """Every holder of the archive, oldest first."""

    async def add_holder(self, proof: Proof, passphrase: str) -> tuple[PasswordFault, ...]:
        """The asking user becomes a holder, or changes their passphrase; empty when done."""

    async def rotation(self, proof: Proof) -> RotationState:
        """How far the last new archive key is in force."""

    async def remove_holder(self, proof: Proof, holder_id: str) -> None:
        """The archive gets a new key, which they never knew.

        Raises `Conflict` when no other passphrase holder would be left, `NotFound`.
        """
