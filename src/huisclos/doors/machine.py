"""A machine from inside: who listens, on which address, under which account; where imaging leaves things."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import psutil

from huisclos.access.addresses import Address, is_loopback, is_private, parse_address
from huisclos.doors.observation import Observation, Seen, What
from huisclos.doors.probes.ports import SERVICE_PORTS, USUAL_PORTS
from huisclos.doors.rules import judge
from huisclos.doors.target import Target
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach

PROGRAMS: Final = {
    "orthanc": "orthanc",
    "storescp": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dcmrecv": "dcmtk",
    "wlmscpfs": "dcmtk",
    "dgate": "conquest",
    "horos": "horos",
    "osirix": "osirix-horos",
    "huisclos": "huisclos",
}
"""Programs of imaging, by the beginning of their name."""
VIEWERS: Final = {
    "radiant": "radiant",
    "mdicom": "microdicom",
    "weasis": "weasis",
    "horos": "horos",
    "osirix": "osirix-horos",
}
"""Programs that only have to show images."""
IMAGING_PORTS: Final = frozenset({104, 2761, 2762, 4242, 11112})
"""where nothing but imaging is expected, whatever program it is"""
SERVICES: Final = ("postgres", "mysqld", "mariadbd", "redis-server", "smbd", "xrdp", "vnc", "xvnc", "x11vnc")
"""Programs beside imaging that are asked by their own protocol, wherever they listen."""
DATABASES: Final = {
    5432: "postgres", 3306: "mysql", 1433: "mssql", 1521: "oracle", 27017: "mongodb", 9200: "elasticsearch",
    6379: "redis", 389: "ldap",
}  # fmt: skip
CONFIGS: Final = (
    "/etc/orthanc", "/etc/nginx", "/etc/apache2", "/etc/caddy", "/etc/traefik", "/etc/dcm4chee",
    "/etc/conquest-dicom-server", "/etc/samba/smb.conf", "/etc/exports",
)  # fmt: skip
LOGS: Final = (
    "/var/log/orthanc", "/var/log/nginx", "/var/log/apache2", "/var/log/caddy", "/var/log/conquest",
    "/var/log/traefik",
)  # fmt: skip
TREES: Final = ("/var/lib/orthanc", "/var/lib/dcmtk", "/srv/dicom", "/var/lib/docker/volumes")
HOME_CONFIGS: Final = (
    "Library/Preferences/com.horosproject.horos.plist",
    "Library/Preferences/com.rossetantoine.osirix.plist",
)
HOME_TREES: Final = (
    "Downloads",
    "Téléchargements",
    "Desktop",
    "Bureau",
    "Documents/Horos Data",
    "Documents/OsiriX Data",
)


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port of this machine that somebody answers."""

    address: Address
    port: int
    program: str | None
    """a word of ours; None for one that we do not know"""
    administrator: bool
    service: bool = False
    """whether its program is one of those beside imaging"""
    viewer: str | None = None
    six: bool = False
    """whether IPv6 reaches it at every address of this machine"""
    public: bool = False
    """whether this machine has an IPv4 address of the Internet itself, and no box before it"""

    @property
    def reach(self) -> Reach:
        """From where it can be reached, as far as the address it is bound to says."""
        if is_loopback(self.address):
            return Reach.LOOPBACK
        if self.address.is_unspecified:
            return Reach.INTERNET if self.public else Reach.LAN
        return Reach.LAN if is_private(self.address) else Reach.INTERNET

    @property
    def target(self) -> Target:
        """Where to ask it: on this machine, by loopback when it listens everywhere."""
        here = self.address
        if here.is_unspecified:
            here = parse_address("127.0.0.1" if here.version == 4 else "::1")  # noqa: PLR2004 - IPv4
        return Target(str(here), here, self.port)

    def at_network(self, own: Address | None) -> Target | None:
        """The same, walked up to as from the network: by `own`, an address that this machine has there.

        A program may listen everywhere and serve only who comes over loopback (Orthanc's
        `RemoteAccessAllowed`). None when there is no other way to it than `target`.
        """
        if own is None or not self.address.is_unspecified:
            return None
        return replace(self.target, address=own)


def own_address() -> Address | None:
    """An IPv4 address that this machine has on a network; None when it is on none."""
    return next((one for one in _addresses() if not is_loopback(one)), None)


def _addresses() -> list[Address]:
    """The IPv4 addresses of this machine."""
    return [
        parse_address(one.address)
        for name, all_of_them in psutil.net_if_addrs().items()
        if name in _up()
        for one in all_of_them
        if one.family == socket.AF_INET
    ]


def _is_routed(address: Address) -> bool:
    """Whether the Internet routes to an IPv4 address."""
    return not is_private(address) and not any(address in block for block in _UNROUTED)


_UNROUTED: Final = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "240.0.0.0/4",
    )
)  # fmt: skip
"""shared by a carrier's customers, kept for documents, tests and nothing (RFC 6890)"""


def _up() -> frozenset[str]:
    return frozenset(name for name, state in psutil.net_if_stats().items() if state.isup)


