"""Opening a database as the house wants it, and its errors as the house names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, Select, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from huisclos.errors import Conflict, Unreachable

BUSY: Final = 10_000
"""Milliseconds one writer waits for another."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"

MEMORY: Final = "sqlite://"
"""A database in memory, for tests and for throw-away archives."""


def open_engine(where: Path | str, *, durable: bool) -> Engine:
    """An engine over the SQLite file `where`, or over an SQLAlchemy URL given as a string.

    With `durable`, what a transaction wrote survives power loss once it has committed;
    otherwise it survives the end of the process only. The file is made readable by its owner
    alone before anything is in it; SQLite gives its journal files the same mode.
    """
    if isinstance(where, Path):
        os.close(os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return _sqlite(URL.create("sqlite", database=str(where)), durable=durable)
    url = make_url(where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, durable=durable)
    engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
    event.listen(engine, "begin", lambda connection: _postgres_begin(connection, durable=durable))
    return engine


def migrate(engine: Engine, book: str) -> None:
    """Bring the tables of `book` (a key of `tables.BOOKS`) to the newest schema. Raises `Unreachable`."""
    with talking(engine) as connection:
        command.upgrade(config(connection, book), "head")


def config(connection: Connection, book: str) -> Config:
    """What Alembic needs to know to work on `book` over `connection`."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    made.set_main_option("version_locations", str(MIGRATIONS / book).replace("%", "%%"))
    made.set_main_option("path_separator", "newline")
    made.attributes.update(connection=connection, book=book)
    return made


@contextmanager
def talking(engine: Engine) -> Iterator[Connection]:
    """A transaction: committed at the end, rolled back on any error.

    Raises `Conflict` for a row that breaks a rule of the schema, `Unreachable` for whatever
    else the database refuses. Neither says what was in the row.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except IntegrityError:
        raise Conflict("the database holds another row in the place of this one") from None
    except SQLAlchemyError as error:
        raise _silent(error.orig if isinstance(error, DBAPIError) else error) from None


def _silent(error: BaseException | None) -> Unreachable:
    return Unreachable(
        f"the database does not answer ({type(error).__name__})",
        hint="see that its disk has room, and that it runs",
    )


class Question:
    """A SELECT asked for every instance: 16 us on SQLite, and 74 in a transaction of SQLAlchemy's.

    Its one parameter, and its columns, are of types that the driver gives as they are.
    """

    def __init__(self, engine: Engine, statement: Select[Any]) -> None:
        self._engine = engine
        compiled = statement.compile(dialect=engine.dialect)
        self._text = str(compiled)
        (self._name,) = compiled.params
        self._positional = compiled.positional
        self._errors = engine.dialect.loaded_dbapi.Error

    def ask(self, value: Any) -> list[tuple[Any, ...]]:
        """Every row. Raises `Unreachable`."""
        try:
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(self._text, (value,) if self._positional else {self._name: value})
                rows: list[tuple[Any, ...]] = list(cursor.fetchall())
                return rows
            finally:
                connection.close()
        except SQLAlchemyError as error:
            raise _silent(error.orig if isinstance(error, DBAPIError) else error) from None
        except self._errors as error:
            raise _silent(error) from None


def upsert(connection: Connection, table: sqlalchemy.Table) -> Any:
    """`INSERT ... ON CONFLICT`, which both databases spell alike and SQLAlchemy does not."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def replacing(connection: Connection, table: sqlalchemy.Table) -> Any:
    """An insert of whole rows that replaces those with the same primary key."""
    insert = upsert(connection, table)
    keys = {column.name for column in table.primary_key}
    others = {
        column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys
    }
    return insert.on_conflict_do_update(index_elements=sorted(keys), set_=others)


def _sqlite(url: URL, *, durable: bool) -> Engine:
    in_memory = url.database in (None, "", ":memory:")
    # what is in memory lives in one connection: threads wait for each other
    options = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0} if in_memory else {}
    engine = sqlalchemy.create_engine(url, connect_args={"check_same_thread": False}, **options)

    def connected(connection: Any, _record: Any) -> None:
        # sqlite3 would begin transactions by rules of its own, and never around a SELECT or a table's making
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
            "temp_store=MEMORY",
            "secure_delete=ON",
            "foreign_keys=ON",
            f"busy_timeout={BUSY}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _postgres_begin(connection: Connection, *, durable: bool) -> None:
    if not durable:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
