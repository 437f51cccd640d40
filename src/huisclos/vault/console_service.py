"""The command line's side of the vault. Implements `Console`."""

from __future__ import annotations

from huisclos.access.accounts import PeerBody
from huisclos.access.chronicle import VERIFIED_OBJECTS, Change, JournalHead, JournalLine
from huisclos.access.gate import RecoveryKey
from huisclos.access.house import HouseReport
from huisclos.access.nouns import Proof, ProofKind, Right, Role
from huisclos.access.peers import Peer, PeerAsked
from huisclos.access.people import Holder, Invitation, RotationState, Token, User
from huisclos.doors.house import HouseDoors
from huisclos.errors import NotFound
from huisclos.journal.entries import Act
from huisclos.journal.heads import Head
from huisclos.vault.by_name import ByName
from huisclos.vault.chronicle import Chronicle
from huisclos.vault.console import Added, Waiting
from huisclos.vault.core import CONSOLE, Core
from huisclos.vault.doors import DoorsService
from huisclos.vault.peers import PeerService
from huisclos.vault.recovery import Recovery, shown
from huisclos.vault.state import StateService

_PROOF = Proof(ProofKind.CONSOLE)


class ConsoleService:
    """What the account that owns the archive asks at the command line."""

    def __init__(
        self,
        core: Core,
        named: ByName,
        peers: PeerService,
        recovery: Recovery,
        chronicle: Chronicle,
        state: StateService,
    ) -> None:
        self._core = core
        self._named = named
        self._peers = peers
        self._recovery = recovery
        self._chronicle = chronicle
        self._state = state
        self.watched: DoorsService | None = None
        """The doors of the house."""

    async def report(self) -> HouseReport:
        """See `Console`."""
        return await self._state.plain_report()

    async def peers(self) -> tuple[Peer, ...]:
        """See `Console`."""
        return self._peers.everyone()

    async def add_peer(self, peer: PeerBody) -> Peer:
        """See `Console`."""
        asked = PeerAsked(peer.title, peer.address, peer.port, peer.may, peer.until, peer.certificate)
        return await self._peers.add(_PROOF, asked)

    async def remove_peer(self, title: str) -> int:
        """See `Console`."""
        named = [peer for peer in self._peers.everyone() if peer.title == title]
        if not named:
            raise NotFound("there is no peer with this title", hint="see: huisclos peer list ARCHIVE")
        for peer in named:
            await self._peers.remove(_PROOF, peer.id)
        return len(named)

    async def users(self) -> tuple[User, ...]:
        """See `Console`."""
        return await self._named.users()

    async def add_user(self, name: str, role: Role, password: str) -> Added:
        """See `Console`."""
        return await self._named.add(name, role, password)

    async def set_role(self, name: str, role: Role) -> Added:
        """See `Console`."""
        return await self._named.set_role(name, role)

    async def reset_password(self, name: str, password: str) -> Added:
        """See `Console`."""
        return await self._named.reset(name, password)

    async def remove_user(self, name: str) -> None:
        """See `Console`."""
        await self._named.remove(name)

    async def tokens(self) -> tuple[Token, ...]:
        """See `Console`."""
        return await self._named.tokens()

    async def add_token(self, user: str, label: str, may: frozenset[Right], until: float) -> Added:
        """See `Console`."""
        return await self._named.add_token(user, label, may, until)

    async def remove_token(self, token_id: str) -> None:
        """See `Console`."""
        await self._named.remove_token(token_id)

    async def pending(self) -> tuple[Waiting, ...]:
        """See `Console`."""
        return await self._named.pending()

    async def approve(self, request_id: str) -> Invitation | None:
        """See `Console`."""
        return await self._named.approve(request_id)

    async def refuse(self, request_id: str) -> None:
        """See `Console`."""
        await self._named.refuse(request_id)

    async def holders(self) -> tuple[Holder, ...]:
        """See `Console`."""
        return await self._named.holders()

    async def add_holder(self, name: str, passphrase: str) -> None:
        """See `Console`."""
        await self._named.add_holder(name, passphrase)

    async def remove_holder(self, holder_id: str) -> None:
        """See `Console`."""
        await self._named.remove_holder(holder_id)

    async def rotate(self) -> None:
        """See `Console`."""
        await self._named.rotate()

    async def rotation(self) -> RotationState:
        """See `Console`."""
        return self._named.rotation()

    async def confirm_recovery(self, line: str) -> None:
        """See `Console`."""
        await self._recovery.confirm(CONSOLE, line)

    async def recovery_key(self) -> RecoveryKey:
        """See `Console`."""
        key = shown(self._recovery.kept())
        await self._core.journal(self._core.entry(Act.CHANGED, CONSOLE, what=Change.RECOVERY_SHOWN))
        return key

    async def journal(self, offset: int, limit: int) -> tuple[JournalLine, ...]:
        """See `Console`."""
        return await self._chronicle.lines(offset, limit)

    async def verify_journal(self, anchored: Head | None) -> JournalHead:
        """See `Console`."""
        return await self._chronicle.verify_now(anchored)

    async def head(self) -> Head:
        """See `Console`."""
        return await self._chronicle.anchor()

    async def exported(self, study_id: str, instances: int, octets: int) -> None:
        """See `Console`."""
        counts = {"instances": instances, "octets": octets}
        await self._core.journal(self._core.entry(Act.EXPORTED, CONSOLE, study_id=study_id, counts=counts))

    async def verified(self, problems: int, objects: int) -> None:
        """See `Console`."""
        self._state.verified_at = self._core.now()
        counts = {"problems": problems, "instances": objects}
        await self._core.journal(
            self._core.entry(Act.VERIFIED, CONSOLE, what=VERIFIED_OBJECTS, counts=counts)
        )

    async def reindexed(self, instances: int, unattested: int) -> None:
        """See `Console`."""
        counts = {"instances": instances, "unattested": unattested}
        await self._core.journal(self._core.entry(Act.REINDEXED, CONSOLE, counts=counts))

    async def doors(self, *, again: bool) -> HouseDoors:
        """See `Console`."""
        if self.watched is None:
            return HouseDoors()
        return await self.watched.look_from_console() if again else self.watched.now()

    async def verify_key(self) -> bytes:
        """See `Console`."""
        return self._core.verify_key.public_bytes_raw()
