"""What the pages stand on: the ports handed in by `wiring`, and where the origins are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from starlette.requests import Request

from huisclos.access.chronicle import JournalReader
from huisclos.access.gate import Gate, SetUp
from huisclos.access.house import HouseState
from huisclos.access.nouns import Proof, ProofKind
from huisclos.access.peers import Peers
from huisclos.access.people import People
from huisclos.access.quarantine import Quarantine
from huisclos.access.sessions import Door
from huisclos.archive.ports import Catalog, Keeper, ObjectStore, Renderer
from huisclos.archive.receive import Receiver
from huisclos.clock import Clock, now
from huisclos.doors.house import Watched
from huisclos.web.pace import Pace

SESSION_COOKIE: Final = "__Host-session"
LANGUAGE_COOKIE: Final = "__Host-language"
SET_UP_COOKIE: Final = "__Host-set-up"


@dataclass(frozen=True)
class Origins:
    """Where the three origins are, as browsers name them: one machine, three ports."""

    names: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    """Host names and addresses this house answers to, lower case; any other is refused."""
    http: int = 8443
    gate: int = 8444
    viewer: int = 8445


@dataclass(frozen=True)
class Site:
    """Every port the pages are written against."""

    door: Door
    gate: Gate
    set_up: SetUp
    people: People
    peers: Peers
    quarantine: Quarantine
    chronicle: JournalReader
    house: HouseState
    watched: Watched
    keeper: Keeper
    catalog: Catalog
    renderer: Renderer
    store: ObjectStore
    receiver: Receiver
    attester: bytes
    """Ed25519 public key that signs manifests, 32 bytes."""
    origins: Origins = field(default_factory=Origins)
    viewer: Path | None = None
    """Folder of the built viewer; None while it is not installed."""
    clock: Clock = now
    pace: Pace = field(default_factory=Pace)
    locked: list[Callable[[], None]] = field(default_factory=list)
    """What is called once the archive was locked: nobody keeps what was opened before."""


def site_of(request: Request) -> Site:
    """The site a request belongs to."""
    return cast(Site, request.app.state.site)


def address_of(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else ""


def host_of(request: Request) -> str:
    """The host name the browser used, in brackets when IPv6, without the port; checked by `security`."""
    host = request.headers.get("host", "localhost")
    return host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]


def origin_of(request: Request, port: int) -> str:
    """The origin on `port` of the very host the browser used, so that both are the same site to it."""
    return f"https://{host_of(request)}:{port}"


def session_proof(request: Request) -> Proof:
    """The session of the cookie; an empty secret when there is none, which the vault does not admit."""
    return Proof(ProofKind.SESSION, request.cookies.get(SESSION_COOKIE, ""), address_of(request))
