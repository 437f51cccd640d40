"""Changes of accounts that an owner has asked for or approved: checked, journalled, put in force."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from huisclos.access.accounts import Asked, PeerBody, RowKind, TokenBody, UserBody, UserSecret
from huisclos.access.accounts import Change as Wanted
from huisclos.access.chronicle import Change
from huisclos.access.nouns import RIGHTS, Actor, Right, Role
from huisclos.access.passwords import secret_digest
from huisclos.access.people import Invitation
from huisclos.access.sessions import PasswordFault
from huisclos.errors import BadSetting, Conflict, NotGranted
from huisclos.journal.entries import Act
from huisclos.seal import generate_passphrase
from huisclos.vault.core import Core
from huisclos.vault.proofs import token_of
from huisclos.vault.rotation import Rotation
from huisclos.vault.sessions import Sessions
from huisclos.vault.users import Known, check_name

TOKEN_RIGHTS: Final = frozenset({Right.READ, Right.LIST, Right.STORE})
MAX_LABEL: Final = 80
TOKEN_PREFIX: Final = "hc_"  # noqa: S105 - a word, not a secret
"""So that a token found where it should not be is known for what it is."""
_FAULTS: Final = {
    PasswordFault.TOO_SHORT: "this password is too short",
    PasswordFault.TOO_LONG: "this password is too long",
    PasswordFault.GUESSABLE: "this password is a known one, or follows a known pattern",
    PasswordFault.SAME_AS_BEFORE: "this is the password there was before",
}
_RULE: Final = "12 characters with small and capital letters, figures and signs; or seven random words"


class Changes:
    """What `PeopleService` does once it is known who asks. Widening is journalled before it is in force."""

    def __init__(
        self, core: Core, sessions: Sessions, rotation: Rotation, narrowed: Callable[[str], None]
    ) -> None:
        self._core = core
        self._sessions = sessions
        self._rotation = rotation
        self._users = sessions.users
        self.narrowed = narrowed

    async def checked_digest(self, password: str, name: str) -> str:
        """The digest of a password that meets the rule. Raises `BadSetting`."""
        faults = await self._sessions.hashing.faults(password, name)
        if faults:
            raise BadSetting(_FAULTS[faults[0]], hint=_RULE)
        return await self._sessions.hashing.digest(password)

    async def invite(self, actor: Actor, name: str, role: Role, address: str) -> Invitation:
        """A new user with a password to hand over. Raises `Conflict`."""
        password = generate_passphrase()
        digest = await self._sessions.hashing.digest(password)
        user_id = await self.create(actor, role, UserSecret(name, digest, invited=True), address)
        return Invitation(user_id, name, password)

    async def create(self, actor: Actor, role: Role, secret: UserSecret, address: str) -> str:
        """A new user; the id. Raises `Conflict` when the name is taken."""
        async with self._users.changing:
            self._users.check_free(secret.name)
            await self.tell(actor, Change.USER_ADDED, secret.name, address, detail=role)
            secret = msgspec.structs.replace(secret, password_changed_at=self._core.now())
            return self._users.create(role, secret)

    async def set_role(self, actor: Actor, user_id: str, role: Role, address: str) -> None:
        """Another role, at once. Raises `Conflict` for the last owner, `NotFound`."""
        async with self._users.changing:
            user = self._users.need(user_id)
            if role is not Role.OWNER:
                self._check_not_last(user_id)
            widens = not RIGHTS[role] <= RIGHTS[user.body.role]
            if widens:
                await self.tell(actor, Change.ROLE_CHANGED, user.name, address, detail=role)
            user = self._users.need(user_id)
            self._users.put(user.id, msgspec.structs.replace(user.body, role=role), user.secret)
            self.narrowed(user_id)
            for token_id, token in self._core.ledger.all(TokenBody).items():
                if token.user_id == user_id:
                    self.narrowed(token_id)
            if not widens:
                await self.tell(actor, Change.ROLE_CHANGED, user.name, address, detail=role)

    async def reset(self, actor: Actor, user_id: str, digest: str, address: str, *, invited: bool) -> str:
        """Another password, the second factor away, sessions ended; the name.

        The user is no holder any more: the new password opens no holder file. Raises `NotFound`,
        `Conflict` when nobody could open the archive then.
        """
        async with self._users.changing:
            user = self._users.need(user_id)
            held = await self.drop_holder_of(user.body)
            await self.tell(actor, Change.PASSWORD_RESET, user.name, address)
            secret = msgspec.structs.replace(
                user.secret,
                password=digest,
                totp="",
                totp_used=0,
                recovery=(),
                invited=invited,
                password_changed_at=self._core.now(),
            )
            self._users.put(user_id, msgspec.structs.replace(user.body, holder_id=""), secret)
            self._sessions.end_user(user_id)
        if held:
            await self._rotation.holder_gone(actor)
        return user.name

    async def remove(self, actor: Actor, user_id: str, address: str) -> None:
        """Account, tokens, sessions, holder: gone at once, locked or not. Raises `Conflict`, `NotFound`."""
        core = self._core
        async with self._users.changing:
            body = core.ledger.need(UserBody, user_id)
            name = f"user {user_id[:8]}" if core.locked else self._users.need(user_id).name
            self._check_not_last(user_id)
            held = await self.drop_holder_of(body)
            self._sessions.end_user(user_id)
            self.narrowed(user_id)
            for token_id, token in core.ledger.all(TokenBody).items():
                if token.user_id == user_id:
                    core.ledger.remove(core.secret_or_none, RowKind.TOKEN, token_id)
                    self.narrowed(token_id)
            core.ledger.remove(core.secret_or_none, RowKind.USER, user_id)
        await self.tell(actor, Change.USER_REMOVED, name, address)
        if held:
            await self._rotation.holder_gone(actor)

    def new_token(self, label: str, may: frozenset[Right], until: float) -> tuple[TokenBody, str]:
        """A token without a user yet, and its secret. Raises `BadSetting`."""
        if not may or not may <= TOKEN_RIGHTS:
            raise BadSetting("a token may read and store, nothing else", hint="--may read,store")
        if until <= self._core.now():
            raise BadSetting("the end date has passed")
        if len(label) > MAX_LABEL or not all(char.isprintable() for char in label):
            raise BadSetting(f"a label has at most {MAX_LABEL} visible characters")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return TokenBody("", secret_digest(secret), may, until, self._core.now(), label), secret

    async def add_token(self, actor: Actor, user: Known, body: TokenBody, address: str) -> str:
        """Put a token in force; its id. Raises `NotGranted`, journalled, beyond the user's role."""
        if not body.may <= RIGHTS[user.body.role]:
            entry = self._core.entry(
                Act.REFUSED, actor, address=address, what=Change.TOKEN_ADDED, subject=user.name
            )
            await self._core.journal(entry)
            raise NotGranted("a token never may more than its user", hint="give the user another role first")
        detail = ",".join(sorted(body.may))
        subject = token_of(user.name, body.label)
        await self.tell(actor, Change.TOKEN_ADDED, subject, address, detail=detail)
        async with self._users.changing:
            self._users.need(user.id)
            body = msgspec.structs.replace(body, user_id=user.id)
            return self._core.ledger.put(self._core.secret, body)

    async def put_in_force(
        self, actor: Actor, request_id: str, asked: Asked, address: str
    ) -> Invitation | None:
        """Do what was asked for in the dark; an invitation when a password is to be handed over.

        Raises what the change itself raises.
        """
        if asked.peer is not None:
            await self._enrol(actor, request_id, asked.peer, address)
        elif asked.change is Wanted.ADD_USER and asked.role is not None:
            name = check_name(asked.name)
            if not asked.password:
                return await self.invite(actor, name, asked.role, address)
            await self.create(actor, asked.role, UserSecret(name, asked.password), address)
        elif asked.token is not None:
            await self.add_token(actor, self._users.named(asked.name), asked.token, address)
        elif asked.change is Wanted.SET_ROLE and asked.role is not None:
            await self.set_role(actor, self._users.named(asked.name).id, asked.role, address)
        elif asked.change is Wanted.RESET_PASSWORD:
            return await self._reset_asked(actor, asked, address)
        else:
            raise BadSetting("this request says nothing that could be done", hint="refuse it")
        return None

    async def drop_holder_of(self, user: UserBody) -> bool:
        """The user's password opens the archive no more; whether it did. `Conflict` when nobody's would."""
        if user.holder_id:
            await self._sessions.holding.check_removable(user.holder_id)
            await self._rotation.want()
            await self._sessions.holding.remove(user.holder_id)
            return True
        return False

    async def tell(self, actor: Actor, what: Change, subject: str, address: str, *, detail: str = "") -> None:
        """Journal a change; `detail` is the role or the rights given."""
        counts = {"set": self._core.ledger.version}
        entry = self._core.entry(
            Act.CHANGED, actor, address=address, what=what, subject=subject, purpose=detail, counts=counts
        )
        await self._core.journal(entry)

    async def _reset_asked(self, actor: Actor, asked: Asked, address: str) -> Invitation | None:
        user = self._users.named(asked.name)
        if asked.password:
            await self.reset(actor, user.id, asked.password, address, invited=False)
            return None
        password = generate_passphrase()
        digest = await self._sessions.hashing.digest(password)
        name = await self.reset(actor, user.id, digest, address, invited=True)
        return Invitation(user.id, name, password)

    async def _enrol(self, actor: Actor, peer_id: str, peer: PeerBody, address: str) -> None:
        wanted = (peer.title, peer.address, peer.certificate)
        for known in self._core.ledger.all(PeerBody).values():
            if (known.title, known.address, known.certificate) == wanted:
                raise Conflict("this peer is enrolled already", hint="remove it first to change it")
        subject = f"{peer.title} {peer.address}"
        await self.tell(actor, Change.PEER_ADDED, subject, address, detail=",".join(sorted(peer.may)))
        self._core.ledger.put(self._core.secret, peer, peer_id)

    def _check_not_last(self, user_id: str) -> None:
        if self._users.is_last_owner(user_id):
            raise Conflict("this is the last owner", hint="make somebody else an owner first")
