"""A query made ready: what columns and haystack can answer first, what must be judged record by record.

A narrowing may let too many through and never too few; a judge is exact. Every condition that
narrows without being exact brings its judge with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Final

import numpy as np

from huisclos.archive.nouns import Level, Query, Standing
from huisclos.dicom.matching import (
    PARTICLES,
    date_range,
    fold,
    matcher,
    moment_matcher,
    name_query,
    name_words,
    uid_list,
    universal,
)
from huisclos.errors import BadQuery
from huisclos.finder.columns import Mask
from huisclos.finder.fields import OF_REQUESTS, RANK, REQUESTS, Field, matched_field
from huisclos.finder.memory import MemoryIndex
from huisclos.finder.records import InstanceRecord, SeriesRecord
from huisclos.finder.text import SHORT, Word, day_number, parse_text, plain_id

Judge = Callable[[Any], bool]
Narrowing = Callable[[MemoryIndex], Mask]

_WILD: Final = re.compile(r"[*?]+")
_LISTED: Final = re.compile(r"[\\,]")


class Plan:
    """What a query asks of each level."""

    def __init__(self, query: Query, today: date) -> None:
        """Raises `BadQuery`."""
        self.level = Level.STUDY if query.level is Level.PATIENT else query.level
        self.narrowings: list[Narrowing] = []
        self.study: list[Judge] = []
        self.series: list[Judge] = []
        self.instance: list[Judge] = []
        self.instance_uids: tuple[str, ...] = ()
        self.asked: list[Field] = []
        """Attributes in the query: an answer says them too (PS3.18 section 10.6.3.3)."""
        self.words = parse_text(query.text, today)
        conditions = self._read(query)
        self._moments(conditions)
        self._requests(conditions)
        for field, value in conditions.items():
            self._add(field, value, fuzzy=query.fuzzy)

    def _read(self, query: Query) -> dict[Field, str]:
        conditions: dict[Field, str] = {}
        for attribute, value in query.match.items():
            field = matched_field(attribute) if not universal(value) else _known(attribute)
            if field is None:
                continue
            self.asked.append(REQUESTS if field in OF_REQUESTS else field)
            if not universal(value):
                conditions[field] = value
        return conditions

    def _moments(self, conditions: dict[Field, str]) -> None:
        """A date range and a time range are one span of moments (PS3.4 section C.2.2.2.5)."""
        by_name = {field.name: field for field in conditions}
        days, hours = by_name.get("study_date"), by_name.get("study_time")
        if days is None or hours is None or "-" not in conditions[days] or "-" not in conditions[hours]:
            return
        first, last = map(int, date_range(conditions[days]))
        if first == last:
            return
        fits = moment_matcher(conditions[days], conditions[hours])
        self.narrowings.append(lambda memory: memory.dated(first, last))
        self.study.append(lambda study: fits(study.study_date, study.study_time))
        del conditions[days], conditions[hours]

    def _requests(self, conditions: dict[Field, str]) -> None:
        """What is asked of a sequence is asked of one item of it (PS3.4 section C.2.2.2.6)."""
        if REQUESTS in conditions:
            raise BadQuery(
                "a sequence is asked for by an attribute in it", hint=f"such as {OF_REQUESTS[0].keyword}"
            )
        wanted = [
            (place, matcher(field.vr, conditions.pop(field)))
            for place, field in enumerate(OF_REQUESTS)
            if field in conditions
        ]
        if wanted:
            self.series.append(
                lambda series: any(
                    all(fits(request[place]) for place, fits in wanted) for request in series.requests
                )
            )

    def _add(self, field: Field, value: str, *, fuzzy: bool) -> None:
        if RANK[field.level] > RANK[self.level] and field.level is Level.INSTANCE:
            raise BadQuery("instances' attributes are searched at instance level (PS3.18 section 10.6.1.2)")
        special = _SPECIAL.get(field.name)
        if special is not None and field.level is Level.STUDY:
            special(self, value)
            return
        if field.name == "modality":
            wanted = any_of(field, value)
            self.narrowings.append(lambda memory: memory.with_modality(wanted))
            self.series.append(lambda series: wanted(series.modality))
            return
        judge = field_judge(field, value, fuzzy=fuzzy)
        if field.level is Level.SERIES:
            self.series.append(judge)
        elif field.level is Level.INSTANCE:
            if field.name == "instance_uid":
                self.instance_uids = tuple(dict.fromkeys(part.strip() for part in _LISTED.split(value)))
            self.instance.append(judge)
        else:
            narrow = _text_narrowing(field, value, fuzzy=fuzzy)
            if narrow is not None:
                self.narrowings.append(narrow)
            self.study.append(judge)

    def studies(self, memory: MemoryIndex) -> Mask | None:
        """The rows whose studies match; None for all of them."""
        of_series = self.series if self.level is Level.STUDY else []
        if not (self.narrowings or self.study or self.words or of_series):
            return None
        mask = memory.all()
        for narrow in self.narrowings:
            mask &= narrow(memory)
        for word in self.words:
            mask &= _word_mask(memory, word, begins=False)
        if self.study:
            judges = self.study
            memory.judged(mask, lambda study: all(judge(study) for judge in judges))
        if of_series:
            for row in np.flatnonzero(mask).tolist():
                mask[row] = any(self.series_fits(series) for series in memory.series(row))
        return mask

    def series_fits(self, series: SeriesRecord) -> bool:
        """Whether one series answers, and matches."""
        return series.instances > 0 and all(judge(series) for judge in self.series)

    def instance_fits(self, instance: InstanceRecord) -> bool:
        """Whether one instance answers, and matches."""
        return instance.standing is Standing.PRIMARY and all(judge(instance) for judge in self.instance)

    def begins(self, memory: MemoryIndex, mask: Mask) -> Mask:
        """Those of `mask` in which every word typed begins a word: the likelier ones."""
        for word in self.words:
            mask = mask & _word_mask(memory, word, begins=True)
        return mask


def _known(attribute: str) -> Field | None:
    """The field of a condition that matches everything, if the index has it."""
    try:
        return matched_field(attribute)
    except BadQuery:
        return None


def field_judge(field: Field, value: str, *, fuzzy: bool = False) -> Judge:
    """Says whether a record of the field's level matches."""
    if field.name in ("study_date", "patient_birth_date"):
        first, last = map(int, date_range(value))
        return lambda record: (
            first <= day_number(getattr(record, field.name)) <= last
            and bool(day_number(getattr(record, field.name)))
        )
    if field.vr == "PN":
        return _name_judge(field, value, fuzzy=fuzzy)
    wanted = any_of(field, value) if field.vr == "CS" else matcher(field.vr, value)
    return lambda record: any(wanted(stored) for stored in field.values(record))


