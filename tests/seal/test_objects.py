"""Sealing and unsealing: round trips, every kind of damage, recipients, the incremental sealer."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.errors import HuisclosError, NoIdentityMatch, Tampered, TooLarge, Unreadable, Usage
from huisclos.seal import (
    CHUNK,
    MAX_STANZAS,
    PAYLOAD_NONCE,
    SEALED_CHUNK,
    X25519_HEADER_LENGTH,
    X25519_OVERHEAD,
    Header,
    ScryptIdentity,
    ScryptRecipient,
    Sealer,
    Stanza,
    X25519Identity,
    X25519Recipient,
    header_end,
    header_facts,
    plain_size,
    rewrap,
    seal,
    seal_stream,
    sealed_size,
    unseal,
    unseal_stream,
)

IDENTITY = X25519Identity(bytes(range(1, 33)))
OTHER = X25519Identity(bytes(range(2, 34)))
SIZES = [0, 1, 65535, 65536, 65537, 2 * CHUNK, 2 * CHUNK + 1, 1_000_003]


def streamed(sealed: bytes, step: int = 50_000) -> bytes:
    """Unsealed from pieces of `step` bytes."""
    return b"".join(unseal_stream(_pieces(sealed, step), [IDENTITY]))


def _pieces(data: bytes, step: int) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(size: int) -> None:
    """What is sealed at once opens at once and in pieces, at each length where chunks begin or end."""
    plain = os.urandom(size)
    sealed = seal(plain, [IDENTITY.recipient])
    assert len(sealed) == X25519_OVERHEAD + sealed_size(size)
    assert plain_size(len(sealed) - X25519_OVERHEAD) == size
    assert unseal(sealed, [OTHER, IDENTITY]) == plain
    assert streamed(sealed) == plain


@given(st.lists(st.integers(0, 3 * CHUNK), max_size=6), st.integers(1, 3 * SEALED_CHUNK))
@settings(max_examples=60, deadline=None)
def test_pieces_do_not_matter(lengths: list[int], step: int) -> None:
    """However the plaintext and the sealed bytes are cut, the same plaintext comes out."""
    pieces = [os.urandom(length) for length in lengths]
    sealed = b"".join(seal_stream(pieces, [IDENTITY.recipient]))
    assert unseal(sealed, [IDENTITY]) == b"".join(pieces)
    assert streamed(sealed, step) == b"".join(pieces)


def test_each_object_has_its_own_key() -> None:
    """The same plaintext never gives the same bytes twice."""
    first, second = (seal(b"same", [IDENTITY.recipient]) for _ in range(2))
    assert first[X25519_HEADER_LENGTH:] != second[X25519_HEADER_LENGTH:]


@pytest.mark.parametrize("way", [lambda s: unseal(s, [IDENTITY]), streamed], ids=["whole", "streamed"])
def test_any_changed_byte_is_detected(way: object) -> None:
    """Each single bit pattern flipped anywhere in a small object makes it fail to open."""
    assert callable(way)
    sealed = seal(b"an invented name, 1970-01-01", [IDENTITY.recipient])
    for at in range(len(sealed)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(sealed)
            changed[at] ^= mask
            with pytest.raises(HuisclosError):
                way(bytes(changed))


@given(st.integers(0), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_of_many_chunks_is_detected(at: int, mask: int) -> None:
    """One changed byte of a payload of several chunks is detected, whole and streamed."""
    changed = bytearray(LONG)
    changed[at % len(LONG)] ^= mask
    with pytest.raises(HuisclosError):
        unseal(changed, [IDENTITY])
    with pytest.raises(HuisclosError):
        streamed(bytes(changed))


LONG_PLAIN = bytes(range(256)) * 1024
LONG = seal(LONG_PLAIN + b"end", [IDENTITY.recipient])


def test_truncation_is_detected_at_any_length() -> None:
    """A small object cut anywhere does not open; a long one cut at a chunk's end neither."""
    sealed = seal(b"plain", [IDENTITY.recipient])
    cut = [sealed[:length] for length in range(len(sealed))]
    cut += [LONG[: X25519_OVERHEAD + chunks * SEALED_CHUNK + more] for chunks in range(5) for more in (0, 1)]
    for short in cut:
        with pytest.raises((Tampered, Unreadable)):
            unseal(short, [IDENTITY])
        with pytest.raises((Tampered, Unreadable)):
            streamed(short)


