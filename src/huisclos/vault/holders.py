"""Holders: whoever opens the archive, by a passphrase or by the recovery key."""

from __future__ import annotations

import secrets
import threading
from typing import Final

import msgspec

from huisclos.archive.ports import ObjectStore
from huisclos.errors import (
    ArchiveNotFound,
    Conflict,
    DamagedHolder,
    HuisclosError,
    Tampered,
    WrongPassphrase,
)
from huisclos.seal import (
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    seal,
    unseal,
)
from huisclos.vault import places
from huisclos.vault.holder_files import (
    About,
    HolderKind,
    has_key,
    is_whole,
    open_with_identity,
    open_with_passphrase,
    read_about,
    remove_holder,
    write_about,
    write_holder,
)
from huisclos.vault.secret import ArchiveSecret, decode_secret
from huisclos.vault.turn import Turn, read_turn

__all__ = ["SET_UP_WORK_FACTOR", "WORK_FACTOR", "About", "HolderKind", "Holders", "is_recovery_key"]

WORK_FACTOR: Final = 18
"""log2 of scrypt's N (age's own default): about 1 s and 256 MiB an attempt."""
SET_UP_WORK_FACTOR: Final = 10
"""The set-up link's secret is 128 random bits: no need to be slow."""
_RECOVERY_PREFIX: Final = "AGE-SECRET-KEY-1"


