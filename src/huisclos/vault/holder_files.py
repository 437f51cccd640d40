"""What lies under keys/holders for one holder.

    <id>.age        the archive's secret, sealed to the holder's own recipient
    <id>.key.age    the holder's identity, sealed with scrypt to a passphrase; the recovery key has none
    <id>.sha256     digests of both, so that damage is told apart from a wrong passphrase
    <id>.about.age  whose it is and the holder's recipient, signed by the archive, sealed to it

The archive's secret can so be sealed anew to every holder while no passphrase is at hand. In archives
made before, `<id>.age` is sealed with scrypt itself, and no recipient is known until it was upgraded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from huisclos.archive.ports import ObjectStore
from huisclos.errors import NoIdentityMatch, NotFound, Tampered, Unreadable
from huisclos.seal import ScryptIdentity, X25519Identity, seal, unseal
from huisclos.vault import places
from huisclos.vault.secret import ArchiveSecret, fingerprint

_CONTEXT: Final = b"huisclos holder v2\0"


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
    recipient: str = ""
    """`age1...` of the holder; empty in archives made before holders had keys of their own."""
    archive: str = ""
    """`age1...` of the archive when this was written: put back after a rotation, it is worth nothing."""
    signature: str = ""
    """Ed25519 by the archive over the rest, hex: anybody can seal to the archive, nobody else can sign."""

    def signed(self, secret: ArchiveSecret) -> About:
        """The same, vouched for by the archive."""
        now = msgspec.structs.replace(self, archive=secret.recipient)
        return msgspec.structs.replace(now, signature=secret.signing.sign(_signed(now)).hex())

    def vouched(self, secret: ArchiveSecret, *, before: bool = False) -> bool:
        """Whether the archive itself wrote this since its last rotation, recipient included.

        With `before`, since the one before: while a rotation gives everybody the new secret.
        """
        known = secret.identities[: 2 if before else 1]
        known_as = {str(identity.recipient) for identity in known}
        return bool(self.recipient) and self.archive in known_as and self.genuine(secret)

    def genuine(self, secret: ArchiveSecret) -> bool:
        """Whether the archive itself wrote this, at any time."""
        try:
            secret.signing.public_key().verify(bytes.fromhex(self.signature), _signed(self))
        except (InvalidSignature, ValueError):
            return False
        return True


def read_about(store: ObjectStore, secret: ArchiveSecret, holder_id: str) -> About:
    """Whose holder it is. Raises `Tampered`, `NotFound`, `NoIdentityMatch`."""
    plain = unseal(store.read(places.holder_about(holder_id)), secret.identities)
    try:
        about = msgspec.json.decode(plain, type=About)
    except msgspec.DecodeError as error:
        raise Tampered("a holder's description does not read as one") from error
    if about.holder_id != holder_id:
        raise Tampered("a holder's description belongs to another holder")
    return about


def write_about(store: ObjectStore, secret: ArchiveSecret, about: About) -> None:
    """Describe a holder, signed, sealed to the archive."""
    plain = msgspec.json.encode(about.signed(secret))
    store.put(places.holder_about(about.holder_id), seal(plain, [secret.identity.recipient]))


def write_holder(store: ObjectStore, holder_id: str, sealed: bytes, key: bytes | None = None) -> None:
    """Put a holder's secret, and its key with `key`, in the place of what was there.

    Killed at any moment, old or new opens, and is not taken for damaged: the digests of both stand
    beside them meanwhile.
    """
    named = {places.holder(holder_id): sealed}
    if key is not None:
        named[places.holder_key(holder_id)] = key
    old = {
        (place, fingerprint(there))
        for place in (places.holder(holder_id), places.holder_key(holder_id))
        if (there := _read(store, place)) is not None
    }
    new = {(place, fingerprint(content)) for place, content in named.items()}
    kept = {(place, digest) for place, digest in old if place not in named}
    if old:
        _put_digests(store, holder_id, old | new)
    else:
        _put_digests(store, holder_id, new)
    # the key first: a secret whose key is not there yet would open for nobody
    for place in sorted(named, key=lambda place: place != places.holder_key(holder_id)):
        store.put(place, named[place])
    if old:
        _put_digests(store, holder_id, kept | new)


def remove_holder(store: ObjectStore, holder_id: str) -> None:
    """Destroy a holder, its secret first. Idempotent."""
    for place in (
        places.holder(holder_id),
        places.holder_key(holder_id),
        places.holder_about(holder_id),
        places.holder_digest(holder_id),
    ):
        store.delete(place)


def is_whole(store: ObjectStore, holder_id: str) -> bool:
    """Whether the files are those that were written, told without any secret."""
    sealed, key = _read(store, places.holder(holder_id)), _read(store, places.holder_key(holder_id))
    lines = (_read(store, places.holder_digest(holder_id)) or b"").decode("ascii", "replace").splitlines()
    of_key = {line.split()[0] for line in lines if line.endswith(".key.age")}
    of_secret = {line.split()[0] for line in lines if line.strip() and not line.endswith(".key.age")}
    if sealed is None or fingerprint(sealed) not in of_secret:
        return False
    if key is None:
        # while two secrets are listed, the key of the newer one may not be there yet
        return not of_key or len(of_secret) > 1
    return fingerprint(key) in of_key


def has_key(store: ObjectStore, holder_id: str) -> bool:
    """Whether a passphrase opens this holder by a key of its own."""
    return _read(store, places.holder_key(holder_id)) is not None


class Opened(msgspec.Struct, frozen=True):
    """A holder's file, opened."""

    plain: bytes
    recipient: str = ""
    """Of the identity that opened it; empty when it is sealed to the passphrase itself."""

    def __repr__(self) -> str:
        return f"Opened(recipient={self.recipient!r})"


