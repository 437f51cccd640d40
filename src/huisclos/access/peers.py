"""Peers, knocks, and what to type into a modality.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from huisclos.access.accounts import PeerRight
from huisclos.access.nouns import Proof


class PeerAsked(Struct, frozen=True):
    """A peer to be admitted."""

    title: str
    """AE title, 1 to 16 characters."""
    address: str
    """IP address, or a private prefix in CIDR form."""
    port: int = 0
    """Where it listens itself, for the test echo; 0 when it does not."""
    may: frozenset[PeerRight] = frozenset({PeerRight.ECHO, PeerRight.STORE})
    until: float = 0.0
    """End of the rights; 0 for none. Find, move, get over a plain connection need one, 90 days at most."""
    certificate: bytes = b""
    """Pinned certificate, PEM or DER; empty for a plain peer."""


class Peer(Struct, frozen=True):
    """An admitted peer."""

    id: str
    title: str
    address: str
    port: int
    may: frozenset[PeerRight]
    until: float
    fingerprint: str
    """SHA-256 of the pinned certificate, hex; empty for a plain peer."""
    certificate_until: float
    approved: bool
    """False: added while locked, feeds the quarantine until an owner approves."""
    added_at: float
    last_heard_at: float
    objects: int
    """Received from it since the house was started."""


class KnockReason(StrEnum):
    """Why an association was refused; the page says it in words."""

    TITLE_UNKNOWN = "title-unknown"
    """No peer has this calling AE title."""
    ADDRESS_OTHER = "address-other"
    """The title is known, the address is not its own."""
    CALLED_OTHER = "called-other"
    """The machine calls another AE title than this archive's."""
    RIGHT_MISSING = "right-missing"
    """A known peer asked only for services it may not use."""
    RIGHT_ENDED = "right-ended"
    CERTIFICATE_MISSING = "certificate-missing"
    CERTIFICATE_OTHER = "certificate-other"
    CERTIFICATE_ENDED = "certificate-ended"
    """Its pinned certificate has run out: it may test and store, and asked only for more."""
    ADDRESS_PUBLIC = "address-public"
    """Neither private nor declared: cut off before a byte was read (P11)."""
    NOT_DICOM = "not-dicom"
    TOO_MANY = "too-many"


class Knock(Struct, frozen=True):
    """Refused associations of one kind, in sum."""

    id: str
    title: str
    """Calling AE title as claimed, printable characters only; empty when none was read."""
    called: str
    """Called AE title as claimed."""
    address: str
    tls: bool
    reason: KnockReason
    code: str
    """What was answered on the wire, for the technician: `A-ASSOCIATE-RJ 1/1/1` (PS3.8 9.3.4)."""
    first_at: float
    last_at: float
    count: int
    admissible: bool
    """Whether `admit` can admit it as it is."""
    ignored: bool = False


class EchoOutcome(StrEnum):
    """What a test echo came to."""

    ANSWERED = "answered"
    NO_PORT = "no-port"
    """The peer has no listening port."""
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """It answered, and refused the association."""
    NO_ECHO = "no-echo"
    """It took the association, and failed the echo."""


class EchoResult(Struct, frozen=True):
    """A test echo to a peer."""

    outcome: EchoOutcome
    milliseconds: int = 0
    code: str = ""
    """What came back on the wire, for the technician."""


class ListeningPort(Struct, frozen=True):
    """One DICOM listener."""

    addresses: tuple[str, ...]
    port: int
    tls: bool


class Listening(Struct, frozen=True):
    """What to type into a modality."""

    title: str
    ports: tuple[ListeningPort, ...]
    lan: bool
    """False while only loopback listens: no modality can reach the archive yet."""
    command: str
    """What starts the house again so that they can, to be typed where it was started."""


class Peers(Protocol):
    """Peers and knocks. Reading needs PEERS; changing needs PEERS, and PEOPLE beyond echo and store."""

    async def listening(self) -> Listening:
        """No proof needed beyond the page's own."""

    async def peers(self, proof: Proof) -> tuple[Peer, ...]:
        """By title."""

    async def add(self, proof: Proof, asked: PeerAsked) -> Peer:
        """Raises `Conflict`, `BadIdentifier` (title), `BadSetting` (address, date, certificate)."""

    async def remove(self, proof: Proof, peer_id: str) -> None:
        """Ends its associations at once. Idempotent."""

    async def knocks(self, proof: Proof) -> tuple[Knock, ...]:
        """Newest first; at most 100; kept in memory only, gone at restart."""

    async def admit(self, proof: Proof, knock_id: str) -> Peer:
        """Admit who knocked to echo and store, from that address. Raises `NotFound`, `Conflict`."""

    async def ignore(self, proof: Proof, knock_id: str) -> None:
        """Do not show this knock as new again. Idempotent."""

    async def echo(self, proof: Proof, peer_id: str, port: int = 0) -> EchoResult:
        """A C-ECHO to the peer, 10 seconds at most. A failure is an outcome, not an error.

        With `port`, there in place of the port that is known; it is kept when it answered the echo. Who
        knocked is admitted without one. Raises `NotFound`, `BadSetting` (port).
        """
