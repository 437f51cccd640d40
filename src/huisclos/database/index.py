"""The index on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, select

from huisclos.archive.index_ports import IndexedInstance, IndexedStudy, Settling
from huisclos.database import tables
from huisclos.database.engine import MEMORY, Question, migrate, open_engine, replacing, talking

_BATCH: Final = 2_000
"""Rows fetched at once when everything is read."""
_ASKED: Final = 500
"""Ids in one question; SQLite before 3.32 took no more than 999."""

_STUDY: Final = select(tables.study)
_AFTER: Final = (
    _STUDY.where(tables.study.c.study_id > bindparam("last")).order_by(tables.study.c.study_id).limit(_BATCH)
)
_BY_TOKEN: Final = _STUDY.where(tables.study.c.uid_token == bindparam("token"))
_INSTANCE: Final = select(tables.instance)
_OF_STUDY: Final = _INSTANCE.where(tables.instance.c.study_id == bindparam("study"))
_OF_TOKEN: Final = _INSTANCE.where(tables.instance.c.uid_token == bindparam("token"))
_KNOWN: Final = select(tables.instance.c.instance_id).where(
    tables.instance.c.instance_id.in_(bindparam("ids", expanding=True))
)


class SqlIndex:
    """The `Index` port. `where` is the path of a SQLite file, or an SQLAlchemy URL.

    Two engines over one database: grouped commits do not wait for the disk, what must survive
    power loss does; SQLite makes earlier commits durable with the later one.
    """

    def __init__(self, where: Path | str) -> None:
        self._durable = open_engine(where, durable=True)
        # two engines over "in memory" would be two databases
        self._quick = self._durable if where == MEMORY else open_engine(where, durable=False)
        self._of_token = Question(self._quick, _OF_TOKEN)
        migrate(self._durable, "index")

    def close(self) -> None:
        """Give the connections back."""
        self._quick.dispose()
        self._durable.dispose()

    def studies(self) -> Iterator[IndexedStudy]:
        """As the port says."""
        last = ""
        while True:
            # a transaction a batch: whoever reads slowly holds up neither writers nor the log's trimming
            with talking(self._quick) as connection:
                rows = connection.execute(_AFTER, {"last": last}).all()
            if not rows:
                return
            for row in rows:
                yield _study(row)
            last = rows[-1].study_id

    def study_by_token(self, uid_token: bytes) -> IndexedStudy | None:
        """As the port says."""
        with talking(self._quick) as connection:
            row = connection.execute(_BY_TOKEN, {"token": uid_token}).one_or_none()
        return None if row is None else _study(row)

    def instances(self, study_id: str) -> list[IndexedInstance]:
        """As the port says."""
        with talking(self._quick) as connection:
            rows = connection.execute(_OF_STUDY, {"study": study_id}).all()
        return [IndexedInstance(*row) for row in rows]

    def instances_by_token(self, uid_token: bytes) -> list[IndexedInstance]:
        """As the port says."""
        return [IndexedInstance(*row) for row in self._of_token.ask(uid_token)]

    def known(self, instance_ids: Iterable[str]) -> set[str]:
        """As the port says."""
        asked, found = list(instance_ids), set[str]()
        with talking(self._quick) as connection:
            for start in range(0, len(asked), _ASKED):
                rows = connection.execute(_KNOWN, {"ids": asked[start : start + _ASKED]})
                found.update(rows.scalars())
        return found

    def write(
        self,
        studies: Iterable[IndexedStudy],
        instances: Iterable[IndexedInstance] = (),
        *,
        durable: bool = False,
    ) -> None:
        """As the port says."""
        study_rows = [_columns(study) for study in studies]
        instance_rows = [_columns(instance) for instance in instances]
        with talking(self._durable if durable else self._quick) as connection:
            if study_rows:
                connection.execute(replacing(connection, tables.study), study_rows)
            if instance_rows:
                connection.execute(replacing(connection, tables.instance), instance_rows)

    def remove_study(self, study_id: str) -> None:
        """As the port says."""
        with talking(self._durable) as connection:
            connection.execute(delete(tables.instance).where(tables.instance.c.study_id == study_id))
            connection.execute(delete(tables.study).where(tables.study.c.study_id == study_id))

    def clear(self, mark: bytes | None = None) -> None:
        """As the port says."""
        with talking(self._durable) as connection:
            for table in (tables.instance, tables.study, tables.checkpoint):
                connection.execute(delete(table))
            if mark is not None:
                connection.execute(replacing(connection, tables.checkpoint), {"id": 1, "record": mark})

    def checkpoint(self) -> bytes | None:
        """As the port says."""
        with talking(self._quick) as connection:
            record: bytes | None = connection.execute(select(tables.checkpoint.c.record)).scalar_one_or_none()
        return record

    def set_checkpoint(self, record: bytes | None) -> None:
        """As the port says."""
        with talking(self._durable) as connection:
            if record is None:
                connection.execute(delete(tables.checkpoint))
            else:
                connection.execute(replacing(connection, tables.checkpoint), {"id": 1, "record": record})


_STATES: Final = {state.value: state for state in Settling}


def _study(row: Row[Any]) -> IndexedStudy:
    study_id, uid_token, version, digest, state, epoch, record = tuple(row)
    return IndexedStudy(study_id, uid_token, version, digest, _STATES[state], epoch, record)


def _columns(row: IndexedStudy | IndexedInstance) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}