def any_of(field: Field, value: str) -> Callable[[str], bool]:
    """Matches any of the codes in a list, as viewers write them: `CT,MR` or with a backslash."""
    wanted = [matcher(field.vr, part) for part in _LISTED.split(value) if part.strip()]
    return lambda stored: any(one(stored) for one in wanted)


def _name_judge(field: Field, value: str, *, fuzzy: bool) -> Judge:
    """The whole name, or one of its groups; with `fuzzy` as people write it (PS3.18 section 8.3.4.2)."""
    wanted = _groups_matcher(value) if "=" in value else _group_matcher(value)
    alike = name_query(_WILD.sub(" ", value)) if fuzzy else None
    folded = _folded_matcher(value) if fuzzy and _WILD.search(value) else None

    def judge(record: Any) -> bool:
        for stored in field.values(record):
            if wanted(stored):
                return True
            if alike is not None and alike(name_words(stored)):
                return True
            if folded is not None and folded(stored):
                return True
        return False

    return judge


def _folded_matcher(value: str) -> Callable[[str], bool]:
    """The wildcards of a fuzzy value stand in a name as people write it: `*efevre*` finds Lefèvre."""
    pieces = re.split(r"([*?]+)", value)
    wanted = matcher("PN", "".join(piece if place % 2 else fold(piece) for place, piece in enumerate(pieces)))
    return lambda stored: any(wanted(fold(group)) for group in stored.split("="))


def _group_matcher(value: str) -> Callable[[str], bool]:
    wanted = matcher("PN", value.rstrip("^ "))

    def matches(stored: str) -> bool:
        groups = (group.rstrip("^ ") for group in stored.split("="))
        return wanted(stored.rstrip("^ ")) or any(wanted(group) for group in groups if group)

    return matches


