"""The Internet box, read-only by construction: UPnP IGD 1 and 2, NAT-PMP (RFC 6886).

Of UPnP's actions only four are in this program, and all four read. A description is taken from the address
that answered, and from no other; XML is parsed without entities, up to 64 KiB.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from huisclos.access.addresses import Address, is_private, parse_address
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.host import Host, OutOfBudget
from huisclos.doors.probes.http import Answer, NotHttp, Web, web
from huisclos.doors.runner import USUAL_PORTS
from huisclos.doors.target import Target
from huisclos.errors import BadSetting, PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reach, Reason

SSDP_PORT: Final = 1900
NAT_PMP_PORT: Final = 5351
READS: Final = ("GetGenericPortMappingEntry", "GetExternalIPAddress", "GetFirewallStatus")
"""every UPnP action that this program can send"""
MAX_MAPPINGS: Final = 128
CONNECTIONS: Final = MAX_MAPPINGS + 8
"""a box ends its connection after each action, and must still be read to the end of its list"""
IMAGING: Final = frozenset({*USUAL_PORTS, 22, 445, 3389, 5432, 3306}) - {80, 443}
_SEARCH: Final = (
    b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n'
    b"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
)  # fmt: skip
_LOCATION: Final = re.compile(rb"(?im)^location:\s*(\S{1,200})\s*$")
_SERVICE: Final = re.compile(
    r"urn:schemas-upnp-org:service:(WAN(?:IP|PPP)Connection|WANIPv6FirewallControl):([12])"
)
_SHARED: Final = ip_network("100.64.0.0/10")
_OK: Final = 200
_ERROR: Final = 500
_NO_MORE: Final = (713, 714)
"""SpecifiedArrayIndexInvalid, NoSuchEntryInArray"""
_REPLY: Final = 128
_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the description."""

    kind: str
    name: str
    version: int
    path: str


