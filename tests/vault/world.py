"""A small archive for the vault's tests: real files for the journal, the rest in memory, a clock of ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from huisclos.access import passwords
from huisclos.access.accounts import UserSecret
from huisclos.access.nouns import Proof, ProofKind, Role
from huisclos.access.ports import Pending, Row
from huisclos.errors import Conflict
from huisclos.journal.entries import Entry, decode_entry
from huisclos.seal import unseal
from huisclos.stores.memory import MemoryStore
from huisclos.vault import holders
from huisclos.vault.budget import Budgets
from huisclos.vault.by_name import ByName
from huisclos.vault.chronicle import Chronicle
from huisclos.vault.core import Core
from huisclos.vault.create import Opener, create_archive
from huisclos.vault.hashing import canonical
from huisclos.vault.holders import HolderKind
from huisclos.vault.keeper import Vaultkeeper
from huisclos.vault.people import PeopleService
from huisclos.vault.rotation import Rotation
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.sessions import Sessions

ARCHIVE = "a" * 32
ADDRESS = "192.168.1.20"
PASSWORD = "Kestrel-7-among-Walnuts"
NEW_PASSWORD = "Quartz+9-under-Lanterns"
OPENER = "set-up-secret"
"""What `start` unlocks with."""
CONSOLE = Proof(ProofKind.CONSOLE)


class Time:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 50.0

    def pass_(self, seconds: float) -> None:
        """Both move."""
        self.wall += seconds
        self.steady += seconds


class MemoryAccounts:
    """The `Accounts` port in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Row] = {}
        self.waiting: dict[str, Pending] = {}

    def rows(self, kind: str = "") -> list[Row]:
        """See the port."""
        return [row for row in self.kept.values() if not kind or row.kind == kind]

    def row(self, kind: str, row_id: str) -> Row | None:
        """See the port."""
        return self.kept.get((kind, row_id))

    def put(self, row: Row) -> None:
        """See the port."""
        before = self.kept.get((row.kind, row.id))
        if before is not None and before.version >= row.version:
            raise Conflict("a newer version is there")
        self.kept[row.kind, row.id] = row

    def delete(self, kind: str, row_id: str) -> None:
        """See the port."""
        self.kept.pop((kind, row_id), None)

    def pending(self) -> list[Pending]:
        """See the port."""
        return sorted(self.waiting.values(), key=lambda pending: pending.made)

    def put_pending(self, pending: Pending) -> None:
        """See the port."""
        if pending.id in self.waiting:
            raise Conflict("this request is there")
        self.waiting[pending.id] = pending

    def replace_pending(self, pending: Pending) -> None:
        """See the port."""
        if pending.id in self.waiting:
            self.waiting[pending.id] = pending

    def delete_pending(self, pending_id: str) -> None:
        """See the port."""
        self.waiting.pop(pending_id, None)


class World:
    """An archive and its services; unlocked unless `lock` was called."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.folder = folder
        self.store = MemoryStore()
        self.accounts = MemoryAccounts()
        now = dt.datetime.fromtimestamp(self.time.wall, dt.UTC)
        create_archive(self.store, folder, Opener(OPENER, "set-up", HolderKind.SET_UP), "house", now)
        self.core: Core
        self.secret: ArchiveSecret
        self.start()

    def start(self) -> None:
        """Begin anew on the same files, as after a restart, and unlock."""
        self.core = Core(ARCHIVE, self.folder, self.store, self.accounts, lambda: self.time.wall)
        self.sessions = Sessions(self.core, lambda: self.time.steady)
        budgets = Budgets(self.core)
        self.rotation = Rotation(self.core)
        self.people = PeopleService(self.core, self.sessions, budgets, self.rotation)
        self.named = ByName(self.core, self.people, self.sessions.users)
        self.keeper = Vaultkeeper(self.core, self.sessions, budgets)
        self.chronicle = Chronicle(self.core, self.sessions)
        self.secret, holder_id = self.core.holders.open(OPENER)
        self.core.take(self.secret, holder_id, "set-up")

    def lock(self) -> None:
        """As the gate does."""
        self.sessions.end_all()
        self.core.forget()

    def unlock(self) -> None:
        """As the gate does."""
        self.core.take(self.secret, "", "set-up")

    def user(self, name: str, role: Role, password: str = PASSWORD) -> str:
        """A user, made without a word in the journal; the id."""
        digest = passwords.hash_password(canonical(password))
        return self.sessions.users.create(role, UserSecret(name, digest))

    async def login(self, name: str, password: str = PASSWORD, address: str = ADDRESS) -> Proof:
        """The proof of a fresh session."""
        login = await self.sessions.login(name, password, address)
        assert login.session is not None
        return proof(login.session.secret)

    def said(self) -> list[Entry]:
        """Every entry of the journal."""
        identity = self.secret.identity
        return [decode_entry(unseal(record.sealed, [identity])) for record in self.core.pen.records()]

    def acts(self) -> list[tuple[str, str]]:
        """(act, what) of every entry."""
        return [(entry.act.value, entry.what) for entry in self.said()]


def proof(secret: str, kind: ProofKind = ProofKind.SESSION) -> Proof:
    """A proof from the usual address."""
    return Proof(kind, secret, ADDRESS)


@contextmanager
def quick() -> Iterator[None]:
    """Argon2id and scrypt at their cheapest: these tests are not about their cost."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", cheap)
        patch.setattr(passwords, "_nobody", lambda: cheap.hash("nobody"))
        patch.setattr(holders, "WORK_FACTOR", 10)
        yield
