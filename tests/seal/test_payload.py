"""Reading sealed objects by range."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from huisclos.errors import NoIdentityMatch, Tampered, Unreadable
from huisclos.seal import (
    CHUNK,
    SEALED_CHUNK,
    X25519_OVERHEAD,
    Memory,
    X25519Identity,
    open_at,
    open_with,
    seal,
)

IDENTITY = X25519Identity(bytes(range(1, 33)))
PLAIN = os.urandom(40 * CHUNK + 12_345)
SEALED = seal(PLAIN, [IDENTITY.recipient])
FULL = os.urandom(20 * CHUNK)
SEALED_FULL = seal(FULL, [IDENTITY.recipient])


class Counting:
    """A source that keeps what was asked of it, and can answer short."""

    def __init__(self, data: bytes, *, short: int = 0) -> None:
        self.size = len(data)
        self.asked: list[tuple[int, int]] = []
        self._data = data
        self._short = short

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes, less `short` of them after the first reads."""
        self.asked.append((offset, length))
        short = self._short if len(self.asked) > 2 else 0
        return self._data[offset : offset + length - short]


@given(st.integers(0, len(PLAIN) + 10), st.integers(0, len(PLAIN) + 10))
@example(0, len(PLAIN))
@example(CHUNK, 2 * CHUNK)
@example(CHUNK - 1, 2)
@example(len(PLAIN) - 12_345, 12_345)
@example(0, 40 * CHUNK)
@settings(max_examples=80, deadline=None)
def test_any_range(offset: int, length: int) -> None:
    """Any range is the same range of the plaintext, also when asked in any order."""
    assert OPENED.read_at(offset, length) == PLAIN[offset : offset + length]
    full = OPENED_FULL.read_at(offset % (len(FULL) + 1), length)
    assert full == FULL[offset % (len(FULL) + 1) :][:length]


OPENED = open_at(Memory(SEALED), [IDENTITY]).payload
OPENED_FULL = open_at(Memory(SEALED_FULL), [IDENTITY]).payload


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 17 * CHUNK])
def test_pieces(size: int) -> None:
    """The pieces of a payload make it whole, from any offset, for any length."""
    plain = os.urandom(size)
    payload = open_at(Memory(seal(plain, [IDENTITY.recipient])), [IDENTITY]).payload
    assert payload.size == size
    assert b"".join(payload.pieces()) == plain
    assert b"".join(payload.pieces(size // 3, size // 2)) == plain[size // 3 : size // 3 + size // 2]


def test_one_frame_reads_only_its_chunks() -> None:
    """Opening reads the header and the last chunk; a frame, then, its own chunks in one go."""
    source = Counting(SEALED)
    payload = open_at(source, [IDENTITY]).payload
    assert [length for _, length in source.asked] == [4096, 12_345 + 16]
    source.asked.clear()
    payload.read_at(10 * CHUNK, 3 * CHUNK)
    assert source.asked == [(X25519_OVERHEAD + 10 * SEALED_CHUNK, 3 * SEALED_CHUNK)]
    source.asked.clear()
    for at in range(0, CHUNK, 1000):
        payload.read_at(5 * CHUNK + at, 100)
    assert len(source.asked) == 1


def test_truncated_objects_never_open() -> None:
    """Cut anywhere in its payload, an object does not open by range at all."""
    for length in (len(SEALED) - 1, len(SEALED) - 12_345 - 16, X25519_OVERHEAD + 5 * SEALED_CHUNK):
        with pytest.raises(Tampered):
            open_at(Memory(SEALED[:length]), [IDENTITY])
    for length in (0, 100, X25519_OVERHEAD - 1):
        with pytest.raises(Unreadable):
            open_at(Memory(SEALED[:length]), [IDENTITY])


def test_changed_chunk_gives_nothing() -> None:
    """A range that touches a changed chunk raises; others are still read."""
    changed = bytearray(SEALED)
    changed[X25519_OVERHEAD + 7 * SEALED_CHUNK] ^= 1
    payload = open_at(Memory(changed), [IDENTITY]).payload
    assert payload.read_at(0, 7 * CHUNK) == PLAIN[: 7 * CHUNK]
    assert payload.read_at(8 * CHUNK, len(PLAIN)) == PLAIN[8 * CHUNK :]
    for offset, length in ((7 * CHUNK, 1), (6 * CHUNK, 3 * CHUNK), (0, len(PLAIN))):
        with pytest.raises(Tampered):
            payload.read_at(offset, length)


def test_short_answer_is_a_truncated_object() -> None:
    """A source that answers short is never taken for the end."""
    payload = open_at(Counting(SEALED, short=1), [IDENTITY]).payload
    with pytest.raises(Tampered):
        payload.read_at(0, 10)
    with pytest.raises(Tampered):
        payload.read_at(0, 5 * CHUNK)


def test_negative_range_is_a_mistake() -> None:
    """A negative offset or length is refused, never counted from the end."""
    for offset, length in ((-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="negative"):
            OPENED.read_at(offset, length)


def test_open_with_a_kept_file_key() -> None:
    """The file key alone opens; that of another object does not pass the header's MAC."""
    opened = open_at(Memory(SEALED), [IDENTITY])
    assert open_with(Memory(SEALED), opened.file_key).payload.read_at(3, 5) == PLAIN[3:8]
    assert opened.file_key.hex() not in repr(opened)
    assert repr(opened.file_key) not in repr(opened)
    with pytest.raises(Tampered):
        open_with(Memory(SEALED_FULL), opened.file_key)
    with pytest.raises(NoIdentityMatch):
        open_at(Memory(SEALED), [X25519Identity.generate()])


def test_a_long_header_is_read_to_its_end() -> None:
    """A header longer than the first read, or ending right at its edge, is found all the same."""
    for count in (40, 41, 42, 400):
        sealed = seal(b"plain", [IDENTITY.recipient] * count)
        opened = open_at(Counting(sealed), [IDENTITY])
        assert opened.payload.read_at(0, 9) == b"plain"
        assert opened.header_length == len(sealed) - 16 - 21
