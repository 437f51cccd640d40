"""Admission of peers: who may associate, decided by the vault, asked by reception (default: refuse).

A peer is known by AE title and private address, or by a pinned certificate over TLS. An AE title
is a name, not a secret: alone it admits nobody.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from huisclos.access.accounts import PeerRight
from huisclos.access.nouns import Source
from huisclos.access.peers import KnockReason


class AssociationAsked(Struct, frozen=True):
    """An association request, as far as admission goes (PS3.8 section 9.3.2)."""

    calling: str
    """Calling AE title as claimed."""
    called: str
    """Called AE title."""
    address: str
    tls: bool = False
    certificate: bytes = b""
    """The client's certificate, DER; empty when none was shown."""
    wants: frozenset[PeerRight] = frozenset()
    """What the proposed presentation contexts ask for."""


class AssociationVerdict(Struct, frozen=True):
    """Admitted with rights, or a reason."""

    source: Source | None = None
    """Whom received objects come from; None when refused."""
    may: frozenset[PeerRight] = frozenset()
    reason: KnockReason | None = None
    called_other: bool = False
    """Refused for the called title: a technical reason that may be told apart on the wire."""
    warning: bool = False
    """Admitted with a certificate that has run out: it may still store, with a warning status."""


class PeerDoor(Protocol):
    """The vault as reception and the listeners see it."""

    async def admit(self, asked: AssociationAsked) -> AssociationVerdict:
        """Judge an association; a refusal is journalled and stands in the list of knocks. Works locked."""

    async def turned_away(
        self, address: str, listener: str, reason: KnockReason = KnockReason.ADDRESS_PUBLIC
    ) -> None:
        """A connection was closed before it could ask for anything; from a far address, unread (P11)."""

    async def heard(self, peer_id: str, objects: int) -> None:
        """A peer associated, or sent so many objects."""

    async def pinned(self) -> tuple[bytes, ...]:
        """Every pinned certificate, DER: what the TLS handshake with peers lets through to admission."""
