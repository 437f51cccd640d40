"""What a process gave up stays given up: each claim is tried in a child of the test's own."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from huisclos import confine
from huisclos.confine.landlock import landlock_abi

LANDLOCK = pytest.mark.skipif(landlock_abi() == 0, reason="this kernel has no Landlock")


def _apart(body: Callable[[], None]) -> None:
    """Run `body` in a forked child, and fail with its traceback."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        except BaseException:  # noqa: BLE001 - the child has nobody else to tell
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    assert status == 0, said or status


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except PermissionError:
        return
    raise AssertionError("it was not refused")


def test_core_files_and_dumps() -> None:
    """No core file, not dumpable, and `describe` says so."""

    def body() -> None:
        assert not confine.describe()["no_new_privs"]
        assert confine.no_core()
        assert confine.non_dumpable()
        assert confine.no_new_privs()
        found = confine.describe()
        assert found["no_core"]
        assert found["non_dumpable"]
        assert found["no_new_privs"]
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)

    _apart(body)


@LANDLOCK
def test_landlock_keeps_to_its_paths(tmp_path: Path) -> None:
    """What may be read is read, what may be written is written, and nothing else."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "file").write_text("there")

    def body() -> None:
        confine.no_new_privs()
        assert confine.landlock(read=[tmp_path / "in", tmp_path / "absent"], write=[tmp_path / "out"])
        assert (tmp_path / "in" / "file").read_text() == "there"
        (tmp_path / "out" / "new").write_text("x")
        (tmp_path / "out" / "new").unlink()
        _refused(lambda: (tmp_path / "in" / "file").write_text("no"))
        _refused(lambda: (tmp_path / "other").write_text("no"))
        _refused(lambda: Path("/etc/hostname").read_text())
        _refused(lambda: list(Path("/").iterdir()))
        _refused(lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))  # noqa: S606 - it is refused
        assert confine.describe()["landlock"]

    _apart(body)


@LANDLOCK
def test_landlock_forbids_ports() -> None:
    """Only the port named can be connected to, none bound."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        allowed, forbidden = one.getsockname(), other.getsockname()

        def body() -> None:
            confine.no_new_privs()
            assert confine.landlock(read=[Path("/")], connect_tcp=[allowed[1]], bind_tcp=[])
            socket.create_connection(allowed).close()
            _refused(lambda: socket.create_connection(forbidden))
            _refused(lambda: socket.create_server(("127.0.0.1", 0)))

        _apart(body)


def test_seccomp_refuses_by_name(tmp_path: Path) -> None:
    """Programs, processes, the network and spying are refused; threads and open files go on."""
    with socket.create_server(("127.0.0.1", 0)) as server, (tmp_path / "file").open("w") as kept:
        address = server.getsockname()

        def body() -> None:
            confine.no_new_privs()
            denied = (*confine.EXEC, *confine.SPY, *confine.NETWORK, *confine.KERNEL, confine.PROCESSES)
            assert confine.seccomp_deny(denied)
            assert confine.describe()["seccomp"]
            _refused(os.fork)
            _refused(lambda: subprocess.run(["true"], check=True))
            _refused(lambda: os.execv("/bin/true", ["true"]))  # noqa: S606 - it is refused
            _refused(lambda: socket.create_connection(address))
            _refused(socket.socket)
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.ptrace(0, 0, 0, 0) == -1
            worked: list[int] = []
            thread = threading.Thread(target=worked.append, args=(1,))
            thread.start()
            thread.join()
            assert worked == [1]
            kept.write("still open")
            kept.flush()

        _apart(body)
    assert (tmp_path / "file").read_text() == "still open"


def test_seccomp_allows_only_to_compute() -> None:
    """With the list for computing, nothing can be opened, started or made executable."""

    def body() -> None:
        confine.no_new_privs()
        assert confine.seccomp_allow((*confine.COMPUTE, "prctl"))
        assert sum(range(1000)) == 499500
        assert len(bytearray(50_000_000)) == 50_000_000
        _refused(lambda: Path("/etc/hostname").read_text())
        _refused(os.fork)
        _refused(socket.socket)
        _refused(lambda: os.kill(os.getppid(), 0))
        _refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
        mmap.mmap(-1, 4096).close()

    _apart(body)


def test_unknown_names_are_mistakes() -> None:
    """A name that no machine knows is a programmer's error, found at once."""
    with pytest.raises(KeyError):
        confine.seccomp_deny(["opne"])


def test_limits_only_lower() -> None:
    """Bounds are set, and not raised again."""

    def body() -> None:
        confine.limit(open_files=50, cpu_seconds=7, memory=2**33, file_bytes=0, processes=1000)
        confine.limit(open_files=500)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (50, 50)
        assert resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0)

    _apart(body)


def test_every_descriptor_is_closed_but_those_kept() -> None:
    """Standard input and output too."""
    reading, writing = os.pipe()

    def body() -> None:
        extra = os.dup(reading)
        confine.close_all_but(writing)
        for descriptor in (0, 1, 2, reading, extra):
            try:
                os.fstat(descriptor)
            except OSError:
                continue
            raise AssertionError(descriptor)
        os.fstat(writing)

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            body()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(reading)
    os.close(writing)


def test_separation_is_named() -> None:
    """Full, partial, none."""
    all_of_it = dict.fromkeys(confine.describe(), True)
    assert confine.separation(all_of_it) is confine.Separation.FULL
    assert confine.separation({**all_of_it, "landlock": False}) is confine.Separation.PARTIAL
    assert confine.separation({**all_of_it, "landlock": False, "seccomp": False}) is confine.Separation.NONE
