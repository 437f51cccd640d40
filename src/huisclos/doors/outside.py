"""The view from outside: what service and asker say to each other, and what it shows.

The asker opens a listener on its own machine and names its port. The service, which tests only the address
that the request came from, first sends a nonce there; only an HMAC of it under the asker's token is a right
to go on. So whoever shares an address with others, or passes through somebody's proxy, gets nothing tested.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import msgspec

from huisclos.access.addresses import Address, is_loopback, is_private
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.ports import USUAL_PORTS
from huisclos.errors import Refused, Unreadable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reach, Reason

SCHEMA: Final = "huisclos-outside/1"
PATH: Final = "/view"
PORTS: Final = USUAL_PORTS
"""what is looked at, and nothing else"""
WEB_PORTS: Final = frozenset({80, 443, 8080, 8443})
MAX_REQUEST: Final = 512
MAX_ANSWER: Final = 16 * 1024
"""bytes of a body"""
TOKEN: Final = 32
NONCE: Final = 16
"""bytes"""
GREETING: Final = b"huisclos-outside "
_SHARED: Final = ip_network("100.64.0.0/10")
_CARRIERS: Final = tuple(ip_network(text) for text in ("2002::/16", "2001::/32", "64:ff9b::/96"))
"""6to4, Teredo, NAT64: the address of a relay's customer, or of somebody else"""
_PASSED_ON: Final = frozenset(
    {
        "forwarded", "forwarded-for", "x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip",
        "via", "x-client-ip", "client-ip", "x-cluster-client-ip", "cf-connecting-ip", "fastly-client-ip",
        "true-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "x-proxyuser-ip",
    }
)  # fmt: skip
"""headers by which a proxy says that it speaks for somebody else"""


class OutsideRefused(Refused):
    """The service does not test this address, or not now."""

    kind = "outside-refused"


class Spoken(StrEnum):
    """What one port said."""

    DICOM = "dicom"
    DICOM_TLS = "dicom-tls"
    HTTP = "http"
    HTTPS = "https"
    TLS = "tls"
    """TLS that shows nothing of what is behind it to a stranger"""
    OTHER = "other"
    CLOSED = "closed"
    SILENT = "silent"


class Token(StrEnum):
    """What became of the asker's token."""

    SERVED = "served"
    CLOSED = "closed"
    SILENT = "silent"
    WRONG = "wrong"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the asker sends."""

    schema: str = SCHEMA
    token: str
    """32 random bytes, hex"""
    port: int
    """where the asker answers for it"""


class PortSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One port."""

    port: int
    spoken: Spoken


