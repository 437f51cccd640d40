"""One listener: find out by protocol, not by port, what it speaks, and ask it accordingly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from huisclos.clock import Clock
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dicom import Line, NotDicom, probe_dicom
from huisclos.doors.probes.host import Host, OutOfBudget
from huisclos.doors.probes.http import NotHttp
from huisclos.doors.probes.offers import old_versions, weak_suites
from huisclos.doors.probes.services import PORTS, NotService, probe_service
from huisclos.doors.probes.tls import Handshake, Spoke, certificate_facts, first_read, stranger, throwaway
from huisclos.doors.probes.web import probe_web
from huisclos.doors.target import Target
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Key, facts
from huisclos.findings.nouns import Reason

WEB_PORTS: Final = frozenset({80, 81, 2375, 3000, 3333, 5000, 8000, 8008, 8042, 8080, 8081, 8088, 8888, 9990})
TLS_PORTS: Final = frozenset({443, 2762, 8443, 8843, 9443})

HL7_PORTS: Final = frozenset({2575, 2576})
"""where HL7 messages are taken (MLLP): connected to, and never spoken to"""

Way = Callable[[Host, Clock], Awaitable[list[Seen]]]


class NotTls(Exception):
    """No TLS comes about there."""


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
        except (NotDicom, NotHttp, NotTls, NotService):
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
    if port in PORTS:
        return (_service, _dicom, _web, _secure)
    if port in WEB_PORTS:
        return (_web, _dicom, _secure, _service)
    if port in TLS_PORTS:
        return (_secure, _dicom, _web, _service)
    return (_dicom, _web, _secure, _service)


async def _service(host: Host, _clock: Clock) -> list[Seen]:
    if host.checks is not None and not host.wants("WEB-027", "WEB-028", "WEB-030"):
        raise NotService
    return await probe_service(host)


async def _dicom(host: Host, _clock: Clock) -> list[Seen]:
    return await probe_dicom(host)


async def _web(host: Host, _clock: Clock) -> list[Seen]:
    return await probe_web(host)


async def _secure(host: Host, clock: Clock) -> list[Seen]:
    """TLS: what it asks of a client, its versions and certificate, and what lies behind it."""
    met = await first_read(host, stranger())
    if met.spoke is Spoke.NO_TLS:
        raise NotTls
    if met.spoke is Spoke.CERTIFICATE:
        return await _guarded(host, met, clock())
    if met.spoke is Spoke.HUNG_UP:
        try:
            return await probe_web(host, stranger()) + await _versions(host, met, clock(), dicom=False)
        except NotHttp:
            return await _guarded(host, replace(met, spoke=Spoke.CERTIFICATE), clock())
    dicom = met.spoke in (Spoke.ACCEPTED, Spoke.REFUSED)
    seen: list[Seen] = []
    if dicom:
        seen += await probe_dicom(host, Line("tls", stranger()))
        seen.append(_client_certificate(host, met, seen))
    else:
        seen += await probe_web(host, stranger())
    return seen + await _versions(host, met, clock(), dicom=dicom)


async def _guarded(host: Host, met: Handshake, now: datetime) -> list[Seen]:
    """It wants a certificate: whether one will do that anybody can make."""
    seen: list[Seen] = [_client_certificate(host, met, [])]
    if host.gentle or not host.wants("DCM-017"):
        return seen
    with throwaway(now) as files:
        forged = await first_read(host, stranger(certificate=files))
        where = facts(port=host.target.port, transport="tls", client_certificate=True)
        taken = forged.spoke is Spoke.ACCEPTED
        found = where + (facts(contexts=1) if taken else ())
        seen.append(Observation(What.FOREIGN_CERTIFICATE, host.target.name, host.target.reach, found))
        if taken:
            seen += await probe_dicom(host, Line("tls", stranger(certificate=files)))
    return seen + await _versions(host, met, now, dicom=True)


def _client_certificate(host: Host, met: Handshake, asked: list[Seen]) -> Seen:
    """Whether a stranger without a certificate got an association; a refusal over TLS is one, too."""
    taken = any(
        isinstance(one, Observation) and one.what is What.CALLING_TITLE and one.get(Key.CONTEXTS) is not None
        for one in asked
    )
    where = facts(port=host.target.port, transport="tls")
    if any(isinstance(one, Miss) and one.reason is Reason.NEEDS_TITLE for one in asked):
        return Miss(("DCM-016",), host.target.name, Reason.NEEDS_TITLE, where)
    found = facts(
        port=host.target.port,
        transport="tls",
        client_certificate=met.spoke is Spoke.CERTIFICATE,
        tls_version=met.version,
        contexts=1 if taken else None,
    )
    return Observation(What.CLIENT_CERTIFICATE, host.target.name, host.target.reach, found)


async def _versions(host: Host, met: Handshake, now: datetime, *, dicom: bool) -> list[Seen]:
    """What certificate is shown, and whether old versions and weak suites are taken as well."""
    target, reach = host.target.name, host.target.reach
    where = facts(port=host.target.port, transport="tls")
    seen: list[Seen] = []
    if met.certificate is not None:
        what = What.DICOM_CERTIFICATE if dicom else What.WEB_CERTIFICATE
        seen.append(Observation(what, target, reach, where + certificate_facts(met.certificate, now)))
    if host.gentle:
        return seen
    if host.wants("DCM-018" if dicom else "WEB-023"):
        seen.append(await old_versions(host, met.version, dicom=dicom))
    if host.wants("DCM-019" if dicom else "WEB-023"):
        seen.append(await weak_suites(host, dicom=dicom))
    return seen
