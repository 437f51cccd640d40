"""The journal's entries as lines, opened when they are asked for.

Opening one takes about 75 us (an X25519 agreement), so a million take a minute: what filters need of
each (time, actor, study) is kept in columns, 16 bytes an entry, and whole lines only in a bounded
cache. Not safe from several threads at once; all of it is forgotten at lock.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import msgspec

from huisclos.access.chronicle import JournalAsked, JournalLine, JournalPage
from huisclos.access.gate import DarkReceipt
from huisclos.access.nouns import Actor, ActorKind
from huisclos.errors import HuisclosError, JournalBroken
from huisclos.journal.chain import read_records
from huisclos.journal.entries import Act, Entry, decode_entry
from huisclos.seal import X25519Identity, unseal
from huisclos.vault.verifying import ReadLog, records_of

Identities = tuple[X25519Identity, ...]
"""The archive's identity and those before it: old entries open with them alone."""
CACHED: Final = 4096
"""Whole lines kept in memory."""
SLICE: Final = 2000
"""Entries opened at a stretch: about 0.15 s."""
MAX_PAGE: Final = 1000
LOOKED_BACK: Final = 50_000
"""Entries: more than a night of continuous receiving makes, and about 4 s."""
_ENDS: Final = frozenset({Act.LOCKED.value, Act.UNLOCKED.value})
_UNREAD: Final = -1
_NONE: Final = -2
_KINDS: Final = {kind.value: kind for kind in ActorKind}


