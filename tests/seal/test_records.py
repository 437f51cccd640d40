"""Sealed records and keyed tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import Tampered, TooLarge
from huisclos.seal import MAX_RECORD, RecordKey

KEY = RecordKey(bytes(range(32)))


@given(st.binary(max_size=2000), st.binary(max_size=40))
def test_round_trip_and_padding(plain: bytes, context: bytes) -> None:
    """A record comes back in its context, and its length shows only a multiple of 64 or 256."""
    sealed = KEY.seal_record(plain, context)
    assert KEY.open_record(sealed, context) == plain
    inner = len(sealed) - 28
    assert inner % (64 if inner <= 1024 else 256) == 0
    assert inner - 4 - len(plain) < 256


@given(st.integers(0), st.integers(1, 255))
def test_any_changed_byte_is_detected(at: int, mask: int) -> None:
    """One changed byte anywhere, and the record does not open."""
    sealed = bytearray(KEY.seal_record(b"an invented name", b"study 1"))
    sealed[at % len(sealed)] ^= mask
    with pytest.raises(Tampered):
        KEY.open_record(bytes(sealed), b"study 1")


def test_a_record_opens_in_its_place_only() -> None:
    """Another context, another key, a cut record, an empty one: none opens."""
    sealed = KEY.seal_record(b"row", b"study 1")
    with pytest.raises(Tampered):
        KEY.open_record(sealed, b"study 2")
    with pytest.raises(Tampered):
        RecordKey(RecordKey.generate()).open_record(sealed, b"study 1")
    for cut in (b"", sealed[:20], sealed[:-1]):
        with pytest.raises(Tampered):
            KEY.open_record(cut, b"study 1")


def test_padding_is_checked() -> None:
    """A record padded otherwise than we pad, by whoever holds the key, is refused."""
    nonce = bytes(12)
    for filled in (b"\0\0\0\2ab", b"\0\0\0\2ab" + bytes(122), b"\xff" * 64):
        sealed = nonce + KEY._aead.encrypt(nonce, filled, b"")
        with pytest.raises(Tampered):
            KEY.open_record(sealed, b"")


def test_bounds_and_secrets() -> None:
    """Too large a record is refused, a key has one length, and repr shows nothing of it."""
    with pytest.raises(TooLarge):
        KEY.seal_record(bytes(MAX_RECORD + 1), b"")
    with pytest.raises(ValueError, match="32 bytes"):
        RecordKey(bytes(16))
    assert repr(KEY) == "RecordKey(hidden)"


def test_tokens() -> None:
    """A token is the same for the same value, kind and key, and different otherwise."""
    token = KEY.token("StudyUID", "1.2.3")
    assert token == KEY.token("StudyUID", "1.2.3")
    assert len(token) == 16
    others = {KEY.token("SeriesUID", "1.2.3"), KEY.token("StudyUID", "1.2.4"), KEY.token("StudyUID1", ".2.3")}
    others.add(RecordKey(bytes(32)).token("StudyUID", "1.2.3"))
    assert len(others | {token}) == 5
