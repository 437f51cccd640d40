"""Bech32 (BIP 173) without its limit of 90 characters: how age spells keys."""

from __future__ import annotations

from typing import Final

from huisclos.errors import TooLarge, Unreadable

MAX_TEXT: Final = 8192
"""Characters at most; the longest key in sight (hybrid post-quantum) takes about 2,000."""

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUE: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6
_WIDTH: Final = 5  # bits of one character


def encode(prefix: str, data: bytes) -> str:
    """`data` under a lower-case `prefix`, with its checksum, in lower case."""
    values = _regroup(data, 8, _WIDTH)
    checked = _polymod([*_expand(prefix), *values, *(0,) * _CHECKSUM]) ^ 1
    tail = [(checked >> _WIDTH * (_CHECKSUM - 1 - place)) & 31 for place in range(_CHECKSUM)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*values, *tail])


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in the case it was written in, and the data.

    Raises `Unreadable` for mixed case, a wrong checksum, a foreign character or padding
    that is not zero; `TooLarge` over `MAX_TEXT`. The text is never part of the message,
    since it may be a secret.
    """
    if len(text) > MAX_TEXT:
        raise TooLarge(f"a key of more than {MAX_TEXT} characters")
    if text not in (text.lower(), text.upper()) or not text.isascii():
        raise Unreadable("a key that mixes upper and lower case or holds foreign characters")
    prefix, mark, rest = text.rpartition("1")
    if not mark or not prefix or len(rest) < _CHECKSUM or not all("!" <= c <= "~" for c in prefix):
        raise Unreadable("a key that does not have the form prefix, 1, data, checksum")
    try:
        values = [_VALUE[letter] for letter in rest.lower()]
    except KeyError:
        raise Unreadable("a key with a character that Bech32 does not use") from None
    if _polymod([*_expand(prefix.lower()), *values]) != 1:
        raise Unreadable("a key whose checksum is wrong", hint="a character was mistyped or lost")
    return prefix, _octets(values[:-_CHECKSUM])


def _octets(values: list[int]) -> bytes:
    spare = len(values) * _WIDTH % 8
    if spare >= _WIDTH or (values and values[-1] & ((1 << spare) - 1)):
        raise Unreadable("a key whose padding is not zero")
    return bytes(_regroup(values, _WIDTH, 8)[: len(values) * _WIDTH // 8])


def _regroup(values: bytes | list[int], width: int, wanted: int) -> list[int]:
    """The same bits in groups of `wanted`, the last filled up with zeros."""
    bits, held, groups = 0, 0, []
    for value in values:
        held = (held << width | value) & 0xFFFF
        bits += width
        while bits >= wanted:
            bits -= wanted
            groups.append(held >> bits & ((1 << wanted) - 1))
    if bits:
        groups.append(held << (wanted - bits) & ((1 << wanted) - 1))
    return groups


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= term
    return check
