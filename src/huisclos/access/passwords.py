"""Passwords of people: the CNIL's rule, and Argon2id.

Rule: deliberation 2022-100 of 21 July 2022 asks 80 bits of entropy from a password that stands
alone (12 characters of four classes, or 14 of three), accepts guessability as the measure, and
wants known passwords refused; no forced renewal. We ask both: the length rule, and that
zxcvbn, which knows the common lists, needs at least 10^10 guesses.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import math
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from huisclos.access.sessions import PasswordFault
from huisclos.errors import WeakPassword

BITS: Final = 79.5
"""80 asked; 12 characters of four classes, the rule's own example, come to 79.6."""
GUESSES_LOG10: Final = 10.0
MAX_LENGTH: Final = 256
_LOOKED_AT: Final = 72
"""zxcvbn's own bound: more characters only cost time."""
_WORDS: Final = 7

_hasher: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=2)
"""RFC 9106 section 4, second recommended option (64 MiB), 2 lanes for a 2-core machine."""


_SENTENCES: Final = {
    PasswordFault.TOO_LONG: (f"this password is longer than {MAX_LENGTH} characters", ""),
    PasswordFault.TOO_SHORT: (
        "this password is too short",
        "12 characters with small and capital letters, figures and signs; or 14 without; or seven words",
    ),
    PasswordFault.GUESSABLE: (
        "this password is a known one, or follows a known pattern",
        "take words that have nothing to do with each other",
    ),
}


def fault_of(password: str, *, names: tuple[str, ...] = ()) -> PasswordFault | None:
    """Why `password` does not meet the rule; None when it does. `names` are not counted as secret in it.

    Takes up to 20 ms.
    """
    if len(password) > MAX_LENGTH:
        return PasswordFault.TOO_LONG
    if bits(password) < BITS and len(password.split()) < _WORDS:
        return PasswordFault.TOO_SHORT
    guesses = zxcvbn(password[:_LOOKED_AT], user_inputs=[*names, "huisclos"])["guesses_log10"]
    return PasswordFault.GUESSABLE if guesses < GUESSES_LOG10 else None


def check_password(password: str, *, names: tuple[str, ...] = ()) -> None:
    """Raises `WeakPassword` with the reason unless `password` meets the rule, as `fault_of` judges."""
    fault = fault_of(password, names=names)
    if fault is not None:
        message, hint = _SENTENCES[fault]
        raise WeakPassword(message, hint=hint)


def bits(password: str) -> float:
    """Entropy in bits if each character were drawn at random from the classes used (the CNIL's measure)."""
    alphabet = 26 * any(c.islower() for c in password) + 26 * any(c.isupper() for c in password)
    alphabet += 10 * any(c.isdigit() for c in password)
    alphabet += 37 * any(not c.isalnum() for c in password)
    return len(password) * math.log2(alphabet) if alphabet else 0.0


def hash_password(password: str) -> str:
    """The Argon2id digest, PHC form. About 60 ms and 64 MiB."""
    return _hasher.hash(password)


def verify_password(digest: str, password: str) -> bool:
    """Whether `password` is the one. Takes as long for a user without a password or unknown."""
    try:
        _hasher.verify(digest or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(digest)


def secret_digest(secret: str) -> bytes:
    """SHA-256 of a random secret (token, session, recovery code): no need to be slow, 128 bits and more."""
    return hashlib.sha256(b"huisclos secret v1\0" + secret.encode()).digest()


def same(left: bytes, right: bytes) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left, right)


@functools.cache
def _nobody() -> str:
    """A digest that takes as long to compare with as anybody's."""
    return _hasher.hash("nobody has this password")