def listeners() -> list[Listener]:
    """Every listener that this account may see, each port once, by its widest address."""
    found: dict[int, Listener] = {}
    public = any(map(_is_routed, _addresses()))
    for one in psutil.net_connections("tcp"):
        if one.status != psutil.CONN_LISTEN or not one.laddr:
            continue
        name, administrator = _program(one.pid)
        address = parse_address(one.laddr.ip)
        six = one.family == socket.AF_INET6 and address.is_unspecified
        if six:
            address = parse_address("0.0.0.0")  # noqa: S104 - both families at once, asked by the plainer one
        made = Listener(
            address,
            one.laddr.port,
            _word_of(name, PROGRAMS),
            administrator,
            name.startswith(SERVICES),
            _word_of(name, VIEWERS),
            six,
            public,
        )
        known = found.get(made.port)
        if known is not None and _RANK[known.reach] <= _RANK[made.reach]:
            made = replace(known, six=known.six or six)
        found[made.port] = made
    return [found[port] for port in sorted(found)]


_RANK: Final = {Reach.INTERNET: 0, Reach.LAN: 1, Reach.LOOPBACK: 2}


def imaging(all_of_them: Iterable[Listener]) -> list[Listener]:
    """Those that are asked: a program that we know, or a usual port."""
    return [
        one
        for one in all_of_them
        if one.program is not None or one.service or one.port in USUAL_PORTS or one.port in SERVICE_PORTS
    ]


def is_global(address: Address) -> bool:
    """Whether the Internet routes to an IPv6 address: one of 2000::/3 that is not kept for private use."""
    return address.version == 6 and address in _GLOBAL and not is_private(address)  # noqa: PLR2004 - IPv6


_GLOBAL: Final = ip_network("2000::/3")
"""RFC 4291 section 2.4 as IANA assigns it"""


def has_global_address() -> bool:
    """Whether an interface of this machine has an IPv6 address that the Internet routes to."""
    texts = (
        one.address.partition("%")[0]
        for all_of_them in psutil.net_if_addrs().values()
        for one in all_of_them
        if one.family == socket.AF_INET6
    )
    return any(is_global(parse_address(text)) for text in texts)


def observe_listeners(all_of_them: Iterable[Listener], *, global_six: bool = False) -> Iterator[Seen]:
    """Databases on the network, imaging on odd ports, as administrator, or at a global IPv6 address.

    `global_six`: this machine has such an address; without a forward, the box's IPv6 firewall is then all
    that stands before a listener at every address.
    """
    for one in all_of_them:
        name = f"{one.target.host}:{one.port}"
        if one.port in DATABASES:
            wide = one.reach is not Reach.LOOPBACK
            found = facts(class_="database", product=DATABASES[one.port], port=one.port, value=_word(wide))
            yield Observation(What.OPEN_PORT, name, one.reach, found)
        if one.viewer is not None:
            wide = one.reach is not Reach.LOOPBACK
            found = facts(class_="viewer", product=one.viewer, port=one.port, value=_word(wide))
            yield Observation(What.OPEN_PORT, name, one.reach, found)
        if one.program != "huisclos" and (one.program is not None or one.port in IMAGING_PORTS):
            wide = is_global(one.address) or (one.six and global_six)
            found = facts(class_="global-ipv6", product=one.program, port=one.port, value=_word(wide))
            yield Observation(What.OPEN_PORT, name, one.reach, found)
        if one.program is None:
            continue
        odd = one.port not in USUAL_PORTS and one.program != "huisclos"
        for word, is_open in (
            ("odd-port", odd),
            ("administrator", one.administrator and one.program != "huisclos"),
        ):
            found = facts(class_=word, product=one.program, port=one.port, value=_word(is_open))
            yield Observation(What.OPEN_PORT, name, one.reach, found)


def reached(seen: Iterable[Seen], reach: Reach) -> list[Seen]:
    """What was asked over loopback, as it is for whoever reaches the address it is bound to."""
    return [
        Observation(one.what, one.target, reach, one.facts) if isinstance(one, Observation) else one
        for one in seen
    ]


def joined(network: list[Seen], here: list[Seen]) -> list[Seen]:
    """A listener asked twice, as from the network and over loopback: what only the second opens is added.

    What says nothing to the network and something here is open to this machine alone.
    """
    here = reached(here, Reach.LOOPBACK)
    if not any(isinstance(one, Observation) for one in network):
        return here if any(isinstance(one, Observation) for one in here) else network
    known = {one.check for one in judge(one for one in network if isinstance(one, Observation)) if one.open}
    more = (one for one in here if isinstance(one, Observation))
    return [*network, *(one for one in more if {made.check for made in judge([one]) if made.open} - known)]


def places(home: Path) -> tuple[list[Path], list[Path]]:
    """Configurations and trees of files in the usual places, those that are there."""
    configs = [Path(one) for one in CONFIGS] + [home / one for one in HOME_CONFIGS]
    trees = [Path(one) for one in TREES] + [home / one for one in HOME_TREES]
    return [one for one in configs if one.exists()], [one for one in trees if one.exists()]


def _word(is_open: bool) -> str:  # noqa: FBT001 - a flag as a word
    return "open" if is_open else "closed"


def logs() -> list[Path]:
    """Logs of imaging programs and proxies in the usual places, those that are there."""
    return [Path(one) for one in LOGS if Path(one).exists()]


def _word_of(name: str, table: dict[str, str]) -> str | None:
    return next((word for start, word in table.items() if name.startswith(start)), None)


def _program(pid: int | None) -> tuple[str, bool]:
    """The name of a process, and whether it runs as the administrator."""
    if pid is None:
        return "", False
    try:
        process = psutil.Process(pid)
        return process.name().lower(), process.uids().real == 0
    except psutil.Error:
        return "", False