def test_moved_chunks_are_detected() -> None:
    """Swapped, repeated, dropped and appended chunks do not open."""
    start, body = LONG[:X25519_OVERHEAD], LONG[X25519_OVERHEAD:]
    chunk = [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]
    for order in ([1, 0, 2, 3, 4], [0, 0, 1, 2, 3, 4], [0, 2, 3, 4], [4], [0, 1, 2, 3, 4, 4], [0, 1, 2, 4]):
        moved = start + b"".join(chunk[number] for number in order)
        with pytest.raises(Tampered):
            unseal(moved, [IDENTITY])
        with pytest.raises(Tampered):
            streamed(moved)


def test_payload_of_another_object_is_detected() -> None:
    """Header of one object, payload of another: both sealed to the same key, yet it does not open."""
    one, two = (seal(text, [IDENTITY.recipient]) for text in (b"one", b"two"))
    with pytest.raises(Tampered):
        unseal(one[:X25519_HEADER_LENGTH] + two[X25519_HEADER_LENGTH:], [IDENTITY])


def test_what_was_released_before_a_failure_is_true() -> None:
    """Streaming releases the chunks before a changed one, and not a byte of that one."""
    changed = bytearray(LONG)
    changed[X25519_OVERHEAD + 2 * SEALED_CHUNK + 9] ^= 1
    stream = unseal_stream([bytes(changed)], [IDENTITY])
    assert next(stream) + next(stream) == LONG_PLAIN[: 2 * CHUNK]
    with pytest.raises(Tampered):
        next(stream)


def test_many_recipients() -> None:
    """Each of many recipients opens it; the bound on recipients holds both ways."""
    identities = [X25519Identity.generate() for _ in range(40)]
    sealed = seal(b"shared", [identity.recipient for identity in identities])
    assert {unseal(sealed, [identity]) for identity in identities} == {b"shared"}
    with pytest.raises(NoIdentityMatch, match="X25519"):
        unseal(sealed, [OTHER])
    with pytest.raises(TooLarge):
        seal(b"", [IDENTITY.recipient] * (MAX_STANZAS + 1))


def test_nobody_is_no_recipient() -> None:
    """Sealing to nobody is refused, opening with nobody matches nobody."""
    with pytest.raises(Usage):
        seal(b"", [])
    with pytest.raises(NoIdentityMatch):
        unseal(seal(b"", [IDENTITY.recipient]), [])


def test_passphrase() -> None:
    """A passphrase opens, another does not match, and it is refused beside any other recipient."""
    sealed = seal(b"key", [ScryptRecipient("seven words", work_factor=4)])
    assert unseal(sealed, [IDENTITY, ScryptIdentity("seven words")]) == b"key"
    with pytest.raises(NoIdentityMatch):
        unseal(sealed, [ScryptIdentity("eight words")])
    with pytest.raises(TooLarge):
        unseal(sealed, [ScryptIdentity("seven words", max_work_factor=3)])
    with pytest.raises(Usage):
        seal(b"key", [ScryptRecipient("seven words", work_factor=4), IDENTITY.recipient])
    with pytest.raises(Usage):
        ScryptRecipient("")
    assert "seven" not in repr(ScryptIdentity("seven words")) + repr(ScryptRecipient("seven words"))


def test_rewrap() -> None:
    """A new header opens the old payload for the new recipient, and no longer for the old one."""
    sealed = seal(LONG_PLAIN, [IDENTITY.recipient])
    moved = rewrap(sealed[:4096], [IDENTITY], [OTHER.recipient]) + sealed[X25519_HEADER_LENGTH:]
    assert unseal(moved, [OTHER]) == LONG_PLAIN
    with pytest.raises(NoIdentityMatch):
        unseal(moved, [IDENTITY])
    with pytest.raises(NoIdentityMatch):
        rewrap(sealed, [OTHER], [OTHER.recipient])


