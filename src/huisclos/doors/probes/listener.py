"""One listener: find out by protocol, not by port, what it speaks, and ask it accordingly.

Most of what is asked speaks DICOM in clear. What reads certificates and the web takes as long to load as it
takes to ask a hundred such servers, and is loaded when a listener first wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, cast

from huisclos.clock import Clock
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dicom import probe_dicom
from huisclos.doors.probes.host import Host, NotSpoken, OutOfBudget
from huisclos.doors.probes.ports import HL7_PORTS, SERVICE_PORTS, TLS_PORTS, WEB_PORTS
from huisclos.doors.target import Target
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

Way = Callable[[Host, Clock], Awaitable[list[Seen]]]


async def probe_listener(host: Host, clock: Clock) -> list[Seen]:
    """What one listener lets a stranger do, or why that is not known."""
    target = host.target
    if target.port in HL7_PORTS and target.scheme is None:
        return await _only_connect(host)
    slow = False
    ways = list(_ways(host))
    while ways:
        way = ways.pop(0)
        try:
            return await way(host, clock)
        except NotSpoken:
            continue
        except (PeerTooSlow, TimeoutError):
            slow = True
            if _service in ways:  # Who says nothing to one protocol may wait for another's first word.
                ways.remove(_service)
                ways.insert(0, _service)
        except PeerUnreachable:
            return [Miss(("*",), target.name, Reason.UNREACHABLE, facts(port=target.port))]
        except OutOfBudget:
            return [Miss(("*",), target.name, host.spent(), facts(port=target.port))]
    reason = Reason.TIMED_OUT if slow else Reason.NOT_IDENTIFIED
    return [Miss(("*",), target.name, reason, facts(port=target.port))]


def hl7(target: Target) -> Observation:
    """Something listens where HL7 messages are taken."""
    return Observation(What.HL7, target.name, target.reach, facts(port=target.port))


async def _only_connect(host: Host) -> list[Seen]:
    target = host.target
    async with host.turn():
        try:
            async with asyncio.timeout(host.seconds):
                _, writer = await asyncio.open_connection(str(target.address), target.port)
        except TimeoutError:
            return [Miss(("*",), target.name, Reason.TIMED_OUT, facts(port=target.port))]
        except OSError:
            return [Miss(("*",), target.name, Reason.UNREACHABLE, facts(port=target.port))]
        writer.close()
    return [hl7(target)]


def _ways(host: Host) -> tuple[Way, ...]:
    scheme, port = host.target.scheme, host.target.port
    if scheme is not None:
        return (_secure,) if scheme == "https" else (_web,)
    if port in SERVICE_PORTS:
        return (_service, _dicom, _web, _secure)
    if port in WEB_PORTS:
        return (_web, _dicom, _secure, _service)
    if port in TLS_PORTS:
        return (_secure, _dicom, _web, _service)
    return (_dicom, _web, _secure, _service)


async def _dicom(host: Host, _clock: Clock) -> list[Seen]:
    return await probe_dicom(host)


async def _service(host: Host, _clock: Clock) -> list[Seen]:
    if host.checks is not None and not host.wants("WEB-027", "WEB-028", "WEB-030"):
        raise NotSpoken
    return cast("list[Seen]", await _probes("services").probe_service(host))


async def _web(host: Host, _clock: Clock) -> list[Seen]:
    return cast("list[Seen]", await _probes("web").probe_web(host))


async def _secure(host: Host, clock: Clock) -> list[Seen]:
    return cast("list[Seen]", await _probes("secure").probe_secure(host, clock))


def _probes(module: str) -> Any:
    return import_module(f"{__package__}.{module}")
