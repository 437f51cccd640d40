"""The decisions on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import delete, select

from huisclos.archive.index_ports import DecisionRow, DoubtState
from huisclos.database import tables
from huisclos.database.engine import migrate, open_engine, replacing, talking


class SqlDecisions:
    """The `Decisions` port. `where` is the path of a SQLite file, or an SQLAlchemy URL."""

    def __init__(self, where: Path | str) -> None:
        self._engine = open_engine(where, durable=True)
        migrate(self._engine, "decisions")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def doubts(self) -> list[DecisionRow]:
        """As the port says."""
        with talking(self._engine) as connection:
            rows = connection.execute(select(tables.doubt)).all()
        return [DecisionRow(doubt_id, DoubtState(state), record) for doubt_id, state, record in rows]

    def put(self, rows: Iterable[DecisionRow]) -> None:
        """As the port says."""
        written = [{"id": row.id, "state": row.state, "record": row.record} for row in rows]
        if not written:
            return
        with talking(self._engine) as connection:
            connection.execute(replacing(connection, tables.doubt), written)

    def delete(self, doubt_ids: Iterable[str]) -> None:
        """As the port says."""
        with talking(self._engine) as connection:
            for doubt_id in doubt_ids:
                connection.execute(delete(tables.doubt).where(tables.doubt.c.id == doubt_id))
