"""Second factors: time-based codes (RFC 6238) that open once, and recovery codes."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

import pyotp

from huisclos.access.passwords import secret_digest

STEP: Final = 30
"""Seconds one code lives (RFC 6238 section 4.1)."""
WINDOW: Final = 1
"""Steps before and after in which a code is taken: clocks differ (RFC 6238 section 5.2)."""
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_GROUP: Final = 4


def new_seed() -> str:
    """160 random bits in base32 (RFC 4226 section 4)."""
    return pyotp.random_base32()


def uri(seed: str, name: str) -> str:
    """`otpauth://totp/...` for the QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name="huisclos")


def step_of(seed: str, code: str, now: float, used: int) -> int:
    """The time step `code` belongs to, or 0 when it is none of the steps near `now` after `used`."""
    typed = "".join(code.split())
    if len(typed) != DIGITS or not (typed.isascii() and typed.isdigit()):
        return 0
    codes = pyotp.HOTP(seed)
    here = int(now // STEP)
    found = 0
    for step in range(max(here - WINDOW, used + 1), here + WINDOW + 1):
        if hmac.compare_digest(codes.at(step), typed):
            found = step
    return found


def new_recovery_codes() -> tuple[str, ...]:
    """Codes of 80 random bits, in groups of four letters and figures."""
    return tuple(_recovery_code() for _ in range(RECOVERY_CODES))


def recovery_digest(code: str) -> str:
    """What is kept of a recovery code: a digest of it as it was given, however it was typed, in hex."""
    tidy = "".join(char for char in code.upper() if char.isalnum())
    return secret_digest(tidy).hex()


def recovery_digests(codes: Iterable[str]) -> tuple[str, ...]:
    """As `recovery_digest`, of each."""
    return tuple(recovery_digest(code) for code in codes)


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode("ascii")
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))
