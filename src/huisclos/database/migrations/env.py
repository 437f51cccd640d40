"""How Alembic runs here: over a connection handed in by `engine.migrate`, one book at a time."""

from __future__ import annotations

from alembic import context

from huisclos.database.tables import BOOKS

book = context.config.attributes["book"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=BOOKS[book],
    # books may share one PostgreSQL database: each counts its own versions
    version_table=f"{book}_schema",
)
context.run_migrations()
