"""What a probe is handed: the host, its budget of connections, and a canary that nobody ever issued."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from huisclos.dicom.uids import new_uid
from huisclos.doors.record import noted
from huisclos.doors.target import Target
from huisclos.errors import HuisclosError
from huisclos.findings.nouns import Reason

CONNECTIONS: Final = 12
"""to one listener in one run"""
TIMEOUTS: Final = 3
"""after that many a listener is left alone"""


class OutOfBudget(HuisclosError):
    """A listener was asked as often as we may."""

    kind = "out-of-budget"


class NotSpoken(Exception):
    """What listens there does not speak the protocol that was tried: another may be."""


@dataclass(slots=True)
class Host:
    """One listener under examination. Every connection to it is made inside `turn`, one at a time."""

    target: Target
    lock: asyncio.Lock
    called: str | None = None
    """the AE title that the owner told us"""
    gentle: bool = False
    checks: frozenset[str] | None = None
    """only these; None: all"""
    default_login: bool = False
    """the owner agreed that one vendor's own login is tried, once"""
    delete_at: Target | None = None
    """the owner agreed that one synthetic instance is stored: where it is deleted again"""
    two_at_once: bool = False
    """the owner agreed that a second association is asked for while one is held"""
    seconds: float = 5.0
    """a hard deadline for each connection's steps"""
    left: int = CONNECTIONS
    timeouts: int = 0
    _made: list[str] = field(default_factory=list)

    def wants(self, *checks: str) -> bool:
        """Whether one of `checks` is to be answered."""
        return self.checks is None or not self.checks.isdisjoint(checks)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to one connection. Raises `OutOfBudget`."""
        if self.left <= 0 or self.timeouts >= TIMEOUTS:
            raise OutOfBudget("this listener was asked as often as we may")
        self.left -= 1
        async with self.lock:
            yield

    def spent(self) -> Reason:
        """Why nothing more is asked."""
        return Reason.TIMED_OUT if self.timeouts >= TIMEOUTS else Reason.BUDGET


def canary_uid() -> str:
    """A UID that exists nowhere: 2.25 and 122 fresh random bits (PS3.5 annex B.2)."""
    uid = new_uid(secrets.token_bytes(16))
    noted("canary", uid)
    return uid
