"""The journal as it is read.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct, field

from huisclos.access.nouns import ActorKind, Proof


class Change(StrEnum):
    """What was changed, in the `what` of an entry whose act is `changed` or `asked`."""

    USER_ADDED = "user-added"
    USER_REMOVED = "user-removed"
    ROLE_CHANGED = "role-changed"
    PASSWORD_RESET = "password-reset"  # noqa: S105 - a word, not a secret
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a word, not a secret
    SECOND_FACTOR_ON = "second-factor-on"
    SECOND_FACTOR_OFF = "second-factor-off"
    TOKEN_ADDED = "token-added"  # noqa: S105 - a word, not a secret
    TOKEN_REMOVED = "token-removed"  # noqa: S105 - a word, not a secret
    PEER_ADDED = "peer-added"
    PEER_REMOVED = "peer-removed"
    PEER_CHANGED = "peer-changed"
    HOLDER_ADDED = "holder-added"
    HOLDER_REMOVED = "holder-removed"
    IDENTITY_ROTATED = "identity-rotated"
    KEYS_RESEALED = "keys-resealed"
    RECOVERY_MADE = "recovery-made"
    RECOVERY_CONFIRMED = "recovery-confirmed"
    RECOVERY_SHOWN = "recovery-shown"
    READING_CONFIRMED = "reading-confirmed"
    SETTING_CHANGED = "setting-changed"
    SET_UP_FINISHED = "set-up-finished"


VERIFIED_JOURNAL: Final = "journal"
"""The `what` of an entry whose act is `verified`, when the chain of entries was verified."""
VERIFIED_OBJECTS: Final = "objects"
"""The same, when every sealed object was read and checked; `problems` counts what was wrong."""

DOUBLED: Final = "doubled"
"""The `what` of an entry whose act is `settled`, when what was stored turned out to be here already."""


class JournalLine(Struct, frozen=True):
    """One entry as a page shows it."""

    sequence: int
    at: float
    act: str
    """A value of `journal.nouns.Act`."""
    actor_kind: ActorKind
    actor_id: str
    actor: str
    """Name of the actor; of a token, its user's name and its label."""
    address: str = ""
    study_id: str = ""
    purpose: str = ""
    what: str = ""
    """The thing acted on or the reason: a value of `Change`, a right, a knock's reason..."""
    subject: str = ""
    """Whom it was done to: a user's name, an AE title, a holder's label; never patient data."""
    counts: dict[str, int] = field(default_factory=dict)
    """`instances`, `octets`, `studies`, `attempts`."""
    instance_ids: tuple[str, ...] = ()
    """Random ids of the second copies, where `what` is `DOUBLED`: a crash may have them be told of twice."""


class JournalAsked(Struct, frozen=True):
    """Which entries are asked for; empty fields do not narrow."""

    actor_id: str = ""
    study_id: str = ""
    since: float = 0.0
    until: float = 0.0
    offset: int = 0
    limit: int = 100
    study_ids: tuple[str, ...] = ()
    """Any of these studies: a patient's."""


class JournalPage(Struct, frozen=True):
    """One page of entries, newest first."""

    total: int
    lines: tuple[JournalLine, ...]
    actors: tuple[tuple[str, str], ...] = ()
    """(id, name) of everybody who appears in the journal, for the filter."""


class JournalHead(Struct, frozen=True):
    """Up to where the chain was last found whole."""

    holds: bool
    entries: int
    words: tuple[str, ...]
    """The head as words, to be written down outside."""
    verified_at: float
    broken_at: int = 0
    """Sequence of the first entry that does not hold."""
    problem: str = ""
    """What does not hold, in words, for the console; empty when it does."""


class JournalReader(Protocol):
    """Reading the journal; needs JOURNAL. `READ` on a study shows that study's lines too."""

    async def entries(self, proof: Proof, asked: JournalAsked) -> JournalPage:
        """Newest first. An actor with READ and without JOURNAL must name a study."""

    async def head(self, proof: Proof) -> JournalHead:
        """The result of the last verification, without verifying again."""

    async def verify(self, proof: Proof) -> JournalHead:
        """Verify the whole chain now."""
