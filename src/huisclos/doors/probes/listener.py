"""One listener: find out by protocol, not by port, what it speaks, and ask it accordingly."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from huisclos.clock import Clock
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dicom import Line, NotDicom, probe_dicom
from huisclos.doors.probes.host import Host, OutOfBudget
from huisclos.doors.probes.http import NotHttp
from huisclos.doors.probes.tls import Handshake, Spoke, certificate_facts, first_read, stranger, throwaway
from huisclos.doors.probes.web import probe_web
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Key, facts
from huisclos.findings.nouns import Reason

WEB_PORTS: Final = frozenset({80, 81, 2375, 3000, 3333, 5000, 8000, 8008, 8042, 8080, 8081, 8088, 8888, 9990})
TLS_PORTS: Final = frozenset({443, 2762, 8443, 8843, 9443})
_OLD: Final = ssl.TLSVersion.TLSv1_1

Way = Callable[[Host, Clock], Awaitable[list[Seen]]]


class NotTls(Exception):
    """No TLS comes about there."""


async def probe_listener(host: Host, clock: Clock) -> list[Seen]:
    """What one listener lets a stranger do, or why that is not known."""
    target = host.target
    slow = False
    for way in _ways(host):
        try:
            return await way(host, clock)
        except (NotDicom, NotHttp, NotTls):
            continue
        except (PeerTooSlow, TimeoutError):
            slow = True
        except PeerUnreachable:
            return [Miss(("*",), target.name, Reason.UNREACHABLE, facts(port=target.port))]
        except OutOfBudget:
            return [Miss(("*",), target.name, host.spent(), facts(port=target.port))]
    reason = Reason.TIMED_OUT if slow else Reason.NOT_IDENTIFIED
    return [Miss(("*",), target.name, reason, facts(port=target.port))]


def _ways(host: Host) -> tuple[Way, ...]:
    scheme, port = host.target.scheme, host.target.port
    if scheme is not None:
        return (_secure,) if scheme == "https" else (_web,)
    if port in WEB_PORTS:
        return (_web, _dicom, _secure)
    if port in TLS_PORTS:
        return (_secure, _dicom, _web)
    return (_dicom, _web, _secure)


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
    """Is an old version taken as well, and what certificate is shown."""
    target, reach = host.target.name, host.target.reach
    where = facts(port=host.target.port, transport="tls")
    seen: list[Seen] = []
    if met.certificate is not None:
        what = What.DICOM_CERTIFICATE if dicom else What.WEB_CERTIFICATE
        seen.append(Observation(what, target, reach, where + certificate_facts(met.certificate, now)))
    if host.gentle or not host.wants("DCM-018", "WEB-023"):
        return seen
    what = What.DICOM_TLS_VERSION if dicom else What.WEB_TLS_VERSION
    try:
        old = await first_read(host, stranger(newest=_OLD))
        version = old.version if old.version is not None else met.version
        seen.append(Observation(what, target, reach, where + facts(tls_version=version)))
    except (PeerUnreachable, TimeoutError):
        checks = ("DCM-018",) if dicom else ("WEB-023",)
        seen.append(Miss(checks, target, Reason.TIMED_OUT, where))
    except OutOfBudget:
        seen.append(Miss(("DCM-018",) if dicom else ("WEB-023",), target, host.spent(), where))
    return seen
