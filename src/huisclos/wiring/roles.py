"""The body of each process: its ports joined to the adapters it may use, and nothing more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from huisclos import clock
from huisclos.access.admission import PeerDoor
from huisclos.access.peers import EchoOutcome, EchoResult, ListeningPort
from huisclos.archive.finder_ports import Signer, StudyKeys
from huisclos.archive.ports import HouseKeys, Keeper
from huisclos.cage.client import become_zygote
from huisclos.channel import Message, Methods, receive_message, remote, send_message, serve
from huisclos.database import SqlAccounts, SqlDecisions, SqlIndex
from huisclos.doors.house import Looker
from huisclos.errors import HuisclosError, Unreachable
from huisclos.finder.client import finder_client
from huisclos.finder.main import run_finder as finder_main
from huisclos.reception.main import Echoing
from huisclos.reception.main import run_reception as reception_main
from huisclos.scribe.main import lower_priority
from huisclos.scribe.main import run_scribe as scribe_main
from huisclos.vault.core import Core
from huisclos.vault.ports import Echoer
from huisclos.vault.service import FinderOpening, VaultServices
from huisclos.vault.state import Surroundings
from huisclos.wiring.auditor import auditor_main, farthest, folders
from huisclos.wiring.child import Child, Post
from huisclos.wiring.listeners import Bound, addresses_of
from huisclos.wiring.nearness import Nearness
from huisclos.wiring.separation import confine_role, in_force
from huisclos.wiring.tls import LeafWatch, peer_context
from huisclos.wiring.web import gate_main, web_main


@dataclass(frozen=True, slots=True)
class HousePlan:
    """What every process may know of the house."""

    bound: tuple[Bound, ...] = ()
    viewer: Path | None = None
    """Folder of the viewer's files; None while it is not installed."""
    passphrase_near: bool = False
    """The file that unlocks at the start lies on the archive's file system."""
    present: tuple[str, ...] = ()
    """The private addresses of this machine at the start: the vault gives up asking the system for them."""
    command: str = ""
    """What starts the house again so that the network reaches it."""


def run_vault(post: Post, plan: HousePlan) -> int:
    """The vault's process."""
    return _run(post, lambda child: _vault(child, plan))


def run_gate(post: Post, plan: HousePlan) -> int:
    """The gate's process."""
    return _run(post, lambda child: gate_main(child, plan.bound))


def run_web(post: Post, plan: HousePlan) -> int:
    """One web worker."""
    reads = (plan.viewer,) if plan.viewer else ()
    return _run(post, lambda child: web_main(child, plan.bound, plan.viewer), reads)


def run_reception(post: Post) -> int:
    """One reception worker."""
    return _run(post, _reception)


def run_finder(post: Post) -> int:
    """The finder's process."""
    return _run(post, _finder)


def run_scribe(post: Post) -> int:
    """The scribe's process."""
    lower_priority()
    return _run(post, _scribe)


def run_auditor(post: Post, plan: HousePlan) -> int:
    """The auditor's process.

    On asyncio's own loop: uvloop's connections raise none of Python's audit events, and `doors.record` would
    neither see nor stop a packet.
    """
    lower_priority()
    reads = folders(post.archive)
    return _run(post, lambda child: auditor_main(child, plan.bound), reads, loop=asyncio.run)


def run_cage(post: Post) -> int:
    """One web worker's cage: waits for its worker, then becomes a process that knows nothing of the house."""
    send_message(post.control, Message("ready"))
    while (heard := receive_message(post.control)) is not None:
        message, sockets = heard
        if message.word == "sibling" and sockets:
            become_zygote(sockets[0])
        if message.word == "stop":
            break
    return 0


Loop = Callable[[Coroutine[Any, Any, None]], None]


def _run(
    post: Post,
    main: Callable[[Child], Awaitable[None]],
    reads: tuple[Path, ...] = (),
    loop: Loop = uvloop.run,
) -> int:
    async def body() -> None:
        await main(Child(post))

    confine_role(post.role, post.archive, reads)
    loop(body())
    return 0


