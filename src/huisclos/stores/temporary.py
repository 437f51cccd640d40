"""Files that an object is written into before it has its place, and what a dead writer left of them."""

from __future__ import annotations

import contextlib
import fcntl
import os

from huisclos.stores.system import FILE_MODE, STAMP


class Temporary:
    """A file nobody else sees: locked as long as its writer lives."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.moved = False
        """whether it was renamed to the place of an object"""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, or no more of them
            self.remove()
            raise

    def alive(self) -> bool:
        """False if a sweep came between making and locking it."""
        if os.fstat(self.descriptor).st_nlink:
            return True
        os.close(self.descriptor)
        return False

    def flush(self) -> None:
        """Bytes and length survive power loss after this."""
        os.utime(self.descriptor, ns=(STAMP, STAMP))
        os.fdatasync(self.descriptor)

    def remove(self) -> None:
        """The temporary name goes, if the file still has it; what was linked elsewhere stays."""
        if self.descriptor < 0:
            return
        descriptor, self.descriptor = self.descriptor, -1
        try:
            if not self.moved:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
        finally:
            os.close(descriptor)


def sweep_one(path: str) -> int:
    """Remove one whose writer is dead: 1, or 0 if there was nothing to remove. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        return 0  # its writer lives, or has just finished
    finally:
        os.close(descriptor)
    return 1
