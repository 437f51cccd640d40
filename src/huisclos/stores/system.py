"""The few system calls of a durable local store, with the house's errors instead of errno."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Final

from huisclos.errors import Full, Unreachable

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
STAMP: Final = 315_532_800 * 10**9
"""Nanoseconds: 1980-01-01, the time stamp of every committed file. Times say when somebody was examined."""

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_NOT_KNOWN: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM})
"""What a kernel, a file system or a filter of system calls says that has no `renameat2`."""
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_AT_ONCE: Final = 512
"""Pieces in one call; Linux takes 1,024 (`IOV_MAX`)."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn an `OSError` into `Full` or `Unreachable`; the path is no part of the sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Full("the store has no room left", hint="free some room; nothing is lost") from error
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise Unreachable(f"the store failed: {reason}") from error


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Append all of `data`, however the kernel splits it."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def write_at(descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write all of `pieces`, one behind the other from `offset` on; how many bytes that were."""
    at = offset
    for start in range(0, len(pieces), _AT_ONCE):
        some = pieces[start : start + _AT_ONCE]
        end = at + sum(map(len, some))
        at += os.pwritev(descriptor, some, at)
        if at < end:
            # the kernel took less: once more, and it says why, or takes the rest
            left = memoryview(b"".join(some))[at - end :]
            while left:
                done = os.pwrite(descriptor, left, at)
                left, at = left[done:], at + done
    return at - offset


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, fewer only at the end of the file."""
    pieces = []
    while length > 0:
        piece = os.pread(descriptor, length, offset)
        if not piece:
            break
        pieces.append(piece)
        offset, length = offset + len(piece), length - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def copy_all(source: int, target: int) -> None:
    """Append the whole of `source` to `target`, a megabyte at a time."""
    offset = 0
    while piece := os.pread(source, 1 << 20, offset):
        write_all(target, piece)
        offset += len(piece)


def rename_new(old: str, new: str) -> bool:
    """Give the file at `old` the name `new`, over nothing. Raises `FileExistsError`, `OSError`.

    True if it has only that name now; False where the system renames over what is there or not at
    all, and both names are the file's.
    """
    if _rename is not None:
        if not _rename(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE):
            return True
        number = ctypes.get_errno()
        if number not in _NOT_KNOWN:
            raise OSError(number, os.strerror(number))
    os.link(old, new)
    return False


def sync_folder(folder: str) -> None:
    """Make the entries of a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_rename: Final = getattr(_LIBC, "renameat2", None)
"""In the GNU library from 2.28 on, in musl from 1.2.5 on."""
