"""The `Index` port, on every database."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from huisclos.archive.index_ports import Index, IndexedInstance, IndexedStudy, Settling
from huisclos.database import SqlIndex
from huisclos.errors import Conflict, Unreachable


@pytest.fixture
def index(where: Path | str) -> Iterator[SqlIndex]:
    """An empty index."""
    opened = SqlIndex(where)
    yield opened
    opened.close()


def a_study(number: int, *, version: int = 0) -> IndexedStudy:
    """A row for study `number`."""
    return IndexedStudy(
        f"{number:032x}", b"token%d" % number, version, b"", Settling.OPEN, 1, b"record%d" % version
    )


def an_instance(number: int, study: int, *, token: bytes | None = None) -> IndexedInstance:
    """A row for instance `number` of study `study`."""
    return IndexedInstance(f"{number:032x}", f"{study:032x}", token or b"i%d" % number, b"\x00\xff")


def test_rows_come_back_as_written(index: Index) -> None:
    """Studies and instances are read as they were written, by each key."""
    studies = [a_study(n) for n in range(5)]
    instances = [an_instance(n, n % 2) for n in range(7)]
    index.write(studies, instances)
    assert sorted(index.studies(), key=lambda row: row.study_id) == studies
    assert index.study_by_token(b"token3") == studies[3]
    assert index.study_by_token(b"token9") is None
    assert sorted(index.instances(studies[0].study_id), key=lambda row: row.instance_id) == instances[::2]
    assert index.instances_by_token(b"i4") == [instances[4]]
    assert index.instances("nothing") == []


def test_a_later_row_replaces_an_earlier(index: Index) -> None:
    """Writing the same id again replaces the row; instances may share a token."""
    index.write([a_study(1)], [an_instance(1, 1)], durable=True)
    index.write([a_study(1, version=2)], [an_instance(1, 1, token=b"x"), an_instance(2, 1, token=b"x")])
    assert [row.version for row in index.studies()] == [2]
    assert len(index.instances_by_token(b"x")) == 2
    assert index.instances_by_token(b"i1") == []


def test_two_studies_never_share_a_uid(index: Index) -> None:
    """A second study with the same UID token is refused, and nothing of that write is kept."""
    index.write([a_study(1)])
    other = IndexedStudy("f" * 32, b"token1", 0, b"", Settling.OPEN, 1, b"")
    with pytest.raises(Conflict):
        index.write([a_study(2), other], [an_instance(1, 2)])
    assert [row.study_id for row in index.studies()] == [a_study(1).study_id]
    assert index.instances(a_study(2).study_id) == []


def test_known_answers_thousands(index: Index) -> None:
    """`known` tells which ids have rows, also when asked about many."""
    index.write([a_study(1)], [an_instance(n, 1) for n in range(0, 3_000, 2)])
    asked = [f"{n:032x}" for n in range(3_000)]
    assert index.known(asked) == set(asked[::2])
    assert index.known([]) == set()


def test_removing(index: Index) -> None:
    """A study goes with its instances; clearing takes all."""
    index.write([a_study(1), a_study(2)], [an_instance(1, 1), an_instance(2, 2)])
    index.remove_study(a_study(1).study_id)
    index.remove_study(a_study(1).study_id)
    assert [row.study_id for row in index.studies()] == [a_study(2).study_id]
    assert index.instances_by_token(b"i1") == []
    index.set_checkpoint(b"seen")
    index.clear()
    assert list(index.studies()) == []
    assert index.checkpoint() is None


def test_checkpoint(index: Index) -> None:
    """There is one checkpoint, replaced each time."""
    assert index.checkpoint() is None
    index.set_checkpoint(b"one")
    index.set_checkpoint(b"two")
    assert index.checkpoint() == b"two"
    index.set_checkpoint(None)
    assert index.checkpoint() is None


def test_many_threads(index: Index) -> None:
    """Writers and readers in several threads do not disturb each other."""
    index.write([a_study(1)])

    def work(number: int) -> int:
        index.write([a_study(number + 10)], [an_instance(number, 1)])
        return len(index.instances_by_token(b"i%d" % number))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(40))) == [1] * 40
    assert len(index.instances(a_study(1).study_id)) == 40


def test_reopened(tmp_path: Path) -> None:
    """A file is opened again with all it had, and is its owner's alone, journals too."""
    path = tmp_path / "index.sqlite"
    first = SqlIndex(path)
    first.write([a_study(1)])
    modes = {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()}
    assert modes == {0o600}
    assert len(list(tmp_path.iterdir())) == 3
    first.close()
    again = SqlIndex(path)
    assert list(again.studies()) == [a_study(1)]
    again.close()


def test_a_damaged_file_is_unreachable(tmp_path: Path) -> None:
    """A file that is no database is told as such, without its content."""
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(Unreachable) as caught:
        SqlIndex(path)
    assert "no database" not in str(caught.value)


def test_settings_of_sqlite(tmp_path: Path) -> None:
    """Temporary tables stay in memory, deleted bytes are overwritten, the log is a WAL."""
    index = SqlIndex(tmp_path / "index.sqlite")
    for engine, synchronous in ((index._quick, 1), (index._durable, 2)):
        with engine.connect() as connection:
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "temp_store", "secure_delete", "foreign_keys")
            }
        assert settings == {
            "journal_mode": "wal",
            "synchronous": synchronous,
            "temp_store": 2,
            "secure_delete": 1,
            "foreign_keys": 1,
        }
    index.close()
