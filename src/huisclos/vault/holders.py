"""Holders: each file under keys/holders is the archive's secret, sealed to one passphrase or recovery key."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Final

import msgspec

from huisclos.archive.ports import ObjectStore
from huisclos.errors import (
    ArchiveNotFound,
    DamagedHolder,
    HuisclosError,
    NoIdentityMatch,
    NotFound,
    Tampered,
    WrongPassphrase,
)
from huisclos.seal import (
    Identity,
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    seal,
    unseal,
)
from huisclos.vault import places
from huisclos.vault.secret import ArchiveSecret, decode_secret, fingerprint

WORK_FACTOR: Final = 18
"""log2 of scrypt's N (age's own default): about 1 s and 256 MiB an attempt."""
SET_UP_WORK_FACTOR: Final = 10
"""The set-up link's secret is 128 random bits: no need to be slow."""
_RECOVERY_PREFIX: Final = "AGE-SECRET-KEY-1"


class HolderKind(StrEnum):
    """How a holder opens."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a word, not a secret
    RECOVERY = "recovery"
    SET_UP = "set-up"
    USER = "user"


class About(msgspec.Struct, frozen=True):
    """Whose holder file it is."""

    holder_id: str
    kind: HolderKind
    name: str
    made_at: float
    user_id: str = ""


class Holders:
    """The holder files of one archive."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def ids(self) -> tuple[str, ...]:
        """Every holder there is."""
        found = [
            place.rpartition("/")[2]
            for place, _ in self._store.list(places.HOLDERS)
            if place.endswith(".age") and not place.endswith(".about.age")
        ]
        return tuple(sorted(name.removesuffix(".age") for name in found))

    def damaged(self) -> tuple[str, ...]:
        """Holders whose file is not the one that was written, told without any passphrase."""
        return tuple(holder_id for holder_id in self.ids() if not self._whole(holder_id))

    def add(
        self, secret: ArchiveSecret, opener: str, kind: HolderKind, name: str, now: float, user_id: str = ""
    ) -> str:
        """Seal the archive's secret to a passphrase or to the recovery recipient; the holder's id."""
        holder_id = secrets.token_hex(16)
        recipient: Recipient
        if kind is HolderKind.RECOVERY:
            recipient = X25519Recipient.parse(opener)
        else:
            work = SET_UP_WORK_FACTOR if kind is HolderKind.SET_UP else WORK_FACTOR
            recipient = ScryptRecipient(opener, work_factor=work)
        sealed = seal(secret.encode(), [recipient])
        about = msgspec.json.encode(About(holder_id, kind, name, now, user_id))
        self._store.put(places.holder_digest(holder_id), fingerprint(sealed).encode() + b"\n")
        self._store.put(places.holder_about(holder_id), seal(about, [secret.identity.recipient]))
        self._store.put(places.holder(holder_id), sealed)
        return holder_id

    def remove(self, holder_id: str) -> None:
        """Destroy a holder. Idempotent."""
        for place in (
            places.holder(holder_id),
            places.holder_about(holder_id),
            places.holder_digest(holder_id),
        ):
            self._store.delete(place)

    def about(self, secret: ArchiveSecret, holder_id: str) -> About:
        """Whose it is. Raises `Tampered`, `NotFound`."""
        plain = unseal(self._store.read(places.holder_about(holder_id)), [secret.identity])
        about = msgspec.json.decode(plain, type=About)
        if about.holder_id != holder_id:
            raise Tampered("a holder's description belongs to another holder")
        return about

    def everyone(self, secret: ArchiveSecret) -> tuple[About, ...]:
        """Every holder that can be described."""
        known = []
        for holder_id in self.ids():
            try:
                known.append(self.about(secret, holder_id))
            except HuisclosError:
                continue
        return tuple(known)

    def open(self, opener: str) -> tuple[ArchiveSecret, str]:
        """The secret and the holder it opened. `opener` is a passphrase or a recovery key.

        Raises `WrongPassphrase`; `DamagedHolder` when nothing whole opened and a damaged file may be
        the one meant; `Tampered` when what opens is not this archive's secret.
        """
        ids = self.ids()
        if not ids:
            raise ArchiveNotFound(
                "this archive has no holder: nobody can open it", hint="restore keys/holders"
            )
        damaged = self.damaged()
        identity = _identity(opener)
        for holder_id in ids:
            if holder_id in damaged:
                continue
            try:
                plain = unseal(self._store.read(places.holder(holder_id)), [identity])
            except NoIdentityMatch:
                continue
            secret = decode_secret(plain)
            self._check(secret)
            return secret, holder_id
        if damaged:
            raise DamagedHolder(
                f"{len(damaged)} of {len(ids)} holder files are damaged; no whole one opens with this",
                hint="restore keys/holders from a backup, or use another passphrase or the recovery key",
            )
        raise WrongPassphrase(
            "no holder opens with this passphrase", hint="check for a missing word; small letters matter"
        )

    def _check(self, secret: ArchiveSecret) -> None:
        if self._store.read(places.RECIPIENT).decode("ascii", "replace").strip() != secret.recipient:
            raise Tampered(
                "keys/archive.recipient is not the one that belongs to this secret",
                hint="someone replaced it: what came since may be sealed to a stranger; restore keys/",
            )
        if self._store.read(places.SIGNING).decode("ascii", "replace").strip() != secret.signing_public:
            raise Tampered(
                "keys/signing.pub is not the one that belongs to this secret",
                hint="restore keys/ from a backup",
            )

    def _whole(self, holder_id: str) -> bool:
        try:
            written = self._store.read(places.holder_digest(holder_id)).decode("ascii", "replace").strip()
            return written == fingerprint(self._store.read(places.holder(holder_id)))
        except NotFound:
            return False


def is_recovery_key(opener: str) -> bool:
    """Whether `opener` is written like a recovery key rather than a passphrase."""
    return opener.strip().upper().startswith(_RECOVERY_PREFIX)


def _identity(opener: str) -> Identity:
    if is_recovery_key(opener):
        return X25519Identity.parse(opener.strip().upper())
    return ScryptIdentity(opener, max_work_factor=WORK_FACTOR)