class View(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service answers. Without a served token it looked at nothing."""

    schema: str = SCHEMA
    address: str
    """where the request came from"""
    token: Token
    ports: tuple[PortSeen, ...] = ()
    ssdp: bool = False
    """whether one M-SEARCH from outside was answered"""


def read_asked(raw: bytes) -> Asked:
    """A request. Raises `Unreadable`."""
    try:
        asked = msgspec.json.decode(raw, type=Asked)
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable("this is not a request for the view from outside") from None
    hexadecimal = len(asked.token) == 2 * TOKEN and set(asked.token) <= set("0123456789abcdef")
    if asked.schema != SCHEMA or not hexadecimal or not 0 < asked.port < 1 << 16:
        raise Unreadable("this is not a request for the view from outside")
    return asked


def read_view(raw: bytes) -> View:
    """An answer, of a service that may be hostile. Raises `Unreadable`."""
    if len(raw) > MAX_ANSWER:
        raise Unreadable("the service's answer is too long to be one")
    try:
        view = msgspec.json.decode(raw, type=View)
        ip_address(view.address)
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable("the service's answer is not a view from outside") from None
    ports = [one.port for one in view.ports]
    if view.schema != SCHEMA or len(set(ports)) != len(ports) or not set(ports) <= set(PORTS):
        raise Unreadable("the service's answer is not a view from outside")
    if view.token is not Token.SERVED and (ports or view.ssdp):
        raise Unreadable("the service says that it tested without the token: it must not, or it lies")
    return view


def proof(token: str, nonce: str) -> str:
    """What the asker's listener answers to a nonce: HMAC-SHA256, hex."""
    return hmac.new(bytes.fromhex(token), nonce.encode("ascii", "replace"), hashlib.sha256).hexdigest()


def source_of(peer: str, headers: Iterable[tuple[str, str]], proxy: Address | None = None) -> Address:
    """The address that asks, and the only one that may be tested. Raises `OutsideRefused`.

    Whoever connects is who asks. A header that speaks for somebody else is refused, unless it is the declared
    proxy's own, and then it must name exactly one address.
    """
    address = _plain(peer)
    said: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() in _PASSED_ON:
            said.setdefault(name.lower(), []).append(value.strip())
    if proxy is not None and address == proxy:
        address = _behind(said)
    elif said:
        raise OutsideRefused("the request came through a proxy: the address behind it is not proved")
    return _tested(address)


def _behind(said: Mapping[str, list[str]]) -> Address:
    named = said.get("x-forwarded-for", [])
    others = {value for name, values in said.items() if name == "x-real-ip" for value in values}
    strange = set(said) - {"x-forwarded-for", "x-real-ip"}
    if strange or len(named) != 1 or others - set(named):
        raise OutsideRefused("the declared proxy did not name exactly one address")
    return _plain(named[0])


def _plain(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise OutsideRefused("the request has no address to test") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _tested(address: Address) -> Address:
    if is_loopback(address):
        return address
    relayed = any(address in network for network in _CARRIERS)
    if relayed or is_private(address) or address.is_multicast or address.is_unspecified:
        raise OutsideRefused("this is no address of the Internet: from here the view is not from outside")
    return address


def network_of(address: Address) -> bytes:
    """What one practice has: an IPv4 address, or an IPv6 /64."""
    return address.packed if isinstance(address, IPv4Address) else address.packed[:8]


_UNTESTED: Final = ("BOX-015", "BOX-016")


def observe(view: View, outside: Address | None = None) -> list[Seen]:
    """What a view shows. `outside` is the address that the box itself says it has, when it says so."""
    name, reach = view.address, _reach(view.address)
    seen: list[Seen] = (
        [] if outside is None else [Observation(What.BOX, name, Reach.LAN, _own(view, outside))]
    )
    if view.token is not Token.SERVED:
        return [*seen, Miss(_UNTESTED, name, Reason.NOT_OURS)]
    shut = [one for one in view.ports if one.spoken in (Spoken.CLOSED, Spoken.SILENT)]
    for one in view.ports:
        if one not in shut and one.port in WEB_PORTS and one.spoken not in (Spoken.DICOM, Spoken.DICOM_TLS):
            # A web page meant for the Internet, or imaging behind it: from outside nobody can say.
            found = facts(port=one.port, protocol=one.spoken.value)
            seen.append(Miss(("BOX-016",), _at(name, one.port), Reason.NOT_IDENTIFIED, found))
        elif one not in shut:
            found = facts(port=one.port, protocol=one.spoken.value)
            seen.append(Observation(What.OUTSIDE, _at(name, one.port), reach, found))
    if shut:
        seen.append(Observation(What.OUTSIDE, name, reach, facts(protocol="closed", count=len(shut))))
    if missing := set(PORTS) - {one.port for one in view.ports}:
        seen.append(Miss(("BOX-016",), name, Reason.BUDGET, facts(count=len(missing))))
    word = "ssdp" if view.ssdp else "ssdp-silent"
    return [*seen, Observation(What.BOX, name, reach, facts(class_=word))]


def _own(view: View, outside: Address) -> tuple[Fact, ...]:
    if is_private(outside):
        return facts(class_="outside-private", value="open")
    shared = outside in _SHARED or str(outside) != view.address
    return (
        facts(class_="outside-shared", value="open")
        if shared
        else facts(class_="outside-public", value="closed")
    )


def _reach(text: str) -> Reach:
    address = ip_address(text)
    if is_loopback(address):
        return Reach.LOOPBACK
    return Reach.LAN if is_private(address) else Reach.INTERNET


def _at(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