def _groups_matcher(value: str) -> Callable[[str], bool]:
    """A value with several groups asks of each what stands there; an empty one asks nothing (`=山田*`)."""
    wanted = [matcher("PN", group.rstrip("^ ")) for group in value.split("=")]

    def matches(stored: str) -> bool:
        groups = [group.rstrip("^ ") for group in stored.split("=")]
        groups += [""] * (len(wanted) - len(groups))
        return all(one(group) for one, group in zip(wanted, groups, strict=False))

    return matches


# narrowings


def _by_uid(plan: Plan, value: str) -> None:
    uids = {part.strip() for part in _LISTED.split(value) if part.strip()}
    listed = uid_list(value)
    plan.narrowings.append(lambda memory: memory.uid_in(uids))
    plan.study.append(lambda study: listed(study.study_uid))


def _by_date(plan: Plan, value: str) -> None:
    first, last = map(int, date_range(value))
    plan.narrowings.append(lambda memory: memory.dated(first, last))


def _by_birth(plan: Plan, value: str) -> None:
    first, last = map(int, date_range(value))
    plan.narrowings.append(lambda memory: memory.born(first, last))


def _by_modalities(plan: Plan, value: str) -> None:
    wanted = any_of(_MODALITIES, value)
    plan.narrowings.append(lambda memory: memory.with_modality(wanted))


_MODALITIES: Final = Field("ModalitiesInStudy", 0x00080061, "CS", Level.STUDY, "modalities")
_SPECIAL: Final[dict[str, Callable[[Plan, str], None]]] = {
    "study_uid": _by_uid,
    "study_date": _by_date,
    "patient_birth_date": _by_birth,
    "modalities": _by_modalities,
}


def _text_narrowing(field: Field, value: str, *, fuzzy: bool) -> Narrowing | None:
    """What the haystack can say of a condition on a field that lies in it."""
    if field.name == "patient_name" and fuzzy:
        return _fuzzy_narrowing(value)
    if field.name in ("patient_id", "accession_number"):
        pieces = [[plain_id(piece)] for piece in _WILD.split(value)]
    elif field.name in ("patient_name", "study_description"):
        pieces = [fold(piece).split() for piece in _WILD.split(value)]
    else:
        return None
    runs = [run for piece in pieces for run in piece if run]
    if not runs:
        return None
    # a value that begins with a run of letters asks for a word that begins so
    first = next(iter(pieces[0]), "")
    longest = max(runs, key=len)

    def narrow(memory: MemoryIndex) -> Mask:
        if not first:
            return memory.holding(longest)
        return memory.named(first) if field.name == "patient_name" else memory.beginning(first)

    return narrow


def _fuzzy_narrowing(value: str) -> Narrowing | None:
    """Every word begins a word of the name, or all of them together begin one."""
    words = fold(_WILD.sub(" ", value)).split()
    if not words:
        return None
    if _WILD.search(value.rstrip("* ")):
        infix = max(words, key=len)
        return lambda memory: memory.holding(infix)
    telling = [word for word in words if word not in PARTICLES] or words
    longest, joined = max(telling, key=len), "".join(words)

    def narrow(memory: MemoryIndex) -> Mask:
        mask = memory.beginning(longest)
        return mask | memory.beginning(joined) if joined != longest else mask

    return narrow


def _word_mask(memory: MemoryIndex, word: Word, *, begins: bool) -> Mask:
    """Rows one typed word matches; with `begins`, only where it begins a word (or is a date, a modality)."""

    def rows(needle: str) -> Mask:
        if begins or len(needle.encode()) < SHORT:
            return memory.beginning(needle)
        return memory.holding(needle)

    mask: Mask = memory.all() & False
    if word.needles:
        found = rows(word.needles[0])
        for needle in word.needles[1:]:
            found &= rows(needle)
        mask |= found
    if word.whole:
        mask |= rows(word.whole)
    if word.modality:
        mask |= memory.with_modality(word.modality.__eq__)
    if word.first:
        mask |= memory.dated(word.first, word.last)
    if word.born:
        mask |= memory.born(word.born, word.born)
    return mask
