"""What only the command line asks of the vault: the operating system's account that owns the archive.

Its proof is the channel it came over. Widening through it needs the archive unlocked, like
anybody's; asked while locked it is kept as pending.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from huisclos.access.accounts import PeerBody
from huisclos.access.chronicle import JournalHead, JournalLine
from huisclos.access.gate import RecoveryKey
from huisclos.access.house import HouseReport
from huisclos.access.nouns import Right, Role
from huisclos.access.peers import Peer
from huisclos.access.people import Invitation, NewToken
from huisclos.journal.heads import Head


class Added(Struct, frozen=True):
    """What asking for a user or a token came to."""

    pending: bool = False
    """Recorded, without effect until an owner approves it at unlock."""
    invitation: Invitation | None = None
    token: NewToken | None = None


class Console(Protocol):
    """The vault as the command line sees it."""

    async def report(self) -> HouseReport:
        """The state of the house; works locked."""

    async def peers(self) -> tuple[Peer, ...]:
        """Every peer; works locked."""

    async def add_peer(self, peer: PeerBody) -> Peer:
        """Enrol; pending while locked. Raises `Conflict`, `NotGranted`."""

    async def remove_peer(self, title: str) -> int:
        """Remove every peer of this title, approved or not; how many. Works locked."""

    async def add_user(self, name: str, role: Role, password: str) -> Added:
        """With an empty `password` one is made and told once. Pending while locked."""

    async def add_token(self, user: str, label: str, may: frozenset[Right], until: float) -> Added:
        """A token of the user called `user`. Pending while locked."""

    async def confirm_recovery(self, line: str) -> None:
        """See `SetUp.confirm_recovery`; works locked."""

    async def recovery_key(self) -> RecoveryKey:
        """The recovery key as kept, for its card. Journalled. Raises `Locked`, `NotFound`."""

    async def journal(self, offset: int, limit: int) -> tuple[JournalLine, ...]:
        """Entries, oldest first. Raises `Locked`."""

    async def verify_journal(self, anchored: Head | None) -> JournalHead:
        """Verify the whole chain, and that it goes on from `anchored`. Raises `Locked`."""

    async def head(self) -> Head:
        """A head of the journal as it stands, signed. Raises `Locked`."""

    async def exported(self, study_id: str, instances: int, octets: int) -> None:
        """Journal an export."""

    async def verified(self, problems: int, objects: int) -> None:
        """Journal that every object was read and checked."""

    async def reindexed(self, instances: int, unattested: int) -> None:
        """Journal a reindex."""

    async def verify_key(self) -> bytes:
        """The archive's Ed25519 public key, raw."""
