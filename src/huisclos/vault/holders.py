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
    NotFound,
    SealError,
    Tampered,
    Unreadable,
    WrongPassphrase,
)
from huisclos.seal import (
    Header,
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
    Opened,
    has_key,
    is_whole,
    note_digests,
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

    def gone(self) -> set[str]:
        """Holders of whose secret only the digest is left."""
        digests = {
            place.rpartition("/")[2].removesuffix(".sha256")
            for place, _ in self._store.list(places.HOLDERS)
            if place.endswith(".sha256")
        }
        return digests - set(self.ids())

    def with_passphrase(self) -> tuple[str, ...]:
        """Whole holders that a passphrase opens, told without any: the recovery key has none."""
        return tuple(
            holder_id
            for holder_id in self.ids()
            if is_whole(self._store, holder_id)
            and (has_key(self._store, holder_id) or self._is_scrypt(holder_id))
        )

    def by_link(self) -> bool:
        """Whether nobody but the one-time link opens the archive, told without any passphrase.

        A link's secret is random, so its scrypt is quick: no other holder's is.
        """
        ids = self.ids()
        return bool(ids) and all(self._is_link(holder_id) for holder_id in ids)

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
        """Whose it is. Raises `Tampered`, `NotFound`, `NoIdentityMatch`."""
        return read_about(self._store, secret, holder_id)

    def described(self, secret: ArchiveSecret, holder_id: str) -> About:
        """Whose it is, or as much as can be said of a holder whose description is lost or damaged."""
        try:
            return self.about(secret, holder_id)
        except (NotFound, SealError, Unreadable):
            typed = has_key(self._store, holder_id) or self._is_scrypt(holder_id)
            kind = HolderKind.PASSPHRASE if typed else HolderKind.RECOVERY
            return About(holder_id, kind, f"holder {holder_id[:8]}", 0.0)

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

        In the middle of a rotation the secret is the new one, whichever the holder's file has. A lost
        digest keeps nobody out: whole files are tried first, then the others. Raises `WrongPassphrase`;
        `DamagedHolder` when nothing opened and a file that is damaged or gone may be the one meant;
        `Tampered` when what opens is not this archive's secret, or another holder's.
        """
        ids = self.ids()
        if not ids:
            raise ArchiveNotFound(
                "this archive has no holder: nobody can open it", hint="restore keys/holders"
            )
        damaged = self.damaged()
        identity = X25519Identity.parse(opener.strip().upper()) if is_recovery_key(opener) else None
        by = identity or ScryptIdentity(opener, max_work_factor=WORK_FACTOR)
        problem: Tampered | None = None
        for holder_id in sorted(ids, key=lambda holder_id: (holder_id in damaged, holder_id)):
            try:
                opened = self._opened(holder_id, by, damaged=holder_id in damaged)
                secret = self._judged(opened, holder_id) if opened is not None else None
            except Tampered as error:
                problem = problem or error  # another file may be in order
                continue
            if secret is not None:
                return secret, holder_id
        if problem is not None:
            raise problem
        gone = self.gone()
        if damaged or gone:
            how = "damaged or gone" if gone else "damaged"
            count, of_all = len(damaged) + len(gone), len(ids) + len(gone)
            raise DamagedHolder(
                f"{count} of {of_all} holder files are {how}, and none opens with this",
                hint="restore keys/holders from a backup, or use another passphrase or the recovery key",
            )
        raise WrongPassphrase(
            "no holder opens with this passphrase", hint="check for a missing word; small letters matter"
        )

    def turn(self, secret: ArchiveSecret) -> Turn | None:
        """The rotation under way, if there is one. Raises `Tampered`."""
        return read_turn(self._store, secret)

    # what a rotation needs

    def upgrade(self, secret: ArchiveSecret, holder_id: str, opener: str, now: float) -> bool:
        """Give a holder what it lacks, now that its opener is at hand; whether it lacked anything.

        In an older archive that is a key of its own; anywhere, a description or digests that were lost.
        The recovery key of an older archive needs no opener: it is kept sealed to the archive.
        """
        with self.changing:
            secret = self.latest or secret
            upgraded = self._upgrade_recovery(secret)
            about = self.described(secret, holder_id)
            if about.kind is not HolderKind.SET_UP and not self._is_ready(about, secret):
                self._make_ready(secret, about, opener, now)
                upgraded = True
            if not is_whole(self._store, holder_id):
                note_digests(self._store, holder_id)
                upgraded = True
        return upgraded

    def unready(self, secret: ArchiveSecret) -> tuple[str, ...]:
        """Holders that nothing can be sealed to before they have unlocked once, or were taken away."""
        ready = {about.holder_id for about in self.everyone(secret) if self._is_ready(about, secret)}
        return tuple(holder_id for holder_id in self.ids() if holder_id not in ready)

    def reseal(self, secret: ArchiveSecret, holder_id: str) -> None:
        """Give a holder `secret`, without its passphrase. Raises `Tampered` if the archive knows none."""
        with self.changing:
            about = self.about(secret, holder_id)
            if not about.vouched(secret, before=True):
                raise Tampered("a holder's description is not one that the archive wrote")
            sealed = seal(secret.encode(), [X25519Recipient.parse(about.recipient)])
            write_holder(self._store, holder_id, sealed)
            write_about(self._store, secret, about)

    def _is_ready(self, about: About, secret: ArchiveSecret) -> bool:
        return about.vouched(secret) and not self._is_scrypt(about.holder_id)

    def _make_ready(self, secret: ArchiveSecret, about: About, opener: str, now: float) -> None:
        recovery, holder_id = is_recovery_key(opener), about.holder_id
        key: bytes | None = None
        if recovery:
            recipient = str(X25519Identity.parse(opener.strip().upper()).recipient)
        else:
            scrypt = ScryptIdentity(opener, max_work_factor=WORK_FACTOR)
            opened = open_with_passphrase(self._store, holder_id, scrypt)
            recipient = opened.recipient if opened is not None else ""
        if recipient and not (about.recipient == recipient and about.genuine(secret)):
            # a description that the archive did not sign may say anything of a holder that has a key
            paper = recovery and not has_key(self._store, holder_id)
            kind = HolderKind.RECOVERY if paper else HolderKind.PASSPHRASE
            name = "recovery key" if paper else f"holder {holder_id[:8]}"
            about = About(holder_id, kind, name, now)
        elif about.kind is HolderKind.RECOVERY and not recovery:
            # nor of one of an older archive: whoever came with a passphrase is not the recovery key
            about = msgspec.structs.replace(about, kind=HolderKind.PASSPHRASE)
        if not recipient:
            key, recipient = _key_pair(opener)
        about = msgspec.structs.replace(about, recipient=recipient, made_at=about.made_at or now)
        write_about(self._store, secret, about)
        write_holder(self._store, holder_id, seal(secret.encode(), [X25519Recipient.parse(recipient)]), key)

    def _opened(self, holder_id: str, by: X25519Identity | ScryptIdentity, *, damaged: bool) -> Opened | None:
        """What one holder's file holds, if it opens. Raises `Tampered`, of a damaged file nothing."""
        try:
            if isinstance(by, X25519Identity):
                return open_with_identity(self._store.read(places.holder(holder_id)), by)
            return open_with_passphrase(self._store, holder_id, by)
        except (NotFound, SealError, Unreadable):
            if damaged:
                return None
            raise

    def _judged(self, opened: Opened, holder_id: str) -> ArchiveSecret | None:
        """See `_in_force`. Raises `Tampered` also for files that the archive gave another holder."""
        secret = self._in_force(decode_secret(opened.plain), holder_id)
        if secret is not None and opened.recipient:
            about = self.described(secret, holder_id)
            if about.vouched(secret, before=True) and about.recipient != opened.recipient:
                raise Tampered(
                    "a holder's files lie where another holder's belong",
                    hint="somebody exchanged them; restore keys/holders from a backup",
                )
        return secret

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
            opened = open_with_identity(self._store.read(places.holder(about.holder_id)), kept)
            if opened is not None and decode_secret(opened.plain).document == secret.document:
                recipient = str(kept.recipient)
                write_about(self._store, secret, msgspec.structs.replace(about, recipient=recipient))
        return True

    def _is_link(self, holder_id: str) -> bool:
        try:
            stanzas = Header.parse(self._store.read(places.holder(holder_id))).stanzas
        except (NotFound, SealError, Unreadable):
            return False
        return [(one.args[0], one.args[-1]) for one in stanzas] == [("scrypt", str(SET_UP_WORK_FACTOR))]

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
