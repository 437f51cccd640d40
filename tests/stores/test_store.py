"""The suite of the ObjectStore port, run on every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from huisclos.archive.layout import instance_place, manifest_place, new_id
from huisclos.archive.ports import LONGEST_ROOM, ObjectStore, Writing
from huisclos.errors import Conflict, InstanceNotFound
from huisclos.stores.local import LocalStore
from huisclos.stores.memory import MemoryStore

ROOM = 168


@pytest.fixture(params=["memory", "local", "apart"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """Each adapter; `apart` keeps objects in a folder of their own."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "local":
        yield LocalStore(tmp_path / "archive")
    else:
        yield LocalStore(tmp_path / "archive", tmp_path / "disk")


def place() -> str:
    """A fresh place."""
    return instance_place(new_id(), new_id())


def put(writing: Writing, payload: bytes) -> None:
    """Append `payload`, as much at a time as there may be room for."""
    for at in range(0, len(payload), LONGEST_ROOM):
        piece = payload[at : at + LONGEST_ROOM]
        writing.room(len(piece))[:] = piece
        writing.write()


def written(store: ObjectStore, at: str, payload: bytes = b"payload") -> bytes:
    """Commit one object; what must be read back."""
    writing = store.begin(ROOM)
    for byte in range(0, len(payload), 3):
        put(writing, payload[byte : byte + 3])
    writing.commit(at, b"h" * ROOM)
    return b"h" * ROOM + payload


def test_what_is_committed_is_read_back(store: ObjectStore) -> None:
    """Header in its room, payload behind it, by range and whole."""
    at = place()
    expected = written(store, at)
    with store.open(at) as sealed:
        assert sealed.size == len(expected)
        assert bytes(sealed.read_at(ROOM - 1, 4)) == expected[ROOM - 1 : ROOM + 3]
        assert bytes(sealed.read_at(ROOM + 3, 100)) == expected[ROOM + 3 :]
        assert bytes(sealed.read_at(10_000, 1)) == b""
    assert store.read(at) == expected


def test_nothing_is_visible_before_commit(store: ObjectStore) -> None:
    """Neither by reading nor by listing, nor after abandoning."""
    writing = store.begin(ROOM)
    put(writing, b"x" * 100_000)
    assert list(store.list()) == []
    writing.abandon()
    writing.abandon()
    assert list(store.list()) == []


def test_abandon_after_commit_is_harmless(store: ObjectStore) -> None:
    """The object stays."""
    at, writing = place(), store.begin(ROOM)
    put(writing, b"x")
    writing.commit(at, b"h" * ROOM)
    writing.abandon()
    assert store.read(at) == b"h" * ROOM + b"x"


def test_commit_overwrites_nothing(store: ObjectStore) -> None:
    """A second object for the same place is a conflict, and the first stays."""
    at = place()
    expected = written(store, at)
    with pytest.raises(Conflict):
        written(store, at, b"other")
    assert store.read(at) == expected


def test_put_replaces(store: ObjectStore) -> None:
    """A manifest is written over its older version."""
    at = manifest_place(new_id())
    store.put(at, b"one")
    store.put(at, b"two")
    assert store.read(at) == b"two"


def test_what_is_not_there(store: ObjectStore) -> None:
    """Opening and reading say so; deleting does not mind."""
    with pytest.raises(InstanceNotFound):
        store.open(place())
    with pytest.raises(InstanceNotFound):
        store.read(place())
    with pytest.raises(InstanceNotFound):
        store.move(place(), place())
    store.delete(place())


def test_move_renames_and_overwrites_nothing(store: ObjectStore) -> None:
    """The old place is empty afterwards; a taken new place is a conflict that moves nothing."""
    old, new, taken = place(), place(), place()
    expected, other = written(store, old), written(store, taken, b"other")
    store.move(old, new)
    assert store.read(new) == expected
    with pytest.raises(InstanceNotFound):
        store.read(old)
    with pytest.raises(Conflict):
        store.move(new, taken)
    assert (store.read(new), store.read(taken)) == (expected, other)


def test_list_gives_places_and_sizes_below_a_folder(store: ObjectStore) -> None:
    """Everything, or one folder, and never a folder whose name merely begins alike."""
    places = [place() for _ in range(5)]
    for number, at in enumerate(places):
        written(store, at, b"p" * number)
    store.put("batches/" + "0" * 32 + "/batch.age", b"key")
    assert {at for at, _ in store.list("objects")} == set(places)
    assert dict(store.list("objects"))[places[3]] == ROOM + 3
    assert len(list(store.list())) == 6
    assert [at for at, _ in store.list(places[0].rsplit("/", 1)[0])] == [places[0]]
    assert list(store.list("obj")) == []


def test_delete_is_idempotent_and_leaves_the_others(store: ObjectStore) -> None:
    """Also when the last object of a folder goes and another comes."""
    study = new_id()
    one, two = instance_place(study, new_id()), instance_place(study, new_id())
    written(store, one)
    store.delete(one)
    store.delete(one)
    expected = written(store, two)
    assert store.read(two) == expected


def test_there_is_room(store: ObjectStore) -> None:
    """Free and total bytes."""
    free, total = store.room()
    assert 0 < free <= total
