"""Sealing: the age v1 format and the keys of the house. Pure: no file, no socket, no clock.

`seal` and `unseal` for whole objects, `Sealer` for bytes that arrive, `open_at` to read by
range, `rewrap` to change recipients, `RecordKey` for rows of the index, `words_of` for what
people read. docs/sealed-object.md says how an object is made.
"""

from huisclos.seal.armor import armor, dearmor
from huisclos.seal.chunks import CHUNK, SEALED_CHUNK, TAG, plain_size, sealed_size
from huisclos.seal.header import (
    MAX_HEADER,
    MAX_STANZAS,
    PAYLOAD_NONCE,
    Header,
    HeaderFacts,
    Stanza,
    header_end,
    header_facts,
)
from huisclos.seal.objects import Sealed, open_at, open_with, seal, seal_stream, unseal, unseal_stream
from huisclos.seal.parties import Identity, Recipient, make_header, rewrap, unwrap_file_key
from huisclos.seal.passphrase import PASSPHRASE_WORDS, generate_passphrase, tidy_passphrase
from huisclos.seal.payload import Memory, Payload, ReadAt
from huisclos.seal.records import MAX_RECORD, TOKEN, RecordKey
from huisclos.seal.scrypt import MAX_WORK_FACTOR, WORK_FACTOR, ScryptIdentity, ScryptRecipient
from huisclos.seal.sealer import Sealer
from huisclos.seal.words import WORDS, bytes_of, is_word, split_words, words_of
from huisclos.seal.x25519 import X25519_HEADER_LENGTH, X25519_OVERHEAD, X25519Identity, X25519Recipient

__all__ = [
    "CHUNK",
    "MAX_HEADER",
    "MAX_RECORD",
    "MAX_STANZAS",
    "MAX_WORK_FACTOR",
    "PASSPHRASE_WORDS",
    "PAYLOAD_NONCE",
    "SEALED_CHUNK",
    "TAG",
    "TOKEN",
    "WORDS",
    "WORK_FACTOR",
    "X25519_HEADER_LENGTH",
    "X25519_OVERHEAD",
    "Header",
    "HeaderFacts",
    "Identity",
    "Memory",
    "Payload",
    "ReadAt",
    "Recipient",
    "RecordKey",
    "ScryptIdentity",
    "ScryptRecipient",
    "Sealed",
    "Sealer",
    "Stanza",
    "X25519Identity",
    "X25519Recipient",
    "armor",
    "bytes_of",
    "dearmor",
    "generate_passphrase",
    "header_end",
    "header_facts",
    "is_word",
    "make_header",
    "open_at",
    "open_with",
    "plain_size",
    "rewrap",
    "seal",
    "seal_stream",
    "sealed_size",
    "split_words",
    "tidy_passphrase",
    "unseal",
    "unseal_stream",
    "unwrap_file_key",
    "words_of",
]
