"""What only a file system does: modes, times, crashes, power loss, full disks."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huisclos.archive.layout import batch_place, instance_place, manifest_place, new_id
from huisclos.archive.ports import Commit
from huisclos.errors import BadIdentifier, BadSetting, Full, InstanceNotFound, Unreachable
from huisclos.stores import local, system
from huisclos.stores.local import LocalStore
from tests.stores.test_store import put

CALLS = ("open", "write", "pwritev", "utime", "fdatasync", "mkdir", "link", "fsync", "unlink", "close")
"""System calls on the way of one object, and `rename_new`, which is ours."""


@pytest.fixture(params=["renameat2", "link"])
def renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a file comes to its place: where the system renames over nothing only, and where it does not."""
    if request.param == "link":
        monkeypatch.setattr(system, "_rename", None)
    return str(request.param)


def commit(store: LocalStore, at: str, payload: bytes = b"p" * 1000) -> None:
    """One object, whole."""
    writing = store.begin(10)
    put(writing, payload)
    writing.commit(at, b"h" * 10)
    writing.abandon()


def test_modes_and_times(tmp_path: Path) -> None:
    """Only the owner reads; a time stamp says nothing."""
    store = LocalStore(tmp_path / "archive")
    at = instance_place(new_id(), new_id())
    commit(store, at)
    for path in (tmp_path / "archive").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)
    assert (tmp_path / "archive" / at).stat().st_mtime_ns == system.STAMP
    assert list((tmp_path / "archive" / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "wrong", ["../x", "/etc/passwd", "objects/../../x", "objects//x", "", "objects/.x", "a\0b"]
)
def test_a_place_leads_nowhere_else(tmp_path: Path, wrong: str) -> None:
    """Whatever is no place is refused before the system hears of it."""
    store = LocalStore(tmp_path)
    with pytest.raises(BadIdentifier):
        store.open(wrong)
    with pytest.raises(BadIdentifier):
        store.put(wrong, b"")


def test_links_and_folders_are_no_objects(tmp_path: Path) -> None:
    """A link laid where an object should be is not followed; a folder is none."""
    store = LocalStore(tmp_path)
    study = new_id()
    at, other = instance_place(study, new_id()), instance_place(study, new_id())
    commit(store, other)
    (tmp_path / at).symlink_to(tmp_path / other)
    with pytest.raises(InstanceNotFound):
        store.open(at)
    with pytest.raises(InstanceNotFound):
        store.open(f"objects/{study[:2]}/{study}")


def test_sweep_leaves_the_living_alone(tmp_path: Path) -> None:
    """What a dead writer left goes; what another process is writing stays."""
    store, other = LocalStore(tmp_path), LocalStore(tmp_path)
    living = other.begin(10)
    put(living, b"p")
    (tmp_path / "incoming" / ("0" * 32)).write_bytes(b"left by the dead")
    assert store.sweep() == 1
    at = instance_place(new_id(), new_id())
    living.commit(at, b"h" * 10)
    assert store.read(at) == b"h" * 10 + b"p"
    assert store.sweep() == 0


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """For bulk work in a process pool."""
    store = LocalStore(tmp_path / "archive", tmp_path / "disk")
    at = instance_place(new_id(), new_id())
    commit(store, at)
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert again.read(at) == store.read(at)
    assert (tmp_path / "disk" / at.removeprefix("objects/")).is_file()


def test_a_batch_beside_objects_on_another_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a link cannot go across, the object is copied, and as durable."""
    store = LocalStore(tmp_path / "archive", tmp_path / "disk")
    real = os.link

    def link(old: str, new: str) -> None:
        if ("/disk/" in old) is not ("/disk/" in new):
            raise OSError(errno.EXDEV, "across")
        real(old, new)

    monkeypatch.setattr(os, "link", link)
    batched, settled = batch_place(new_id(), new_id()), instance_place(new_id(), new_id())
    commit(store, batched)
    store.move(batched, settled)
    assert store.read(settled) == b"h" * 10 + b"p" * 1000
    assert not list((tmp_path / "disk" / "incoming").iterdir())
    assert not list((tmp_path / "archive" / "incoming").iterdir())


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, Full), (errno.EDQUOT, Full), (errno.EROFS, Unreachable), (errno.EIO, Unreachable)],
)
@pytest.mark.parametrize("call", ["open", "pwritev", "fdatasync", "rename_new", "link", "fsync"])
def test_a_failing_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[Exception]
) -> None:
    """Whatever call fails, nothing lies at the place, and the sentence holds no path."""
    store = LocalStore(tmp_path)
    writing = store.begin(10)

    def fail(*_args: object, **_kwargs: object) -> int:
        raise OSError(number, "failed", str(tmp_path))

    at = instance_place(new_id(), new_id())

    def work() -> None:
        with monkeypatch.context() as patched:
            if call == "link":
                patched.setattr(system, "_rename", None)
            patched.setattr(local if call == "rename_new" else os, call, fail)
            put(writing, b"p")
            writing.commit(at, b"h" * 10)

    with pytest.raises(error) as told:
        work()
    assert str(tmp_path) not in str(told.value)
    writing.abandon()
    assert list((tmp_path / "incoming").iterdir()) == []
    assert list(store.list()) == []


@pytest.mark.parametrize("together", [True, False])
def test_a_folder_that_cannot_be_flushed_keeps_nothing_of_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    """The object had its name already: who was told that it is not kept finds it nowhere."""
    store = LocalStore(tmp_path)
    study = new_id()
    commit(store, kept := instance_place(study, new_id()))
    places = [instance_place(study, new_id()) for _ in range(3)]
    writings = [store.begin(10) for _ in places]
    for writing in writings:
        put(writing, b"p")

    def fail(_folder: str) -> None:
        raise OSError(errno.EIO, "failed")

    monkeypatch.setattr(local, "sync_folder", fail)
    if together:
        failed = store.commit_all(
            [Commit(writing, at, b"h" * 10) for writing, at in zip(writings, places, strict=True)]
        )
        assert [Unreachable] * 3 == [type(error) for error in failed]
    else:
        for writing, at in zip(writings, places, strict=True):
            with pytest.raises(Unreachable):
                writing.commit(at, b"h" * 10)
    for writing in writings:
        writing.abandon()
    with pytest.raises(Unreachable):
        store.move(kept, instance_place(study, new_id()))
    assert [kept] == [place for place, _ in store.list()]


@pytest.mark.parametrize("call", ["unlink", "flock"])
def test_no_descriptor_is_left_where_a_temporary_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """On a disk that turned read-only, or one without locks; and it is told as the house tells it."""
    store = LocalStore(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS if call == "unlink" else errno.ENOLCK, "failed")

    with monkeypatch.context() as patched:
        patched.setattr(fcntl if call == "flock" else os, call, fail)
        for _ in range(3):
            with pytest.raises(Unreachable):
                store.put(manifest_place(new_id()), b"sealed")
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_system_without_modes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FAT gives them: every file readable by all."""
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        values[0] = stat.S_IFREG | 0o755
        return os.stat_result(values)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(BadSetting, match="no file modes"):
        LocalStore(tmp_path)


def test_a_long_path_works_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    """Up to what the kernel takes."""
    deep = tmp_path
    while len(str(deep)) < 3500:
        deep = deep / ("d" * 200)
    store = LocalStore(deep)
    at = instance_place(new_id(), new_id())
    commit(store, at)
    assert store.read(at)
    with pytest.raises(BadSetting):
        LocalStore(deep / ("d" * 200) / ("d" * 200))


def traced(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Have `seen` hear of each system call before it is made."""
    for name in CALLS:
        real = getattr(os, name)

        def call(*args: Any, _name: str = name, _real: Any = real, **kwargs: Any) -> Any:
            seen(_name, args)
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)
    real_rename = system.rename_new

    def rename(old: str, new: str) -> bool:
        seen("rename_new", (old, new))
        return real_rename(old, new)

    monkeypatch.setattr(local, "rename_new", rename)


def test_a_write_that_the_system_takes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than was given, pieces by the thousand, nothing at all: the bytes are there, in order."""
    whole = [bytes([number % 251]) * (number % 7) for number in range(2_000)]
    real = os.pwritev

    def short(descriptor: int, pieces: Any, offset: int) -> int:
        return real(descriptor, [b"".join(pieces)[:100]], offset)

    for function in (real, short):
        monkeypatch.setattr(os, "pwritev", function)
        path = tmp_path / function.__name__
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        assert system.write_at(descriptor, whole, 5) == len(b"".join(whole))
        assert system.write_at(descriptor, (), 3) == 0
        os.close(descriptor)
        assert path.read_bytes() == bytes(5) + b"".join(whole)


def test_order_of_the_steps_that_survive_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renaming: str
) -> None:
    """Header and payload, flush, rename, flush of the folder and of each folder made on the way."""
    store = LocalStore(tmp_path)
    study = new_id()
    folder = tmp_path / "objects" / study[:2] / study
    opened: dict[int, str] = {}
    steps: list[str] = []
    real_open = os.open

    def note(name: str, args: tuple[Any, ...]) -> None:
        if name == "fsync":
            steps.append(f"fsync {opened.get(args[0], '?')}")
        elif name in ("pwritev", "fdatasync", "link", "rename_new", "unlink"):
            steps.append(name)

    traced(monkeypatch, note)

    def remembering(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = real_open(path, *args, **kwargs)
        opened[descriptor] = str(path)
        return descriptor

    monkeypatch.setattr(os, "open", remembering)
    commit(store, instance_place(study, new_id()))
    assert steps == [
        "pwritev",
        "fdatasync",
        f"fsync {tmp_path / 'objects'}",
        f"fsync {folder.parent}",
        "rename_new",
        *(["link"] if renaming == "link" else []),
        f"fsync {folder}",
        *(["unlink"] if renaming == "link" else []),
    ]


def _child(root: Path, at: str, replaced: str, die_at: int, said: int) -> None:
    """Commit and put in this process, and be killed at step `die_at`; says which were acknowledged."""
    patched = pytest.MonkeyPatch()
    count = 0

    def seen(_name: str, _args: tuple[Any, ...]) -> None:
        nonlocal count
        count += 1
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    store = LocalStore(root)
    real_write = os.write
    traced(patched, seen)
    commit(store, at)
    real_write(said, b"C")
    store.put(replaced, b"new")
    real_write(said, b"P")
    os._exit(0)


@pytest.mark.usefixtures("renaming")
def test_killed_at_any_step_an_object_is_whole_or_not_there(tmp_path: Path) -> None:
    """Kill -9 before each system call in turn: acknowledged is there, and never half an object."""
    die_at, finished = 0, False
    while not finished:
        die_at += 1
        root = tmp_path / str(die_at)
        store = LocalStore(root)
        at, replaced = instance_place(new_id(), new_id()), manifest_place(new_id())
        store.put(replaced, b"old")
        readable, said = os.pipe()
        child = os.fork()
        if child == 0:
            _child(root, at, replaced, die_at, said)
        os.close(said)
        _, status = os.waitpid(child, 0)
        acknowledged = os.read(readable, 10)
        os.close(readable)
        finished = os.WIFEXITED(status)
        whole = b"h" * 10 + b"p" * 1000
        there = [store.read(place) for place, _ in store.list("objects") if place == at]
        assert there in ([], [whole])
        assert there or b"C" not in acknowledged
        assert store.read(replaced) in ((b"new",) if b"P" in acknowledged else (b"old", b"new"))
        store.sweep()
        assert list((root / "incoming").iterdir()) == []
    assert die_at > 25
