"""Users, tokens, holders, and what waits for an owner. Implements `People`.

What widens access is in the journal before it is in force; what narrows it is in force first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from huisclos.access.accounts import Asked, PeerBody, RowKind, TokenBody, UserSecret
from huisclos.access.accounts import Change as Wanted
from huisclos.access.chronicle import Change
from huisclos.access.nouns import Actor, ActorKind, Proof, Right, Role
from huisclos.access.passwords import check_password
from huisclos.access.people import (
    FastReader,
    Holder,
    Invitation,
    NewToken,
    Pending,
    RotationState,
    Token,
    User,
)
from huisclos.access.sessions import PasswordFault
from huisclos.errors import BadSetting
from huisclos.journal.entries import Act
from huisclos.seal import generate_passphrase
from huisclos.vault.asking import WORDS, Asking, same_peer, shown, subject_of
from huisclos.vault.budget import Budgets
from huisclos.vault.changes import Changes
from huisclos.vault.core import Core
from huisclos.vault.hashing import faults_of
from huisclos.vault.holders import HolderKind
from huisclos.vault.proofs import token_of
from huisclos.vault.rotation import Rotation
from huisclos.vault.sessions import Sessions
from huisclos.vault.users import Known, check_name


class PeopleService:
    """The accounts, as an owner and the console change them."""

    def __init__(self, core: Core, sessions: Sessions, budgets: Budgets, rotation: Rotation) -> None:
        self._core = core
        self._sessions = sessions
        self._budgets = budgets
        self.rotations = rotation
        self._users = sessions.users
        self.holding = sessions.holding
        self.asking = Asking(core)
        """What waits for an owner."""
        self.changes = Changes(core, sessions, rotation, self._tell_changed)
        """What is done once it is known who asks."""
        self._deciding = asyncio.Lock()
        self.on_rights_changed: Callable[[str], None] | None = None
        """Told the id of a user or token whose rights are not what they were."""

    @staticmethod
    def check_name(name: str) -> str:
        """A user's name, tidied. Raises `BadSetting`."""
        return check_name(name)

    @staticmethod
    def faults_of(password: str, name: str) -> tuple[PasswordFault, ...]:
        """What is wrong with a password for the person of this name."""
        return faults_of(password, name)

    # users

    async def users(self, proof: Proof) -> tuple[User, ...]:
        """See `People`."""
        await self.owner(proof)
        return tuple(_user(known) for known in self._users.all())

    async def add(self, proof: Proof, name: str, role: Role) -> Invitation:
        """See `People`."""
        actor = await self.owner(proof)
        return await self.changes.invite(actor, check_name(name), role, proof.address)

    async def create(
        self, actor: Actor, name: str, role: Role, password: str, *, language: str = "", address: str = ""
    ) -> str:
        """A user with a password of their own choice; the id. Raises `Conflict`, `BadSetting`."""
        name = check_name(name)
        digest = await self.changes.checked_digest(password, name)
        return await self.changes.create(actor, role, UserSecret(name, digest, language=language), address)

    async def set_role(self, proof: Proof, user_id: str, role: Role) -> None:
        """See `People`."""
        await self.changes.set_role(await self.owner(proof), user_id, role, proof.address)

    async def reset(self, proof: Proof, user_id: str) -> Invitation:
        """See `People`. A holder whose password it was is one no more."""
        actor = await self.owner(proof)
        password = generate_passphrase()
        digest = await self._sessions.hashing.digest(password)
        name = await self.changes.reset(actor, user_id, digest, proof.address, invited=True)
        return Invitation(user_id, name, password)

    async def remove(self, proof: Proof, user_id: str) -> None:
        """See `People`. A holder's file goes with them. Narrows: works locked, for the console."""
        actor = await self._narrowing(proof)
        await self.changes.remove(actor, user_id, proof.address)

    # tokens

    async def tokens(self, proof: Proof) -> tuple[Token, ...]:
        """See `People`."""
        await self.owner(proof)
        names = {user.id: user.name for user in self._users.all()}
        now = self._core.now()
        listed = [
            self.listed(token_id, token, names[token.user_id])
            for token_id, token in self._core.ledger.all(TokenBody).items()
            if token.user_id in names and now < token.until
        ]
        return tuple(sorted(listed, key=lambda token: (-token.created_at, token.id)))

    async def add_token(
        self, proof: Proof, user_id: str, label: str, may: frozenset[Right], until: float
    ) -> NewToken:
        """See `People`."""
        actor = await self.owner(proof)
        user = self._users.need(user_id)
        body, secret = self.changes.new_token(label, may, until)
        token_id = await self.changes.add_token(actor, user, body, proof.address)
        return NewToken(self.listed(token_id, self._core.ledger.need(TokenBody, token_id), user.name), secret)

    async def remove_token(self, proof: Proof, token_id: str) -> None:
        """See `People`. Narrows: works locked, for the console."""
        actor = await self._narrowing(proof)
        token = self._core.ledger.get(TokenBody, token_id)
        if self._core.ledger.remove(self._core.secret_or_none, RowKind.TOKEN, token_id) and token is not None:
            self.changes.narrowed(token_id)
            user = None if self._core.locked else self._users.get(token.user_id)
            subject = token.label if user is None else token_of(user.name, token.label)
            await self.changes.tell(actor, Change.TOKEN_REMOVED, subject, proof.address)

    # what waits

    async def pending(self, proof: Proof) -> tuple[Pending, ...]:
        """See `People`."""
        await self.owner(proof)
        return tuple(shown(request_id, asked) for request_id, asked in self.asking.all())

    async def approve(self, proof: Proof, pending_id: str) -> Invitation | None:
        """See `People`. A peer keeps the id of its request: what it sent meanwhile is its own."""
        actor = await self.owner(proof)
        async with self._deciding:
            asked = self.asking.need(pending_id)
            invitation = await self.changes.put_in_force(actor, pending_id, asked, proof.address)
            self.asking.drop(pending_id)
        return invitation

    async def refuse(self, proof: Proof, pending_id: str) -> None:
        """See `People`. Narrows: works locked, for the console, which then is not told what it was."""
        actor = await self._narrowing(proof)
        asked = None if self._core.locked else dict(self.asking.all()).get(pending_id)
        if self.asking.drop(pending_id):
            entry = self._core.entry(
                Act.DECIDED,
                actor,
                address=proof.address,
                what=WORDS[asked.change] if asked is not None else "",
                purpose="refused",
                subject=subject_of(asked) if asked is not None else f"request {pending_id[:8]}",
            )
            await self._core.journal(entry)

    def waiting(self) -> int:
        """How many requests wait; known while locked too."""
        return self.asking.count()

    def pending_asked(self) -> list[tuple[str, Asked]]:
        """(id, request), oldest first. Raises `Locked`."""
        return self.asking.all()

    def waiting_peers(self) -> list[tuple[str, PeerBody]]:
        """(id, peer) of those whose images are kept apart until an owner approves them. Works locked."""
        return self.asking.peers()

    async def ask_peer(self, proof: Proof, body: PeerBody) -> str:
        """Keep a peer as a request; its id, under which it will be enrolled. Asked again, it is the same."""
        for request_id, waiting in self.waiting_peers():
            if same_peer(waiting, body) and waiting.may == body.may:
                return request_id
        return await self.ask(proof, Asked(Wanted.ADD_PEER, self._core.now(), by(proof), peer=body))

    async def ask(self, proof: Proof, asked: Asked) -> str:
        """Keep a request that would widen access; its id. Raises `Conflict` when too many wait."""
        # asking opens nothing, so that the console may in the dark what otherwise only narrows
        await self._sessions.actor(proof, narrowing=True)
        return await self.asking.ask(asked, proof.address)

    def enrolled(self, body: PeerBody) -> None:
        """A peer was enrolled by its owner: requests for the same one wait no more. Idempotent."""
        for request_id, waiting in self.waiting_peers():
            if same_peer(waiting, body):
                self.asking.drop(request_id)

    async def withdraw(self, pending_id: str) -> None:
        """A request is taken back: narrows, works locked. Idempotent."""
        self.asking.drop(pending_id)

    # who reads fast

    async def fast_readers(self, proof: Proof) -> tuple[FastReader, ...]:
        """See `People`."""
        await self.owner(proof)
        return self._budgets.stopped()

    async def confirm_reading(self, proof: Proof, actor_id: str) -> None:
        """See `People`. Widens, so it is in the journal first."""
        actor = await self.owner(proof)
        names = {reader.id: reader.name for reader in self._budgets.stopped()}
        await self.changes.tell(actor, Change.READING_CONFIRMED, names.get(actor_id, ""), proof.address)
        self._budgets.confirm(actor_id)

    # holders

    async def holders(self, proof: Proof) -> tuple[Holder, ...]:
        """See `People`."""
        await self.owner(proof)
        return await self.holding.all()

    async def add_holder(self, proof: Proof, passphrase: str) -> tuple[PasswordFault, ...]:
        """See `People`. The passphrase is what the user logs in with from now on."""
        actor = await self.owner(proof)
        user = self._users.get(actor.id) if actor.kind is ActorKind.USER else None
        if user is None:
            raise BadSetting("only a user becomes a holder", hint="log in, then ask again")
        faults = await self._sessions.hashing.faults(passphrase, user.name)
        if not faults:
            await self._sessions.set_password(user, passphrase, proof.address, holder=True)
            await self.changes.tell(actor, Change.HOLDER_ADDED, user.name, proof.address)
        return faults

    async def remove_holder(self, proof: Proof, holder_id: str) -> None:
        """See `People`. Narrows: works locked, for the console; the new key then comes with the unlock."""
        actor = await self._narrowing(proof)
        async with self._users.changing:
            about = await self.holding.check_removable(holder_id)
            await self.rotations.want()
            await self.holding.remove(holder_id)
            user = self._users.get(about.user_id) if about is not None and about.user_id else None
            if user is not None and user.body.holder_id == holder_id:
                self._users.put(user.id, msgspec.structs.replace(user.body, holder_id=""), user.secret)
        name = about.name if about else f"holder {holder_id[:8]}"
        await self.changes.tell(actor, Change.HOLDER_REMOVED, name, proof.address)
        await self.rotations.holder_gone(actor)

    async def add_passphrase(self, proof: Proof, name: str, passphrase: str) -> None:
        """A holder who is no user: a passphrase for a safe, say. Widens. Raises `BadSetting`, `Locked`."""
        actor = await self.owner(proof)
        name = check_name(name)
        check_password(passphrase, names=(name,))
        core = self._core
        await self.changes.tell(actor, Change.HOLDER_ADDED, name, proof.address)
        add = core.holders.add
        await asyncio.to_thread(add, core.secret, passphrase, HolderKind.PASSPHRASE, name, core.now())

    async def rotation(self, proof: Proof) -> RotationState:
        """See `People`."""
        await self.owner(proof)
        return self.rotations.state()

    async def rotate(self, proof: Proof) -> None:
        """A new archive key. Raises `Locked`, and `Conflict` while a holder must unlock once before."""
        await self.rotations.begin(await self.owner(proof), proof.address)

    async def sweep(self) -> int:
        """Destroy holder files left behind by a password change cut short: after an unlocking; how many."""
        there = await asyncio.to_thread(self._core.holders.ids)
        async with self._users.changing:
            for user in self._users.all():
                if user.body.holder_id and user.body.holder_id not in there:  # taken away while locked
                    self._users.put(user.id, msgspec.structs.replace(user.body, holder_id=""), user.secret)
        return await self.holding.sweep()

    async def owner(self, proof: Proof) -> Actor:
        """Who shows `proof`, who must have PEOPLE. Raises `NotAdmitted`, `NotGranted`, `Locked`."""
        actor = await self._sessions.actor(proof)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        return actor

    async def _narrowing(self, proof: Proof) -> Actor:
        actor = await self._sessions.actor(proof, narrowing=True)
        await self._core.demand(actor, Right.PEOPLE, address=proof.address)
        return actor

    def _tell_changed(self, actor_id: str) -> None:
        if self.on_rights_changed is not None:
            self.on_rights_changed(actor_id)

    def listed(self, token_id: str, token: TokenBody, user_name: str) -> Token:
        """A token as it is listed."""
        return Token(
            id=token_id,
            user_id=token.user_id,
            user_name=user_name,
            label=token.label,
            may=token.may,
            created_at=token.made_at,
            until=token.until,
            last_used_at=self._sessions.tokens_used.get(token_id, 0.0),
        )


def by(proof: Proof) -> str:
    """Who asks, for whoever decides."""
    return f"console ({proof.address})" if proof.address else "console"


def _user(known: Known) -> User:
    return User(
        id=known.id,
        name=known.name,
        role=known.body.role,
        totp=bool(known.secret.totp),
        holder=bool(known.body.holder_id),
        created_at=known.body.made_at,
        last_login_at=known.secret.last_login_at,
        invited=known.secret.invited,
    )