def gateway(routes: Path = Path("/proc/net/route")) -> Address | None:
    """The default gateway of this machine (IPv4); None without one."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 2 and fields[1] == "00000000" and fields[2] != "00000000":  # noqa: PLR2004 - interface, destination, gateway
            return ip_address(int.from_bytes(bytes.fromhex(fields[2]), "little"))
    return None


async def probe_box(address: Address, *, ssdp: int = SSDP_PORT, nat_pmp: int = NAT_PMP_PORT) -> list[Seen]:
    """What the box at `address` tells whoever asks inside."""
    name = str(address)
    seen: list[Seen] = [Observation(What.BOX, name, Reach.LAN, await _nat_pmp(address, nat_pmp))]
    location = await _search(address, ssdp)
    if location is None:
        # Silence: off, or a firewall on the way. It is not claimed that nothing is mapped.
        seen.append(Miss(("BOX-001", "BOX-002", "BOX-003", "BOX-009"), name, Reason.TIMED_OUT))
        return seen
    parts = urlsplit(location)
    if parts.hostname != name or parts.scheme != "http":
        seen.append(Miss(("BOX-002", "BOX-003", "BOX-009"), name, Reason.OUT_OF_SCOPE))
        return [*seen, Observation(What.BOX, name, Reach.LAN, facts(class_="igd"))]
    host = Host(Target(name, address, parts.port or 80), asyncio.Lock(), left=CONNECTIONS, seconds=5.0)
    try:
        async with web(host) as connection:
            seen += [one async for one in _read(connection, name, parts.path or "/")]
    except (NotHttp, PeerTooSlow, PeerUnreachable, OutOfBudget):
        seen.append(Miss(("BOX-002", "BOX-003", "BOX-009"), name, Reason.PROTOCOL))
    return seen


async def _read(connection: Web, name: str, path: str) -> AsyncIterator[Seen]:
    answer = await connection.get(path)
    services = read_description(answer.body, path) if answer.status == _OK and answer.whole else []
    version = max((one.version for one in services), default=None)
    yield Observation(What.BOX, name, Reach.LAN, facts(class_="igd", igd=version))
    if not services:
        yield Miss(("BOX-002", "BOX-003", "BOX-009"), name, Reason.PROTOCOL)
    for service in services:
        if service.name == "WANIPv6FirewallControl":
            said = read_answer(await _call(connection, service, "GetFirewallStatus"))
            off = said.get("FirewallEnabled") in ("0", "false")
            word = "ipv6-off" if off else "ipv6-on"
            yield Observation(What.BOX, name, Reach.INTERNET if off else Reach.LAN, facts(class_=word))
        else:
            said = read_answer(await _call(connection, service, "GetExternalIPAddress"))
            yield Observation(What.BOX, name, Reach.LAN, _outside(said.get("NewExternalIPAddress", "")))
            async for one in _mappings(connection, service, name):
                yield one


async def _mappings(connection: Web, service: Service, name: str) -> AsyncIterator[Seen]:
    """Each mapping; the description that a program gave it, and whom it leads to, are not kept."""
    imaging: list[Observation] = []
    endless = 0
    for index in range(MAX_MAPPINGS):
        arguments = {"NewPortMappingIndex": str(index)}
        answer = await _call(connection, service, "GetGenericPortMappingEntry", arguments)
        said = read_answer(answer)
        if answer.status != _OK or "NewInternalPort" not in said:
            if int(said.get("errorCode", "0") or 0) not in _NO_MORE:
                yield Miss(("BOX-002", "BOX-003"), name, Reason.PROTOCOL)
            break
        inner, outer, lease = (
            _number(said, key) for key in ("NewInternalPort", "NewExternalPort", "NewLeaseDuration")
        )
        endless += lease == 0
        if said.get("NewEnabled", "1") in ("1", "true") and {inner, outer} & IMAGING:
            protocol = "udp" if said.get("NewProtocol", "").upper() == "UDP" else "tcp"
            found = facts(class_="imaging", port=outer, internal_port=inner, transport=protocol, lease=lease)
            imaging.append(Observation(What.BOX, name, Reach.INTERNET, found))
    else:
        yield Miss(("BOX-002",), name, Reason.TOO_LARGE)
    yield Observation(What.BOX, name, Reach.LAN, facts(class_="endless", count=endless))
    for one in imaging:
        yield one
    if not imaging:
        yield Observation(What.BOX, name, Reach.LAN, facts(class_="imaging"))


async def _call(
    connection: Web, service: Service, action: str, arguments: Mapping[str, str] | None = None
) -> Answer:
    if action not in READS:
        raise BadSetting("this action writes")
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in (arguments or {}).items())
    body = (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service.kind}">{inner}</u:{action}></s:Body></s:Envelope>'
    )
    headers = {"SOAPAction": f'"{service.kind}#{action}"', "Content-Type": 'text/xml; charset="utf-8"'}
    return await connection.get(service.path, method="POST", headers=headers, body=body.encode())


def read_description(raw: bytes, base: str) -> list[Service]:
    """The services that we know how to read; nothing for what is no description."""
    root = _parse(raw)
    found: list[Service] = []
    if root is None:
        return found
    for one in root.iter():
        if not one.tag.endswith("service"):
            continue
        fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in one}
        match = _SERVICE.fullmatch(fields.get("serviceType", ""))
        path = urlsplit(urljoin(base, fields.get("controlURL", ""))).path
        if match and path:
            found.append(Service(match[0], match[1], int(match[2]), path))
    return found


def read_answer(answer: Answer) -> dict[str, str]:
    """The values of an action's answer, or of its error, by name."""
    root = _parse(answer.body) if answer.status in (_OK, _ERROR) else None
    if root is None:
        return {}
    return {one.tag.rpartition("}")[2]: (one.text or "").strip()[:64] for one in root.iter() if len(one) == 0}


def _parse(raw: bytes) -> Element | None:
    try:
        root: Element = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def _number(said: Mapping[str, str], key: str) -> int:
    text = said.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1  # noqa: PLR2004 - a lease's digits


def _outside(text: str) -> tuple[Fact, ...]:
    try:
        address = parse_address(text)
    except BadSetting:
        return facts(class_="outside-unknown")
    shared = is_private(address) or address in _SHARED
    return facts(class_="outside-shared" if shared else "outside-public")


class _Answer(asyncio.DatagramProtocol):
    """The first datagram from the address that was asked."""

    def __init__(self, address: Address) -> None:
        self.got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._address = str(address)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[0] == self._address and not self.got.done():
            self.got.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.got.done():
            self.got.set_result(b"")


async def _ask(address: Address, port: int, question: bytes) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Answer(address), remote_addr=(str(address), port)
    )
    try:
        transport.sendto(question)
        async with asyncio.timeout(_SECONDS):
            return await protocol.got
    except TimeoutError:
        return b""
    finally:
        transport.close()


async def _search(address: Address, port: int) -> str | None:
    answer = await _ask(address, port, _SEARCH)
    match = _LOCATION.search(answer)
    return match[1].decode("latin-1") if match else None


async def _nat_pmp(address: Address, port: int) -> tuple[Fact, ...]:
    """Whether the box answers a request for its outside address (RFC 6886 section 3.2)."""
    answer = await _ask(address, port, b"\0\0")
    return facts(class_="nat-pmp" if answer[1:2] == bytes([_REPLY]) else "nat-pmp-silent")
