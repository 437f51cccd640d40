"""A rotation under way, as it lies in keys/rotation.age: signed, so that nobody else can begin one.

It is written before anything else is changed, and goes when nothing is sealed to the old identity
any more: whoever unlocks in between opens either secret, and goes on from there.
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from huisclos.archive.ports import ObjectStore
from huisclos.errors import HuisclosError, NotFound, Tampered
from huisclos.seal import seal, unseal
from huisclos.vault import places
from huisclos.vault.secret import ArchiveSecret, Document

_CONTEXT: Final = b"huisclos rotation v1\0"
_SIGNATURE: Final = 64
_HINT: Final = "restore keys/ from a backup"


class Turn(msgspec.Struct, frozen=True):
    """What a rotation puts in force."""

    secret: Document
    keep: tuple[str, ...]
    """The holders that stay; any other is destroyed."""
    answers: str = ""
    """What `keys/rotation.wanted` said when it began: a holder taken away since has another one begin."""
    holders_done: bool = False
    """Every holder that stays has the new secret, and `keys/archive.recipient` is the new one."""

    def __repr__(self) -> str:
        return f"Turn(holders_done={self.holders_done})"


def write_turn(store: ObjectStore, turn: Turn, sealed_to: ArchiveSecret) -> None:
    """Keep it, sealed to the old secret until every holder has the new one, then to that."""
    body = msgspec.json.encode(turn)
    signature = sealed_to.signing.sign(_CONTEXT + body)
    store.put(places.ROTATION, seal(signature + body, [sealed_to.identity.recipient]))


def read_turn(store: ObjectStore, secret: ArchiveSecret) -> Turn | None:
    """The rotation under way, for whoever has the secret before or after it; None when there is none.

    Raises `Tampered` for one that this archive did not begin, or that does not follow on `secret`.
    """
    try:
        sealed = store.read(places.ROTATION)
    except NotFound:
        return None
    try:
        plain = unseal(sealed, secret.identities)
        signature, body = plain[:_SIGNATURE], plain[_SIGNATURE:]
        secret.signing.public_key().verify(signature, _CONTEXT + body)
        turn = msgspec.json.decode(body, type=Turn)
    except (HuisclosError, InvalidSignature, msgspec.DecodeError):
        raise Tampered("keys/rotation.age is not one that this archive wrote", hint=_HINT) from None
    mine = secret.document.identity
    if mine != turn.secret.identity and turn.secret.retired[-1:] != (mine,):
        raise Tampered("keys/rotation.age is of another time", hint=_HINT)
    return turn
