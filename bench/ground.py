"""Where benches keep what they write, and a disk at rest before each measure.

ext4 without a journal looks, for each file made, at every inode freed in the last minutes near its folder: up
to 1 ms a file here after a test or a bench had removed thousands (most of all processor time of a stored
instance). What others removed is not what is measured, of neither side; nor is the writing of what a bench
itself has just laid out to be sent.
"""

from __future__ import annotations

import array
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_TOP_FOLDER: Final = 0x00020000
"""`chattr +T`: folders made in it are spread over the disk, each with inodes of its own."""


@contextmanager
def ground() -> Iterator[Path]:
    """A folder for one bench, removed after it; each folder made in it lies apart from the others."""
    with tempfile.TemporaryDirectory(prefix="hcbench") as work:
        with suppress(OSError):  # another file system
            _spread(work)
        yield Path(work)


@contextmanager
def desk() -> Iterator[Path]:
    """A folder for what a bench sends, in memory where there is such a place: remove what was sent.

    A virtual machine may have to fetch each page of memory it never used: what is received then costs
    twice its time once some gigabytes of what was sent have gone by.
    """
    memory = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(
        prefix="hcbench", dir=memory if os.access(memory, os.W_OK) else None
    ) as work:
        yield Path(work)


def at_rest() -> None:
    """Wait until the disk has taken what was written until now."""
    os.sync()


def _spread(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(descriptor, _GET_FLAGS, flags, True)
        flags[0] |= _TOP_FOLDER
        fcntl.ioctl(descriptor, _SET_FLAGS, flags)
    finally:
        os.close(descriptor)
