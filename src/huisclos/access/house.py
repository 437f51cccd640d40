"""The state of the house.

Written against by the pages, implemented by the vault. Where a `Proof` is asked for, the vault judges
it and raises `NotAdmitted` (nobody, or a session gone idle), `NotGranted` (journalled) and, when the
answer needs the archive identity, `Locked`; every method raises `Unreachable` when the vault does not
answer. Times are seconds since the epoch; 0 means never.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field

from huisclos.access.chronicle import JournalHead
from huisclos.access.nouns import Proof


class Separation(StrEnum):
    """How well the processes are kept apart."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Glance(Struct, frozen=True):
    """The line on top of each page. No patient data, no proof needed."""

    locked: bool
    set_up: bool
    """Whether there is an owner."""
    recovery_confirmed: bool
    peers: int
    last_received_at: float
    silent: int = 0
    """Peers that have not been heard for 7 days."""
    knocks: int = 0
    """Knocks not yet admitted or ignored."""
    pending: int = 0
    disk_low: bool = False
    journal_holds: bool = True
    open_listener: bool = False
    """Somebody knocked from a public address: a door may be open in front of the house."""
    by_link: bool = False
    """Nobody owns the archive yet, and the one-time link is the way in."""
    unnamed: tuple[str, ...] = ()
    """Addresses listened on that the certificate does not name: a browser that comes there warns."""


class Certificate(Struct, frozen=True):
    """One certificate of the house."""

    label: str
    """`ca` or `leaf`."""
    names: tuple[str, ...]
    until: float


class HouseReport(Struct, frozen=True):
    """Everything the state page shows, with when it was last proved."""

    glance: Glance
    since: float
    """Locked or unlocked since."""
    unlocked_by: str
    separation: Separation
    separation_missing: tuple[str, ...]
    """What is not in force: `landlock`, `seccomp`, `users`, `namespaces`..."""
    disk_free: int
    disk_total: int
    """Bytes, where objects lie."""
    holders: int
    recovery_confirmed_at: float
    journal: JournalHead
    objects_verified_at: float
    """When `verify` last read every object; 0 for never."""
    silent: tuple[tuple[str, float], ...]
    """(title, last heard) of peers silent for 7 days."""
    certificates: tuple[Certificate, ...]
    listeners: tuple[tuple[str, str], ...]
    """(`http`, `gate`, `viewer`, `dicom`, `dicom_tls`; `host:port`)."""
    pending: int
    version: str
    versions: dict[str, str] = field(default_factory=dict)
    """Of what the house stands on: python, openssl, sqlite, viewer..."""
    started_at: float = 0.0
    rows_ignored: int = 0
    """Rows of the accounts that this archive does not vouch for: somebody wrote them, without effect."""
    accounts_put_back: bool = False
    """The accounts are older than the journal says: somebody removed may be back."""
    clock_set_back: bool = False
    """The machine's clock stands before what the journal says already."""
    passphrase_near: bool = False
    """The file that unlocks at the start lies on the archive's file system: stolen together, it opens."""
    journal_written: int = 0
    """Entries of the journal by now, those included that came since it was last verified."""


class Trust(Struct, frozen=True):
    """The local certificate authority, for `/trust`."""

    pem: bytes
    fingerprint: str
    """SHA-256, upper-case hex pairs with colons."""
    words: tuple[str, ...]
    """The same fingerprint as words."""
    until: float
    own: bool = True
    """False when the owner brought a certificate: there is nothing to trust."""


class HouseState(Protocol):
    """How the house is."""

    async def glance(self) -> Glance:
        """Cheap: asked for by every page."""

    async def report(self, proof: Proof) -> HouseReport:
        """Needs STATE."""

    async def trust(self) -> Trust:
        """Public by nature."""