def open_with_passphrase(store: ObjectStore, holder_id: str, scrypt: ScryptIdentity) -> Opened | None:
    """What the holder's file holds; None when the passphrase does not open it. Costs a second.

    Raises `NotFound`, `Tampered`.
    """
    key, sealed = _read(store, places.holder_key(holder_id)), store.read(places.holder(holder_id))
    try:
        if key is not None:
            identity = X25519Identity.parse(unseal(key, [scrypt]).decode("ascii", "replace").strip())
            opened = open_with_identity(sealed, identity)
            if opened is not None:
                return opened
        # sealed to the passphrase itself: made before, or upgrading it was cut short
        return Opened(unseal(sealed, [scrypt]))
    except (NoIdentityMatch, Unreadable):
        return None


def open_with_identity(sealed: bytes, identity: X25519Identity) -> Opened | None:
    """What a sealed object holds; None when it is sealed to another. Raises `Tampered`."""
    try:
        return Opened(unseal(sealed, [identity]), str(identity.recipient))
    except NoIdentityMatch:
        return None


def note_digests(store: ObjectStore, holder_id: str) -> None:
    """Write the digests of what is there anew: of files that have just been opened."""
    there = {
        (place, fingerprint(content))
        for place in (places.holder(holder_id), places.holder_key(holder_id))
        if (content := _read(store, place)) is not None
    }
    _put_digests(store, holder_id, there)


def _put_digests(store: ObjectStore, holder_id: str, digests: set[tuple[str, str]]) -> None:
    lines = sorted(f"{digest}  {place.rpartition('/')[2]}\n" for place, digest in digests)
    store.put(places.holder_digest(holder_id), "".join(lines).encode())


def _read(store: ObjectStore, place: str) -> bytes | None:
    try:
        return store.read(place)
    except NotFound:
        return None


def _signed(about: About) -> bytes:
    unsigned = msgspec.structs.replace(about, signature="")
    return _CONTEXT + msgspec.msgpack.encode(msgspec.structs.astuple(unsigned))
