"""Running a query: which studies, series or instances answer, how many in all, and which are on the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from typing import Any, Final

import numpy as np
from msgspec import Struct

from huisclos.archive.nouns import Level, Query
from huisclos.errors import BadQuery
from huisclos.finder.columns import Mask, Rows
from huisclos.finder.conditions import Plan
from huisclos.finder.fields import RANK, REQUESTS, Field, matched_field, sort_value
from huisclos.finder.memory import MemoryIndex
from huisclos.finder.records import InstanceRecord, SeriesRecord

MAX_LIMIT: Final = 10_000
MAX_STUDIES_READ: Final = 2_000
"""Studies whose instances one query may have read from the index; a wider one is asked to narrow."""
MAX_SORTED: Final = 100_000
"""Series or instances that are sorted by an attribute of theirs at most."""

ReadInstances = Callable[[int], Awaitable[list[InstanceRecord]]]
"""The instances of a row's study, those that do not answer too, in any order."""


class Hit(Struct, frozen=True):
    """One result: a study, or a series in it, or an instance in that."""

    row: int
    series: SeriesRecord | None = None
    instance: InstanceRecord | None = None


class Found(Struct, frozen=True):
    """One page of results."""

    total: int
    hits: list[Hit]


def prepare(query: Query, today: date) -> Plan:
    """The plan of a query. Raises `BadQuery`."""
    if query.offset < 0 or query.limit < 0:
        raise BadQuery("limit and offset are not negative (PS3.18 section 8.3.4.4)")
    return Plan(query, today)


async def search(memory: MemoryIndex, read: ReadInstances, query: Query, plan: Plan) -> Found:
    """Run `plan`. Raises `BadQuery` when it would have to read too much."""
    limit = min(query.limit, MAX_LIMIT)
    keys = [_sort_key(text) for text in query.sort]
    if any(RANK[field.level] > RANK[plan.level] for field, _ in keys):
        raise BadQuery("results are sorted by attributes of their own level or of one above")
    mask = plan.studies(memory)
    if plan.level is Level.STUDY:
        return _studies(memory, plan, mask, keys, query.offset, limit)
    rows = _every(memory, mask)
    if plan.level is Level.SERIES:
        if keys:
            found = [Hit(row, series) for row in rows.tolist() for series in _series(memory, plan, row)]
            return _sorted_page(memory, found, keys, query.offset, limit)
        return _series_page(memory, plan, rows, query.offset, limit)
    return await _instances(memory, read, plan, rows, keys, (query.offset, limit))


# studies


def _studies(
    memory: MemoryIndex,
    plan: Plan,
    mask: Mask | None,
    keys: list[tuple[Field, bool]],
    offset: int,
    limit: int,
) -> Found:
    if keys:
        rows = memory.sorted_by(_every(memory, mask), keys)
        return Found(len(rows), [Hit(row) for row in rows[offset : offset + limit].tolist()])
    if mask is None:
        return Found(len(memory), [Hit(row) for row in memory.newest(offset, limit).tolist()])
    if not plan.words:
        rows = np.flatnonzero(mask)
        page = memory.newest_of(rows, offset + limit)[offset:]
        return Found(len(rows), [Hit(row) for row in page.tolist()])
    likely = plan.begins(memory, mask)
    first, second = np.flatnonzero(likely), np.flatnonzero(mask & ~likely)
    page = memory.newest_of(first, offset + limit)
    if len(page) < offset + limit:
        page = np.concatenate((page, memory.newest_of(second, offset + limit - len(page))))
    return Found(len(first) + len(second), [Hit(row) for row in page[offset:].tolist()])


def _every(memory: MemoryIndex, mask: Mask | None) -> Rows:
    """All rows of `mask`, newest first."""
    if mask is None:
        return memory.newest(0, len(memory))
    rows = np.flatnonzero(mask)
    return memory.newest_of(rows, len(rows))


# series


def _series(memory: MemoryIndex, plan: Plan, row: int) -> list[SeriesRecord]:
    """The matching series of a study, in the order people number them."""
    return sorted(filter(plan.series_fits, memory.series(row)), key=series_order)


