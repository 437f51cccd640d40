"""What every box says to whoever asks inside: UPnP IGD 1 and 2, NAT-PMP (RFC 6886).

Of UPnP's actions only four are in this program, and all four read. A description is taken from the address
that answered, and from no other; XML is parsed without entities, up to 64 KiB.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from huisclos.access.addresses import Address
from huisclos.doors.box.guides import recognise
from huisclos.doors.box.state import Box, Forward, Outside, class_of, is_here, observe
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.host import Host, OutOfTurns, Turns
from huisclos.doors.probes.http import Answer, NotHttp, Web, web
from huisclos.doors.target import PORT_MAX, Target
from huisclos.errors import BadSetting, PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reach, Reason

SSDP_PORT: Final = 1900
NAT_PMP_PORT: Final = 5351
READS: Final = ("GetGenericPortMappingEntry", "GetExternalIPAddress", "GetFirewallStatus")
"""every UPnP action that this program can send"""
MAX_MAPPINGS: Final = 128
MAX_NAMES: Final = 8
CONNECTIONS: Final = MAX_MAPPINGS + 8
"""a box ends its connection after each action, and must still be read to the end of its list"""
_SEARCH: Final = (
    b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n'
    b"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
)  # fmt: skip
_LOCATION: Final = re.compile(rb"(?im)^location:\s*(\S{1,200})\s*$")
_SERVICE: Final = re.compile(
    r"urn:schemas-upnp-org:service:(WAN(?:IP|PPP)Connection|WANIPv6FirewallControl):([12])"
)
_TARGET: Final = re.compile(r"/[!-~]{0,500}")
"""what can stand in a request line"""
_OK: Final = 200
_ERROR: Final = 500
_NO_MORE: Final = (713, 714)
"""SpecifiedArrayIndexInvalid, NoSuchEntryInArray"""
_MAPPINGS: Final = ("BOX-002", "BOX-003")
_LISTED: Final = (*_MAPPINGS, "BOX-009")
_NO, _YES = ("0", "false", "no"), ("1", "true", "yes")
"""booleans in UPnP's spellings (Device Architecture 1.1 section 2.5)"""
_DESCRIPTION: Final = re.compile(rb"<NewPortMappingDescription\b.*?</NewPortMappingDescription>", re.DOTALL)
_REPLY: Final = 128
_SECONDS: Final = 2.0
_WHOLE_SECONDS: Final = 30.0
"""for a description and all its lists: a box that answers each question in its last second is left alone"""


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


async def probe_box(
    address: Address, *, ssdp: int = SSDP_PORT, nat_pmp: int = NAT_PMP_PORT, own: str = "", product: str = ""
) -> list[Seen]:
    """What the box at `address` tells whoever asks inside; `own` is this machine's address there."""
    name = str(address)
    # Side by side: who asks from an unconnected socket is not told that a port is shut, and waits.
    told, location = await asyncio.gather(_nat_pmp(address, nat_pmp), _search(address, ssdp))
    seen: list[Seen] = [Observation(What.BOX, name, Reach.LAN, told)]
    if location is None:
        # Silence: off, or a firewall on the way. It is not claimed that nothing is mapped.
        seen.append(Miss(("BOX-001", *_LISTED), name, Reason.TIMED_OUT))
        return seen
    reading = Reading(Box(product=product), own)
    turns = Turns(left=CONNECTIONS)
    try:
        port, path = read_location(location, name)
        host = Host(Target(name, address, port), turns)
        async with asyncio.timeout(_WHOLE_SECONDS), web(host) as connection:
            await reading.read(connection, path)
    except BadSetting:
        reading.stopped = Reason.OUT_OF_SCOPE
    except (PeerTooSlow, TimeoutError):
        reading.stopped = Reason.TIMED_OUT
    except PeerUnreachable:
        reading.stopped = Reason.UNREACHABLE
    except OutOfTurns:
        # The end of a list that is not seen: the twelve of a host are not what ended it.
        reading.stopped = Reason.BUDGET if turns.left <= 0 else turns.spent()
    except NotHttp:
        reading.stopped = Reason.PROTOCOL
    return [*seen, *reading.seen(name)]


def read_location(location: str, name: str) -> tuple[int, str]:
    """The port and the path of a description on the box called `name`. Raises `BadSetting` for any other."""
    try:
        parts = urlsplit(location)
        port = parts.port or 80
    except ValueError:
        raise BadSetting("this is no address of a description") from None
    path = _path(location)
    if parts.hostname != name or parts.scheme != "http" or not path:
        raise BadSetting("the description is not on the box")
    return port, path


