"""The header of a sealed object: who can open it, and a MAC over saying so (C2SP age.md, "Header").

    age-encryption.org/v1
    -> X25519 <ephemeral share>
    <wrapped file key>
    --- <MAC>

Parsing is strict: whatever it accepts is encoded again to the same bytes, so a header has
one spelling and its MAC covers all of it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from huisclos.errors import Tampered, TooLarge, Unreadable
from huisclos.seal import raw64
from huisclos.seal.keys import derive

VERSION_LINE: Final = b"age-encryption.org/v1\n"
MAX_HEADER: Final = 64 * 1024
"""Bytes at most in a header; the bound is checked before anything is parsed."""
MAX_STANZAS: Final = 512
"""Stanzas at most in a header; opening costs one X25519 exchange for each."""
MAC: Final = 32
PAYLOAD_NONCE: Final = 16
"""Bytes between the header and the first chunk."""

_COLUMNS: Final = 64
_MAC_TEXT: Final = 43
_CLOSING: Final = len("--- \n") + _MAC_TEXT
_MARK: Final = b"---"
_NEW_STANZA: Final = b"-> "
_ARGUMENTS: Final = re.compile(r"[!-~]+(?: [!-~]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file key wrapped for one recipient: the first argument is the recipient's type.

    Raises `Unreadable` when made with no argument, or with one that is empty or holds
    anything but visible ASCII characters.
    """

    args: tuple[str, ...]
    body: bytes

    def __post_init__(self) -> None:
        line = " ".join(self.args)
        if not _ARGUMENTS.fullmatch(line) or line.count(" ") != len(self.args) - 1:
            raise Unreadable("a stanza whose arguments are missing, empty or not visible ASCII")

    @property
    def kind(self) -> str:
        """The recipient's type: `X25519`, `scrypt`, or one we do not know and leave alone."""
        return self.args[0]

    @property
    def length(self) -> int:
        """Bytes of the encoded stanza."""
        text = -(-len(self.body) * 4 // 3)
        return len(_NEW_STANZA) + len(" ".join(self.args)) + 1 + text + text // _COLUMNS + 1

    def encode(self) -> bytes:
        """The stanza's lines; the last is shorter than 64 columns, empty if need be."""
        text = raw64.encode(self.body)
        lines = (text[at : at + _COLUMNS] for at in range(0, len(text) + 1, _COLUMNS))
        return _NEW_STANZA + " ".join(self.args).encode("ascii") + b"\n" + b"\n".join(lines) + b"\n"


@dataclass(frozen=True, slots=True)
class Header:
    """The stanzas and the MAC over them."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    @classmethod
    def make(cls, stanzas: Iterable[Stanza], file_key: bytes) -> Header:
        """The header of these stanzas, with its MAC. Raises `TooLarge` over the bounds."""
        listed = tuple(stanzas)
        header = cls(listed, _mac(listed, file_key))
        if len(listed) > MAX_STANZAS or header.length > MAX_HEADER:
            raise TooLarge(f"a header for more than {MAX_STANZAS} recipients or over {MAX_HEADER} bytes")
        return header

    @classmethod
    def parse(cls, first: bytes | bytearray | memoryview) -> Header:
        """The header that `first` starts with; what follows the header is not looked at.

        Raises `Unreadable` if this is no age v1 header or it does not end within `first`,
        `TooLarge` over the bounds. The MAC is not checked: that takes the file key.
        """
        end = header_end(first)
        if end is None:
            raise Unreadable("a sealed object's header that breaks off")
        lines = bytes(first[len(VERSION_LINE) : end]).split(b"\n")[:-1]
        closing = lines.pop()
        stanzas = tuple(_stanzas(lines))
        if not stanzas:
            raise Unreadable("a header without a single stanza")
        if closing[:4] != _MARK + b" " or len(closing) != 4 + _MAC_TEXT:
            raise Unreadable("a header that does not end in a MAC")
        return cls(stanzas, raw64.decode(closing[4:]))

    def encode(self) -> bytes:
        """The header's bytes, as they stand at the start of a sealed object."""
        return _before_mac(self.stanzas) + b" " + raw64.encode(self.mac) + b"\n"

    @property
    def length(self) -> int:
        """Bytes of the encoded header."""
        return len(VERSION_LINE) + sum(stanza.length for stanza in self.stanzas) + _CLOSING

    def check(self, file_key: bytes) -> None:
        """Raise `Tampered` unless the MAC is the one this file key gives."""
        if not hmac.compare_digest(self.mac, _mac(self.stanzas, file_key)):
            raise Tampered("the header was changed since it was sealed")


class HeaderFacts(NamedTuple):
    """What a manifest keeps of a sealed object to know it again."""

    header_length: int
    header_mac: bytes
    payload_nonce: bytes


def header_facts(first: bytes | bytearray | memoryview) -> HeaderFacts:
    """The facts of the object that `first` starts: no key is needed, and no MAC is checked.

    `first` must hold the header and the 16 bytes after it: `MAX_HEADER + PAYLOAD_NONCE`
    always suffice, 4 KiB nearly always. Raises `Unreadable`.
    """
    header = Header.parse(first)
    length = header.length
    return HeaderFacts(length, header.mac, payload_nonce(first, length))


def payload_nonce(first: bytes | bytearray | memoryview, header_length: int) -> bytes:
    """The 16 bytes after the header. Raises `Unreadable` if they are not all there."""
    nonce = bytes(first[header_length : header_length + PAYLOAD_NONCE])
    if len(nonce) != PAYLOAD_NONCE:
        raise Unreadable("a sealed object that ends before its payload")
    return nonce


def header_end(first: bytes | bytearray | memoryview) -> int | None:
    """Bytes of the header that `first` starts with; None while its end is not there yet.

    Raises `Unreadable` as soon as it cannot be an age v1 header, `TooLarge` when no end
    comes within `MAX_HEADER`.
    """
    data = first if isinstance(first, bytes) else bytes(first[:MAX_HEADER])
    if data[: len(VERSION_LINE)] != VERSION_LINE[: len(data)]:
        raise Unreadable("not a sealed object: it does not start as age v1 does")
    mark = data.find(b"\n" + _MARK, len(VERSION_LINE) - 1, MAX_HEADER)
    end = data.find(b"\n", mark + 1, MAX_HEADER) if mark >= 0 else -1
    if end < 0 and len(data) >= MAX_HEADER:
        raise TooLarge(f"a sealed object's header of more than {MAX_HEADER} bytes")
    return end + 1 if end >= 0 else None


def _stanzas(lines: list[bytes]) -> Iterator[Stanza]:
    at, count = 0, 0
    while at < len(lines):
        count += 1
        if count > MAX_STANZAS:
            raise TooLarge(f"a header of more than {MAX_STANZAS} stanzas")
        opening = lines[at]
        if not opening.startswith(_NEW_STANZA):
            raise Unreadable("a line that neither starts a stanza nor belongs to one")
        last = at + 1
        while last < len(lines) and len(lines[last]) == _COLUMNS:
            last += 1
        if last == len(lines) or len(lines[last]) > _COLUMNS:
            raise Unreadable("a stanza's body whose last line is not a short one")
        args = opening[len(_NEW_STANZA) :].decode("latin-1").split(" ")
        yield Stanza(tuple(args), raw64.decode(b"".join(lines[at + 1 : last + 1])))
        at = last + 1


def _before_mac(stanzas: tuple[Stanza, ...]) -> bytes:
    return VERSION_LINE + b"".join(stanza.encode() for stanza in stanzas) + _MARK


def _mac(stanzas: tuple[Stanza, ...], file_key: bytes) -> bytes:
    return hmac.digest(derive(file_key, b"", b"header"), _before_mac(stanzas), "sha256")
