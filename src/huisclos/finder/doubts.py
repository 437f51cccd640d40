"""The doubts: what people are to decide, and what they decided. Primary data, written before it counts."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.archive.index_ports import DecisionRow, Decisions, DoubtState
from huisclos.archive.nouns import Choice, Doubt, DoubtKind, Side
from huisclos.errors import NotFound
from huisclos.seal.records import RecordKey

CHOICES: Final = {
    DoubtKind.SAME_UID_OTHER_CONTENT: (Choice.KEEP_FIRST, Choice.KEEP_SECOND),
    DoubtKind.SAME_ID_OTHER_PERSON: (Choice.SAME_PERSON, Choice.OTHER_PERSON),
    DoubtKind.NOT_LOOKED_INSIDE: (Choice.ACCEPT, Choice.LEAVE),
    DoubtKind.QUARANTINE: (Choice.ADMIT, Choice.LEAVE, Choice.REFUSE),
}
"""What may be chosen about the doubts the finder itself has."""


class KeptDoubt(Struct, frozen=True):
    """The plaintext of a doubt's row."""

    doubt: Doubt
    key: str
    """One doubt per kind and key, ever."""
    study_ids: tuple[str, ...] = ()
    first: str = ""
    """Instance id of the left side, where there is one."""
    second: str = ""
    compared: bool = False
    """Whether the two were looked at side by side."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(KeptDoubt).decode


class DoubtBook:
    """Every doubt, in memory and in the `Decisions` port."""

    def __init__(self, decisions: Decisions, key: RecordKey) -> None:
        """Loads what is there. Raises `Tampered`, `Unreachable`."""
        self._decisions = decisions
        self._key = key
        self._kept: dict[str, KeptDoubt] = {}
        self._ids: dict[tuple[DoubtKind, str], str] = {}
        self._open = Counter[str]()
        for row in decisions.doubts():
            self._take(_decode(key.open_record(row.record, _context(row.id))))

    def note(self, kept: KeptDoubt) -> str:
        """Add a doubt unless one of its kind and key is there; its id. Durable when this returns."""
        known = self.find(kept.doubt.kind, kept.key)
        if known is not None:
            return known.doubt.id
        self._write(kept)
        return kept.doubt.id

    def settle(self, doubt_id: str, choice: Choice | None, by: str, at: float) -> KeptDoubt:
        """Write down a decision, or take it back with None. Durable when this returns."""
        kept = self.get(doubt_id)
        doubt = msgspec.structs.replace(
            kept.doubt,
            decided=choice,
            decided_by=by if choice else "",
            decided_at=at if choice else 0.0,
        )
        settled = msgspec.structs.replace(kept, doubt=doubt)
        self._write(settled)
        return settled

    def replace(self, kept: KeptDoubt) -> None:
        """Write a doubt anew as it is now. Durable when this returns."""
        self._write(kept)

    def drop(self, kept: KeptDoubt) -> None:
        """Take a doubt away whose cause is gone. Idempotent."""
        self._decisions.delete([kept.doubt.id])
        if self._kept.pop(kept.doubt.id, None) is not None:
            self._ids.pop((kept.doubt.kind, kept.key), None)
            if kept.doubt.decided is None:
                self._open.subtract(kept.study_ids)

    def get(self, doubt_id: str) -> KeptDoubt:
        """One doubt. Raises `NotFound`."""
        kept = self._kept.get(doubt_id)
        if kept is None:
            raise NotFound("there is no such doubt")
        return kept

    def listed(self, *, decided: bool) -> tuple[Doubt, ...]:
        """Doubts that are decided, or those that are not, newest first."""
        found = [_shown(kept) for kept in self._kept.values() if (kept.doubt.decided is not None) == decided]
        return tuple(sorted(found, key=lambda doubt: (-doubt.since, doubt.id)))

    def shown(self, doubt_id: str) -> Doubt:
        """One doubt as its card is told. Raises `NotFound`."""
        return _shown(self.get(doubt_id))

    def find(self, kind: DoubtKind, key: str) -> KeptDoubt | None:
        """The doubt of this kind and key, decided or not."""
        doubt_id = self._ids.get((kind, key))
        return None if doubt_id is None else self._kept[doubt_id]

    def all(self) -> list[KeptDoubt]:
        """Every doubt, the first found first."""
        return sorted(self._kept.values(), key=lambda kept: (kept.doubt.since, kept.doubt.id))

    def of_kind(self, kind: DoubtKind) -> list[KeptDoubt]:
        """Every doubt of one kind."""
        return [kept for kept in self._kept.values() if kept.doubt.kind is kind]

    def about(self, study_id: str) -> int:
        """How many open doubts touch a study."""
        return self._open[study_id]

    def open(self) -> int:
        """How many wait."""
        return sum(kept.doubt.decided is None for kept in self._kept.values())

    def _write(self, kept: KeptDoubt) -> None:
        doubt = kept.doubt
        state = DoubtState.OPEN if doubt.decided is None else DoubtState.DECIDED
        record = self._key.seal_record(_encode(kept), _context(doubt.id))
        self._decisions.put([DecisionRow(doubt.id, state, record)])
        self._take(kept)

    def _take(self, kept: KeptDoubt) -> None:
        before = self._kept.get(kept.doubt.id)
        if before is not None and before.doubt.decided is None:
            self._open.subtract(before.study_ids)
        if kept.doubt.decided is None:
            self._open.update(kept.study_ids)
        self._kept[kept.doubt.id] = kept
        self._ids[kept.doubt.kind, kept.key] = kept.doubt.id


def new_doubt(
    kind: DoubtKind, left: Side, right: Side, since: float, choices: tuple[Choice, ...] = ()
) -> Doubt:
    """A doubt that waits; its choices are those of its kind unless others are given."""
    return Doubt(secrets.token_hex(16), kind, since, left, right, choices or CHOICES[kind])


def _shown(kept: KeptDoubt) -> Doubt:
    """The doubt with the ids that its row keeps beside it."""
    doubt = kept.doubt
    first = kept.first
    if doubt.kind is DoubtKind.NOT_LOOKED_INSIDE:
        first = kept.second  # its two sides are one
    elif doubt.kind is DoubtKind.UNATTESTED:
        first = kept.key
    return msgspec.structs.replace(
        doubt,
        left=msgspec.structs.replace(doubt.left, instance_id=first),
        right=msgspec.structs.replace(doubt.right, instance_id=kept.second),
    )


def _context(doubt_id: str) -> bytes:
    return b"huisclos doubt\0" + doubt_id.encode()
