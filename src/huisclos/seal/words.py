"""Bytes as words that a person can read aloud, copy from a card and type.

A word is five letters, consonant and vowel in turn, closed by a check letter: `mipod`. The
2,048 words come from the rule below and from nothing else, so this file is the list. Any
two words differ in at least two letters, so that one wrong letter never gives another word.
"""

from __future__ import annotations

import hashlib
from typing import Final

from huisclos.errors import TooLarge, Unreadable

BITS: Final = 11
"""Bits that one word stands for."""
MAX_BYTES: Final = 1024
"""Bytes at most that are shown as words."""

_CONSONANTS: Final = "bdfgjklmnprstvxz"
_VOWELS: Final = "aiou"  # no e: French and English readers do not say the same thing
_LABEL: Final = b"huisclos/words/v1\0"
# fmt: off
_AVOIDED: Final = (
    "bit", "dik", "fag", "fuk", "gas", "jap", "kak", "kon", "kul", "mor", "naz", "nig", "nik",
    "pis", "pus", "put", "rap", "sal", "sid", "sin", "sod", "sul", "tit", "tum", "tus", "vir",
    "viz", "zob", "zut",
)
# fmt: on
"""Fragments that nobody wants to read on the card of a medical practice."""


def _check_letter(first: int, vowel: int, second: int, last: int) -> str:
    """Changes with each single letter: every factor is odd, hence invertible modulo 16."""
    return _CONSONANTS[(first + 5 * vowel + 3 * second + 7 * last) % 16]


def _every_word() -> tuple[str, ...]:
    found = []
    for code in range(16 * 4 * 16 * 4):
        first, vowel, second, last = code >> 8, code >> 6 & 3, code >> 2 & 15, code & 3
        stem = _CONSONANTS[first] + _VOWELS[vowel] + _CONSONANTS[second] + _VOWELS[last]
        word = stem + _check_letter(first, vowel, second, last)
        if first != second and not any(fragment in word for fragment in _AVOIDED):
            found.append(word)
    return tuple(found[place * len(found) // (1 << BITS)] for place in range(1 << BITS))


WORDS: Final = _every_word()
"""The list: 2,048 words, in alphabetical order."""
_NUMBER: Final = {word: number for number, word in enumerate(WORDS)}


def words_of(data: bytes) -> str:
    """`data` as words, the last of them a checksum; 32 bytes take 25 words.

    The bits of `data`, a one, and zeros up to a whole word: so each text of words stands for
    one value of one length. The checksum is the first 11 bits of a labelled SHA-256. Raises
    `TooLarge` over `MAX_BYTES`.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"more than {MAX_BYTES} bytes are not shown as words")
    count = -(-(8 * len(data) + 1) // BITS)
    value = (int.from_bytes(data, "big") << 1 | 1) << (BITS * count - 8 * len(data) - 1)
    numbers = [value >> BITS * (count - 1 - place) & 2047 for place in range(count)]
    return " ".join(WORDS[number] for number in [*numbers, _checksum(data)])


def bytes_of(words: str) -> bytes:
    """The bytes that `words_of` gave these words for.

    Capitals, hyphens and any blanks between words are allowed. Raises `Unreadable` naming
    the place of the first word that is not in the list, or saying that the checksum is
    wrong; the words themselves, which may be a secret, are not in the message.
    """
    typed = split_words(words)
    if len(typed) > MAX_BYTES:
        raise TooLarge(f"more than {MAX_BYTES} words")
    numbers = []
    for place, word in enumerate(typed, start=1):
        if word not in _NUMBER:
            raise Unreadable(f"word {place} is not one of the list", hint="check it letter by letter")
        numbers.append(_NUMBER[word])
    if not numbers:
        raise Unreadable("words are missing")
    *carrying, check = numbers
    value = 0
    for number in carrying:
        value = value << BITS | number
    zeros = (value & -value).bit_length() - 1
    bits = BITS * len(carrying) - zeros - 1
    if not 0 <= zeros < BITS or bits % 8:
        raise Unreadable("words are missing or out of place")
    data = (value >> zeros + 1).to_bytes(bits // 8, "big")
    if _checksum(data) != check:
        raise Unreadable("these words do not belong together", hint="one was mistyped, left out or moved")
    return data


def split_words(text: str) -> list[str]:
    """The words of a text as typed: lower case, parted by blanks or hyphens."""
    return text.lower().replace("-", " ").split()


def is_word(word: str) -> bool:
    """Whether this is a word of the list."""
    return word in _NUMBER


def _checksum(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(_LABEL + data).digest()[:2], "big") >> 16 - BITS
