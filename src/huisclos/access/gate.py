"""The gate and the set-up: locking, unlocking, and the first minutes of an archive.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from huisclos.access.nouns import Proof
from huisclos.access.sessions import Login, PasswordFault, Session


class DarkReceipt(Struct, frozen=True):
    """What one source sent while the archive was locked, in sum."""

    label: str
    """AE title of the peer, or the name of the token."""
    objects: int
    last_at: float


class GateState(Struct, frozen=True):
    """What anybody standing before the gate may know: no patient data, no account's name."""

    locked: bool
    since: float
    """Locked since, or unlocked since."""
    received: tuple[DarkReceipt, ...] = ()
    unlocked_by: str = ""
    """Label of the holder that unlocked last."""
    unlocked_at: float = 0.0
    damaged: tuple[str, ...] = ()
    """Labels of holders whose key file is not the one that was written."""
    wait: float = 0.0
    """Seconds until another attempt is heard."""
    set_up: bool = True
    """False while nobody but the one-time link opens the archive."""


class Unlocked(Struct, frozen=True):
    """What an unlocking came to."""

    label: str
    """Holder that opened."""
    received: tuple[DarkReceipt, ...]
    session: Session | None = None
    """Given when the holder is a user: unlocking logged them in."""
    pending: int = 0
    """Requests made in the dark that wait for an owner."""


class Gate(Protocol):
    """Locking and unlocking."""

    async def state(self) -> GateState:
        """Never raises but `Unreachable`."""

    async def unlock(self, passphrase: str, name: str, address: str) -> Unlocked:
        """Try the holders (all of them, or the user's own when `name` is given), one attempt at a time.

        Raises `WrongPassphrase`, `TooManyAttempts`, `DamagedHolder`.
        """

    async def lock(self, proof: Proof) -> None:
        """At once, for any actor with LOCK; ends every session. Idempotent."""


class Stage(StrEnum):
    """The step of the set-up that comes next."""

    WHO = "who"
    PASSPHRASE = "passphrase"  # noqa: S105 - a word, not a secret
    RECOVERY = "recovery"
    MODALITY = "modality"
    DONE = "done"


class SetUpState(Struct, frozen=True):
    """How far the set-up is; each step can be left and resumed."""

    stage: Stage
    link: bool = True
    """Whether a set-up link is waiting to be used."""
    console_code: bool = False
    """A code shown at the console is asked for beside the link (not from loopback)."""
    name: str = ""
    """What was given as name, if that step is done."""


class RecoveryKey(Struct, frozen=True):
    """The recovery key, for the moment it is shown."""

    words: tuple[str, ...]
    line: str
    """`AGE-SECRET-KEY-1...`"""

    def __repr__(self) -> str:
        return "RecoveryKey()"


class SetUp(Protocol):
    """The first minutes of an archive."""

    async def state(self) -> SetUpState:
        """Never raises but `Unreachable`."""

    async def check(self, secret: str, console_code: str, address: str) -> str:
        """Spend the one-time link; the ticket under which the first two steps are taken.

        Raises `NotAdmitted` (spent, expired, wrong), `TooManyAttempts`.
        """

    async def who(self, ticket: str, name: str, password: str, language: str) -> tuple[PasswordFault, ...]:
        """Step 1. Kept in the vault's memory only. Empty when taken. Raises `NotAdmitted`, `BadSetting`."""

    async def suggest(self, ticket: str) -> str:
        """A generated passphrase of seven words; the same one again for the same ticket."""

    async def finish_owner(self, ticket: str, passphrase: str) -> Login:
        """Step 2: the first holder and the owner exist, the archive is unlocked, the owner is logged in.

        Raises `WeakPassword` when the passphrase would be guessed, `WrongPassphrase` when it is the suggested
        one with a slip, `BadSetting` before step 1, `NotAdmitted`.
        """

    async def recovery(self, proof: Proof) -> RecoveryKey:
        """Step 3: a new recovery key, replacing an unconfirmed one; shown by this answer and never again."""

    async def confirm_recovery(self, proof: Proof, typed: str) -> None:
        """Words or `AGE-SECRET-KEY` line as typed; the temporary holder is then destroyed.

        Raises `WrongPassphrase` when it is not the recovery key.
        """

    async def finish(self, proof: Proof) -> None:
        """Steps 4 and 5 are over, with or without a modality. Idempotent."""
