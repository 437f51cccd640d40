"""The ports around the finder: what it asks of the vault, and what keeps it in order.

`Catalog`, in `ports.py`, is what faces see of it. These cross channels as they are.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from huisclos.archive.nouns import (
    Choice,
    Cut,
    DoubtKind,
    Placement,
    Quarantined,
    Rivals,
    Side,
    Standing,
    StoredObject,
)


class StudyKeys(Protocol):
    """The vault as the finder needs it, while the archive is unlocked."""

    async def new_study(self) -> Placement:
        """A fresh study id and its recipient; the study's key is durable, sealed, when this returns.

        Raises `Locked`, `Unreachable`. A study nobody ever uses costs a small file.
        """


class Signer(Protocol):
    """The archive's signature, given by the vault while it is unlocked."""

    async def sign(self, context: str, body: bytes) -> bytes:
        """Ed25519, 64 bytes, over `huisclos <context> v1` NUL and `body`.

        The finder asks with `manifest` alone, and the vault signs nothing else for it. Raises
        `NotGranted`, `Locked`, `Unreachable`.
        """


class Restored(Struct, frozen=True):
    """One object found by a reindex, with how it stood in its study's signed manifest."""

    stored: StoredObject
    standing: Standing | None = None
    """None when no manifest lists it: then it is judged as if it had just arrived."""


class RestoredStudy(Struct, frozen=True):
    """A study found by a reindex, with version and digest of its newest attested manifest."""

    study_id: str
    study_uid: str
    recipient: str
    version: int = 0
    manifest_digest: bytes = b""
    series_ids: tuple[tuple[str, str], ...] = ()
    """Series Instance UID and series id, so that sealed metadata stays where it is."""


class Upkeep(Protocol):
    """The finder as the scribe and the vault see it: settling after a crash, rebuilding, ending."""

    async def unsettled(self) -> tuple[str, ...]:
        """Ids of the studies whose folders may hold objects no row knows: open when the finder started.

        Call `register` for what `unknown` names there, then `caught_up`.
        """

    async def unknown(self, study_id: str, instance_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `instance_ids` that no row knows."""

    async def caught_up(self, study_id: str) -> None:
        """Nothing is left to find in this study's folder. Idempotent."""

    async def note(
        self, kind: DoubtKind, left: Side, right: Side, choices: tuple[Choice, ...], key: str
    ) -> str:
        """List a doubt that someone else found; its id. One doubt per `kind` and `key`, ever."""

    async def decided(self, kind: DoubtKind) -> tuple[tuple[str, Choice], ...]:
        """Key and choice of each decided doubt of `kind`, for whoever noted them to act on."""

    async def quarantined(self, waiting: tuple[Quarantined, ...]) -> None:
        """All that waits of senders not approved, as it is now: one card each, brought up to date.

        A card whose images wait no more is taken away, unless a person decided it for good.
        Idempotent.
        """

    async def uncompared(self) -> tuple[Rivals, ...]:
        """Open doubts about other content under one UID that were never `compared`; a few at a time."""

    async def compared(self, doubt_id: str, cut: Cut) -> bool:
        """What comparing them came to: a whole one answers instead of one cut short, of two alike the first.

        Whether the house decided the doubt by this: not if a person has meanwhile, or it is gone.
        """

    async def commit(self) -> None:
        """Commit every row that waits: a crash forgets none of them. Raises `Unreachable`, `Full`."""

    async def flush(self) -> None:
        """Commit every row and write every manifest that waits. The vault calls it at lock."""

    async def clear(self) -> None:
        """Forget everything derived, here and on disk: a rebuild begins. Decisions stay.

        Until `rebuilt`, storing raises `Locked` and reading `Rebuilding`.
        """

    async def rebuilding(self) -> None:
        """Whoever rebuilds is still there: to be called every few seconds. Idempotent."""

    async def abandoned(self) -> bool:
        """Whether a rebuild was begun that nobody goes on with; the scribe then begins it again."""

    async def rebuilt(self) -> None:
        """Everything is restored. What was on its way when it began is looked for. Raises as `flush`."""

    async def restore_study(self, study: RestoredStudy) -> None:
        """Take a study back. Idempotent. Raises `Conflict` if its UID belongs to another study here."""

    async def restore(self, restored: tuple[Restored, ...]) -> None:
        """Take objects of restored studies back. Idempotent by instance id. Raises `StudyNotFound`."""
