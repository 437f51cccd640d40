"""The processes that speak HTTP: the web workers and the gate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from huisclos.access.admission import PeerDoor
from huisclos.access.chronicle import JournalReader
from huisclos.access.gate import Gate, SetUp
from huisclos.access.house import HouseState
from huisclos.access.peers import Peers
from huisclos.access.people import People
from huisclos.access.quarantine import Quarantine
from huisclos.access.sessions import Door
from huisclos.archive.hands import Hands
from huisclos.archive.ports import Keeper, Renderer
from huisclos.archive.receive import Receiver
from huisclos.cage.client import Cage
from huisclos.channel import remote
from huisclos.doors.house import Watched
from huisclos.errors import HuisclosError, Unreachable
from huisclos.finder.client import finder_client
from huisclos.web.app import make_app, make_gate_app, make_viewer_app
from huisclos.web.gate import GateSite
from huisclos.web.serve import Server
from huisclos.web.site import Origins, Site
from huisclos.wiring.child import Child
from huisclos.wiring.listeners import Bound
from huisclos.wiring.nearness import Nearness
from huisclos.wiring.tls import LeafWatch

FLUSHERS: Final = 8
"""Threads that wait for the disk: two uploads' worth of instances that are being made durable at once."""


class Caged:
    """The renderer of this worker: another cage takes the place of one that ended."""

    def __init__(self) -> None:
        self._cage: Cage | None = None

    def take(self, control: socket.socket) -> None:
        """Use this cage from now on."""
        self._cage = Cage(control)

    async def render(
        self,
        part10: bytes,
        *,
        frame: int,
        window: tuple[float, float, str] | None,
        size: tuple[int, int] | None,
        media: str,
        quality: int,
        region: tuple[float, float, float, float] | None = None,
    ) -> bytes:
        """See `Renderer`."""
        return await self._here().render(
            part10, frame=frame, window=window, size=size, media=media, quality=quality, region=region
        )

    async def decode_frame(self, part10: bytes, *, frame: int) -> bytes:
        """See `Renderer`."""
        return await self._here().decode_frame(part10, frame=frame)

    async def transcode(self, part10: bytes, *, transfer_syntax: str) -> bytes:
        """See `Renderer`."""
        return await self._here().transcode(part10, transfer_syntax=transfer_syntax)

    def _here(self) -> Cage:
        if self._cage is None:
            raise Unreachable("the cage is away", hint="it is being started; try in a moment")
        return self._cage


async def web_main(child: Child, bound: tuple[Bound, ...], viewer: Path | None) -> None:
    """One web worker: pages, DICOMweb, and the viewer's origin."""
    archive, vault, finder = child.archive, child.sibling("vault"), child.sibling("finder")
    caged = Caged()
    child.on_cage = caged.take
    await vault.arrived()
    store, keeper, catalog = archive.store, remote(Keeper, vault), finder_client(finder)
    hands = Hands(FLUSHERS)
    servers: list[Server] = []
    receiver = Receiver(
        store,
        catalog,
        keeper,
        executor=hands,
        max_octets=archive.settings.max_object,
        alone=lambda: sum(server.busy for server in servers) <= 1,
    )
    renderer: Renderer = caged
    site = Site(
        door=remote(Door, vault),
        gate=remote(Gate, vault),
        set_up=remote(SetUp, vault),
        people=remote(People, vault),
        peers=remote(Peers, vault),
        quarantine=remote(Quarantine, vault),
        chronicle=remote(JournalReader, vault),
        house=remote(HouseState, vault),
        watched=remote(Watched, vault),
        keeper=keeper,
        catalog=catalog,
        renderer=renderer,
        store=store,
        receiver=receiver,
        attester=bytes.fromhex(store.read("keys/signing.pub").decode("ascii").strip()),
        origins=origins_of(bound),
        viewer=viewer,
    )
    child.on_locked = lambda: _lock(site)
    listeners = child.post.listeners
    apps = {"http": make_app(site), "viewer": make_viewer_app(site)}
    with hands:
        await _serve(child, {name: (app, listeners.get(name, ())) for name, app in apps.items()}, servers)
        with contextlib.suppress(HuisclosError):
            await receiver.deposits.close()


def _lock(site: Site) -> None:
    for forget in site.locked:
        forget()


async def gate_main(child: Child, bound: tuple[Bound, ...]) -> None:
    """The gate's process."""
    vault = child.sibling("vault")
    await vault.arrived()
    site = GateSite(remote(Gate, vault), remote(HouseState, vault), origins_of(bound))
    await _serve(child, {"gate": (make_gate_app(site), child.post.listeners.get("gate", ()))}, [])


def origins_of(bound: tuple[Bound, ...]) -> Origins:
    """The origins as browsers name them."""
    ports = {listener.name: listener.port for listener in bound}
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}
    names |= {address for listener in bound for address in listener.addresses}
    return Origins(frozenset(names), ports["http"], ports["gate"], ports["viewer"])


async def _serve(
    child: Child, served: dict[str, tuple[ASGIApp, Sequence[socket.socket]]], servers: list[Server]
) -> None:
    """Serve each application until told to stop; those who do are put into `servers`."""
    leaf = LeafWatch(child.archive.leaf)
    nearness = Nearness(child.archive, remote(PeerDoor, child.sibling("vault")))
    for name, (app, listeners) in served.items():
        context: ssl.SSLContext = leaf.context()
        server = Server(app, listeners, context, nearness.judge(name))
        await server.start()
        servers.append(server)
    watching = asyncio.create_task(leaf.run())
    child.ready()
    await child.stopping.wait()
    watching.cancel()
    await asyncio.gather(*(server.stop() for server in servers))
