"""Fuzz target of the room seal: whatever the bytes, an error of the house or the same bytes again."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from huisclos.errors import HuisclosError
from huisclos.seal import (
    CHUNK,
    Header,
    Identity,
    Memory,
    RecordKey,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    armor,
    bytes_of,
    dearmor,
    header_facts,
    open_at,
    open_with,
    seal,
    unseal_stream,
    words_of,
)
from tests.fuzz import outcomes

IDENTITY: Final = X25519Identity(bytes(range(1, 33)))
_IDENTITIES: Final[list[Identity]] = [IDENTITY, ScryptIdentity("babab", max_work_factor=4)]
_FILE_KEY: Final = bytes(16)
_RECORDS: Final = RecordKey(bytes(32))

_SHORT: Final = seal(b"invented", [IDENTITY.recipient])
SEEDS: Final[list[bytes]] = [
    _SHORT,
    seal(bytes(CHUNK + 10), [IDENTITY.recipient, IDENTITY.recipient]),
    seal(b"invented", [ScryptRecipient("babab", work_factor=2)]),
    armor(_SHORT).encode(),
    str(IDENTITY).encode(),
    str(IDENTITY.recipient).encode(),
    words_of(bytes(range(32))).encode(),
    _RECORDS.seal_record(b"row", b""),
    b"age-encryption.org/v1\n-> X25519 a\n\n--- " + b"A" * 43 + b"\n",
]


def one(data: bytes) -> str:
    """Give `data` to every parser of the room."""
    return outcomes.of((_header, _whole, _streamed, _armor, _text, _record), data)


def _header(data: bytes) -> None:
    header = Header.parse(data)
    again = header.encode()
    assert again == data[: len(again)], "a header has two spellings"
    with suppress(HuisclosError):
        assert header_facts(data).header_mac == header.mac
    for identity in _IDENTITIES:
        with suppress(HuisclosError):
            identity.unwrap(header.stanzas)
    forged = Header.make(header.stanzas, _FILE_KEY).encode() + data[len(again) :]
    open_with(Memory(forged), _FILE_KEY).payload.read_at(0, 2 * CHUNK)


def _whole(data: bytes) -> None:
    payload = open_at(Memory(data), _IDENTITIES).payload
    assert len(payload.read_at(0, payload.size)) == payload.size, "a payload's size is not true"


def _streamed(data: bytes) -> None:
    whole = b"".join(unseal_stream([data[:100], data[100:]], _IDENTITIES))
    payload = open_at(Memory(data), _IDENTITIES).payload
    assert whole == payload.read_at(0, payload.size), "streamed and whole differ"


def _armor(data: bytes) -> None:
    text = armor(dearmor(data))
    assert text.split() == data.decode().split(), "armor has two spellings"


def _text(data: bytes) -> None:
    text = data.decode("latin-1")
    with suppress(HuisclosError):
        assert str(X25519Identity.parse(text)) == text, "an identity has two spellings"
    with suppress(HuisclosError):
        assert str(X25519Recipient.parse(text)) == text.lower(), "a recipient has two spellings"
    assert words_of(bytes_of(text)).split() == text.lower().replace("-", " ").split(), (
        "words have two spellings"
    )


def _record(data: bytes) -> None:
    _RECORDS.open_record(data, b"")
