"""The ports of the index and of the decisions: sealed rows, as the finder writes and reads them.

Nothing in these rows names anyone: ids are random, tokens keyed, the rest is sealed records
(P1). Adapters live in `database`; one suite of tests runs on every one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class Settling(StrEnum):
    """Whether a study's manifest says all that its row says."""

    OPEN = "open"
    """Objects may lie in the study's folder that no manifest, or no row, knows yet."""
    RESTED = "rested"
    """Its manifest says all that its row says; objects that no row knows may still lie in its folder."""
    SETTLED = "settled"


class IndexedStudy(Struct, frozen=True):
    """The row of one study."""

    study_id: str
    uid_token: bytes
    """Keyed token of the Study Instance UID; no two rows share one."""
    version: int
    """Version of the study's newest manifest; 0 before there is one."""
    manifest_digest: bytes
    """SHA-256 of that manifest, signed; empty before there is one."""
    state: Settling
    epoch: int
    """Which record key sealed `record`."""
    record: bytes


class IndexedInstance(Struct, frozen=True):
    """The row of one instance."""

    instance_id: str
    study_id: str
    uid_token: bytes
    """Keyed token of the SOP Instance UID; instances with one UID share it."""
    record: bytes


class Index(Protocol):
    """Where index rows lie. Derived: losing it loses nothing that `reindex` does not bring back.

    All methods block and are safe from several threads; each write is whole or not there.
    All raise `Unreachable` when the database fails.
    """

    def studies(self) -> Iterator[IndexedStudy]:
        """Every study, in any order."""

    def study_by_token(self, uid_token: bytes) -> IndexedStudy | None:
        """The study whose UID has this token."""

    def instances(self, study_id: str) -> list[IndexedInstance]:
        """Every instance of one study, in any order."""

    def instances_by_token(self, uid_token: bytes) -> list[IndexedInstance]:
        """Every instance, in any study, whose UID has this token."""

    def known(self, instance_ids: Iterable[str]) -> set[str]:
        """Those of `instance_ids` that have a row."""

    def write(
        self,
        studies: Iterable[IndexedStudy],
        instances: Iterable[IndexedInstance] = (),
        *,
        durable: bool = False,
    ) -> None:
        """Add or replace rows, in one transaction.

        With `durable` it survives power loss once this returns; otherwise it survives the end
        of the process, and may be lost with the power (the objects it is derived from are not).
        Raises `Conflict`, and writes nothing, if another study has the same UID token.
        """

    def remove_study(self, study_id: str) -> None:
        """Remove a study and its instances. Idempotent."""

    def clear(self, mark: bytes | None = None) -> None:
        """Remove everything; `mark` is the checkpoint from now on, in the same transaction. Durable."""

    def checkpoint(self) -> bytes | None:
        """The sealed record written by `set_checkpoint`, or None."""

    def set_checkpoint(self, record: bytes | None) -> None:
        """Keep one sealed record about the index as a whole; durable once this returns."""


class DoubtState(StrEnum):
    """Whether a doubt waits for a person."""

    OPEN = "open"
    DECIDED = "decided"


class DecisionRow(Struct, frozen=True):
    """The row of one doubt."""

    id: str
    state: DoubtState
    record: bytes


class Decisions(Protocol):
    """Where doubts and what people decided about them lie. Primary data: nothing else knows it.

    What was written survives power loss once the method returns. All methods block and are
    safe from several threads; all raise `Unreachable` when the database fails.
    """

    def doubts(self) -> list[DecisionRow]:
        """Every doubt, decided or not, in any order."""

    def put(self, rows: Iterable[DecisionRow]) -> None:
        """Add or replace doubts, in one transaction."""

    def delete(self, doubt_ids: Iterable[str]) -> None:
        """Remove doubts whose study was erased. Idempotent."""
