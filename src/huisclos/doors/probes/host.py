"""What a probe is handed: the host's turns, one listener of it, and a canary that nobody ever issued."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from huisclos.dicom.uids import new_uid
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.record import noted
from huisclos.doors.target import Target
from huisclos.errors import HuisclosError, PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Fact
from huisclos.findings.nouns import Outcome, Reason

CONNECTIONS: Final = 12
"""to one host in one run"""
SILENCES: Final = 3
"""after that many a host is left alone"""


class OutOfTurns(HuisclosError):
    """A host was asked as often as we may."""

    kind = "out-of-turns"


class PortClosed(PeerUnreachable):
    """It refuses connections: nothing listens there, or not to us."""

    kind = "port-closed"


class Unanswered(PeerTooSlow):
    """Neither taken nor refused: a firewall drops what we send, or there is no such host."""

    kind = "unanswered"


class NotSpoken(Exception):
    """What listens there does not speak the protocol that was tried: another may be."""


class Rank(IntEnum):
    """What comes first of that which can wait until every listener of a host was met."""

    FURTHER = 0
    """questions of DICOM that want another association: a few, and grave"""
    BESIDE = 1
    """what goes beyond looking, by the owner's word"""
    PAGES = 2
    """a web server that ends its connection after each answer: it would take all there are"""
    SEALING = 3
    """versions and suites of TLS"""
    LEAST = 4
    UNKNOWN = 5
    """another protocol, at a listener that was silent to its port's own: it may cost another silence"""


class Later(NamedTuple):
    """A question that can wait."""

    rank: Rank
    ask: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Turns:
    """One host's share of a run: one connection at a time, so many in all, and none after three silences."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    left: int = CONNECTIONS
    silences: int = 0

    def take(self) -> None:
        """Count one connection. Raises `OutOfTurns`."""
        if self.left <= 0 or self.silences >= SILENCES:
            raise OutOfTurns("this host was asked as often as we may")
        self.left -= 1

    def spent(self) -> Reason:
        """Why nothing more is asked."""
        return Reason.SILENT if self.silences >= SILENCES else Reason.CONNECTIONS


@dataclass(slots=True)
class Host:
    """One listener under examination. Every connection to it is made inside `turn`, one at a time."""

    target: Target
    turns: Turns
    called: str | None = None
    """the AE title that the owner told us"""
    gentle: bool = False
    """one association, and nothing more"""
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
    knock_seconds: float = 5.0
    """the same, until a connection stands"""
    heard: bytes = b""
    """how it answered what it did not understand"""
    made: int = 0
    """connections to this listener"""
    silences: int = 0
    seen: list[Seen] = field(default_factory=list)
    """what was seen of this listener, written down at once: nothing that fails later undoes it"""
    later: list[Later] = field(default_factory=list)

    def saw(self, what: What, found: tuple[Fact, ...] = ()) -> None:
        """Note an observation."""
        self.seen.append(Observation(what, self.target.name, self.target.reach, found))

    def missed(
        self,
        checks: tuple[str, ...],
        reason: Reason | None,
        found: tuple[Fact, ...] = (),
        outcome: Outcome = Outcome.FAILED,
    ) -> None:
        """Note what stays unknown, and why; without a reason, what was answered with a plain no."""
        self.seen.append(Miss(checks, self.target.name, reason, found, outcome))

    def wants(self, *checks: str) -> bool:
        """Whether one of `checks` is to be answered."""
        return self.checks is None or not self.checks.isdisjoint(checks)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to one connection. Raises `OutOfTurns`."""
        async with self.turns.lock:
            self.take()
            try:
                yield
            except PeerUnreachable:
                # A connection that never stood burdened nobody.
                self.turns.left += 1
                raise

    def take(self) -> None:
        """Count one more connection within a turn. Raises `OutOfTurns`."""
        self.turns.take()
        self.made += 1

    async def connect(self) -> socket.socket:
        """A connection, in a turn. Raises `PeerUnreachable`, which `PortClosed` is, and `Unanswered`."""
        try:
            async with asyncio.timeout(self.knock_seconds):
                return await reach(self.target)
        except TimeoutError:
            raise self.unanswered() from None
        except OSError as error:
            raise unreachable(error) from None

    @property
    def next_rank(self) -> Rank:
        """Of what is asked next in `later`, which is not empty."""
        return min(one.rank for one in self.later)

    async def next(self) -> None:
        """Ask it."""
        rank = self.next_rank
        await self.later.pop(next(at for at, one in enumerate(self.later) if one.rank is rank)).ask()

    def silent(self) -> None:
        """A deadline ran out over what this listener was to say."""
        self.silences += 1
        self.turns.silences += 1

    def unanswered(self) -> Unanswered:
        """The same, before a connection stood."""
        self.silent()
        return Unanswered("nothing answers there")

    def spent(self) -> Reason:
        """Why nothing more is asked."""
        return self.turns.spent()


async def reach(target: Target) -> socket.socket:
    """A connection to `target`. Raises `OSError`."""
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET  # noqa: PLR2004
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (str(target.address), target.port))
        stack.pop_all()
    return made


def unreachable(error: OSError) -> PeerUnreachable:
    """What a connection that did not come about is called."""
    kind = PortClosed if isinstance(error, ConnectionRefusedError) else PeerUnreachable
    return kind(f"no connection: {error.strerror or type(error).__name__}")


def canary_uid() -> str:
    """A UID that exists nowhere: 2.25 and 122 fresh random bits (PS3.5 annex B.2)."""
    uid = new_uid(secrets.token_bytes(16))
    noted("canary", uid)
    return uid
