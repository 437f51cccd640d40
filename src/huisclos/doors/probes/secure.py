"""A listener that speaks TLS: what it asks of a client, its versions, its certificate, what lies behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

from huisclos.clock import Clock
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dicom import STRANGER, Line, probe_dicom
from huisclos.doors.probes.host import Host, Later, NotSpoken, OutOfTurns, Rank
from huisclos.doors.probes.http import NotHttp
from huisclos.doors.probes.offers import old_versions, weak_suites
from huisclos.doors.probes.tls import Handshake, Spoke, certificate_facts, first_read, stranger, throwaway
from huisclos.doors.probes.web import probe_web
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Key, facts
from huisclos.findings.nouns import Outcome, Reason


class NotTls(NotSpoken):
    """No TLS comes about there."""


async def probe_secure(host: Host, clock: Clock) -> list[Seen]:
    """Everything about one listener that speaks TLS.

    Versions and suites are left in `host.later`. Raises `NotTls`, `PeerUnreachable`, `PeerTooSlow`,
    `OutOfTurns`.
    """
    met = await first_read(host, stranger())
    if met.spoke is Spoke.NO_TLS:
        raise NotTls
    if met.spoke is Spoke.CERTIFICATE:
        return await _guarded(host, met, clock())
    if met.spoke is Spoke.HUNG_UP:
        try:
            return await probe_web(host, stranger()) + _versions(host, met, clock(), dicom=False)
        except NotHttp:
            return await _guarded(host, replace(met, spoke=Spoke.CERTIFICATE), clock())
    dicom = met.spoke in (Spoke.ACCEPTED, Spoke.REFUSED)
    seen: list[Seen] = []
    if dicom:
        seen += await probe_dicom(host, Line("tls", stranger()))
        seen.append(_client_certificate(host, met, seen))
    else:
        seen += await probe_web(host, stranger())
    return seen + _versions(host, met, clock(), dicom=dicom)


async def _guarded(host: Host, met: Handshake, now: datetime) -> list[Seen]:
    """It wants a certificate: whether one will do that anybody can make."""
    seen: list[Seen] = [_client_certificate(host, met, [])]
    if host.gentle or not host.wants("DCM-017"):
        return seen
    where = facts(port=host.target.port, transport="tls", client_certificate=True)
    with throwaway(now) as files:
        try:
            forged = await first_read(host, stranger(certificate=files))
        except (PeerTooSlow, PeerUnreachable, OutOfTurns) as error:
            reason = host.spent() if isinstance(error, OutOfTurns) else Reason.TIMED_OUT
            return [*seen, Miss(("DCM-017",), host.target.name, reason, where)]
        taken = forged.spoke is Spoke.ACCEPTED
        found = where + (facts(contexts=1) if taken else ())
        seen.append(Observation(What.FOREIGN_CERTIFICATE, host.target.name, host.target.reach, found))
        if taken:
            seen += await probe_dicom(host, Line("tls", stranger(certificate=files)))
        else:
            checks = tuple(check for check in STRANGER[1:] if host.wants(check))
            seen.append(Miss(checks, host.target.name, None, where, Outcome.CLOSED))
    return seen + _versions(host, met, now, dicom=True)


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


def _versions(host: Host, met: Handshake, now: datetime, *, dicom: bool) -> list[Seen]:
    """What certificate is shown; whether old versions and weak suites are taken as well is asked later."""
    target, reach = host.target.name, host.target.reach
    where = facts(port=host.target.port, transport="tls")
    seen: list[Seen] = []
    if met.certificate is not None:
        what = What.DICOM_CERTIFICATE if dicom else What.WEB_CERTIFICATE
        seen.append(Observation(what, target, reach, where + certificate_facts(met.certificate, now)))
    if host.gentle:
        return seen
    if host.wants("DCM-018" if dicom else "WEB-023"):
        host.later.append(Later(Rank.SEALING, partial(old_versions, host, met.version, dicom=dicom)))
    if host.wants("DCM-019" if dicom else "WEB-023"):
        host.later.append(Later(Rank.SEALING, partial(weak_suites, host, dicom=dicom)))
    return seen
