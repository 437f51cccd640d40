"""The nouns of access: roles, rights, actors, proofs, grants.

Plain frozen structs: they cross the channels between processes as they are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Role(StrEnum):
    """What a person is in the practice; the table of what each may do is `RIGHTS`."""

    OWNER = "owner"
    PHYSICIAN = "physician"
    SECRETARY = "secretary"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"


class Right(StrEnum):
    """One thing an actor may do."""

    LIST = "list"
    """See who and when: studies, patients, series; no pixels."""
    READ = "read"
    """See images and metadata."""
    STORE = "store"
    """Deposit images."""
    EXPORT = "export"
    """Take images out of the house in clear."""
    DECIDE = "decide"
    """Settle what is listed under "to decide"."""
    PEERS = "peers"
    """See peers and knocks; propose a peer."""
    STATE = "state"
    """See the state of the house."""
    DOORS = "doors"
    """Run the auditor and read its findings."""
    JOURNAL = "journal"
    """Read the journal."""
    PEOPLE = "people"
    """Grant rights: users, tokens, roles, peers beyond echo and store."""
    LOCK = "lock"
    """Lock the archive."""


RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.OWNER: frozenset(Right),
    Role.PHYSICIAN: frozenset(
        {Right.LIST, Right.READ, Right.STORE, Right.EXPORT, Right.DECIDE, Right.STATE, Right.LOCK}
    ),
    Role.SECRETARY: frozenset({Right.LIST, Right.STORE, Right.STATE, Right.LOCK}),
    Role.TECHNICIAN: frozenset({Right.PEERS, Right.STATE, Right.DOORS, Right.LOCK}),
    Role.AUDITOR: frozenset({Right.JOURNAL, Right.DOORS, Right.STATE, Right.LOCK}),
}
"""Owner everything; technician no patient data; auditor no pixels. Locking narrows, so all may."""


class ActorKind(StrEnum):
    """Where an actor comes from."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    PEER = "peer"
    CONSOLE = "console"
    """The operating system's account that owns the archive, at the command line."""
    HOUSE = "house"
    """The house itself: settling, verifying."""


class Actor(Struct, frozen=True):
    """Whoever acts, once admitted."""

    kind: ActorKind
    id: str
    """Random id of the account or peer; `console` or `house` otherwise."""
    name: str
    """What a person reads: a user's name, an AE title."""
    rights: frozenset[Right]
    role: Role | None = None
    language: str = ""
    """Language the user chose, `fr` or `en`; empty for the browser's."""

    def may(self, right: Right) -> bool:
        """Whether this actor has `right`."""
        return right in self.rights


class ProofKind(StrEnum):
    """How an actor proves who it is."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    CONSOLE = "console"


class Proof(Struct, frozen=True):
    """What an actor shows; only the vault judges it."""

    kind: ProofKind
    secret: str = ""
    """The session's or the token's secret; empty for the console, which the channel itself proves."""
    address: str = ""
    """Where it came from, for the journal."""

    def __repr__(self) -> str:
        return f"Proof({self.kind})"


class Grant(Struct, frozen=True):
    """A right for a short time, made by the vault after its journal entry is durable.

    `mac` lets the finder check it without asking the vault again; study keys come beside
    it, never in it.
    """

    id: str
    actor: Actor
    right: Right
    purpose: str
    until: float
    """Seconds since the epoch; at most 15 minutes away."""
    study_id: str = ""
    """The one study it is for; empty for lists."""
    mac: bytes = b""


class Source(Struct, frozen=True):
    """Where received objects come from."""

    kind: ActorKind
    id: str
    """Id of the peer, user or token."""
    label: str
    """AE title, or the name of the user or token."""
    address: str = ""
    quarantine: bool = False
    """The sender is not approved yet: what it sends stays apart until it is."""
