"""The recovery key: made, kept sealed to the archive so that its card can be printed again, confirmed once.

Until it was typed back, only loopback listens: a practice that cannot recover has no archive.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huisclos.access.chronicle import Change
from huisclos.access.gate import RecoveryKey
from huisclos.access.nouns import Actor
from huisclos.archive.ports import ObjectStore
from huisclos.errors import HuisclosError, NoIdentityMatch, NotFound, WrongPassphrase
from huisclos.journal.entries import Act
from huisclos.seal import X25519Identity, bytes_of, seal, unseal, words_of
from huisclos.vault import places
from huisclos.vault.core import Core
from huisclos.vault.holders import HolderKind, Holders, is_recovery_key
from huisclos.vault.leaf import LeafKeeper
from huisclos.vault.rotation import Rotation
from huisclos.vault.secret import ArchiveSecret

_CONTEXT = b"huisclos recovery confirmed v1\0"


class Confirmed(msgspec.Struct, frozen=True):
    """That the recovery key was typed back, signed by the vault."""

    holder_id: str
    at: float
    signature: str = ""


class Recovery:
    """The recovery key of one archive. One that takes the place of another ends that one for good."""

    def __init__(self, core: Core, rotation: Rotation, leaf: LeafKeeper) -> None:
        self._core = core
        self._rotation = rotation
        self._leaf = leaf

    def confirmed_at(self) -> float:
        """When the recovery key was last typed back, seconds since the epoch; 0 for never."""
        return confirmed_at(self._core.store)

    async def make(self, actor: Actor) -> RecoveryKey:
        """A new recovery key, in the place of every one before. Raises `Locked`."""
        secret = self._core.secret
        identity = X25519Identity.generate()
        there = await asyncio.to_thread(self._core.holders.everyone, secret)
        if any(about.kind is HolderKind.RECOVERY for about in there):
            await self._rotation.want()
        replaced = await asyncio.to_thread(self._replace, secret, identity)
        await self._core.journal(self._core.entry(Act.CHANGED, actor, what=Change.RECOVERY_MADE))
        if replaced:
            await self._rotation.holder_gone(actor)
        return shown(identity)

    def kept(self) -> X25519Identity:
        """The recovery key as it is kept, sealed to the archive. Raises `Locked`, `NotFound`."""
        try:
            sealed = self._core.store.read(places.RECOVERY)
        except NotFound:
            raise NotFound(
                "this archive has no recovery key yet",
                hint="make one on the set-up page, or at init: --recovery-file",
            ) from None
        return X25519Identity.parse(unseal(sealed, self._core.secret.identities).decode("ascii").strip())

    async def confirm(self, actor: Actor, typed: str) -> None:
        """The key as typed back, words or line. Works locked: the key itself opens the archive.

        Raises `WrongPassphrase` when it is not the recovery key of this archive.
        """
        secret, holder_id = await asyncio.to_thread(self._open, read_typed(typed))
        at = self._core.now()
        confirmed = Confirmed(holder_id, at)
        signature = secret.signing.sign(_signed(confirmed)).hex()
        packed = msgspec.json.encode(msgspec.structs.replace(confirmed, signature=signature))
        await asyncio.to_thread(self._core.store.put, places.CONFIRMED, packed)
        for about in self._core.holders.everyone(secret):
            if about.kind is HolderKind.SET_UP:
                self._core.holders.remove(about.holder_id)
        # the archive is open for this moment, and from now on it may be served on these addresses, locked
        await self._leaf.keep_fresh(secret)
        await self._core.journal(self._core.entry(Act.CHANGED, actor, what=Change.RECOVERY_CONFIRMED))

    def _replace(self, secret: ArchiveSecret, identity: X25519Identity) -> bool:
        """Whether there was one before."""
        holders = self._core.holders
        with holders.changing:
            secret = holders.latest or secret
            sealed = seal(str(identity).encode() + b"\n", [secret.identity.recipient])
            self._core.store.put(places.RECOVERY, sealed)
            before = [about for about in holders.everyone(secret) if about.kind is HolderKind.RECOVERY]
            for about in before:
                holders.remove(about.holder_id)
            recipient = str(identity.recipient)
            holders.add(secret, recipient, HolderKind.RECOVERY, "recovery key", self._core.now())
        return bool(before)

    def _open(self, identity: X25519Identity) -> tuple[ArchiveSecret, str]:
        try:
            secret, holder_id = self._core.holders.open(str(identity))
            with contextlib.suppress(HuisclosError):
                self._core.holders.upgrade(secret, holder_id, str(identity), self._core.now())
            if self._core.holders.described(secret, holder_id).kind is HolderKind.RECOVERY:
                return secret, holder_id
            raise WrongPassphrase("this is not the recovery key of this archive")
        except NoIdentityMatch:
            raise WrongPassphrase("this is not the recovery key of this archive") from None


def confirmed_at(store: ObjectStore) -> float:
    """When the recovery key of the archive in `store` was last typed back; 0 for never. Needs no secret."""
    try:
        key = Ed25519PublicKey.from_public_bytes(
            bytes.fromhex(store.read(places.SIGNING).decode("ascii").strip())
        )
        confirmed = msgspec.json.decode(store.read(places.CONFIRMED), type=Confirmed)
        key.verify(bytes.fromhex(confirmed.signature), _signed(confirmed))
    except (NotFound, msgspec.DecodeError, InvalidSignature, ValueError):
        return 0.0
    return confirmed.at if confirmed.holder_id in Holders(store).ids() else 0.0


def shown(identity: X25519Identity) -> RecoveryKey:
    """The key as people read it."""
    return RecoveryKey(tuple(words_of(identity.raw).split()), str(identity))


def read_typed(typed: str) -> X25519Identity:
    """The recovery key of what a person typed: words, or the `AGE-SECRET-KEY-1` line.

    Raises `WrongPassphrase` with a hint when it is neither.
    """
    try:
        if is_recovery_key(typed):
            return X25519Identity.parse(typed.strip().upper())
        return X25519Identity(bytes_of(typed))
    except HuisclosError as error:
        raise WrongPassphrase(
            "this is not a recovery key",
            hint="type the words of the card, or its AGE-SECRET-KEY-1 line, whole",
        ) from error


def _signed(confirmed: Confirmed) -> bytes:
    return _CONTEXT + msgspec.msgpack.encode((confirmed.holder_id, confirmed.at))
