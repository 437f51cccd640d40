"""The reception process: listeners in, sealed objects out, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from huisclos.access.admission import PeerDoor
from huisclos.archive.hands import Hands
from huisclos.archive.ports import Catalog, Keeper, ObjectStore
from huisclos.archive.receive import Receiver
from huisclos.dimse.acceptor import Acceptor
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.reception.echoing import Echoing
from huisclos.reception.handler import Caller, PeerHandler
from huisclos.reception.tidings import Tidings

__all__ = ["GRACE", "Echoing", "Limits", "run_reception"]

GRACE: Final = 5.0
"""Seconds that associations have to end by themselves once the house stops."""
_FLUSHERS: Final = 16
"""Threads that wait for the disk; so many associations flush at one time, and share what it costs."""


class Limits(Protocol):
    """The settings of an archive that bound its reception (`huisclos.toml`)."""

    @property
    def max_object(self) -> int:
        """Bytes of an instance."""

    @property
    def max_associations(self) -> int:
        """At one time, in all."""

    @property
    def max_associations_per_address(self) -> int:
        """At one time, from one address."""


async def run_reception(  # noqa: PLR0913 - what a process is made of, each by its name
    *,
    plain: Iterable[socket.socket],
    tls: Iterable[socket.socket],
    context: ssl.SSLContext,
    store: ObjectStore,
    catalog: Catalog,
    keeper: Keeper,
    door: PeerDoor,
    near: Callable[[str], bool],
    settings: Limits,
    echoing: Echoing,
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Serve DICOM peers on bound listeners, `tls` ones with `context`, until `stop` is set.

    Connections from where `near` says no are closed before a byte is read (P11). `context` asks
    for a client certificate and takes each pinned one as an anchor; they are loaded here. Raises
    `Unreachable` when the vault is not there at the start.
    """
    with Hands(_FLUSHERS) as hands:
        receiver = Receiver(
            store,
            catalog,
            keeper,
            executor=hands,
            max_octets=settings.max_object,
            alone=lambda: len(acceptor.associations) <= 1,
        )
        tidings = Tidings(door, receiver.deposits)
        acceptor = Acceptor(
            lambda address, secured: PeerHandler(Caller(address, secured), receiver, door, tidings),
            gatekeeper=near,
            turned_away=tidings.turned_away,
            bounds=Bounds(
                object_length=settings.max_object,
                associations=settings.max_associations,
                associations_per_address=settings.max_associations_per_address,
            ),
        )
        echoing.attend(acceptor, context)
        for certificate in await door.pinned():
            await echoing.pin(certificate)
        try:
            for listener in plain:
                acceptor.listen(listener)
            for listener in tls:
                acceptor.listen(listener, tls=context)
            # What is here now stays until the end: the collector need not go through it again and again.
            gc.freeze()
            ready()
            await stop.wait()
        finally:
            await acceptor.stop(GRACE)
            await receiver.told()
            await tidings.close()
