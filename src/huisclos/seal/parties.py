"""Recipients seal, identities unseal: the two roles, and how a header is made for them and opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from huisclos.errors import NoIdentityMatch, Unreadable, Usage
from huisclos.seal.header import Header, Stanza
from huisclos.seal.scrypt import KIND as PASSPHRASE


class Recipient(Protocol):
    """The public half of a key, or a passphrase: whoever the object is sealed to."""

    def wrap(self, file_key: bytes) -> list[Stanza]:
        """At least one stanza that holds `file_key` (16 bytes) for this recipient alone."""


class Identity(Protocol):
    """The secret half."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key if one of the stanzas is for this identity, else None: not mine, try another.

        Stanzas of a kind it does not know are passed over. Raises `Unreadable` for a stanza
        of its own kind that no sealing can have produced.
        """


def make_header(file_key: bytes, recipients: Iterable[Recipient]) -> Header:
    """A header that gives `file_key` to each recipient.

    Raises `Usage` without any recipient, or when a passphrase is mixed with anything else
    (C2SP age.md: whoever knows a passphrase could otherwise have sealed it), `TooLarge`
    for too many.
    """
    stanzas = [stanza for recipient in recipients for stanza in recipient.wrap(file_key)]
    if not stanzas:
        raise Usage("nothing is sealed to nobody", hint="name at least one recipient")
    if len(stanzas) > 1 and any(stanza.kind == PASSPHRASE for stanza in stanzas):
        raise Usage("a passphrase must be the only recipient of what it seals")
    return Header.make(stanzas, file_key)


def unwrap_file_key(header: Header, identities: Iterable[Identity]) -> bytes:
    """The file key of the object, from the first identity that has it; the header's MAC is checked.

    Raises `NoIdentityMatch` when none has, `Tampered` when the MAC is wrong, `Unreadable`
    for stanzas that no sealing can have produced.
    """
    if len(header.stanzas) > 1 and any(stanza.kind == PASSPHRASE for stanza in header.stanzas):
        raise Unreadable("a passphrase stanza that is not alone in its header")
    for identity in identities:
        file_key = identity.unwrap(header.stanzas)
        if file_key is not None:
            header.check(file_key)
            return file_key
    kinds = ", ".join(sorted({_known(stanza.kind) for stanza in header.stanzas}))
    raise NoIdentityMatch(f"none of these identities opens it; it is sealed to: {kinds}")


def rewrap(header_bytes: bytes, identities: Iterable[Identity], recipients: Iterable[Recipient]) -> bytes:
    """A new header over the same file key: other recipients, the payload stays as it is.

    `header_bytes` may go on with the payload, which is not looked at. Who held the file key
    before still does: to take an object away from somebody, seal it again. Raises as
    `unwrap_file_key` and `make_header`.
    """
    return make_header(unwrap_file_key(Header.parse(header_bytes), identities), recipients).encode()


def _known(kind: str) -> str:
    """A stanza's kind if it is a word of the format: another could carry anything into a message."""
    return kind if kind in ("X25519", "scrypt", "mlkem768x25519") else "another kind"