@given(st.lists(st.integers(0, 2 * CHUNK), max_size=8))
@settings(max_examples=40, deadline=None)
def test_sealer(lengths: list[int]) -> None:
    """A header asked for at the end, of the length left free, makes the object whole."""
    sealer = Sealer()
    plain = [os.urandom(length) for length in lengths]
    written = b"".join(sealer.update(bytearray(piece)) for piece in plain) + sealer.finish()
    header = sealer.header([IDENTITY.recipient])
    assert len(header) == X25519_HEADER_LENGTH
    assert unseal(header + written, [IDENTITY]) == b"".join(plain)
    assert header_facts(header + written) == (len(header), Header.parse(header).mac, sealer.payload_nonce)
    assert sealer.plain_size == sum(lengths)
    assert len(written) == PAYLOAD_NONCE + sealed_size(sealer.plain_size)
    assert unseal(sealer.header([OTHER.recipient, IDENTITY.recipient]) + written, [OTHER]) == b"".join(plain)


def test_sealer_does_not_look_again_at_a_piece() -> None:
    """A buffer given to the sealer may be overwritten at once; a finished sealer takes no more."""
    sealer, room, written = Sealer(), bytearray(100_000), b""
    for value in range(5):
        room[:] = bytes([value]) * len(room)
        written += sealer.update(room)
        room[:] = bytes(len(room))
    written += sealer.finish()
    expected = b"".join(bytes([value]) * len(room) for value in range(5))
    assert unseal(sealer.header([IDENTITY.recipient]) + written, [IDENTITY]) == expected
    with pytest.raises(ValueError, match="finished"):
        sealer.update(b"more")
    with pytest.raises(ValueError, match="finished"):
        sealer.finish()


def test_keys_as_text() -> None:
    """Keys come back from their text; secrets stay out of repr and out of errors."""
    identity = X25519Identity.generate()
    assert X25519Identity.parse(str(identity)).raw == identity.raw
    assert X25519Recipient.parse(str(identity.recipient)) == identity.recipient
    assert hash(X25519Recipient(identity.recipient.raw)) == hash(identity.recipient)
    assert str(identity) not in repr(identity)
    mistyped = str(identity)[:-1] + ("Q" if str(identity)[-1] != "Q" else "P")
    for wrong in (mistyped, str(identity.recipient), str(identity).lower(), "", "AGE-SECRET-KEY-1"):
        with pytest.raises(Unreadable) as caught:
            X25519Identity.parse(wrong)
        assert not wrong or wrong not in str(caught.value)
    with pytest.raises(Unreadable):
        X25519Recipient.parse(str(identity))
    for make in (X25519Identity, X25519Recipient):
        with pytest.raises(Unreadable):
            make(bytes(31))


LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_refused(point: bytes) -> None:
    """A point that gives everyone the same secret is no recipient (RFC 7748 section 6.1)."""
    with pytest.raises(Unreadable):
        X25519Recipient(point)


@given(st.binary(max_size=400))
def test_header_parser_keeps_its_spelling(tail: bytes) -> None:
    """Whatever is accepted as a header is encoded again to the same bytes; the rest is refused."""
    _same_again(b"age-encryption.org/v1\n" + tail)


VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(
    st.lists(
        st.tuples(st.lists(VISIBLE, min_size=1, max_size=4), st.binary(max_size=200)),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_header_made_and_mutated(parts: list[tuple[list[str], bytes]], data: st.DataObject) -> None:
    """A header of any stanzas comes back equal; with a byte changed it is refused or keeps its spelling."""
    header = Header.make([Stanza(tuple(args), body) for args, body in parts], bytes(16))
    encoded = header.encode()
    assert Header.parse(encoded + b"payload") == header
    changed = bytearray(encoded)
    changed[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    _same_again(bytes(changed))


def _same_again(first: bytes) -> None:
    try:
        header = Header.parse(first)
    except (Unreadable, TooLarge):
        return
    assert header.encode() == first[: header.length]


def test_header_bounds() -> None:
    """A header without end is given up at its bound, one with too many stanzas at theirs."""
    endless = b"age-encryption.org/v1\n-> x\n" + (b"A" * 64 + b"\n") * 2000
    for ask in (header_end, Header.parse):
        with pytest.raises(TooLarge):
            ask(endless)
    crowd = b"age-encryption.org/v1\n" + b"-> x\n\n" * (MAX_STANZAS + 1) + b"--- " + b"A" * 43 + b"\n"
    with pytest.raises(TooLarge):
        Header.parse(crowd)
    assert header_end(b"age-enc") is None
    with pytest.raises(Unreadable):
        header_end(b"PK")
    with pytest.raises(Unreadable):
        Stanza((), b"")
