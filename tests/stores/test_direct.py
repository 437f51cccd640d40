"""The way past the page cache: the same bytes as by any other, whatever the length and the file system."""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huisclos.archive.ports import LONGEST_ROOM
from huisclos.stores import direct
from huisclos.stores.direct import BLOCK, SHEET, WORTH_IT, DirectFile

LEAD = b"h" * 200
EDGES = [0, 1, BLOCK - len(LEAD), WORTH_IT - len(LEAD), SHEET - len(LEAD), SHEET, 2 * SHEET, 2 * SHEET + 777]


def no_flag(path: str, flags: int, mode: int = 0o777) -> int:
    """A file system that does not know of the way."""
    if flags & os.O_DIRECT:
        raise OSError(errno.EINVAL, "no such flag")
    return REAL_OPEN(path, flags, mode)


def no_writing(descriptor: int, pieces: Sequence[memoryview], offset: int) -> int:
    """A file system that takes the flag, and then no writing."""
    if _is_direct(descriptor):
        raise OSError(errno.EINVAL, "not aligned")
    return REAL_PWRITEV(descriptor, pieces, offset)


REAL_OPEN, REAL_PWRITEV = os.open, os.pwritev


def _is_direct(descriptor: int) -> bool:
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text().split("flags:")[1].split()[0]
    return bool(int(facts, 8) & os.O_DIRECT)


@pytest.fixture(params=["as it is", "no flag", "no writing"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system makes of the flag."""
    if request.param == "no flag":
        monkeypatch.setattr(os, "open", no_flag)
    elif request.param == "no writing":
        monkeypatch.setattr(os, "pwritev", no_writing)
    return str(request.param)


def pieces_of(payload: bytes, size: int) -> Iterator[bytes]:
    """Cut it."""
    return (payload[at : at + size] for at in range(0, len(payload), size))


def written(path: Path, payload: bytes, size: int, *, in_thread: bool = False) -> bytes:
    """What lies in the file after `payload` went into it, `size` bytes at a time."""
    content = DirectFile(len(LEAD))
    for piece in pieces_of(payload[:SHEET], size):
        content.room(len(piece))[:] = piece
    descriptor = REAL_OPEN(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    content.into(descriptor, str(path))
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            content.write()

    thread = threading.Thread(target=write)
    if in_thread:
        thread.start()
    for piece in pieces_of(payload[SHEET:], size):
        content.room(len(piece))[:] = piece
        if not in_thread:
            content.write()
    over.set()
    if in_thread:
        thread.join()
    content.finish(LEAD)
    content.close()
    content.close()
    os.close(descriptor)
    return path.read_bytes()


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("length", EDGES)
def test_every_length_on_every_file_system(tmp_path: Path, length: int) -> None:
    """Header in front, payload behind it, nothing more."""
    payload = os.urandom(length)
    assert written(tmp_path / "file", payload, LONGEST_ROOM) == LEAD + payload


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, 3 * SHEET), size=st.integers(1000, LONGEST_ROOM), in_thread=st.booleans())
def test_any_length_in_any_pieces(tmp_path: Path, length: int, size: int, in_thread: bool) -> None:
    """Also while another thread writes what is full."""
    payload = os.urandom(length)
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    assert written(path, payload, size, in_thread=in_thread) == LEAD + payload


def test_whole_blocks_do_pass_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system knows of the way: all but the end of a file that is long enough."""
    ways: list[tuple[bool, int]] = []

    def noting(descriptor: int, pieces: Sequence[memoryview], offset: int) -> int:
        ways.append((_is_direct(descriptor), sum(map(len, pieces))))
        return REAL_PWRITEV(descriptor, pieces, offset)

    monkeypatch.setattr(os, "pwritev", noting)
    written(tmp_path / "long", bytes(WORTH_IT + 10), LONGEST_ROOM)
    try:
        os.close(REAL_OPEN(tmp_path / "long", os.O_WRONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("this file system has no way past its cache")
    assert ways == [(True, WORTH_IT), (False, len(LEAD) + 10)]
    ways.clear()
    written(tmp_path / "short", bytes(WORTH_IT - 1000), LONGEST_ROOM)
    assert ways == [(False, WORTH_IT - 1000 + len(LEAD))]


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a file system that lacks the way."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(OSError, match="full"):
        written(tmp_path / "file", bytes(SHEET), LONGEST_ROOM)


def test_memory_is_used_again_and_not_hoarded(tmp_path: Path) -> None:
    """One sheet serves file after file; of many used at once, a few are kept."""
    direct._spare.clear()
    for number in range(3):
        written(tmp_path / f"a{number}", bytes(SHEET), LONGEST_ROOM)
    assert len(direct._spare) <= 2
    many = [DirectFile(0) for _ in range(20)]
    for one in many:
        one.close()
    assert 2 < len(direct._spare) <= 8
    assert all(isinstance(sheet, mmap.mmap) for sheet in direct._spare)


def test_a_process_forked_meanwhile_writes_into_memory_of_its_own() -> None:
    """Else two processes that store at one time would each seal over what the other is about to write."""
    content = DirectFile(0)
    room = content.room(4)
    room[:] = b"ours"
    child = os.fork()
    if not child:
        room[:] = b"his "
        os._exit(0)
    os.waitpid(child, 0)
    assert bytes(room) == b"ours"
    room.release()
    content.close()
