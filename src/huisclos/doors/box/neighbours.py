"""Who announces imaging on this network: one multicast question (RFC 6762), answered to us alone.

One datagram leaves, from a port of its own, by one interface; answers are heard for two seconds, a bounded
number of them, from that network only. The names of services are people's as often as not: they are compared
with the service's type and dropped.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from zeroconf import DNSIncoming, DNSOutgoing, DNSQuestion, DNSService

from huisclos.access.addresses import Network
from huisclos.doors.box.guides import recognise
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.errors import BadSetting
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason

GROUP: Final = ("224.0.0.251", 5353)
TYPES: Final = {
    "_dicom._tcp.local.": "dicom",
    "_dicom-tls._tcp.local.": "dicom-tls",
    "_http._tcp.local.": "http",
}
MAX_DATAGRAMS: Final = 256
MAX_FOUND: Final = 128
SECONDS: Final = 2.0
_PTR, _SRV, _IN, _UNICAST = 12, 33, 1, 0x8000
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True, order=True)
class Announced:
    """A service: what it speaks, and where."""

    address: str
    port: int
    protocol: str
    product: str = ""
    """of a box that names its model"""


def question() -> bytes:
    """The one datagram that is sent."""
    out = DNSOutgoing(0)
    for name in TYPES:
        out.add_question(DNSQuestion(name, _PTR, _IN | _UNICAST))
    packets: list[bytes] = out.packets()
    return packets[0]


def read_announcement(raw: bytes, source: str) -> set[Announced]:
    """The services that a datagram from `source` announces; none for one that is no answer."""
    message = DNSIncoming(raw)
    if not message.valid or not message.is_response():
        return set()
    found = set()
    for record in message.answers()[:MAX_FOUND]:
        if isinstance(record, DNSService) and 0 < record.port <= _MAX_PORT:
            name = record.name.lower()
            protocol = next((word for type_, word in TYPES.items() if name.endswith("." + type_)), None)
            if protocol is not None:
                product = recognise(record.name) if protocol == "http" else ""
                found.add(Announced(source, record.port, protocol, product))
    return found


class _Heard(asyncio.DatagramProtocol):
    """Answers from one network, up to a bound."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._count = 0
        self.found: set[Announced] = set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._count += 1
        if self._count <= MAX_DATAGRAMS and ip_address(addr[0]) in self._network:
            self.found |= read_announcement(data, addr[0])

    def error_received(self, exc: Exception) -> None:
        """A neighbour that is not there says nothing."""


async def neighbours(own: str, network: Network, seconds: float = SECONDS) -> list[Announced]:
    """What is announced on `network`, asked by the interface that has the address `own`.

    Raises `BadSetting` for an address that is not this machine's.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        sock.bind((own, 0))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise BadSetting(f"this network cannot be asked: {error.strerror}") from None
    transport, heard = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Heard(network), sock=sock
    )
    try:
        transport.sendto(question(), GROUP)
        await asyncio.sleep(seconds)
    finally:
        transport.close()
    return sorted(heard.found)[:MAX_FOUND]


def product_at(found: Iterable[Announced], address: str) -> str:
    """The model that the box at `address` announces its own page by; empty when it does not."""
    return next((one.product for one in found if one.address == address and one.product), "")


def observe(found: Iterable[Announced], name: str) -> list[Seen]:
    """Imaging that announces itself: each is a listener, and in clear unless it says TLS."""
    seen: list[Seen] = []
    for one in found:
        if one.protocol not in ("dicom", "dicom-tls"):
            continue
        transport = "tls" if one.protocol == "dicom-tls" else "plain"
        told = facts(class_="announced", protocol=one.protocol, transport=transport, port=one.port)
        seen.append(Observation(What.ANNOUNCED, f"{one.address}:{one.port}", Reach.LAN, told))
    # Silence is no proof that nobody listens: most imaging does not announce itself.
    return seen or [Miss(("DCM-001",), name, Reason.TIMED_OUT)]
