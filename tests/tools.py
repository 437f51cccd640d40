"""What a test leans on outside the project: a peer's program, a library, the shared vectors.

An absent one skips the test with its reason; in CI, where `.ci/run` has installed them all, an
absent program or library fails instead, so that a green run cannot hide a missing peer.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
import shutil
import socket
from pathlib import Path
from typing import Final, NoReturn

import pytest

PROJECT: Final = Path(__file__).resolve().parents[1]
"""The project's root."""

_ADMIN_PATHS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


_LANES: Final = 16
"""At most this many processes run tests beside each other, each with ports of its own."""
_LANE: Final = int(os.environ.get("PYTEST_XDIST_WORKER", f"gw{_LANES - 1}").removeprefix("gw")) % _LANES
_PORTS: Final = range(20_000 + _LANE, 27_000, _LANES)
_ports: Final = itertools.islice(itertools.cycle(_PORTS), random.randrange(len(_PORTS)), None)


def free_port() -> int:
    """A loopback TCP port that nobody listens on, another at each call.

    Not one the system gives: it gives the same again, to a test beside this one or to an outgoing
    connection, before the server that a test starts has come to listen (seen once in some 50 runs).
    """
    for port in itertools.islice(_ports, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    pytest.fail("no free port", pytrace=False)


def need(*names: str) -> None:
    """Skip the running test unless every one of `names` is here; fail it when `CI` is set.

    A name is a program on the path (`"storescu"`), or a library after `python:`
    (`"python:pynetdicom"`).
    """
    absent = [name for name in names if not _present(name)]
    if absent:
        _give_up(f"needs {', '.join(absent)}", fail=bool(os.environ.get("CI")))


def program(name: str) -> str:
    """The path of the program `name`, as `need` finds it; skips or fails as `need` does."""
    need(name)
    found = _which(name)
    assert found is not None
    return found


def shared(*parts: str) -> Path:
    """A file or folder of `../shared`, the test vectors that lie beside the project.

    Skips when it is absent, since a clone may come without them; fails instead when
    `HUISCLOS_REQUIRE_SHARED` is set.
    """
    wanted = PROJECT.parent.joinpath("shared", *parts)
    if not wanted.exists():
        reason = f"needs ../shared/{'/'.join(parts)} beside the project"
        _give_up(reason, fail=bool(os.environ.get("HUISCLOS_REQUIRE_SHARED")))
    return wanted


def _give_up(reason: str, *, fail: bool) -> NoReturn:
    if fail:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _present(name: str) -> bool:
    kind, _, library = name.rpartition(":")
    if kind == "python":
        return importlib.util.find_spec(library) is not None
    return _which(name) is not None


def _which(name: str) -> str | None:
    # Debian keeps some servers (Orthanc) where only root's path leads.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMIN_PATHS))
    return shutil.which(name, path=path)
