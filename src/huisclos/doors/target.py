"""What is examined: a host, a port of it, or a URL, pinned to one address."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlsplit

from huisclos.access.addresses import Address, Network, is_loopback, is_private, parse_address
from huisclos.errors import BadSetting
from huisclos.findings.nouns import Reach

PORT_MAX: Final = 65535
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)

Resolve = Callable[[str], Address]
"""The address of a name, asked once at the start: what it resolves to later does not matter."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to knock."""

    host: str
    """as the user wrote it"""
    address: Address
    """pinned"""
    port: int | None = None
    """None: the usual ports"""
    scheme: str | None = None
    """http or https, when a URL was given"""
    path: str = "/"

    @property
    def name(self) -> str:
        """`host:port` for reports; the host alone while no port is chosen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def reach(self) -> Reach:
        """From where it can be walked up to, by its address alone."""
        if is_loopback(self.address):
            return Reach.LOOPBACK
        return Reach.LAN if is_private(self.address) else Reach.INTERNET

    def at(self, port: int) -> Target:
        """The same host at `port`."""
        return replace(self, port=port)


def resolve(host: str) -> Address:
    """The first address of `host`. Raises `BadSetting`."""
    return resolve_all(host)[0]


def resolve_all(host: str) -> tuple[Address, ...]:
    """Every address of `host`, at least one. Raises `BadSetting`."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadSetting("a target's name has no address", hint="check its spelling") from None
    return tuple(parse_address(str(one[4][0])) for one in found)


def parse_target(text: str, resolver: Resolve = resolve) -> Target:
    """`host`, `host:port`, `[v6]:port` or a URL. Raises `BadSetting`."""
    scheme, path, rest = None, "/", text.strip()
    if "://" in rest:
        parts = urlsplit(rest)
        if parts.scheme not in ("http", "https") or parts.username or not parts.hostname:
            raise BadSetting("a target's URL is http or https, without a user")
        # As a browser sends it (RFC 3986 section 2.1).
        scheme, path, rest = parts.scheme, quote(parts.path, safe="/%:@!$&'()*+,;=~") or "/", parts.netloc
    host, port = _split(rest)
    if scheme and port is None:
        port = 443 if scheme == "https" else 80
    return Target(host, _address(host, resolver), port, scheme, path)


def is_name(text: str) -> bool:
    """Whether it is written as the name of a machine (RFC 1123 section 2.1), and not as an address."""
    return _NAME.fullmatch(text) is not None and not text.replace(".", "").isdigit()


def is_own_network(address: Address, own: Iterable[Network]) -> bool:
    """Whether `address` is private and on a network that this machine is on."""
    return is_private(address) and any(address in network for network in own)


def _split(text: str) -> tuple[str, int | None]:
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise BadSetting("a target is host, host:port, [address]:port or a URL")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
        raise BadSetting("a target's port is a number from 1 to 65535")
    return host, int(port) if port else None


def _address(host: str, resolver: Resolve) -> Address:
    if host == "localhost":
        return parse_address("127.0.0.1")
    try:
        return parse_address(host)
    except BadSetting:
        if not is_name(host):
            raise BadSetting("a target is host, host:port, [address]:port or a URL") from None
        return resolver(host)
