"""Argon2id off the event loop, two at once: 64 MiB each, and logins must not push out the rest."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Final

from huisclos.access.passwords import MAX_LENGTH, fault_of, hash_password, verify_password
from huisclos.access.sessions import PasswordFault
from huisclos.errors import TooManyAttempts
from huisclos.seal import tidy_passphrase

AT_ONCE: Final = 2
MAX_WAITING: Final = 64


def canonical(password: str) -> str:
    """The one form of a password: NFC (RFC 8265 section 4.2), and house words however they were parted."""
    return tidy_passphrase(unicodedata.normalize("NFC", password))


def faults_of(password: str, name: str) -> tuple[PasswordFault, ...]:
    """What is wrong with a new password of the person called `name`; empty when nothing is. Up to 20 ms."""
    names = tuple(part for part in (name, *name.split()) if len(part) > 1)
    fault = fault_of(canonical(password), names=names)
    return () if fault is None else (fault,)


class Hashing:
    """Makes and checks password digests."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def matches(self, digest: str, password: str) -> bool:
        """Whether `password` has this digest; as slow when `digest` is empty. Raises `TooManyAttempts`."""
        tried = canonical(password) if len(password) <= MAX_LENGTH else ""
        if self._waiting >= MAX_WAITING:
            raise TooManyAttempts("too many people log in at once: wait 5 s, then try again")
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(verify_password, digest, tried)
        finally:
            self._waiting -= 1

    async def digest(self, password: str) -> str:
        """The Argon2id digest of a new password, PHC form."""
        async with self._room:
            return await asyncio.to_thread(hash_password, canonical(password))

    async def faults(self, password: str, name: str) -> tuple[PasswordFault, ...]:
        """As `faults_of`, off the event loop."""
        async with self._room:
            return await asyncio.to_thread(faults_of, password, name)
