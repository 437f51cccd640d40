"""Making a new archive: its secret, its holders, its journal, its authority."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

import msgspec

from huisclos.archive.ports import ObjectStore
from huisclos.certificates import make_authority, make_leaf
from huisclos.journal.chain import KEY
from huisclos.seal import X25519Identity, seal
from huisclos.vault import places
from huisclos.vault.core import RECORD_KEY_FOR
from huisclos.vault.first_key import seal_first_key
from huisclos.vault.holders import HolderKind, Holders
from huisclos.vault.pen import create_journal
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.signed_key import seal_key


class Opener(msgspec.Struct, frozen=True):
    """The first holder of a new archive."""

    secret: str
    """Passphrase, or the set-up link's secret."""
    name: str
    kind: HolderKind = HolderKind.PASSPHRASE

    def __repr__(self) -> str:
        return f"Opener({self.name!r})"


def create_archive(
    store: ObjectStore,
    journal_folder: Path,
    opener: Opener,
    host: str,
    now: dt.datetime,
    *,
    recovery: X25519Identity | None = None,
    addresses: tuple[str, ...] = (),
) -> None:
    """Write keys, journal and certificates of a new archive through `store` (rooted at ARCHIVE).

    With `recovery`, its recipient becomes a holder, to be confirmed later. `addresses` are for the first
    leaf: a house that is served before its first unlock cannot make another.
    """
    secret = ArchiveSecret.generate()
    recipients = [secret.identity.recipient]
    store.put(places.RECIPIENT, secret.recipient.encode() + b"\n")
    store.put(places.SIGNING, secret.signing_public.encode() + b"\n")
    store.put(places.RECORD_KEY, seal_key(secret, RECORD_KEY_FOR, secrets.token_bytes(KEY)))
    authority = make_authority(host, now)
    store.put(places.CA_KEY, seal(authority.key, recipients))
    store.put(places.CA, authority.certificate)
    store.put(places.LEAF, make_leaf(authority, host, addresses, now))
    first = secrets.token_bytes(KEY)
    store.put(places.JOURNAL_KEY, seal_first_key(secret, first))
    create_journal(journal_folder, first)
    holders = Holders(store)
    if recovery is not None:
        holders.add(secret, str(recovery.recipient), HolderKind.RECOVERY, "recovery key", now.timestamp())
        store.put(places.RECOVERY, seal(str(recovery).encode() + b"\n", recipients))
    holders.add(secret, opener.secret, opener.kind, opener.name, now.timestamp())
