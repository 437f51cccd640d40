"""Files the command line writes: new ones only, readable by their owner only, whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from huisclos.errors import Conflict, Full, LooseSecret, NotFound, Unreachable


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that is not there yet, durably. Raises `Conflict`, `NotFound`, `Full`, `Unreachable`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise Conflict(f"{path} is there already; nothing is overwritten", hint="name another file") from None
    except FileNotFoundError:
        raise NotFound(f"the folder of {path} does not exist") from None
    except OSError as error:
        raise Unreachable(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        kind = Full if error.errno in {errno.ENOSPC, errno.EDQUOT} else Unreachable
        raise kind(f"{path} cannot be written: {error.strerror}") from None


def check_outside(path: Path, root: Path, what: str) -> None:
    """Raises `LooseSecret` when `path` lies inside the archive at `root`."""
    if path.resolve().is_relative_to(root.resolve()):
        raise LooseSecret(
            f"{what} would lie inside the archive it opens", hint="name a place on another disk, or on paper"
        )


def read_public(path: Path, what: str) -> bytes:
    """The bytes of a file that is no secret. Raises `NotFound`, `Unreachable`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{what} is not there: {path}") from None
    except OSError as error:
        raise Unreachable(f"{what} cannot be read: {error.strerror}") from None
