"""What a walk counted, as observations: one for each check, and what was not looked into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rest.tally import Heap, Tally
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reach, Reason

MAX_PLACES: Final = 6
"""sub-trees that a finding names, by token"""
_HELD: Final = ("zip", "tar", "gz", "xz", "bz2", "7z", "iso", "sqlite")
"""kinds of what holds images among other things: one check for all"""
_SUMMED: Final = (("zip-cipher", "clear-names"), ("cache", "thumbnail"))
"""words that one check is about"""


def observe(root: Path, tally: Tally) -> list[Seen]:
    """What was counted, as observations of `root`; it says what was not looked into, too."""
    seen: list[Seen] = []
    for kind, heap in sorted(tally.heaps.items()):
        if kind not in _HELD:
            seen.append(_seen(root, kind, _counted(heap, _branches(tally, (kind,)))))
    seen += _held(root, tally)
    for word, count in sorted(_sums(tally).items()):
        seen.append(_seen(root, word, facts(count=count)))
    seen += _indexes(root, tally)
    if tally.files and ("budget", "file") not in tally.misses:
        met = {*tally.heaps, *tally.counts, *(("rows",) if tally.rows else ())}
        seen += [_seen(root, kind, facts(count=0)) for kind in _LOOKED_FOR if kind not in met]
    elif not tally.files:
        seen.append(_seen(root, "clear", facts(images=0)))
    return seen + _missed(root, tally)


_LOOKED_FOR: Final = (
    "clear", "headerless", "media", "zip", "zip-cipher", "rows", "dump", "cache", "exports", "named",
    "backup", "cloud", "readable", "bin", "hl7", "volume", "residue", "packed",
)  # fmt: skip
"""What a walk to the end has looked for: one kind for each check."""


def _missed(root: Path, tally: Tally) -> list[Seen]:
    """What was not looked into. Where its own check stands open already, it is said of everything."""
    opened = {"RST-001"} if "clear" in tally.heaps else set()
    if not tally.heaps.keys().isdisjoint(_HELD):
        opened.add("RST-004")
    said: dict[str, tuple[str, tuple[Fact, ...]]] = {}
    for (reason, container), count in sorted(tally.misses.items()):
        own = "RST-001" if container in ("file", "folder") else "RST-004"
        check = "*" if own in opened else own
        first, known = said.get(check, (reason, ()))
        said[check] = first, known + facts(container=container, count=count)
    return [Miss((check,), str(root), Reason(reason), found) for check, (reason, found) in said.items()]


def _held(root: Path, tally: Tally) -> list[Seen]:
    """What lies in archives of all kinds: together, since one person's images can lie in several."""
    kinds = [kind for kind in _HELD if kind in tally.heaps]
    if not kinds:
        return []
    total = Heap()
    for kind in kinds:
        total.join(tally.heaps[kind])
    branches = _branches(tally, kinds)
    if len(kinds) == 1:
        return [_seen(root, kinds[0], _counted(total, branches))]
    each = tuple(fact for kind in kinds for fact in facts(container=kind, count=tally.heaps[kind].images))
    return [_seen(root, "archives", each + _counted(total, branches))]


def _indexes(root: Path, tally: Tally) -> list[Seen]:
    """The indexes of all programs, their rows together."""
    if not tally.rows:
        return []
    products = tuple(fact for product in sorted(tally.rows) for fact in facts(product=product))
    return [_seen(root, "rows", products + facts(rows=sum(tally.rows.values())))]


def _sums(tally: Tally) -> Counter[str]:
    """The counts, with those of one check under its first word; rows say more of indexes than files do."""
    made = Counter(tally.counts)
    for first, *others in _SUMMED:
        for other in others:
            made[first] += made.pop(other, 0)
    if sum(tally.rows.values()):
        made.pop("packed-index", None)
    return +made


def _seen(root: Path, kind: str, found: tuple[Fact, ...]) -> Observation:
    return Observation(What.FILES, str(root), Reach.LAN, facts(class_=kind) + found)


def _branches(tally: Tally, kinds: Sequence[str]) -> Counter[str]:
    """Images in each sub-tree."""
    made = Counter[str]()
    for (kind, place), count in tally.places.items():
        if kind in kinds:
            made[place] += count
    return made


def _counted(heap: Heap, branches: Counter[str]) -> tuple[Fact, ...]:
    found = facts(
        images=heap.images,
        persons=len(heap.persons) or None,
        studies=len(heap.studies) or None,
        series=len(heap.series) or None,
        year_from=heap.year_from,
        year_to=heap.year_to,
        bytes=heap.octets or None,
    )
    for place, count in branches.most_common(MAX_PLACES):
        found += facts(place=place, count=count)
    return found
