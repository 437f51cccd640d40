"""People as the command line names them.

What widens access is kept as pending while the archive is locked, without effect until an owner
approves it; what narrows it works at once. Locked, names are sealed: only ids can be named then.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from huisclos.access.accounts import Asked, TokenBody, UserBody
from huisclos.access.accounts import Change as Wanted
from huisclos.access.nouns import Proof, ProofKind, Right, Role
from huisclos.access.people import Holder, Invitation, NewToken, RotationState, Token, User
from huisclos.errors import Locked, NotFound
from huisclos.vault.console import Added, Waiting
from huisclos.vault.core import Core
from huisclos.vault.people import PeopleService, by
from huisclos.vault.users import Users, check_name

_CONSOLE: Final = Proof(ProofKind.CONSOLE)
_ID: Final = re.compile(r"[0-9a-f]{32}")


class ByName:
    """What `Console` asks of the accounts."""

    def __init__(self, core: Core, people: PeopleService, users: Users) -> None:
        self._core = core
        self._people = people
        self._users = users

    async def users(self) -> tuple[User, ...]:
        """See `Console.users`."""
        if not self._core.locked:
            return await self._people.users(_CONSOLE)
        bodies = self._core.ledger.all(UserBody).items()
        known = (_in_the_dark(user_id, body) for user_id, body in bodies)
        return tuple(sorted(known, key=lambda user: (user.created_at, user.id)))

    async def add(self, name: str, role: Role, password: str) -> Added:
        """See `Console.add_user`."""
        name = check_name(name)
        if self._core.locked:
            return await self._wait(Wanted.ADD_USER, name, role=role, password=password)
        if not password:
            return Added(invitation=await self._people.add(_CONSOLE, name, role))
        await self._people.create(await self._people.owner(_CONSOLE), name, role, password)
        return Added()

    async def set_role(self, name: str, role: Role) -> Added:
        """See `Console.set_role`."""
        name = check_name(name)
        if self._core.locked:
            return await self._wait(Wanted.SET_ROLE, name, role=role)
        await self._people.set_role(_CONSOLE, self._user_id(name), role)
        return Added()

    async def reset(self, name: str, password: str) -> Added:
        """See `Console.reset_password`."""
        name = check_name(name)
        if self._core.locked:
            return await self._wait(Wanted.RESET_PASSWORD, name, password=password)
        actor, user = await self._people.owner(_CONSOLE), self._users.need(self._user_id(name))
        if not password:
            return Added(invitation=await self._people.reset(_CONSOLE, user.id))
        digest = await self._people.changes.checked_digest(password, user.name)
        await self._people.changes.reset(actor, user.id, digest, "", invited=False)
        return Added()

    async def remove(self, name: str) -> None:
        """See `Console.remove_user`."""
        await self._people.remove(_CONSOLE, self._user_id(name))

    async def tokens(self) -> tuple[Token, ...]:
        """See `Console.tokens`."""
        if not self._core.locked:
            return await self._people.tokens(_CONSOLE)
        now = self._core.now()
        listed = (
            self._people.listed(token_id, token, "")
            for token_id, token in self._core.ledger.all(TokenBody).items()
            if now < token.until
        )
        return tuple(sorted(listed, key=lambda token: (-token.created_at, token.id)))

    async def add_token(self, user: str, label: str, may: frozenset[Right], until: float) -> Added:
        """See `Console.add_token`. While locked the token is given too, and opens nothing yet."""
        name = check_name(user)
        if not self._core.locked:
            made = await self._people.add_token(_CONSOLE, self._user_id(name), label, may, until)
            return Added(token=made)
        body, secret = self._people.changes.new_token(label, may, until)
        waiting = await self._wait(Wanted.ADD_TOKEN, name, token=body)
        return msgspec.structs.replace(waiting, token=NewToken(self._people.listed("", body, name), secret))

    async def remove_token(self, token_id: str) -> None:
        """See `Console.remove_token`."""
        self._core.ledger.need(TokenBody, token_id)
        await self._people.remove_token(_CONSOLE, token_id)

    async def pending(self) -> tuple[Waiting, ...]:
        """See `Console.pending`."""
        shown = {} if self._core.locked else {one.id: one for one in await self._people.pending(_CONSOLE)}
        times = self._people.asking.times()
        return tuple(Waiting(request_id, at, shown.get(request_id)) for request_id, at in times.items())

    async def approve(self, request_id: str) -> Invitation | None:
        """See `Console.approve`."""
        return await self._people.approve(_CONSOLE, request_id)

    async def refuse(self, request_id: str) -> None:
        """See `Console.refuse`."""
        if request_id not in self._people.asking.times():
            raise NotFound("no such request waits", hint="see: huisclos pending list ARCHIVE")
        await self._people.refuse(_CONSOLE, request_id)

    async def holders(self) -> tuple[Holder, ...]:
        """See `Console.holders`."""
        return await self._people.holding.all()

    async def add_holder(self, name: str, passphrase: str) -> None:
        """See `Console.add_holder`."""
        await self._people.add_passphrase(_CONSOLE, name, passphrase)

    async def remove_holder(self, holder_id: str) -> None:
        """See `Console.remove_holder`."""
        await self._people.remove_holder(_CONSOLE, holder_id)

    async def rotate(self) -> None:
        """See `Console.rotate`."""
        await self._people.rotate(_CONSOLE)

    def rotation(self) -> RotationState:
        """See `Console.rotation`."""
        return self._people.rotations.state()

    def _user_id(self, name: str) -> str:
        """The id of a user named by name or id. Raises `NotFound`, `Locked` for a name while locked."""
        if _ID.fullmatch(name) and self._core.ledger.get(UserBody, name) is not None:
            return name
        if self._core.locked:
            raise Locked(
                "names are sealed while the archive is locked",
                hint="name the person by the id that `huisclos user list` shows, or give --unlock-with",
            )
        return self._users.named(name).id

    async def _wait(
        self,
        change: Wanted,
        name: str,
        *,
        role: Role | None = None,
        token: TokenBody | None = None,
        password: str = "",
    ) -> Added:
        digest = await self._people.changes.checked_digest(password, name) if password else ""
        asked = Asked(
            change, self._core.now(), by(_CONSOLE), name=name, role=role, token=token, password=digest
        )
        await self._people.ask(_CONSOLE, asked)
        return Added(pending=True)


def _in_the_dark(user_id: str, body: UserBody) -> User:
    return User(
        id=user_id,
        name="",
        role=body.role,
        totp=False,
        holder=bool(body.holder_id),
        created_at=body.made_at,
        last_login_at=0.0,
        invited=False,
    )
