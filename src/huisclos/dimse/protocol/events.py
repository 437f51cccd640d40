"""What the machine tells its user: the indications and confirmations of PS3.8 chapter 7, and messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.pdus import AssociateAccept, AssociateReject, AssociateRequest


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context both sides agreed on."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequested:
    """A peer asks for an association; answer with `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class AssociateAccepted:
    """The peer accepts the association we asked for."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True)
class AssociateRejected:
    """The peer rejects it; the transport is to be closed."""

    reject: AssociateReject


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set; if it says that a data set follows, `DataReceived` does."""

    context: AcceptedContext
    command: Command


class DataReceived(NamedTuple):
    """A piece of the data set of the command before it, as long as it happened to arrive."""

    context_id: int
    piece: memoryview
    """valid until more bytes are fed to the machine"""
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to end the association; answer with `confirm_release`."""


@dataclass(frozen=True, slots=True)
class Released:
    """The peer agrees that the association is over."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The association was cut off: by the peer, or here because of what the peer sent."""

    source: int
    reason: int
    by_peer: bool
    why: str = ""
    """in our words, when it was here"""


@dataclass(frozen=True, slots=True)
class Lost:
    """The transport connection closed under the association."""


Event = (
    AssociateRequested
    | AssociateAccepted
    | AssociateRejected
    | CommandReceived
    | DataReceived
    | ReleaseRequested
    | Released
    | Aborted
    | Lost
)
