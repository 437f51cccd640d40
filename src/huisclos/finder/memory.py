"""The index in memory: every study of the archive, while it is unlocked. Pure; no clock, no disk.

A study is one row. What is asked often is in columns (dates, modalities, totals) and in the
haystack; the whole record lies encoded in one buffer and is decoded for the rows of a page and
for conditions that no column answers. 100,000 studies take about 60 MB so, and as objects ten
times that.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from huisclos.finder.columns import Column, Mask, Rows
from huisclos.finder.fields import Field, sort_value
from huisclos.finder.haystack import Haystack
from huisclos.finder.keys import keys_of, person_id
from huisclos.finder.records import (
    SealedStudy,
    SeriesRecord,
    StudyRecord,
    decode_study,
    encode,
    number_of,
    pack_series,
    unpack_series,
)

_ROW_BITS: Final = 25
_ID: Final = 16
"""Bytes of an id."""
_WASTE: Final = 1 << 20
_LIVE: Final = 2048
"""Studies kept decoded because they changed lately."""
_OTHER: Final = 63
"""The bit of all modalities after the first 63."""

Judge = Callable[[StudyRecord], bool]


class Loaded(Struct, array_like=True):
    """One study as it comes from the index at start."""

    study_id: str
    sealed: SealedStudy


class _Live(Struct):
    study: StudyRecord
    series: list[SeriesRecord]


class MemoryIndex:
    """Studies by row number. Rows whose study has no instance that answers are not found."""

    def __init__(self) -> None:
        self._ids = Column("V16")
        self._uids = Column("u8")
        self._persons = Column("u8")
        self._dates = Column("u4")
        self._births = Column("u4")
        self._modalities = Column("u8")
        self._grouped = Column("?")
        """Whether the name may have several groups, each of which is matched by itself."""
        self._order = Column("u8")
        """Date, time and row in one number: newest is greatest."""
        self._instances = Column("u4")
        self._series = Column("u4")
        self._at = Column("u8")
        self._study_length = Column("u4")
        self._series_length = Column("u4")
        self._records = bytearray()
        self._waste = 0
        self._live: dict[int, _Live] = {}
        self._rising: array[int] = array("Q")
        """`_order` of the rows that are found, sorted."""
        self._bits: dict[str, int] = {}
        self._sets: dict[str, int] = {}
        self._text = Haystack()
        self.last_received_at = 0.0
        """Seconds since the epoch; 0 for never."""
        self._ranks: dict[str, tuple[int, NDArray[Any]]] = {}
        self.generation = 0
        """Grows whenever what a study says of itself, beyond totals, changes."""

    # filling

    def load(self, studies: Iterable[Loaded]) -> None:
        """Take every study at once, in an empty index."""
        # flat buffers: a hundred thousand tuples of numbers would weigh as much as the index
        ids, records, numbers, texts = bytearray(), bytearray(), array("Q"), list[str]()
        grouped = bytearray()
        for loaded in studies:
            sealed = loaded.sealed
            keys = sealed.keys
            ids += bytes.fromhex(loaded.study_id)
            texts.append(sealed.text)
            self.last_received_at = max(self.last_received_at, keys.received_at)
            grouped.append(b"=" in sealed.study)
            records += sealed.study
            records += sealed.series
            numbers.extend(
                (
                    keys.uid,
                    keys.person,
                    keys.date,
                    keys.birth,
                    self._bits_of(keys.modalities),
                    keys.instances,
                    keys.series,
                    len(sealed.study),
                    len(sealed.series),
                    keys.moment,
                )
            )
        if not texts:
            return
        table = np.frombuffer(numbers, "u8").reshape(len(texts), -1)
        self._ids.extend(np.frombuffer(ids, "V16"))
        self._grouped.extend(np.frombuffer(grouped, "?"))
        filled = (
            self._uids,
            self._persons,
            self._dates,
            self._births,
            self._modalities,
            self._instances,
            self._series,
            self._study_length,
            self._series_length,
        )
        for column, values in zip(filled, table.T, strict=False):
            column.extend(values)
        self._order.extend(
            (table[:, len(filled)] << np.uint64(_ROW_BITS)) | np.arange(len(texts), dtype="u8")
        )
        self._records = records
        whole = self._study_length.values.astype("u8") + self._series_length.values
        self._at.extend(np.cumsum(whole, dtype="u8") - whole)
        found = self._order.values[self._instances.values > 0]
        self._rising = array("Q", np.sort(found).tobytes())
        self._text.load(texts)
        self.generation += 1

    def put(
        self, row: int | None, study_id: str, study: StudyRecord, series: list[SeriesRecord], text: str
    ) -> int:
        """Add a study, or replace what is known of row `row`; its row number."""
        new = row is None
        row = self._ids.size if row is None else row
        keys = keys_of(study)
        order = (keys.moment << _ROW_BITS) | row
        before = 0 if new or not self._instances[row] else self._order[row]
        if new:
            self._ids.append(np.void(bytes.fromhex(study_id)))
            for column in self._columns():
                column.append(0)
        for column, value in (
            (self._uids, keys.uid),
            (self._persons, keys.person),
            (self._dates, keys.date),
            (self._births, keys.birth),
            (self._modalities, self._bits_of(keys.modalities)),
            (self._instances, keys.instances),
            (self._series, keys.series),
            (self._grouped, "=" in study.patient_name),
            (self._order, order),
        ):
            column[row] = value
        self.last_received_at = max(self.last_received_at, study.received_at)
        self._text.put(row, text)
        self._reorder(before, order if study.instances else 0)
        # the newest last, so that what cools first is what changed longest ago
        self._live.pop(row, None)
        self._live[row] = _Live(study, series)
        self.generation += 1
        if len(self._live) > _LIVE:
            self._cool()
        return row

    def _columns(self) -> Iterator[Column]:
        return (
            column for column in vars(self).values() if isinstance(column, Column) and column is not self._ids
        )

    def _bits_of(self, modalities: str) -> int:
        known = self._sets.get(modalities)
        if known is None:
            known = 0
            for modality in modalities.split("\\") if modalities else ():
                known |= 1 << self._bits.setdefault(modality, min(len(self._bits), _OTHER))
            self._sets[modalities] = known
        return known

    def _reorder(self, before: int, after: int) -> None:
        if before == after:
            return
        if before:
            del self._rising[bisect_left(self._rising, before)]
        if after:
            insort(self._rising, after)

    def _cool(self) -> None:
        """Encode the older half of what is kept decoded."""
        for row in list(self._live)[: _LIVE // 2]:
            live = self._live.pop(row)
            self._waste += self._study_length[row] + self._series_length[row]
            study, series = encode(live.study), pack_series(live.series)
            self._at[row] = len(self._records)
            self._study_length[row], self._series_length[row] = len(study), len(series)
            self._records += study + series
        if self._waste > max(_WASTE, len(self._records) // 3):
            self._compact()

    def _compact(self) -> None:
        kept = bytearray()
        for row in range(self._ids.size):
            at = self._at[row]
            self._at[row] = len(kept)
            kept += self._records[at : at + self._study_length[row] + self._series_length[row]]
        self._records, self._waste = kept, 0

    # reading

    def __len__(self) -> int:
        return len(self._rising)

    def rows(self) -> range:
        """Every row there is, also of studies with nothing in them that answers."""
        return range(self._ids.size)

    def study(self, row: int) -> StudyRecord:
        """The study of a row. Not to be changed: `put` another."""
        live = self._live.get(row)
        if live is not None:
            return live.study
        at = self._at[row]
        return decode_study(self._records[at : at + self._study_length[row]])

    def series(self, row: int) -> list[SeriesRecord]:
        """The series of a row's study, those with nothing that answers too. Not to be changed."""
        live = self._live.get(row)
        if live is not None:
            return live.series
        at = self._at[row] + self._study_length[row]
        return unpack_series(self._records[at : at + self._series_length[row]])

    def text(self, row: int) -> str:
        """The folded text of a row's study."""
        return self._text.text(row)

    def study_id(self, row: int) -> str:
        """The id of a row's study."""
        return bytes(self._ids.values[row]).hex()

    def row_of_id(self, study_id: str) -> int | None:
        """The row of a study id."""
        try:
            raw = bytes.fromhex(study_id)
        except ValueError:
            return None
        if len(raw) != _ID:
            return None
        found = np.flatnonzero(self._ids.values == np.frombuffer(raw, "V16")[0])
        return int(found[0]) if len(found) else None

    def row_of_uid(self, study_uid: str) -> int | None:
        """The row of a Study Instance UID."""
        for row in np.flatnonzero(self._uids.values == np.uint64(number_of(study_uid))).tolist():
            if self.study(row).study_uid == study_uid:
                return int(row)
        return None

    def same_patient_id(self, study: StudyRecord) -> list[int]:
        """Rows whose patient id and issuer are those of `study`; none for an empty id."""
        if not study.patient_id:
            return []
        wanted = (study.patient_id, study.patient_id_issuer)
        rows = np.flatnonzero(self._persons.values == np.uint64(number_of(*wanted))).tolist()
        return [row for row in rows if person_id(self.study(row)) == wanted]

    def ids(self) -> list[str]:
        """Ids of every study, also those whose instances are all held and that no query finds, ascending."""
        return sorted(bytes(raw).hex() for raw in self._ids.values)

    def persons(self) -> int:
        """How many patient ids there are, with those studies that have none counted each."""
        found = self._persons.values[self.all()]
        return len(np.unique(found[found > 0])) + int((found == 0).sum())

    def totals(self, rows: Rows) -> tuple[int, int]:
        """How many series and instances answer in these studies."""
        return int(self._series.values[rows].sum()), int(self._instances.values[rows].sum())

    def totals_of_all(self) -> tuple[int, int]:
        """As `totals`, of everything that is found."""
        return int(self._series.values.sum()), int(self._instances.values.sum())

    def instances_in(self, row: int) -> int:
        """How many instances answer in one study."""
        return self._instances[row]

    def series_in(self, row: int) -> int:
        """How many series answer in one study."""
        return self._series[row]

    def size(self) -> int:
        """Bytes held, about."""
        columns = sum(column.values.nbytes for column in vars(self).values() if isinstance(column, Column))
        return len(self._records) + columns + 8 * len(self._rising) + self._text.size()

    # conditions, each over all rows

    def all(self) -> Mask:
        """Every row that is found."""
        return self._instances.values > 0

    def dated(self, first: int, last: int) -> Mask:
        """Rows with a study date from `first` to `last`, YYYYMMDD."""
        dates = self._dates.values
        found: Mask = (dates >= max(first, 1)) & (dates <= last)
        return found

    def born(self, first: int, last: int) -> Mask:
        """Rows with a birth date from `first` to `last`."""
        births = self._births.values
        found: Mask = (births >= max(first, 1)) & (births <= last)
        return found

    def with_modality(self, wanted: Callable[[str], bool]) -> Mask:
        """Rows with a modality that is `wanted`."""
        bits, unsure = 0, False
        for modality, bit in self._bits.items():
            if wanted(modality):
                bits |= 1 << bit
                unsure |= bit == _OTHER
        found: Mask = (self._modalities.values & np.uint64(bits)) != 0
        if unsure:
            for row in np.flatnonzero(found).tolist():
                found[row] = any(wanted(modality) for modality in self.study(row).modalities)
        return found

    def holding(self, needle: str) -> Mask:
        """Rows whose text holds `needle` anywhere."""
        return self._mask(self._text.holding(needle))

    def beginning(self, needle: str) -> Mask:
        """Rows with a word in their text that begins with `needle`."""
        return self._mask(self._text.beginning(needle))

    def named(self, first: str) -> Mask:
        """Rows whose name may have a group that begins with the word, or the part of one, `first`."""
        mask = self._mask(self._text.leading(first))
        if self._grouped.values.any():
            mask |= self._mask(self._text.beginning(first)) & self._grouped.values
        return mask

    def uid_in(self, uids: Iterable[str]) -> Mask:
        """Rows of these Study Instance UIDs; one in 2**63 of another."""
        wanted = np.array([number_of(uid) for uid in uids], "u8")
        found: Mask = np.isin(self._uids.values, wanted)
        return found

    def judged(self, mask: Mask, judge: Judge) -> Mask:
        """Those rows of `mask` whose decoded study passes."""
        for row in np.flatnonzero(mask).tolist():
            if not judge(self.study(row)):
                mask[row] = False
        return mask

    def only(self, row: int) -> Mask:
        """One row."""
        return self._mask(np.array([row], "u4"))

    def _mask(self, rows: Rows) -> Mask:
        mask = np.zeros(self._ids.size, "?")
        mask[rows] = True
        return mask

    # order

    def newest(self, offset: int, limit: int) -> Rows:
        """One page of everything that is found, newest first."""
        end = len(self._rising) - offset
        page = self._rising[max(0, end - limit) : max(0, end)]
        found: Rows = (np.array(page[::-1], "u8") & np.uint64((1 << _ROW_BITS) - 1)).astype("u4")
        return found

    def newest_of(self, rows: Rows, count: int) -> Rows:
        """The newest `count` of `rows`, newest first."""
        keys = self._order.values[rows]
        if count < len(rows) // 4:
            chosen = np.argpartition(keys, len(keys) - count)[len(keys) - count :]
            rows, keys = rows[chosen], keys[chosen]
        found: Rows = rows[np.argsort(keys)[::-1]][:count]
        return found

    def sorted_by(self, rows: Rows, keys: list[tuple[Field, bool]]) -> Rows:
        """`rows` sorted by fields of their studies, (field, descending) each, then as they came.

        The rank of every study under a field is kept until a study changes.
        """
        for field, descending in reversed(keys):
            ranks = self._ranks_of(field)[rows]
            keys_of = np.where(ranks < 0, np.iinfo("i8").max, -ranks if descending else ranks)
            rows = rows[np.argsort(keys_of, kind="stable")]
        return rows

    def _ranks_of(self, field: Field) -> NDArray[Any]:
        """The place of each study under a field; -1 where it says nothing, which is last either way."""
        generation, ranks = self._ranks.get(field.name, (-1, None))
        if ranks is None or generation != self.generation:
            values = [sort_value(field, self.study(row)) for row in self.rows()]
            ranked = {value: -1 if value[0] else rank for rank, value in enumerate(sorted(set(values)))}
            ranks = np.fromiter((ranked[value] for value in values), "i8", len(values))
            self._ranks[field.name] = self.generation, ranks
        return ranks
