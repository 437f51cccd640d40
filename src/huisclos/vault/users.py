"""Users as the vault knows them while it is unlocked: names, password digests, second factors."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Final

import msgspec

from huisclos.access.accounts import UserBody, UserSecret
from huisclos.access.nouns import RIGHTS, Actor, ActorKind, Role
from huisclos.errors import BadSetting, Conflict, NotFound
from huisclos.vault.core import Core
from huisclos.vault.throttle import fold

MAX_NAME: Final = 80
_CONTEXT: Final = b"huisclos user v1\0"


@dataclass(frozen=True, slots=True)
class Known:
    """A user with the sealed half opened."""

    id: str
    body: UserBody
    secret: UserSecret

    @property
    def name(self) -> str:
        """What a person reads."""
        return self.secret.name

    @property
    def actor(self) -> Actor:
        """The user acting with all the role's rights."""
        rights = RIGHTS[self.body.role]
        return Actor(ActorKind.USER, self.id, self.name, rights, self.body.role, self.secret.language)


class Users:
    """Reads and writes users in the ledger. Everything here raises `Locked` while locked."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.changing = asyncio.Lock()
        """Held from reading a user to writing it, so that two changes at once do not undo each other."""

    def all(self) -> tuple[Known, ...]:
        """Everybody, by name."""
        bodies = self._core.ledger.all(UserBody)
        known = [self._opened(user_id, body) for user_id, body in bodies.items()]
        return tuple(sorted(known, key=lambda user: fold(user.name)))

    def get(self, user_id: str) -> Known | None:
        """One user, or None."""
        body = self._core.ledger.get(UserBody, user_id)
        return None if body is None else self._opened(user_id, body)

    def need(self, user_id: str) -> Known:
        """One user. Raises `NotFound`."""
        return self._opened(user_id, self._core.ledger.need(UserBody, user_id))

    def find(self, name: str) -> Known | None:
        """The user with this name, whatever its case, or None."""
        wanted = fold(name)
        # every name is compared, found or not: how long it takes says nothing
        found = [user for user in self.all() if fold(user.name) == wanted]
        return found[0] if found else None

    def named(self, name: str) -> Known:
        """The user with this name. Raises `NotFound`."""
        found = self.find(name)
        if found is None:
            raise NotFound("there is no user with this name")
        return found

    def check_free(self, name: str) -> None:
        """Raises `Conflict` when somebody has this name."""
        if self.find(name) is not None:
            raise Conflict("there is a user with this name already", hint="add something to tell them apart")

    def put(self, user_id: str, body: UserBody, secret: UserSecret) -> None:
        """Write a user, new or changed."""
        sealed = self._core.records.seal_record(msgspec.msgpack.encode(secret), _CONTEXT + user_id.encode())
        self._core.ledger.put(self._core.secret, msgspec.structs.replace(body, secret=sealed), user_id)

    def change(self, user: Known, **changed: object) -> Known:
        """Write `user` with these fields of the sealed half changed; the user as it now is."""
        secret = msgspec.structs.replace(user.secret, **changed)
        self.put(user.id, user.body, secret)
        return self.need(user.id)

    def create(self, role: Role, secret: UserSecret) -> str:
        """Write a new user; the id. The name was checked."""
        user_id = secrets.token_hex(16)
        self.put(user_id, UserBody(role, b"", self._core.now()), secret)
        return user_id

    def is_last_owner(self, user_id: str) -> bool:
        """Whether nobody would be an owner without this user."""
        return set(self._core.owners()) == {user_id}

    def _opened(self, user_id: str, body: UserBody) -> Known:
        plain = self._core.records.open_record(body.secret, _CONTEXT + user_id.encode())
        return Known(user_id, body, msgspec.msgpack.decode(plain, type=UserSecret))


def check_name(name: str) -> str:
    """A user's name, blanks around dropped, accents composed. Raises `BadSetting`."""
    tidy = unicodedata.normalize("NFC", name).strip()
    # controls, formats (which turn text around), surrogates, line and paragraph separators
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in tidy):
        raise BadSetting("a name has visible characters only")
    if not 1 <= len(tidy) <= MAX_NAME:
        raise BadSetting(f"a name has 1 to {MAX_NAME} characters")
    return tidy
