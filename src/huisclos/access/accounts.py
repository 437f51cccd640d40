"""The rows of users, tokens and peers, as the vault signs them.

What must be judged while the archive is locked (a peer's address, a token's digest, a user's
role) is in clear; a user's name, password digest and TOTP seed are sealed in `secret`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from huisclos.access.nouns import Right, Role


class RowKind(StrEnum):
    """What a signed row is about."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    PEER = "peer"
    SET = "set"
    """The one row that vouches for all the others."""


class PeerRight(StrEnum):
    """What a peer may ask (DIMSE services)."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"


PLAIN_FOR_GOOD = frozenset({PeerRight.ECHO, PeerRight.STORE})
"""What a peer without a pinned certificate may be given without an end date."""
PLAIN_READING_DAYS = 90
"""Longest time a peer without a pinned certificate may be given more."""


class UserSecret(msgspec.Struct, frozen=True):
    """The sealed half of a user."""

    name: str
    password: str
    """Argon2id digest in PHC form; empty until one is set."""
    totp: str = ""
    """Base32 seed; empty when not enrolled."""
    recovery: tuple[str, ...] = ()
    """SHA-256 (hex) of each unused recovery code."""
    language: str = ""
    totp_used: int = 0
    """The last time step accepted, so that a code opens once."""
    invited: bool = False
    """Somebody else has seen the password: it must be changed before anything else."""
    password_changed_at: float = 0.0
    last_login_at: float = 0.0
    last_login_from: str = ""

    def __repr__(self) -> str:
        return "UserSecret(...)"


class UserBody(msgspec.Struct, frozen=True):
    """A user's row."""

    role: Role
    secret: bytes
    """`UserSecret`, sealed under the record key."""
    made_at: float
    disabled: bool = False
    holder_id: str = ""
    """The holder file this user's password opens; empty when not a holder."""


class TokenBody(msgspec.Struct, frozen=True):
    """A token's row."""

    user_id: str
    digest: bytes
    """SHA-256 of the secret."""
    may: frozenset[Right]
    until: float
    """Seconds since the epoch: the end of the day named."""
    made_at: float
    label: str = ""


class PeerBody(msgspec.Struct, frozen=True):
    """A peer's row."""

    title: str
    """AE title (PS3.5: at most 16 characters)."""
    address: str
    may: frozenset[PeerRight]
    made_at: float
    port: int = 0
    """Where it listens, for a test echo and later for sending; 0 when unknown."""
    certificate: bytes = b""
    """Pinned certificate, DER; empty for a plain peer."""
    until: float = 0.0
    """Seconds since the epoch; 0 for no end."""


class Change(StrEnum):
    """What a pending request would do."""

    ADD_PEER = "add-peer"
    ADD_USER = "add-user"
    ADD_TOKEN = "add-token"  # noqa: S105 - a word, not a secret
    SET_ROLE = "set-role"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - a word, not a secret


class Asked(msgspec.Struct, frozen=True):
    """A change that would widen access, asked while nobody could grant it."""

    change: Change
    at: float
    by: str
    """Who asked: `console (uid 1000)`."""
    peer: PeerBody | None = None
    name: str = ""
    role: Role | None = None
    token: TokenBody | None = None
    password: str = ""
    """Argon2id digest of a password that came with the request."""


class PendingBody(msgspec.Struct, frozen=True):
    """A pending request as it lies in the accounts."""

    sealed: bytes
    """`Asked`, sealed to the archive."""
    clear_peer: PeerBody | None = None
    """The same peer in clear when it would only store, so that what it sends is kept apart meanwhile."""
    batches: tuple[str, ...] = ()
    """Ids of the batches that hold what it has sent: counted against the quarantine's quota."""
    full_since: float = 0.0
    """When something of it was first refused since its quota was reached; 0 for never."""