@dataclass(slots=True)
class Reading:
    """What the services of one description tell."""

    box: Box
    own: str
    version: int | None = None
    endless: int = 0
    unread: int = 0
    """lists of mappings of which the end was not seen"""
    stopped: Reason = Reason.NOT_TOLD
    """why what is not known by now is not"""

    async def read(self, connection: Web, path: str) -> None:
        """Ask each service that we know how to read."""
        answer = await connection.get(path)
        services = read_description(answer.body, path) if answer.status == _OK and answer.whole else []
        self.box.product = self.box.product or recognise(read_model(answer.body))
        self.version = max((one.version for one in services), default=None)
        if not services:
            self.stopped = Reason.PROTOCOL if answer.whole else Reason.TOO_LARGE
        for service in services:
            if service.name == "WANIPv6FirewallControl":
                said = read_answer(await _call(connection, service, "GetFirewallStatus"))
                self._firewall(said.get("FirewallEnabled", "").lower())
            else:
                said = read_answer(await _call(connection, service, "GetExternalIPAddress"))
                self.outside(class_of(said.get("NewExternalIPAddress", "")))
                await self._mappings(connection, service)

    def outside(self, told: Outside) -> None:
        """Of several lines to the Internet, the one that can be reached from there counts."""
        if self.box.outside in (None, Outside.UNKNOWN) or told is Outside.PUBLIC:
            self.box.outside = told

    def _firewall(self, said: str) -> None:
        """Whether IPv6 is filtered, of which only a no is believed.

        miniupnpd, the daemon of most boxes, has no other answer than yes: seen with nothing filtered
        (tests/doors/test_igd.py).
        """
        if said in _NO:
            self.box.six = False
        else:
            self.box.miss(("BOX-009",), Reason.NOT_TOLD if said in _YES else Reason.PROTOCOL)

    async def _mappings(self, connection: Web, service: Service) -> None:
        """Each mapping; the description that a program gave it is not kept."""
        found = self.box.mappings = self.box.mappings or []
        self.unread += 1
        for index in range(MAX_MAPPINGS):
            arguments = {"NewPortMappingIndex": str(index)}
            answer = await _call(connection, service, "GetGenericPortMappingEntry", arguments)
            said = read_answer(answer)
            if answer.status != _OK or "NewInternalPort" not in said:
                if _number(said, "errorCode") in _NO_MORE:
                    self.unread -= 1
                else:
                    self.box.miss(_MAPPINGS, Reason.PROTOCOL)
                return
            self.endless += _number(said, "NewLeaseDuration") == 0
            if (forward := read_mapping(said, self.own)) is not None:
                found.append(forward)
        self.box.miss(_MAPPINGS, Reason.TOO_LARGE)

    def seen(self, name: str) -> list[Seen]:
        """The observations. Of a list without its end only what is open is told: the rest may be too."""
        product, found = self.box.product or None, self.box.mappings
        made: list[Seen] = [
            Observation(What.BOX, name, Reach.LAN, facts(class_="igd", product=product, igd=self.version))
        ]
        if found is not None and (self.endless or not self.unread):
            told = facts(class_="endless", product=product, count=self.endless)
            made.append(Observation(What.BOX, name, Reach.LAN, told))
        if found is None or self.unread:
            self.box.miss(_MAPPINGS, self.stopped)
            if found is not None and not any(one.imaging for one in found):
                self.box.mappings = None
        if self.box.six is None:
            self.box.miss(("BOX-009",), self.stopped)
        return made + observe(self.box, name)


def read_mapping(said: Mapping[str, str], own: str) -> Forward | None:
    """An enabled mapping; None for one that is switched off or has no ports."""
    inner, outer = _number(said, "NewInternalPort"), _number(said, "NewExternalPort")
    if said.get("NewEnabled", "").lower() in _NO or not (0 < inner <= PORT_MAX and 0 < outer <= PORT_MAX):
        return None
    return Forward(
        (outer, outer),
        inner,
        "udp" if said.get("NewProtocol", "").upper() == "UDP" else "tcp",
        said.get("NewRemoteHost", "") in ("", "0.0.0.0"),  # noqa: S104 - any source, in the protocol's words
        is_here(said.get("NewInternalClient", ""), own),
    )


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
    root = parse_xml(raw)
    found: list[Service] = []
    if root is None:
        return found
    for one in root.iter():
        if not one.tag.endswith("service"):
            continue
        fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in one}
        match = _SERVICE.fullmatch(fields.get("serviceType", ""))
        if match and (path := _path(fields.get("controlURL", ""), base)):
            found.append(Service(match[0], match[1], int(match[2]), path))
    return found


def _path(location: str, base: str = "") -> str:
    """The path of an address and its query, on which some makers hang the service; empty for no address."""
    try:
        parts = urlsplit(urljoin(base, location))
    except ValueError:
        return ""
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    return target if _TARGET.fullmatch(target) else ""


def read_model(raw: bytes) -> str:
    """The maker's and the model's name of a description, to be recognised and dropped."""
    root = parse_xml(raw)
    if root is None:
        return ""
    wanted = ("manufacturer", "modelName", "modelDescription", "friendlyName", "modelNumber")
    found = [(one.text or "")[:80] for one in root.iter() if one.tag.rpartition("}")[2] in wanted]
    return " ".join(found[:MAX_NAMES])


def read_answer(answer: Answer) -> dict[str, str]:
    """The values of an action's answer, or of its error, by name."""
    if answer.status not in (_OK, _ERROR):
        return {}
    # Whatever a program called its mapping is dropped unread: it may be a name, or break the document.
    root = parse_xml(_DESCRIPTION.sub(b"", answer.body))
    if root is None:
        return {}
    return {one.tag.rpartition("}")[2]: (one.text or "").strip()[:64] for one in root.iter() if len(one) == 0}


def parse_xml(raw: bytes) -> Element | None:
    """The document, without entities; None for what is none."""
    try:
        root: Element = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def _number(said: Mapping[str, str], key: str) -> int:
    text = said.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1  # noqa: PLR2004 - a lease's digits


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
    # Not connected: many boxes answer from another port than the one that is asked.
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)  # noqa: PLR2004 - IPv6
    sock.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Answer(address), sock=sock
    )
    try:
        transport.sendto(question, (str(address), port))
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
