"""Admission: who may associate, and the list of who knocked. Implements `PeerDoor`.

A plain peer is an AE title and a private address; a pinned peer is a certificate. The list of
knocks is kept in memory, bounded; the journal keeps the refusals for good.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Final

import msgspec

from huisclos.access.accounts import PLAIN_FOR_GOOD, PeerBody, PeerRight
from huisclos.access.addresses import is_private, parse_address
from huisclos.access.admission import AssociationAsked, AssociationVerdict
from huisclos.access.nouns import ActorKind, Source
from huisclos.access.peers import Knock, KnockReason
from huisclos.certificates import describe, fingerprint
from huisclos.doors.house import CALLING
from huisclos.errors import NotFound
from huisclos.journal.entries import Act
from huisclos.vault.core import Core
from huisclos.vault.doors import DoorsService
from huisclos.vault.people import PeopleService

TITLE: Final = "HUISCLOS"
MAX_KNOCKS: Final = 100
KNOCKS_PER_ADDRESS: Final = 16
_JOURNALLED_PER_ADDRESS: Final = 8
_JOURNALLED: Final = 64
"""Entries about knocks in a minute, of one address and in all; the list counts the others."""
_KNOCK_EVERY: Final = 60.0
"""Seconds between two journal entries about the same knock: a stuck modality must not fill the disk."""
_CODES: Final = {
    KnockReason.CALLED_OTHER: "A-ASSOCIATE-RJ 1/1/7",
    KnockReason.TOO_MANY: "A-ASSOCIATE-RJ 2/3/1",
    KnockReason.ADDRESS_PUBLIC: "",
    KnockReason.NOT_DICOM: "A-ABORT",
}
_HANDSHAKE: Final = "TLS alert"
"""Another certificate is refused before an association is asked for (RFC 8446 section 6)."""
_AUDITOR: Final = frozenset({CALLING, ""})
"""How the auditor calls itself; nothing, where a connection ended before its title."""
_REFUSED_CODE: Final = "A-ASSOCIATE-RJ 1/1/1"


@dataclass(slots=True)
class Heard:
    """When a peer was last heard, and how much it sent since the start."""

    at: float = 0.0
    objects: int = 0


@dataclass(slots=True)
class _Knocked:
    knock: Knock
    journalled_at: float


class _Tempo:
    """How many knocks go into the journal: whoever claims ever new titles must not fill the disk."""

    def __init__(self) -> None:
        self._since = 0.0
        self._counts: Counter[str] = Counter()

    def may(self, address: str, now: float) -> bool:
        """Whether one more from here is written in this minute; it counts as written."""
        if now - self._since >= _KNOCK_EVERY:
            self._since = now
            self._counts.clear()
        if self._counts[address] >= _JOURNALLED_PER_ADDRESS or self._counts.total() >= _JOURNALLED:
            return False
        self._counts[address] += 1
        return True


class Doorkeeper:
    """Admission of associations, knocks, and when each peer was last heard."""

    def __init__(self, core: Core, people: PeopleService, doors: DoorsService | None = None) -> None:
        self._core = core
        self._people = people
        self._doors = doors
        self._knocks: dict[tuple[str, str, str, KnockReason], _Knocked] = {}
        self._heard: dict[str, Heard] = {}
        self._tempo = _Tempo()

    @property
    def strangers_come(self) -> bool:
        """Connections from public addresses were turned away lately (P11)."""
        return self._doors is not None and self._doors.stands_open

    async def admit(self, asked: AssociationAsked) -> AssociationVerdict:
        """See `PeerDoor`."""
        if asked.called != TITLE:
            return await self._refuse(asked, KnockReason.CALLED_OTHER)
        if asked.certificate:
            return await self._admit_pinned(asked)
        known = self._by_title(asked.calling)
        if not known:
            return await self._refuse(asked, KnockReason.TITLE_UNKNOWN)
        here = {
            peer_id: peer for peer_id, peer in known.items() if _same_address(peer.address, asked.address)
        }
        if not here:
            return await self._refuse(asked, KnockReason.ADDRESS_OTHER)
        plain = {peer_id: peer for peer_id, peer in here.items() if not peer.certificate}
        if not plain:
            return await self._refuse(asked, KnockReason.CERTIFICATE_MISSING)
        peer_id, peer = next(iter(plain.items()))
        may = _in_force(peer, self._core.now())
        if peer.until and not may:
            return await self._refuse(asked, KnockReason.RIGHT_ENDED)
        return await self._admit(asked, peer_id, peer, may, warning=False)

    async def turned_away(
        self, address: str, listener: str, reason: KnockReason = KnockReason.ADDRESS_PUBLIC
    ) -> None:
        """See `PeerDoor`."""
        if reason is KnockReason.ADDRESS_PUBLIC and self._doors is not None:
            await self._doors.knocked(address, listener)
        asked = AssociationAsked("", listener, address, tls=listener == "dicom_tls")
        await self._refuse(asked, reason)

    async def heard(self, peer_id: str, objects: int) -> None:
        """See `PeerDoor`."""
        self.count(peer_id, objects)

    async def pinned(self) -> tuple[bytes, ...]:
        """See `PeerDoor`."""
        known = [peer for _, peer in self._people.waiting_peers()]
        known += self._core.ledger.all(PeerBody).values()
        return tuple(peer.certificate for peer in known if peer.certificate)

    def count(self, peer_id: str, objects: int) -> None:
        """A peer was heard, and sent so many objects."""
        heard = self._heard.setdefault(peer_id, Heard())
        heard.at = self._core.now()
        heard.objects += objects

    def recall(self, peer_id: str, at: float) -> None:
        """A peer was heard at this time, before the start."""
        heard = self._heard.setdefault(peer_id, Heard())
        heard.at = max(heard.at, at)

    def new_knocks(self) -> int:
        """How many knocks nobody has dealt with."""
        return sum(not known.knock.ignored for known in self._knocks.values())

    def knocks(self) -> tuple[Knock, ...]:
        """Who knocked, newest first."""
        return tuple(
            sorted((known.knock for known in self._knocks.values()), key=lambda knock: -knock.last_at)
        )

    def knock(self, knock_id: str) -> Knock:
        """One knock. Raises `NotFound`."""
        for known in self._knocks.values():
            if known.knock.id == knock_id:
                return known.knock
        raise NotFound("this knock is not in the list any more")

    def admitted(self, knock_id: str) -> None:
        """Who knocked is a peer now."""
        self._knocks = {key: known for key, known in self._knocks.items() if known.knock.id != knock_id}

    def ignore(self, knock_id: str) -> None:
        """Do not count this knock as new."""
        for known in self._knocks.values():
            if known.knock.id == knock_id:
                known.knock = msgspec.structs.replace(known.knock, ignored=True)

    def last_heard(self, peer_id: str) -> Heard:
        """When a peer was last heard, and how much it sent since the start."""
        return self._heard.get(peer_id, Heard())

    async def _admit_pinned(self, asked: AssociationAsked) -> AssociationVerdict:
        pinned = {
            peer_id: peer for peer_id, peer in self._by_title(asked.calling).items() if peer.certificate
        }
        for peer_id, peer in pinned.items():
            if secrets.compare_digest(fingerprint(peer.certificate), fingerprint(asked.certificate)):
                now = self._core.now()
                may = _in_force(peer, now)
                expired = describe(peer.certificate).until.timestamp() < now
                if expired and not _allowed(asked, may & PLAIN_FOR_GOOD) and _allowed(asked, may):
                    return await self._refuse(asked, KnockReason.CERTIFICATE_ENDED)
                if expired:
                    may &= PLAIN_FOR_GOOD
                if not may:
                    return await self._refuse(asked, KnockReason.RIGHT_ENDED)
                return await self._admit(asked, peer_id, peer, may, warning=expired)
        reason = KnockReason.CERTIFICATE_OTHER if pinned else KnockReason.TITLE_UNKNOWN
        return await self._refuse(asked, reason)

    async def _admit(
        self,
        asked: AssociationAsked,
        peer_id: str,
        peer: PeerBody,
        may: frozenset[PeerRight],
        *,
        warning: bool,
    ) -> AssociationVerdict:
        if not _allowed(asked, may):
            return await self._refuse(asked, KnockReason.RIGHT_MISSING)
        await self.heard(peer_id, 0)
        quarantine = self._core.ledger.get(PeerBody, peer_id) is None
        source = Source(ActorKind.PEER, peer_id, peer.title, asked.address, quarantine)
        return AssociationVerdict(self._core.sources.name(source), may, warning=warning)

    async def _refuse(self, asked: AssociationAsked, reason: KnockReason) -> AssociationVerdict:
        if self._doors is not None and asked.calling in _AUDITOR and self._doors.is_own(asked.address):
            # The house's own auditor, refused like anybody: what it saw has its page and its entries.
            return AssociationVerdict(reason=reason, called_other=reason is KnockReason.CALLED_OTHER)
        now = self._core.now()
        key = (asked.calling, asked.called, asked.address, reason)
        known = self._knocks.get(key)
        admissible = (
            reason in {KnockReason.TITLE_UNKNOWN, KnockReason.ADDRESS_OTHER}
            and not asked.tls
            and bool(asked.calling)
            and is_private(parse_address(asked.address))
        )
        if known is None:
            self._make_room(asked.address)
            knock = Knock(
                secrets.token_hex(8),
                _printable(asked.calling),
                _printable(asked.called),
                asked.address,
                asked.tls,
                reason,
                _code(asked, reason),
                now,
                now,
                1,
                admissible,
            )
            known = self._knocks[key] = _Knocked(knock, 0.0)
        else:
            known.knock = msgspec.structs.replace(known.knock, last_at=now, count=known.knock.count + 1)
        if now - known.journalled_at >= _KNOCK_EVERY and self._tempo.may(asked.address, now):
            known.journalled_at = now
            await self._core.journal(
                self._core.entry(
                    Act.KNOCKED,
                    address=asked.address,
                    what=reason.value,
                    subject=_printable(asked.calling),
                    counts={"attempts": known.knock.count},
                )
            )
        return AssociationVerdict(reason=reason, called_other=reason is KnockReason.CALLED_OTHER)

    def _make_room(self, address: str) -> None:
        """Let go of the oldest knock when there are too many, of this address first.

        So that whoever knocks under ever new titles does not push everybody else out of the list.
        """
        mine = [key for key in self._knocks if key[2] == address]
        if len(mine) < KNOCKS_PER_ADDRESS and len(self._knocks) < MAX_KNOCKS:
            return
        candidates = mine if len(mine) >= KNOCKS_PER_ADDRESS else list(self._knocks)
        del self._knocks[min(candidates, key=lambda held: self._knocks[held].knock.last_at)]

    def _by_title(self, title: str) -> dict[str, PeerBody]:
        # approved ones first: whoever asks once more for a peer that is enrolled must not put it apart
        approved = self._core.ledger.all(PeerBody)
        waiting = {peer_id: peer for peer_id, peer in self._people.waiting_peers() if peer_id not in approved}
        return {peer_id: peer for peer_id, peer in (approved | waiting).items() if peer.title == title}


def _allowed(asked: AssociationAsked, may: frozenset[PeerRight]) -> bool:
    """Whether something that is asked for may be had; who asks for nothing is told by its rights alone."""
    return bool(asked.wants & may) if asked.wants else bool(may)


def _code(asked: AssociationAsked, reason: KnockReason) -> str:
    if reason is KnockReason.CERTIFICATE_OTHER and not asked.certificate:
        return _HANDSHAKE
    return _CODES.get(reason, _REFUSED_CODE)


def _in_force(peer: PeerBody, now: float) -> frozenset[PeerRight]:
    if not peer.until or now < peer.until:
        return peer.may
    # the end date of a plain peer's reading rights ends those rights; echo and store remain
    return frozenset() if peer.may <= PLAIN_FOR_GOOD else peer.may & PLAIN_FOR_GOOD


def _same_address(enrolled: str, seen: str) -> bool:
    return parse_address(enrolled) == parse_address(seen)


def _printable(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~")[:16]
