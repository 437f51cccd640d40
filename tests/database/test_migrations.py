"""Migrations and tables say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from huisclos.database import SqlAccounts, SqlDecisions, SqlIndex
from huisclos.database.engine import migrate, open_engine
from huisclos.database.tables import BOOKS


@pytest.mark.parametrize("book", list(BOOKS))
def test_migrations_make_the_tables(where: Path | str, book: str) -> None:
    """A database brought to the newest schema differs in nothing from the metadata."""
    engine = open_engine(where, durable=True)
    migrate(engine, book)
    migrate(engine, book)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": f"{book}_schema"})
        assert compare_metadata(context, BOOKS[book]) == []
    engine.dispose()


def test_books_share_one_postgres(postgres: str) -> None:
    """All three live in one PostgreSQL database, and each opens twice."""
    for _ in range(2):
        for adapter in (SqlIndex, SqlDecisions, SqlAccounts):
            adapter(postgres).close()
