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
from huisclos.access.people import Holder, Invitation, NewToken, Pending, RotationState, Token, User
from huisclos.doors.house import HouseDoors
from huisclos.journal.heads import Head


class Added(Struct, frozen=True):
    """What asking for a user, a token, a role or a password came to."""

    pending: bool = False
    """Recorded, without effect until an owner approves it at unlock."""
    invitation: Invitation | None = None
    token: NewToken | None = None


class Waiting(Struct, frozen=True):
    """A request that waits for an owner."""

    id: str
    asked_at: float
    asked: Pending | None = None
    """What is asked for; None while the archive is locked, and for a request that does not open."""


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

    async def users(self) -> tuple[User, ...]:
        """By name. Works locked: without names, and without what is sealed beside them."""

    async def add_user(self, name: str, role: Role, password: str) -> Added:
        """With an empty `password` one is made and told once. Pending while locked."""

    async def set_role(self, name: str, role: Role) -> Added:
        """Another role for the user of this name or id; pending while locked. Raises `Conflict`."""

    async def reset_password(self, name: str, password: str) -> Added:
        """A new password for the user of this name; made and told once if empty. Pending while locked."""

    async def remove_user(self, name: str) -> None:
        """Account, sessions and tokens end at once; locked too, with the user's id as `name`.

        Raises `NotFound`; `Conflict` for the last owner and the last passphrase.
        """

    async def tokens(self) -> tuple[Token, ...]:
        """Newest first, without those that ended. Works locked: without the names of their users."""

    async def add_token(self, user: str, label: str, may: frozenset[Right], until: float) -> Added:
        """A token of the user called `user`. Pending while locked."""

    async def remove_token(self, token_id: str) -> None:
        """Ends at once; works locked. Raises `NotFound`."""

    async def pending(self) -> tuple[Waiting, ...]:
        """What waits for an owner, oldest first. Works locked: without what it is."""

    async def approve(self, request_id: str) -> Invitation | None:
        """Put a request in force. Raises `Locked`, `NotFound`, and what the change itself raises."""

    async def refuse(self, request_id: str) -> None:
        """Drop a request; works locked. Raises `NotFound`."""

    async def holders(self) -> tuple[Holder, ...]:
        """Oldest first. Works locked: without what is sealed, whose each is and of what kind."""

    async def add_holder(self, name: str, passphrase: str) -> None:
        """A holder who is no user. Raises `Locked`, `BadSetting`."""

    async def remove_holder(self, holder_id: str) -> None:
        """At once, also locked; then the archive gets a new key. Raises `Conflict`, `NotFound`."""

    async def rotate(self) -> None:
        """A new archive key, in force when this returns. Raises `Locked`, `Conflict`."""

    async def rotation(self) -> RotationState:
        """How far the last one is; works locked."""

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

    async def doors(self, *, again: bool) -> HouseDoors:
        """The state of each door; with `again`, the house looks first, if it is served."""

    async def verify_key(self) -> bytes:
        """The archive's Ed25519 public key, raw."""
