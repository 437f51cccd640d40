"""What the vault holds, shared by the services around it: secret, ledger, pen, clock."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huisclos.access.accounts import UserBody
from huisclos.access.nouns import Actor, ActorKind, Right
from huisclos.access.ports import Accounts
from huisclos.archive.ports import ObjectStore
from huisclos.errors import (
    Full,
    HouseOpen,
    JournalBroken,
    Locked,
    NotFound,
    NotGranted,
    StoreError,
    Tampered,
    Unreachable,
)
from huisclos.journal.entries import Act, Entry
from huisclos.journal.heads import check_head
from huisclos.seal import RecordKey, X25519Recipient
from huisclos.vault import places
from huisclos.vault.holders import Holders
from huisclos.vault.ledger import Ledger
from huisclos.vault.pen import Pen
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.signed_key import open_key
from huisclos.vault.sources import Sources

CONSOLE = Actor(ActorKind.CONSOLE, "console", "console", frozenset(Right))
HOUSE = Actor(ActorKind.HOUSE, "house", "house", frozenset(Right))
RECORD_KEY_FOR = b"huisclos record key v1\0"
"""What the archive signs with `keys/index.age`."""


class Core:
    """The vault's state. Services hold it and nothing of each other but what they are handed."""

    def __init__(
        self,
        archive_id: str,
        journal_folder: Path,
        store: ObjectStore,
        accounts: Accounts,
        clock: Callable[[], float],
    ) -> None:
        self.archive_id = archive_id
        self.store = store
        self.accounts = accounts
        self.holders = Holders(store)
        self.recipient = X25519Recipient.parse(self._text(places.RECIPIENT))
        self.verify_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self._text(places.SIGNING)))
        self.ledger = Ledger(accounts, self.verify_key)
        self.pen = Pen(journal_folder, self.recipient)
        self._clock = clock
        self._latest = self._signed_at()
        self._secret: ArchiveSecret | None = None
        self._records: RecordKey | None = None
        self.grant_key = secrets.token_bytes(32)
        """Binds grants; fresh at each unlock, shared with the finder."""
        self.since = clock()
        """Locked or unlocked since."""
        self.unlocked_by = ""
        self.unlocked_holder = ""
        self.unlocked_at = 0.0
        self.sources = Sources()
        self.told_as: Callable[[Actor], str] = lambda actor: actor.name
        """What the journal calls an actor: of a token, whose it is."""
        self.put_back = False
        """The accounts are older than the journal says: found at unlock."""
        self.newest_set = 0
        """The newest version of them that the journal spoke of at unlock."""
        self._waiting: list[tuple[tuple[Entry, ...], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def locked(self) -> bool:
        """Whether the archive's secret is away."""
        return self._secret is None

    @property
    def secret(self) -> ArchiveSecret:
        """The archive's secret. Raises `Locked`."""
        if self._secret is None:
            raise Locked(
                "the archive is locked", hint="unlock it at the gate, or with: huisclos unlock ARCHIVE"
            )
        return self._secret

    @property
    def secret_or_none(self) -> ArchiveSecret | None:
        """The archive's secret while unlocked."""
        return self._secret

    @property
    def records(self) -> RecordKey:
        """The key of sealed records. Raises `Locked`."""
        if self._records is None:
            self._records = RecordKey(self.record_key())
        return self._records

    def record_key(self) -> bytes:
        """The key of sealed records, for the finder. Raises `Locked`, `Tampered`, `NotFound`."""
        return open_key(self.secret, RECORD_KEY_FOR, self.store.read(places.RECORD_KEY))

    def take(self, secret: ArchiveSecret, holder_id: str, name: str) -> None:
        """Be unlocked from now on.

        Raises `Tampered` when the public keys this process has used since it was started are not those
        of the secret: the files may have been put back since.
        """
        known = {secret.recipient}
        if self.holders.turn(secret) is not None:
            known.update(str(identity.recipient) for identity in secret.identities[1:2])
        used = self.verify_key.public_bytes_raw().hex()
        if str(self.recipient) not in known or used != secret.signing_public:
            raise Tampered(
                "this house was started with public keys that are not the archive's",
                hint="somebody exchanged keys/: what was received since is sealed to a stranger; "
                "see that keys/ is whole, then start again",
            )
        self.renew(secret)
        self.grant_key = secrets.token_bytes(32)
        self.since = self.unlocked_at = self.now()
        self.unlocked_by, self.unlocked_holder = name, holder_id

    def renew(self, secret: ArchiveSecret) -> None:
        """Seal to the identity of `secret` from now on: at unlock, and when a rotation has made a new one."""
        self._secret = secret
        self.recipient = secret.identity.recipient
        self.pen.seal_to(self.recipient)

    def forget(self) -> None:
        """Be locked from now on. Python does not promise that memory is overwritten."""
        self._secret = None
        self._records = None
        self.holders.latest = None
        self.grant_key = secrets.token_bytes(32)
        self.since = self.now()

    def now(self) -> float:
        """Seconds since the epoch, never earlier than what was written, or than the journal's last head.

        A clock set back does not bring an expired token back to life.
        """
        self._latest = max(self._latest, self._clock())
        return self._latest

    def behind(self) -> float:
        """Seconds by which the machine's clock stands before what was written already; 0 when it does not."""
        return max(0.0, self._latest - self._clock())

    def _signed_at(self) -> float:
        """When the newest head that this archive signed was signed; 0.0 without one."""
        newest = 0.0
        for head in self.pen.heads():
            if head.at > newest:
                with contextlib.suppress(JournalBroken):
                    check_head(head, self.verify_key)
                    newest = head.at
        return newest

    async def journal(self, *entries: Entry) -> None:
        """Make entries durable; entries asked for at the same time share one write."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    def entry(  # noqa: PLR0913 - what an entry may say
        self,
        act: Act,
        actor: Actor = HOUSE,
        *,
        address: str = "",
        study_id: str = "",
        purpose: str = "",
        what: str = "",
        subject: str = "",
        counts: dict[str, int] | None = None,
        grant_id: str = "",
    ) -> Entry:
        """An entry of now."""
        return Entry(
            at=self.now(),
            act=act,
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            actor=self.told_as(actor),
            address=address,
            study_id=study_id,
            purpose=purpose,
            what=what,
            subject=subject,
            counts=counts or {},
            grant_id=grant_id,
        )

    async def demand(self, actor: Actor, right: Right, *, address: str = "", what: str = "") -> None:
        """Raises `NotGranted`, journalled, unless `actor` has `right`."""
        if actor.may(right):
            return
        await self.journal(self.entry(Act.REFUSED, actor, address=address, what=what or right.value))
        raise NotGranted("your role does not allow this", hint="ask an owner of this archive")

    def owners(self) -> dict[str, UserBody]:
        """The accounts with the role of owner that are in force."""
        return {
            user_id: user
            for user_id, user in self.ledger.all(UserBody).items()
            if user.role == "owner" and not user.disabled
        }

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            entries = [entry for group, _ in batch for entry in group]
            try:
                await asyncio.to_thread(self.pen.write, *entries)
            except OSError as error:
                # a journal that cannot be written must stop whatever waits for it (P9)
                for _, done in batch:
                    if not done.done():
                        done.set_exception(unwritten(error))
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _text(self, place: str) -> str:
        try:
            return self.store.read(place).decode("ascii").strip()
        except (NotFound, UnicodeDecodeError):
            raise HouseOpen(
                f"{place} is missing or damaged: nothing could be sealed", hint="restore keys/ from a backup"
            ) from None


def unwritten(error: OSError) -> StoreError:
    """What stands for it when the journal or its heads cannot be written."""
    kind = Full if error.errno in {errno.ENOSPC, errno.EDQUOT} else Unreachable
    return kind("the journal cannot be written, so nothing is opened", hint="make room on the archive's disk")
