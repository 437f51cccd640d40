"""What the house answers on an association: the port that the acceptor asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.pdus import REFUSED, AssociateReject, AssociateRequest
from huisclos.dimse.protocol.statuses import Status
from huisclos.errors import HuisclosError, NotFound, Refused, StoreError, TooLarge, Unreadable


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to who asks for an association; made without arguments it refuses."""

    takes: Callable[[str], bool] | None = None
    """which abstract syntaxes are accepted; None refuses the association"""
    reject: AssociateReject = REFUSED
    """what a refused peer is told; for reasons of identity it is always `REFUSED`"""


class HowEnded(Enum):
    """How an association came to its end."""

    RELEASED = "released"
    REJECTED = "rejected"
    ABORTED = "aborted by the peer"
    BROKEN = "cut off for breaking the protocol"
    LOST = "connection lost"
    TOO_SLOW = "out of time"
    STOPPED = "ended by the house"
    FAILED = "failed in the house"


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an association; `why` is in our words and says nothing of a patient."""

    how: HowEnded
    why: str = ""


class TurnedAway(Enum):
    """Why a connection did not get as far as asking for an association."""

    NOT_ALLOWED = "its source may not connect"
    TOO_MANY = "too many connections"
    NO_TLS = "no TLS came about"
    OTHER_CERTIFICATE = "it showed a certificate that leads to none we trust"


class StoreSink(Protocol):
    """Where one instance goes as it arrives: `write` as often as it takes, then `finish`.

    `abort` is called instead, or after a `finish` that raised or was cancelled; never after one
    that gave a status.
    """

    def write(self, piece: memoryview) -> Awaitable[None] | None:
        """Take the next bytes of the data set; quick, since it is called between two reads.

        `piece` is gone after the call. Given an awaitable, nothing more is read from the peer until
        it is done: so a sink that is behind holds its sender back. May raise `HuisclosError`, which
        ends the instance with the status that `status_of` gives; `abort` follows.
        """

    async def finish(self) -> Status:
        """The data set is complete; success means it is durable. May raise `HuisclosError`."""

    def abort(self) -> None:
        """Forget the instance: it broke off, or could not be kept."""


class Handler(Protocol):
    """One association, seen from the house; the acceptor makes one for each connection.

    Calls come one at a time. Anything raised but `HuisclosError` ends the association.
    """

    async def admit(self, request: AssociateRequest, address: str, certificate: bytes | None) -> Admission:
        """Decide on `request` from `address`; `certificate` is the peer's, DER, proven by TLS."""

    def on_store(self, command: Command, context: AcceptedContext) -> StoreSink | Status:
        """An instance is about to come: its sink, or the status that refuses it once it is read."""

    async def on_echo(self) -> Status:
        """C-ECHO."""

    async def on_other(self, command: Command, context: AcceptedContext) -> Status:
        """Any other operation; its data set, if it has one, is read and forgotten."""

    async def on_release(self) -> None:
        """The peer asks for the end of the association; it is confirmed when this returns."""

    def ended(self, reason: Ended) -> None:
        """The association is over; called once, last."""


_STATUSES: Final[tuple[tuple[type[HuisclosError], Status], ...]] = (
    (TooLarge, Status.OUT_OF_RESOURCES),
    (Unreadable, Status.CANNOT_UNDERSTAND),
    (Refused, Status.NOT_AUTHORIZED),
    (NotFound, Status.NO_SUCH_INSTANCE),
    (StoreError, Status.OUT_OF_RESOURCES),
    (HuisclosError, Status.PROCESSING_FAILURE),
)


def status_of(error: HuisclosError) -> Status:
    """The DIMSE status of an error of the house, the most specific first."""
    return next(status for kind, status in _STATUSES if isinstance(error, kind))
