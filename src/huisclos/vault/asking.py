"""What was asked for in the dark: kept as pending, without effect, until an owner decides."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from huisclos.access.accounts import PLAIN_FOR_GOOD, Asked, PeerBody, PendingBody
from huisclos.access.accounts import Change as Wanted
from huisclos.access.chronicle import Change
from huisclos.access.people import Pending as Shown
from huisclos.access.people import PendingKind
from huisclos.access.ports import Pending
from huisclos.errors import Conflict, HuisclosError, NotFound, Tampered, Unreadable
from huisclos.journal.entries import Act
from huisclos.seal import Identity, seal, unseal
from huisclos.vault.core import CONSOLE, Core

MAX_PENDING: Final = 200
_KINDS: Final = {
    Wanted.ADD_PEER: PendingKind.PEER,
    Wanted.ADD_USER: PendingKind.USER,
    Wanted.ADD_TOKEN: PendingKind.TOKEN,
    Wanted.SET_ROLE: PendingKind.ROLE,
    Wanted.RESET_PASSWORD: PendingKind.PASSWORD,
}
WORDS: Final = {
    Wanted.ADD_PEER: Change.PEER_ADDED,
    Wanted.ADD_USER: Change.USER_ADDED,
    Wanted.ADD_TOKEN: Change.TOKEN_ADDED,
    Wanted.SET_ROLE: Change.ROLE_CHANGED,
    Wanted.RESET_PASSWORD: Change.PASSWORD_RESET,
}
"""The journal's word for each."""


class Asking:
    """Requests that wait."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ask(self, asked: Asked, address: str) -> str:
        """Keep a request; its id. Journalled. Raises `Conflict` when too many wait."""
        if self.count() >= MAX_PENDING:
            raise Conflict("too many requests wait for an owner", hint="unlock, and decide on them")
        peer = asked.peer if asked.peer is not None and stores_only(asked.peer) else None
        sealed = seal(msgspec.msgpack.encode(asked), [self._core.recipient])
        request_id = secrets.token_hex(16)
        await self._core.journal(
            self._core.entry(
                Act.ASKED, CONSOLE, address=address, what=WORDS[asked.change], subject=subject_of(asked)
            )
        )
        body = msgspec.msgpack.encode(PendingBody(sealed, peer))
        self._core.accounts.put_pending(Pending(request_id, asked.at, body))
        return request_id

    def count(self) -> int:
        """How many requests wait; known while locked too."""
        return len(self._core.accounts.pending())

    def peers(self) -> list[tuple[str, PeerBody]]:
        """(id, peer) of those that would only store: what they send is kept apart. Works locked."""
        waiting = ((pending.id, _body_of(pending)) for pending in self._core.accounts.pending())
        return [
            (request_id, body.clear_peer)
            for request_id, body in waiting
            if body is not None and body.clear_peer is not None and stores_only(body.clear_peer)
        ]

    def all(self) -> list[tuple[str, Asked]]:
        """(id, request), oldest first; one that does not open is left out. Raises `Locked`."""
        identities = self._core.secret.identities
        opened = []
        for pending in self._core.accounts.pending():
            try:
                opened.append((pending.id, _opened(pending, identities)))
            except HuisclosError:
                continue
        return opened

    def need(self, request_id: str) -> Asked:
        """One request. Raises `NotFound`, `Locked`."""
        found = dict(self.all()).get(request_id)
        if found is None:
            raise NotFound("this request does not wait any more")
        return found

    def times(self) -> dict[str, float]:
        """Id to when it was asked for; known while locked too, when nothing else is."""
        return {pending.id: pending.made for pending in self._core.accounts.pending()}

    def drop(self, request_id: str) -> bool:
        """It waits no more; whether it did. Idempotent."""
        there = request_id in self.times()
        self._core.accounts.delete_pending(request_id)
        return there


def stores_only(peer: PeerBody) -> bool:
    """Whether a peer asks for nothing beyond echo and store."""
    return peer.may <= PLAIN_FOR_GOOD


def same_peer(one: PeerBody, other: PeerBody) -> bool:
    """Whether two rows are about one peer, whatever it may do."""
    mine, theirs = ((peer.title, peer.address, peer.certificate) for peer in (one, other))
    return mine == theirs


def subject_of(asked: Asked) -> str:
    """Whom a request is about."""
    return asked.peer.title if asked.peer is not None else asked.name


def shown(request_id: str, asked: Asked) -> Shown:
    """A request as a page shows it."""
    words: tuple[str, ...] = ()
    if asked.peer is not None:
        words = (asked.peer.address, *sorted(asked.peer.may))
    elif asked.token is not None:
        words = tuple(sorted(asked.token.may))
    elif asked.role is not None:
        words = (asked.role,)
    return Shown(request_id, _KINDS[asked.change], subject_of(asked), ", ".join(words), asked.at, asked.by)


def _body_of(pending: Pending) -> PendingBody | None:
    try:
        return msgspec.msgpack.decode(pending.body, type=PendingBody)
    except msgspec.DecodeError:
        return None


def _opened(pending: Pending, identities: Sequence[Identity]) -> Asked:
    body = _body_of(pending)
    if body is None:
        raise Unreadable("a request does not decode")
    try:
        asked = msgspec.msgpack.decode(unseal(body.sealed, identities), type=Asked)
    except msgspec.DecodeError as error:
        raise Unreadable("a request does not decode") from error
    if body.clear_peer is not None and body.clear_peer != asked.peer:
        raise Tampered("the peer in clear is not the one that was asked for")
    return asked
