"""The accounts on SQLite or PostgreSQL: bodies and signatures as the vault gave them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, insert, select, update

from huisclos.access.ports import Pending, Row
from huisclos.database import tables
from huisclos.database.engine import migrate, open_engine, talking, upsert
from huisclos.errors import Conflict


class SqlAccounts:
    """The `Accounts` port. `where` is the path of a SQLite file, or an SQLAlchemy URL."""

    def __init__(self, where: Path | str) -> None:
        self._engine = open_engine(where, durable=True)
        migrate(self._engine, "accounts")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def rows(self, kind: str = "") -> list[Row]:
        """As the port says."""
        table = tables.signed_row
        asked = select(table).order_by(table.c.kind, table.c.id)
        with talking(self._engine) as connection:
            found = connection.execute(asked.where(table.c.kind == kind) if kind else asked).all()
        return [Row(*row) for row in found]

    def row(self, kind: str, row_id: str) -> Row | None:
        """As the port says."""
        table = tables.signed_row
        with talking(self._engine) as connection:
            found = connection.execute(
                select(table).where(table.c.kind == kind, table.c.id == row_id)
            ).one_or_none()
        return None if found is None else Row(*found)

    def put(self, row: Row) -> None:
        """As the port says."""
        with talking(self._engine) as connection:
            adding = upsert(connection, tables.signed_row)
            new = adding.excluded
            # one statement, so that of two writers with one version the second is told
            statement = adding.on_conflict_do_update(
                index_elements=["kind", "id"],
                set_={"version": new.version, "body": new.body, "signature": new.signature},
                where=tables.signed_row.c.version < new.version,
            ).returning(tables.signed_row.c.version)
            written = connection.execute(
                statement,
                {
                    "kind": row.kind,
                    "id": row.id,
                    "version": row.version,
                    "body": row.body,
                    "signature": row.signature,
                },
            ).all()
        if not written:
            raise Conflict("a newer version of this row is there")

    def delete(self, kind: str, row_id: str) -> None:
        """As the port says."""
        table = tables.signed_row
        with talking(self._engine) as connection:
            connection.execute(delete(table).where(table.c.kind == kind, table.c.id == row_id))

    def pending(self) -> list[Pending]:
        """As the port says."""
        with talking(self._engine) as connection:
            found = connection.execute(
                select(tables.pending).order_by(tables.pending.c.made, tables.pending.c.id)
            ).all()
        return [Pending(*row) for row in found]

    def put_pending(self, pending: Pending) -> None:
        """As the port says."""
        with talking(self._engine) as connection:
            connection.execute(
                insert(tables.pending), {"id": pending.id, "made": pending.made, "body": pending.body}
            )

    def replace_pending(self, pending: Pending) -> None:
        """As the port says."""
        with talking(self._engine) as connection:
            connection.execute(
                update(tables.pending).where(tables.pending.c.id == pending.id).values(body=pending.body)
            )

    def delete_pending(self, pending_id: str) -> None:
        """As the port says."""
        with talking(self._engine) as connection:
            connection.execute(delete(tables.pending).where(tables.pending.c.id == pending_id))