class Holders:
    """The holder files of one archive. Everything blocks; safe from several threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.changing = threading.RLock()
        """Held while holder files are written, so that a rotation misses none."""
        self.latest: ArchiveSecret | None = None
        """The secret a rotation has put in force: what is sealed from then on, whoever still has the old."""

    def ids(self) -> tuple[str, ...]:
        """Every holder there is."""
        found = [
            place.rpartition("/")[2].removesuffix(".age")
            for place, _ in self._store.list(places.HOLDERS)
            if place.endswith(".age") and not place.endswith((".about.age", ".key.age"))
        ]
        return tuple(sorted(found))

    def damaged(self) -> tuple[str, ...]:
        """Holders whose files are not those that were written, told without any passphrase."""
        return tuple(holder_id for holder_id in self.ids() if not is_whole(self._store, holder_id))

    def with_passphrase(self) -> tuple[str, ...]:
        """Whole holders that a passphrase opens, told without any: the recovery key has none."""
        return tuple(
            holder_id
            for holder_id in self.ids()
            if is_whole(self._store, holder_id)
            and (has_key(self._store, holder_id) or self._is_scrypt(holder_id))
        )

    def add(
        self, secret: ArchiveSecret, opener: str, kind: HolderKind, name: str, now: float, user_id: str = ""
    ) -> str:
        """Seal the archive's secret to a passphrase or to the recovery recipient; the holder's id.

        Raises `Conflict` when a rotation was cut short before everybody had the new secret.
        """
        about = About(secrets.token_hex(16), kind, name, now, user_id)
        key: bytes | None = None
        recipient: Recipient
        if kind is HolderKind.SET_UP:
            # there for minutes: it is destroyed before anybody could be taken away
            recipient = ScryptRecipient(opener, work_factor=SET_UP_WORK_FACTOR)
        else:
            key, line = (None, opener) if kind is HolderKind.RECOVERY else _key_pair(opener)
            about = msgspec.structs.replace(about, recipient=line)
            recipient = X25519Recipient.parse(line)
        with self.changing:
            secret = self.latest or secret
            turn = self.turn(secret)
            if turn is not None and not turn.holders_done:
                raise Conflict(
                    "a new archive key is being given to those who open the archive",
                    hint="lock and unlock the archive, then try again",
                )
            write_about(self._store, secret, about)
            write_holder(self._store, about.holder_id, seal(secret.encode(), [recipient]), key)
        return about.holder_id

    def remove(self, holder_id: str) -> None:
        """Destroy a holder. Idempotent. What it may have kept is dealt with by a rotation."""
        with self.changing:
            remove_holder(self._store, holder_id)

    def about(self, secret: ArchiveSecret, holder_id: str) -> About:
        """Whose it is. Raises `Tampered`, `NotFound`."""
        return read_about(self._store, secret, holder_id)

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

        In the middle of a rotation the secret is the new one, whichever the holder's file has. Raises
        `WrongPassphrase`; `DamagedHolder` when nothing whole opened and a damaged file may be the one
        meant; `Tampered` when what opens is not this archive's secret.
        """
        ids = self.ids()
        if not ids:
            raise ArchiveNotFound(
                "this archive has no holder: nobody can open it", hint="restore keys/holders"
            )
        damaged = self.damaged()
        identity = X25519Identity.parse(opener.strip().upper()) if is_recovery_key(opener) else None
        scrypt = ScryptIdentity(opener, max_work_factor=WORK_FACTOR)
        for holder_id in ids:
            if holder_id in damaged:
                continue
            if identity is not None:
                plain = open_with_identity(self._store.read(places.holder(holder_id)), identity)
            else:
                plain = open_with_passphrase(self._store, holder_id, scrypt)
            secret = self._in_force(decode_secret(plain), holder_id) if plain is not None else None
            if secret is not None:
                return secret, holder_id
        if damaged:
            raise DamagedHolder(
                f"{len(damaged)} of {len(ids)} holder files are damaged; no whole one opens with this",
                hint="restore keys/holders from a backup, or use another passphrase or the recovery key",
            )
        raise WrongPassphrase(
            "no holder opens with this passphrase", hint="check for a missing word; small letters matter"
        )

    def turn(self, secret: ArchiveSecret) -> Turn | None:
        """The rotation under way, if there is one. Raises `Tampered`."""
        return read_turn(self._store, secret)

    # what a rotation needs

    def upgrade(self, secret: ArchiveSecret, holder_id: str, opener: str) -> bool:
        """Give a holder of an older archive what it lacks, its passphrase being at hand; whether it did.

        The recovery key needs no passphrase: it is kept sealed to the archive.
        """
        with self.changing:
            secret = self.latest or secret
            upgraded = self._upgrade_recovery(secret)
            if is_recovery_key(opener):
                return upgraded
            about = self.about(secret, holder_id)
            if about.kind is HolderKind.SET_UP or self._is_ready(about, secret):
                return upgraded
            key, recipient = _key_pair(opener)
            # what was not signed may say anything: whoever came with a passphrase is not the recovery key
            kind = HolderKind.PASSPHRASE if about.kind is HolderKind.RECOVERY else about.kind
            about = msgspec.structs.replace(about, kind=kind, recipient=recipient)
            write_about(self._store, secret, about)
            write_holder(
                self._store, holder_id, seal(secret.encode(), [X25519Recipient.parse(recipient)]), key
            )
        return True

    def unready(self, secret: ArchiveSecret) -> tuple[str, ...]:
        """Holders that nothing can be sealed to before they have unlocked once, or were taken away."""
        ready = {about.holder_id for about in self.everyone(secret) if self._is_ready(about, secret)}
        return tuple(holder_id for holder_id in self.ids() if holder_id not in ready)

    def reseal(self, secret: ArchiveSecret, holder_id: str) -> None:
        """Give a holder `secret`, without its passphrase. Raises `Tampered` if the archive knows none."""
        with self.changing:
            about = self.about(secret, holder_id)
            if not about.vouched(secret):
                raise Tampered("a holder's description is not one that the archive wrote")
            sealed = seal(secret.encode(), [X25519Recipient.parse(about.recipient)])
            write_holder(self._store, holder_id, sealed)
            write_about(self._store, secret, about)

    def _is_ready(self, about: About, secret: ArchiveSecret) -> bool:
        return about.vouched(secret) and not self._is_scrypt(about.holder_id)

    def _upgrade_recovery(self, secret: ArchiveSecret) -> bool:
        old = [
            about
            for about in self.everyone(secret)
            if about.kind is HolderKind.RECOVERY and not about.vouched(secret)
        ]
        if not old:
            return False
        try:
            line = unseal(self._store.read(places.RECOVERY), secret.identities).decode("ascii").strip()
            kept = X25519Identity.parse(line)
        except (HuisclosError, UnicodeDecodeError):
            return False
        for about in old:
            # the kept key could be anybody's, were it not that the holder's file opens with it to our secret
            plain = open_with_identity(self._store.read(places.holder(about.holder_id)), kept)
            if plain is not None and decode_secret(plain).document == secret.document:
                recipient = str(kept.recipient)
                write_about(self._store, secret, msgspec.structs.replace(about, recipient=recipient))
        return True

    def _is_scrypt(self, holder_id: str) -> bool:
        return b"\n-> scrypt " in self._store.read(places.holder(holder_id))[:64]

    def _in_force(self, secret: ArchiveSecret, holder_id: str) -> ArchiveSecret | None:
        """`secret`, or the one that a rotation puts in its place; None for a holder that it takes away."""
        turn = self.turn(secret)
        retired = ""
        if turn is not None:
            if not turn.holders_done and holder_id not in turn.keep:
                return None
            secret = ArchiveSecret(turn.secret)
            retired = "" if turn.holders_done else str(secret.identities[1].recipient)
        if self._text(places.RECIPIENT) not in {secret.recipient, retired}:
            raise Tampered(
                "keys/archive.recipient is not the one that belongs to this secret",
                hint="someone replaced it: what came since may be sealed to a stranger; restore keys/",
            )
        if self._text(places.SIGNING) != secret.signing_public:
            raise Tampered(
                "keys/signing.pub is not the one that belongs to this secret",
                hint="restore keys/ from a backup",
            )
        return secret

    def _text(self, place: str) -> str:
        return self._store.read(place).decode("ascii", "replace").strip()


def is_recovery_key(opener: str) -> bool:
    """Whether `opener` is written like a recovery key rather than a passphrase."""
    return opener.strip().upper().startswith(_RECOVERY_PREFIX)


def _key_pair(passphrase: str) -> tuple[bytes, str]:
    """A fresh identity sealed to `passphrase`, and its recipient. Takes about a second."""
    identity = X25519Identity.generate()
    scrypt = ScryptRecipient(passphrase, work_factor=WORK_FACTOR)
    return seal(str(identity).encode() + b"\n", [scrypt]), str(identity.recipient)
