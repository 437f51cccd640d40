"""Passphrases the house makes up, since those people make up are guessed."""

from __future__ import annotations

import secrets
from typing import Final

from huisclos.errors import BadSetting
from huisclos.seal.words import WORDS, is_word, split_words

PASSPHRASE_WORDS: Final = 7
"""Seven words of 11 bits are 77 bits: 2**76 guesses on average, each as costly as scrypt is set."""
MIN_WORDS: Final = 6


def generate_passphrase(words: int = PASSPHRASE_WORDS) -> str:
    """Random words of the list joined by hyphens, 11 bits of entropy each.

    Raises `BadSetting` for fewer than six.
    """
    if words < MIN_WORDS:
        raise BadSetting(f"a passphrase has at least {MIN_WORDS} words")
    return "-".join(secrets.choice(WORDS) for _ in range(words))


def tidy_passphrase(typed: str) -> str:
    """A generated passphrase as it was generated, however its words were parted or capitalised.

    Anything that is not made of words of the list alone is given back untouched: it is
    someone's own passphrase, in which each blank counts.
    """
    words = split_words(typed)
    return "-".join(words) if words and all(is_word(word) for word in words) else typed
