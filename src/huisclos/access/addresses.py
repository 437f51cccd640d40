"""Which addresses are near (P11): our own table, since a library's flag changes with its version.

Private: RFC 1918, loopback (RFC 1122, RFC 4291), link-local (RFC 3927, RFC 4291), unique local
(RFC 4193), shared address space 100.64.0.0/10 (RFC 6598: a carrier's, so near only when an
interface of this machine has a prefix in it). An IPv4 address wrapped in IPv6 (mapped RFC 4291,
NAT64 RFC 6052, 6to4 RFC 3056) is judged by what it wraps.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from huisclos.errors import BadSetting, OpenListener

MAX_PORT: Final = 65535
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEAR: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)
_LOOPBACK: Final = 127
"""first byte"""
_MAPPED: Final = ip_network("::ffff:0:0/96")
_NAT64: Final = ip_network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ip_network("2002::/16")


def parse_address(text: str) -> Address:
    """The address of `text`, zone dropped, wrapping undone. Raises `BadSetting`."""
    try:
        return _parsed(text)
    except ValueError:
        raise BadSetting("this is not an IP address", hint="write it like 192.168.1.20") from None


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address:
    return unwrap(ip_address(text.partition("%")[0]))


def unwrap(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it; else `address`."""
    if isinstance(address, IPv4Address):
        return address
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(number & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((number >> 80) & 0xFFFFFFFF)
    return address


def is_loopback(address: Address) -> bool:
    """Whether `address` is this machine itself: 127.0.0.0/8, ::1."""
    number = int(address)
    return number >> 24 == _LOOPBACK if isinstance(address, IPv4Address) else number == 1


def is_private(address: Address) -> bool:
    """Whether `address` is one the Internet does not route to; loopback counts."""
    return any(address in network for network in _NEAR)


def is_near(address: Address, own: Iterable[Network] = (), declared: Iterable[Network] = ()) -> bool:
    """Whether a connection from `address` may be heard: private, on a prefix of ours, or declared (P11)."""
    if is_private(address):
        return True
    return any(address in network for network in (*own, *declared))


def split_host_port(text: str, default_port: int) -> tuple[Address, int]:
    """`HOST:PORT`, `[V6]:PORT` or `HOST`; `localhost` is 127.0.0.1. Raises `BadSetting`."""
    host, port = text, str(default_port)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise BadSetting("this is not a port", hint="write HOST:PORT, with a port from 0 to 65535")
    return parse_address("127.0.0.1" if host == "localhost" else host), int(port)


def check_listener(address: Address) -> None:
    """Raises `OpenListener` for addresses the house never binds: 0.0.0.0 and public."""
    if address.is_unspecified:
        raise OpenListener(
            "listening on every address would open the house to networks you did not choose",
            hint="name one private address of this machine, or use --lan",
        )
    if not is_private(address):
        raise OpenListener(
            "this address is public: the house never listens to the Internet",
            hint="name a private address of this machine, or use --lan",
        )
