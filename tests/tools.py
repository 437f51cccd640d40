"""What a test leans on outside the project: a peer's program, a library, the shared vectors.

An absent one skips the test with its reason; in CI, where `.ci/run` has installed them all, an
absent program or library fails instead, so that a green run cannot hide a missing peer.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final, NoReturn

import pytest

PROJECT: Final = Path(__file__).resolve().parents[1]
"""The project's root."""

_ADMIN_PATHS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


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
