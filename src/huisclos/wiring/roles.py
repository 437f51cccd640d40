"""The body of each process: its ports joined to the adapters it may use, and nothing more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import uvloop

from huisclos import clock
from huisclos.access.addresses import Network, is_near, parse_address
from huisclos.access.admission import PeerDoor
from huisclos.access.house import Separation
from huisclos.access.peers import EchoOutcome, EchoResult, ListeningPort
from huisclos.archive.finder_ports import Signer, StudyKeys
from huisclos.archive.ports import HouseKeys, Keeper
from huisclos.channel import Methods, remote, serve
from huisclos.database import SqlAccounts, SqlDecisions, SqlIndex
from huisclos.errors import HuisclosError, Unreachable
from huisclos.finder.client import FinderClient
from huisclos.finder.main import run_finder as finder_main
from huisclos.reception.main import Echoing, run_reception as reception_main
from huisclos.scribe.main import lower_priority, run_scribe as scribe_main
from huisclos.vault.core import Core
from huisclos.vault.ports import Echoer
from huisclos.vault.service import FinderOpening, VaultServices
from huisclos.vault.state import Surroundings
from huisclos.wiring.child import Child, Post
from huisclos.wiring.listeners import Bound, own_networks
from huisclos.wiring.places import Archive
from huisclos.wiring.web import gate_main, web_main

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for."""


@dataclass(frozen=True, slots=True)
class HousePlan:
    """What every process may know of the house."""

    bound: tuple[Bound, ...]
    viewer: Path | None


def run_vault(post: Post, plan: HousePlan) -> int:
    """The vault's process."""
    return _run(post, lambda child: _vault(child, plan))


def run_gate(post: Post, plan: HousePlan) -> int:
    """The gate's process."""
    return _run(post, lambda child: gate_main(child, plan.bound, Source(child.archive)))


def run_web(post: Post, plan: HousePlan) -> int:
    """One web worker."""
    return web_main(post, plan)


def run_reception(post: Post, plan: HousePlan) -> int:
    """One reception worker."""
    return _run(post, _reception)


def run_finder(post: Post) -> int:
    """The finder's process."""
    return _run(post, _finder)


def run_scribe(post: Post) -> int:
    """The scribe's process."""
    lower_priority()
    return _run(post, _scribe)


def _run(post: Post, main: Callable[[Child], Coroutine[None, None, None]]) -> int:
    async def body() -> None:
        await main(Child(post))

    uvloop.run(body())
    return 0


async def _vault(child: Child, plan: HousePlan) -> None:
    archive = child.archive
    accounts = SqlAccounts(archive.database("accounts"))
    core = Core(archive.settings.archive, archive.journal, archive.store, accounts, clock.timestamp)
    services = VaultServices(core, archive.store, _Receptions(child), child.announce)
    services.state.surroundings = Surroundings(
        listeners=tuple((bound.name, bound.text) for bound in plan.bound), separation=Separation.PARTIAL
    )
    services.peers.listeners = tuple(
        ListeningPort(bound.addresses, bound.port, bound.name == "dicom_tls")
        for bound in plan.bound
        if bound.name.startswith("dicom")
    )
    child.methods = services.methods
    await services.begin()
    tick = asyncio.create_task(services.tick())
    child.ready()
    await child.stopping.wait()
    tick.cancel()
    with contextlib.suppress(HuisclosError):
        await services.finish()


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
    await finder_main(
        index=SqlIndex(archive.database("index")),
        decisions=SqlDecisions(archive.database("decisions")),
        store=archive.store,
        keys=remote(StudyKeys, vault),
        signer=remote(Signer, vault),
        record_key=keys.records,
        grant_key=keys.grants,
        serve_to=lambda table: setattr(child, "methods", table),
        ready=child.ready,
        stop=child.stopping,
    )


async def _scribe(child: Child) -> None:
    archive = child.archive
    vault, finder = child.sibling("vault"), child.sibling("finder")
    await vault.arrived()
    await finder.arrived()
    signing = archive.store.read("keys/signing.pub").decode("ascii").strip()
    child.ready()
    await scribe_main(
        archive.store,
        FinderClient(finder),
        remote(HouseKeys, vault),
        bytes.fromhex(signing),
        stop=child.stopping,
    )


async def _reception(child: Child) -> None:
    archive, vault, finder = child.archive, child.sibling("vault"), child.sibling("finder")
    await vault.arrived()
    door = remote(PeerDoor, vault)
    source = Source(archive)
    echoing = Echoing()
    methods = Methods()
    serve(methods, Echoer, echoing)
    child.methods = lambda role: methods if role == "vault" else Methods()
    await reception_main(
        plain=child.post.listeners.get("dicom", ()),
        tls=child.post.listeners.get("dicom_tls", ()),
        context=peer_context(archive.leaf),
        store=archive.store,
        catalog=FinderClient(finder),
        keeper=remote(Keeper, vault),
        door=door,
        near=source.is_near,
        settings=archive.settings,
        echoing=echoing,
        ready=child.ready,
        stop=child.stopping,
    )


class Source:
    """Which connections may be heard (P11)."""

    def __init__(self, archive: Archive) -> None:
        self._own: tuple[Network, ...] = tuple(ip_network(text, strict=False) for text in own_networks())
        self._declared = archive.settings.declared_networks

    def is_near(self, address: str) -> bool:
        """Whether a connection from here may be heard."""
        try:
            return is_near(parse_address(address), self._own, self._declared)
        except HuisclosError:
            return False


def server_context(leaf: Path) -> ssl.SSLContext:
    """TLS for browsers: 1.2 and up, our leaf."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.load_cert_chain(leaf)
    return context


def peer_context(leaf: Path) -> ssl.SSLContext:
    """TLS for DICOM peers (PS3.15 annex B.12, BCP 195): 1.2 and up, a client certificate asked for.

    Each pinned certificate is an anchor by itself (partial chain), and its end date is judged by
    admission, since a modality whose certificate ran out must still be able to store.
    """
    context = server_context(leaf)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def listening(post: Post, name: str) -> tuple[socket.socket, ...]:
    """The listeners of this name that the supervisor handed over."""
    return post.listeners.get(name, ())
