"""A reception on loopback: the real one, over a house in memory, with a door that the test keeps."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from huisclos.access.accounts import PeerRight
from huisclos.access.admission import AssociationAsked, AssociationVerdict
from huisclos.access.nouns import ActorKind, Source
from huisclos.access.peers import KnockReason
from huisclos.archive.layout import batch_place, instance_place
from huisclos.archive.nouns import StoredObject
from huisclos.errors import HuisclosError
from huisclos.reception.echoing import Echoing
from huisclos.reception.main import run_reception
from huisclos.seal import unseal
from huisclos.wiring.tls import peer_context
from tests.archive.world import World
from tests.dimse.listening import TITLE, Credentials

ECHO_AND_STORE = frozenset({PeerRight.ECHO, PeerRight.STORE})


@dataclass
class Enrolled:
    """A peer as the test admits it."""

    title: str
    may: frozenset[PeerRight] = ECHO_AND_STORE
    certificate: bytes = b""
    expired: bool = False
    quarantine: bool = False

    @property
    def id(self) -> str:
        """Its id in the archive."""
        return self.title.encode().hex()


@dataclass
class DoorBook:
    """`PeerDoor`, whose rules are those of the vault in small, and which writes down what it is told."""

    peers: list[Enrolled] = field(default_factory=list)
    asked: list[AssociationAsked] = field(default_factory=list)
    away: list[tuple[str, str, KnockReason]] = field(default_factory=list)
    hearings: list[tuple[str, int]] = field(default_factory=list)
    broken: HuisclosError | None = None
    """Raised instead of an answer: the vault is away."""

    async def admit(self, asked: AssociationAsked) -> AssociationVerdict:
        """See the port."""
        if self.broken is not None:
            raise self.broken
        self.asked.append(asked)
        if asked.called != TITLE:
            return AssociationVerdict(reason=KnockReason.CALLED_OTHER, called_other=True)
        for peer in self.peers:
            if (peer.title, peer.certificate) == (asked.calling, asked.certificate):
                source = Source(ActorKind.PEER, peer.id, peer.title, asked.address, peer.quarantine)
                return AssociationVerdict(source, peer.may, warning=peer.expired)
        return AssociationVerdict(reason=KnockReason.TITLE_UNKNOWN)

    async def turned_away(
        self, address: str, listener: str, reason: KnockReason = KnockReason.ADDRESS_PUBLIC
    ) -> None:
        """See the port."""
        self.away.append((address, listener, reason))

    async def heard(self, peer_id: str, objects: int) -> None:
        """See the port."""
        if self.broken is not None:
            raise self.broken
        self.hearings.append((peer_id, objects))

    async def pinned(self) -> tuple[bytes, ...]:
        """See the port."""
        return tuple(peer.certificate for peer in self.peers if peer.certificate)


@dataclass(frozen=True)
class Limits:
    """Settings of an archive."""

    max_object: int = 1 << 32
    max_associations: int = 64
    max_associations_per_address: int = 16


@dataclass
class Desk:
    """A reception that is being served."""

    world: World
    door: DoorBook
    echoing: Echoing
    plain: int
    """Port."""
    tls: int
    """Port."""
    stop: asyncio.Event

    def kept(self) -> list[StoredObject]:
        """What the finder was told of, and has not thrown away."""
        studies = self.world.finder.by_uid.values()
        return [stored for study in studies for stored, _ in study.objects.values()]

    def content(self, stored: StoredObject) -> bytes:
        """The Part 10 file inside the sealed object."""
        if stored.batch_id:
            identity = self.world.vault.batches[stored.batch_id][0]
            place = batch_place(stored.batch_id, stored.instance_id)
        else:
            identity = self.world.vault.studies[stored.study_id]
            place = instance_place(stored.study_id, stored.instance_id)
        return unseal(self.world.store.read(place), [identity])

    def data_set(self, stored: StoredObject) -> bytes:
        """The data set inside the sealed object."""
        return self.content(stored)[stored.data_set_offset :]


@contextlib.asynccontextmanager
async def receiving(
    world: World,
    door: DoorBook,
    leaf: Path,
    *,
    limits: Limits | None = None,
    near: Callable[[str], bool] = lambda _: True,
) -> AsyncIterator[Desk]:
    """A reception on two ports of loopback; `leaf` is what it shows over TLS."""
    plain, tls = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    ports = plain.getsockname()[1], tls.getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    desk = Desk(world, door, Echoing(), *ports, stop)
    serving = asyncio.create_task(
        run_reception(
            plain=[plain],
            tls=[tls],
            context=context_of(leaf),
            store=world.store,
            catalog=world.finder,
            keeper=world.vault,
            door=door,
            near=near,
            settings=limits or Limits(),
            echoing=desk.echoing,
            ready=ready.set,
            stop=stop,
        )
    )
    arrived = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({serving, arrived}, return_when=asyncio.FIRST_COMPLETED)
        yield desk
    finally:
        arrived.cancel()
        stop.set()
        plain.close()
        tls.close()
        await serving


def context_of(leaf: Path) -> ssl.SSLContext:
    """The house's own context for peers."""
    return peer_context(leaf)


def leaf_of(made: Credentials) -> Path:
    """Certificate and key in one file, as the house keeps them."""
    leaf = made.key.with_suffix(".leaf")
    leaf.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    return leaf


def der_of(certificate: Path) -> bytes:
    """The DER of a PEM file."""
    return load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