class Lines:
    """Entries of one log, by sequence."""

    def __init__(self, read: ReadLog, told_as: Callable[[Actor], str] = attrgetter("name")) -> None:
        self._read = read
        self._told_as = told_as
        self._places = array("Q")
        self._end = 0
        self._at = array("d")
        self._actor = array("i")
        self._study = array("i")
        self._unread = 0
        self._above = self._below = 0
        """Entries from `_below` up to `_above` have been opened."""
        self._actors: dict[str, int] = {}
        self._names: list[str] = []
        self._studies: dict[str, int] = {}
        self._cache: OrderedDict[int, JournalLine] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def unread(self) -> int:
        """How many entries were not opened yet."""
        return self._unread

    def catch_up(self, size: int) -> None:
        """Find the entries up to `size` bytes of the log, without opening them."""
        try:
            for offset, record in records_of(self._read, size, self._end):
                self._places.append(offset)
                self._at.append(0.0)
                self._actor.append(_UNREAD)
                self._study.append(_UNREAD)
                self._unread += 1
                self._end = offset + len(record.encode())
        except JournalBroken:
            return  # what comes after cannot be told apart; verifying says so

    def open_some(self, identities: Identities, count: int = SLICE) -> None:
        """Open up to `count` entries that were not yet: those that came since, then older and older ones."""
        if self._above == 0:
            self._above, self._below = len(self), len(self)
        while count and self._above < len(self):
            count -= self._open_new(self._above, identities)
            self._above += 1
        while count and self._below:
            self._below -= 1
            count -= self._open_new(self._below, identities)

    def page(self, asked: JournalAsked, identities: Identities) -> JournalPage:
        """Newest first. Every entry must have been opened if `asked` narrows."""
        limit, offset = min(max(asked.limit, 1), MAX_PAGE), max(asked.offset, 0)
        wanted: range | list[int] = range(len(self) - 1, -1, -1)
        if narrows(asked):
            wanted = self._matching(asked)
        lines = tuple(self._line(sequence, identities) for sequence in wanted[offset : offset + limit])
        return JournalPage(len(wanted), lines, self._who(asked, wanted))

    def oldest_first(self, offset: int, limit: int, identities: Identities) -> tuple[JournalLine, ...]:
        """Entries from sequence `offset` on."""
        last = min(len(self), max(offset, 0) + min(max(limit, 1), MAX_PAGE))
        return tuple(self._line(sequence, identities) for sequence in range(max(offset, 0), last))

    def last_spell(self, identities: Identities) -> tuple[int, dict[str, DarkReceipt]]:
        """What the entries say since the archive was last locked or unlocked.

        The highest version of the accounts, 0 if none speaks of it; and what came into batches, by who
        sent it. Looks at `LOOKED_BACK` entries at most.
        """
        highest, dark = 0, dict[str, DarkReceipt]()
        for sequence in range(len(self) - 1, max(-1, len(self) - 1 - LOOKED_BACK), -1):
            line = self._line(sequence, identities)
            highest = max(highest, line.counts.get("set", 0))
            if line.act in _ENDS and "set" in line.counts:
                break
            if line.act == Act.STORED and not line.study_id:
                newer = dark.get(line.subject, DarkReceipt(line.subject, 0, line.at))
                objects = newer.objects + line.counts.get("instances", 0)
                dark[line.subject] = DarkReceipt(line.subject, objects, newer.last_at)
        return highest, dark

    def _matching(self, asked: JournalAsked) -> list[int]:
        actor = self._actors.get(asked.actor_id, _NONE) if asked.actor_id else None
        study = self._studies.get(asked.study_id, _NONE) if asked.study_id else None
        studies = {self._studies.get(study_id, _NONE) for study_id in asked.study_ids}
        until = asked.until or float("inf")
        return [
            sequence
            for sequence in range(len(self) - 1, -1, -1)
            if (actor is None or self._actor[sequence] == actor)
            and (study is None or self._study[sequence] == study)
            and (not studies or self._study[sequence] in studies)
            and asked.since <= self._at[sequence] < until
        ]

    def _who(self, asked: JournalAsked, wanted: range | list[int]) -> tuple[tuple[str, str], ...]:
        # who looks at one study learns who else did, and nothing of the rest of the journal
        seen = {self._actor[sequence] for sequence in wanted} if asked.study_id else None
        listed = [
            (actor_id, self._names[number])
            for actor_id, number in self._actors.items()
            if actor_id and (seen is None or number in seen)
        ]
        return tuple(sorted(listed, key=lambda actor: (actor[1].casefold(), actor[0])))

    def _line(self, sequence: int, identities: Identities) -> JournalLine:
        line = self._cache.get(sequence)
        if line is not None:
            self._cache.move_to_end(sequence)
            return line
        line = self._named(_shown(sequence, self._opened(sequence, identities)))
        self._note(line)
        self._cache[sequence] = line
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return line

    def _named(self, line: JournalLine) -> JournalLine:
        """With whose token it was: what is written while locked knows only the token's label."""
        if line.actor_kind is not ActorKind.TOKEN:
            return line
        actor = Actor(line.actor_kind, line.actor_id, line.actor, frozenset())
        return msgspec.structs.replace(line, actor=self._told_as(actor))

    def _open_new(self, sequence: int, identities: Identities) -> int:
        if self._actor[sequence] != _UNREAD:
            return 0
        self._line(sequence, identities)
        return 1

    def _note(self, line: JournalLine) -> None:
        sequence = line.sequence
        number = self._actors.setdefault(line.actor_id, len(self._actors))
        if number == len(self._names):
            self._names.append(line.actor)
        if self._actor[sequence] == _UNREAD:
            self._unread -= 1
        self._at[sequence], self._actor[sequence] = line.at, number
        self._study[sequence] = self._studies.setdefault(line.study_id, len(self._studies))

    def _opened(self, sequence: int, identities: Identities) -> Entry:
        start = self._places[sequence]
        end = self._places[sequence + 1] if sequence + 1 < len(self) else self._end
        try:
            _, record = next(read_records(self._read(start, end - start)))
            return decode_entry(unseal(record.sealed, identities))
        except (HuisclosError, StopIteration):
            # shown as what it is, in its place, rather than hiding every other entry
            return Entry(0.0, Act.BROKEN)


def narrows(asked: JournalAsked) -> bool:
    """Whether some entries are left out."""
    return bool(asked.actor_id or asked.study_id or asked.study_ids or asked.since or asked.until)


def _shown(sequence: int, entry: Entry) -> JournalLine:
    return JournalLine(
        sequence=sequence,
        at=entry.at,
        act=entry.act,
        actor_kind=_KINDS.get(entry.actor_kind, ActorKind.HOUSE),
        actor_id=entry.actor_id,
        actor=entry.actor,
        address=entry.address,
        study_id=entry.study_id,
        purpose=entry.purpose,
        what=entry.what,
        subject=entry.subject,
        counts=entry.counts,
        instance_ids=entry.instance_ids,
    )
