"""Binding the listeners, on loopback or on private addresses of this machine, and on nothing else."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Final

import msgspec
import psutil

from huisclos.access.addresses import (
    Address,
    check_listener,
    is_loopback,
    is_private,
    parse_address,
    split_host_port,
)
from huisclos.errors import Conflict, OpenListener, Refused

PORTS: Final = {"http": 8443, "gate": 8444, "viewer": 8445, "dicom": 11112, "dicom_tls": 2762}
"""Default ports by listener; 11112 and 2762 are registered for DICOM."""
OWNERS: Final = {
    "http": "web",
    "viewer": "web",
    "gate": "gate",
    "dicom": "reception",
    "dicom_tls": "reception",
}
"""The role that accepts on each listener."""
_BACKLOG: Final = 512


class Wanted(msgspec.Struct, frozen=True):
    """Where the house is to listen."""

    given: dict[str, str]
    """Listener to `HOST:PORT` as written on the command line."""
    lan: bool = False


class Bound(msgspec.Struct, frozen=True):
    """One listener as bound: the first address is the one to print."""

    name: str
    addresses: tuple[str, ...]
    port: int

    @property
    def text(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return self.texts[0]

    @property
    def texts(self) -> tuple[str, ...]:
        """The same of every address."""
        return tuple(
            f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in self.addresses
        )


def bind_all(
    wanted: Wanted, *, confirmed: bool
) -> tuple[tuple[Bound, ...], dict[str, dict[str, tuple[socket.socket, ...]]]]:
    """Bind every listener; (what was bound, sockets by role and name).

    Raises `OpenListener` for 0.0.0.0, public addresses, and anything but loopback before the
    recovery key was `confirmed`; `Conflict` when a port is taken.
    """
    bound, sockets = [], dict[str, dict[str, tuple[socket.socket, ...]]]()
    for name, default in PORTS.items():
        addresses, port = _addresses(wanted, name, default)
        for address in addresses:
            check_listener(address)
            if not confirmed and not is_loopback(address):
                raise Refused(
                    "until the recovery key was typed back, only loopback listens",
                    hint="huisclos recovery confirm ARCHIVE --recovery-file F, or the set-up page",
                )
        opened: list[socket.socket] = []
        for address in addresses:
            opened.append(_bind(address, port or (opened[0].getsockname()[1] if opened else 0), name))
        port = opened[0].getsockname()[1]
        bound.append(Bound(name, tuple(str(address) for address in addresses), port))
        sockets.setdefault(OWNERS[name], {})[name] = tuple(opened)
    return tuple(bound), sockets


def own_networks() -> tuple[str, ...]:
    """The prefixes of this machine's own interfaces (P11)."""
    return tuple(
        f"{entry.address.partition('%')[0]}/{_prefix(entry.netmask)}"
        for addresses in psutil.net_if_addrs().values()
        for entry in addresses
        if entry.family in {socket.AF_INET, socket.AF_INET6} and entry.netmask
    )


def lan_addresses() -> tuple[Address, ...]:
    """The private addresses of this machine, loopback first."""
    found: list[Address] = [parse_address("127.0.0.1")]
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family == socket.AF_INET:
                address = parse_address(entry.address)
                if is_private(address) and not is_loopback(address):
                    found.append(address)
    return tuple(dict.fromkeys(found))


def addresses_of(bound: tuple[Bound, ...]) -> tuple[str, ...]:
    """Every address that any of these is bound to, once."""
    return tuple(dict.fromkeys(address for listener in bound for address in listener.addresses))


def ready_document(bound: tuple[Bound, ...], pid: int) -> bytes:
    """The ready file: JSON of listener to `host:port`, and `pid`."""
    document: Mapping[str, object] = {**{listener.name: listener.text for listener in bound}, "pid": pid}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _addresses(wanted: Wanted, name: str, default: int) -> tuple[tuple[Address, ...], int]:
    text = wanted.given.get(name, "")
    if text:
        address, port = split_host_port(text, default)
        return (address,), port
    if wanted.lan:
        return lan_addresses(), default
    return (parse_address("127.0.0.1"),), default


def _bind(address: Address, port: int, name: str) -> socket.socket:
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind((str(address), port))
        sock.listen(_BACKLOG)
    except OSError as error:
        with contextlib.suppress(OSError):
            sock.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} is taken by another program",
                hint=f"choose another: --{name.replace('_', '-')} HOST:PORT",
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise OpenListener(f"{address} is not an address of this machine") from None
        raise Conflict(f"port {port} cannot be opened: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def _prefix(netmask: str) -> int:
    packed = socket.inet_pton(socket.AF_INET6 if ":" in netmask else socket.AF_INET, netmask)
    return int.from_bytes(packed, "big").bit_count()