async def _vault(child: Child, plan: HousePlan) -> None:
    archive = child.archive
    accounts = SqlAccounts(archive.database("accounts"))
    core = Core(archive.settings.archive, archive.journal, archive.store, accounts, clock.timestamp)
    looker = remote(Looker, child.sibling("auditor"))
    services = VaultServices(core, archive.store, _Receptions(child), child.announce, looker)
    level, missing = in_force()
    services.state.surroundings = Surroundings(
        listeners=tuple((bound.name, bound.text) for bound in plan.bound),
        separation=level,
        missing=missing,
        passphrase_near=plan.passphrase_near,
    )
    services.peers.listeners = tuple(
        ListeningPort(bound.addresses, bound.port, bound.name == "dicom_tls")
        for bound in plan.bound
        if bound.name.startswith("dicom")
    )
    addresses = addresses_of(plan.bound)
    services.leaf.bound, services.leaf.present = addresses, plan.present
    services.doors.addresses = frozenset(addresses)
    services.doors.listeners = {bound.name: farthest(bound).name for bound in plan.bound}
    services.declared = tuple(map(str, archive.settings.declared_networks))
    services.keeper.quota.images = archive.settings.quarantine_images
    services.keeper.quota.octets = archive.settings.quarantine_bytes
    services.peers.lan = any(len(bound.addresses) > 1 for bound in plan.bound)
    services.peers.command = plan.command
    child.serve_to(services.methods)
    await services.begin()
    tick = asyncio.create_task(services.tick())
    child.ready()
    await child.stopping.wait()
    tick.cancel()
    with contextlib.suppress(HuisclosError):
        await services.finish()
    accounts.close()


class _Receptions:
    """Every reception worker, as the vault asks them."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        try:
            channel = self._child.callers("reception")[0]
        except Unreachable:
            return EchoResult(EchoOutcome.UNREACHABLE)
        return await remote(Echoer, channel).echo(address, port, called, calling)

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""
        with contextlib.suppress(Unreachable):
            for channel in self._child.callers("reception"):
                await remote(Echoer, channel).end_peer(peer_id)

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`."""
        with contextlib.suppress(Unreachable):
            for channel in self._child.callers("reception"):
                await remote(Echoer, channel).pin(certificate)


async def _finder(child: Child) -> None:
    archive, vault = child.archive, child.sibling("vault")
    await vault.arrived()
    keys = await remote(FinderOpening, vault).finder_keys()
    index, decisions = SqlIndex(archive.database("index")), SqlDecisions(archive.database("decisions"))
    await finder_main(
        index=index,
        decisions=decisions,
        store=archive.store,
        keys=remote(StudyKeys, vault),
        signer=remote(Signer, vault),
        record_key=keys.records,
        grant_key=keys.grants,
        serve_to=child.serve_to,
        ready=child.ready,
        stop=child.stopping,
    )
    index.close()
    decisions.close()


async def _scribe(child: Child) -> None:
    archive, vault, finder = child.archive, child.sibling("vault"), child.sibling("finder")
    await vault.arrived()
    await finder.arrived()
    signing = archive.store.read("keys/signing.pub").decode("ascii").strip()
    child.ready()
    await scribe_main(
        archive.store,
        finder_client(finder),
        remote(HouseKeys, vault),
        bytes.fromhex(signing),
        stop=child.stopping,
    )


async def _reception(child: Child) -> None:
    archive, vault = child.archive, child.sibling("vault")
    await vault.arrived()
    door = remote(PeerDoor, vault)
    echoing = Echoing()
    methods = Methods()
    serve(methods, Echoer, echoing)
    child.serve_to(lambda role: methods if role == "vault" else Methods())
    leaf = LeafWatch(archive.leaf)
    watching = asyncio.create_task(leaf.run())
    await reception_main(
        plain=child.post.listeners.get("dicom", ()),
        tls=child.post.listeners.get("dicom_tls", ()),
        context=leaf.keep(peer_context(archive.leaf)),
        store=archive.store,
        catalog=finder_client(child.sibling("finder")),
        keeper=remote(Keeper, vault),
        door=door,
        near=Nearness(archive, door).is_near,
        settings=archive.settings,
        echoing=echoing,
        ready=child.ready,
        stop=child.stopping,
    )
    watching.cancel()
