"""Every public age vector, whole, streamed, by range, and its header encoded again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from huisclos.errors import HuisclosError, NoIdentityMatch, Tampered, TooLarge, Unreadable
from huisclos.seal import (
    CHUNK,
    Header,
    Memory,
    armor,
    dearmor,
    header_facts,
    open_at,
    open_with,
    unseal,
    unseal_stream,
)
from tests.seal.vectors import NEEDS_HYBRID, Vector, names, vector
from tests.tools import shared

EXPECTED: dict[str, type[HuisclosError]] = {
    "armor failure": Unreadable,
    "header failure": Unreadable,
    "HMAC failure": Tampered,
    "no match": NoIdentityMatch,
    "payload failure": Tampered,
}
APPLICABLE = [name for name in names() if name not in NEEDS_HYBRID]


def binary(one: Vector) -> bytes:
    """The sealed bytes, taken out of their armor if they wear one."""
    return dearmor(one.body) if one.armored else one.body


def pieces(data: bytes, length: int) -> Iterator[bytes]:
    """`data` cut into pieces of `length` bytes."""
    return (data[at : at + length] for at in range(0, len(data), length))


def test_every_vector_is_here() -> None:
    """The folder holds all vectors, and each one set aside exists."""
    shared("vectors", "age")
    assert len(names()) == 143
    assert set(names()) >= NEEDS_HYBRID


@pytest.mark.parametrize("name", APPLICABLE)
def test_whole(name: str) -> None:
    """A vector unsealed at once gives its payload, or the error its expectation calls for."""
    one = vector(name)
    if one.expect == "success":
        assert hashlib.sha256(unseal(binary(one), one.identities)).hexdigest() == one.payload_digest
        return
    with pytest.raises(EXPECTED[one.expect]):
        unseal(binary(one), one.identities)


@pytest.mark.parametrize("length", [1, 17, 4096, CHUNK, CHUNK + 16, 1 << 20])
@pytest.mark.parametrize("name", APPLICABLE)
def test_streamed(name: str, length: int) -> None:
    """Streamed in pieces of any length, exactly the vector's plaintext is released before a failure."""
    one = vector(name)
    if length == 1 and len(one.body) > 3 * CHUNK:
        length = 11
    released = hashlib.sha256()
    found: HuisclosError | None = None
    try:
        for opened in unseal_stream(pieces(binary(one), length), one.identities):
            released.update(opened)
    except HuisclosError as error:
        found = error
    if one.expect == "success":
        assert found is None
    else:
        assert isinstance(found, EXPECTED[one.expect])
    assert released.hexdigest() == (one.payload_digest or hashlib.sha256().hexdigest())


@pytest.mark.parametrize("name", APPLICABLE)
def test_by_range(name: str) -> None:
    """Read by range, backwards and in odd lengths, a good vector gives its payload; a bad one fails."""
    one = vector(name)
    if one.expect != "success":
        with pytest.raises(EXPECTED[one.expect]):
            _backwards(binary(one), one)
        return
    assert hashlib.sha256(_backwards(binary(one), one)).hexdigest() == one.payload_digest


def _backwards(sealed: bytes, one: Vector) -> bytes:
    payload = open_at(Memory(sealed), one.identities).payload
    step = 40_000
    starts = range(0, payload.size, step)
    return b"".join(reversed([payload.read_at(at, step) for at in reversed(starts)]))


@pytest.mark.parametrize("name", names())
def test_header_is_encoded_again(name: str) -> None:
    """Whatever header is accepted is encoded again to the same bytes; armor likewise, but for its ends."""
    one = vector(name)
    if one.expect == "armor failure":
        with pytest.raises(Unreadable):
            dearmor(one.body)
        return
    sealed = binary(one)
    if one.armored:
        assert armor(sealed).split() == one.body.decode().split()
    try:
        header = Header.parse(sealed)
    except (Unreadable, TooLarge):
        assert one.expect == "header failure"
        return
    assert header.encode() == sealed[: header.length]
    assert header.mac == Header.make(header.stanzas, one.file_key).mac or one.expect in (
        "HMAC failure",
        "header failure",
    )


@pytest.mark.parametrize("name", sorted(NEEDS_HYBRID))
def test_hybrid_is_left_alone(name: str) -> None:
    """A hybrid stanza is passed over, never an error of ours, and the object opens with its file key."""
    one = vector(name)
    sealed = binary(one)
    with pytest.raises(NoIdentityMatch):
        unseal(sealed, one.identities)
    if one.expect == "success":
        sealed_object = open_with(Memory(sealed), one.file_key)
        opened = sealed_object.payload.read_at(0, sealed_object.payload.size)
        assert hashlib.sha256(opened).hexdigest() == one.payload_digest
        facts = header_facts(sealed)
        assert facts == (
            sealed_object.header_length,
            sealed_object.header_mac,
            sealed_object.payload_nonce,
        )