def series_order(series: SeriesRecord) -> tuple[bool, int, str]:
    """By number, those without one last."""
    return series.series_number is None, series.series_number or 0, series.series_uid


def instance_order(instance: InstanceRecord) -> tuple[bool, int, str]:
    """By number, those without one last."""
    return instance.instance_number is None, instance.instance_number or 0, instance.instance_uid


def _series_page(memory: MemoryIndex, plan: Plan, rows: Rows, offset: int, limit: int) -> Found:
    if plan.series:
        found = [Hit(row, series) for row in rows.tolist() for series in _series(memory, plan, row)]
        return Found(len(found), found[offset : offset + limit])
    hits: list[Hit] = []
    passed = 0
    for row in rows.tolist():
        here = memory.series_in(row)
        if passed + here > offset:
            if passed >= offset + limit:
                break
            hits += [Hit(row, series) for series in _series(memory, plan, row)][max(0, offset - passed) :]
        passed += here
    return Found(memory.totals(rows)[0], hits[:limit])


# instances


async def _instances(
    memory: MemoryIndex,
    read: ReadInstances,
    plan: Plan,
    rows: Rows,
    keys: list[tuple[Field, bool]],
    page: tuple[int, int],
) -> Found:
    offset, limit = page
    if plan.instance or keys:
        if len(rows) > MAX_STUDIES_READ:
            raise BadQuery(
                "this search would read the instances of too many studies",
                hint="narrow it: a study, a patient, a date",
            )
        found = [hit for row in rows.tolist() async for hit in _matching(memory, read, plan, row)]
        if keys:
            return _sorted_page(memory, found, keys, offset, limit)
        return Found(len(found), found[offset : offset + limit])
    counted = _counted(memory, plan, rows)
    hits: list[Hit] = []
    total = 0
    for row, here in counted:
        if total + here > offset and total < offset + limit:
            found = [hit async for hit in _matching(memory, read, plan, row)]
            hits += found[max(0, offset - total) :]
        total += here
    return Found(total, hits[:limit])


def _counted(memory: MemoryIndex, plan: Plan, rows: Rows) -> Iterator[tuple[int, int]]:
    """Each row with how many of its instances answer, without reading them."""
    for row in rows.tolist():
        if plan.series:
            yield row, sum(series.instances for series in _series(memory, plan, row))
        else:
            yield row, memory.instances_in(row)


async def _matching(memory: MemoryIndex, read: ReadInstances, plan: Plan, row: int) -> Any:
    """The matching instances of one study: series by series, by number."""
    series = {one.series_uid: one for one in _series(memory, plan, row)}
    if not series:
        return
    matching = [one for one in await read(row) if one.series_uid in series and plan.instance_fits(one)]
    matching.sort(key=lambda one: (series_order(series[one.series_uid]), instance_order(one)))
    for one in matching:
        yield Hit(row, series[one.series_uid], one)


# sorting


def _sort_key(text: str) -> tuple[Field, bool]:
    """(attribute, descending)."""
    field = matched_field(text.removeprefix("-"))
    if field is None:
        raise BadQuery("every result has the same value there: nothing to sort by")
    if field.name == REQUESTS.name:
        raise BadQuery("results are not sorted by a sequence")
    return field, text.startswith("-")


def _sorted_page(
    memory: MemoryIndex, found: list[Hit], keys: list[tuple[Field, bool]], offset: int, limit: int
) -> Found:
    if len(found) > MAX_SORTED:
        raise BadQuery("too many results to sort", hint="narrow the search")
    for field, descending in reversed(keys):
        found.sort(key=lambda hit: sort_value(field, _record(memory, hit, field)), reverse=descending)
        if descending:  # what says nothing there stays last
            found.sort(key=lambda hit: sort_value(field, _record(memory, hit, field))[0])
    return Found(len(found), found[offset : offset + limit])


def _record(memory: MemoryIndex, hit: Hit, field: Field) -> Any:
    if field.level is Level.STUDY:
        return memory.study(hit.row)
    return hit.series if field.level is Level.SERIES else hit.instance
