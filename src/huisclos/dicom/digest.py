"""The digest by which two copies of an instance are the same: SHA-256 of the data set, not of the file.

The file meta differs by the road a copy took; the data set is what was sent.
"""

from __future__ import annotations

import hashlib

from huisclos.dicom.part10 import MAX_META, read_part10


class DataSetDigest:
    """Takes the bytes of a data set as they come."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(piece)

    def digest(self) -> bytes:
        """32 bytes."""
        return self._hash.digest()


def digest_of_file(content: bytes) -> bytes:
    """The digest of the data set in a whole Part 10 file. Raises as `read_part10` does."""
    offset = read_part10(content[: 2 * MAX_META]).data_offset
    return hashlib.sha256(memoryview(content)[offset:]).digest()
