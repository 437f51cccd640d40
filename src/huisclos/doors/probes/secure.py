"""A listener that speaks TLS: what it asks of a client, its versions, its certificate, what lies behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

from huisclos.clock import Clock
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dicom import STRANGER, Line, probe_dicom
from huisclos.doors.probes.hello import ANY, Chosen, Version
from huisclos.doors.probes.host import Host, Later, NotSpoken, OutOfTurns, Rank
from huisclos.doors.probes.http import NotHttp
from huisclos.doors.probes.offers import hello, old_versions, weak_suites
from huisclos.doors.probes.tls import Handshake, Spoke, certificate_facts, first_read, stranger, throwaway
from huisclos.doors.probes.web import probe_web
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Key, facts
from huisclos.findings.nouns import Outcome, Reason


class NotTls(NotSpoken):
    """No TLS comes about there."""


async def probe_secure(host: Host, clock: Clock) -> None:
    """See everything about one listener that speaks TLS.

    Versions and suites are left in `host.later`. Raises `NotTls`, `PeerUnreachable`, `PeerTooSlow`,
    `OutOfTurns`.
    """
    met = await first_read(host, stranger())
    if met.spoke is Spoke.FAILED:
        met = await _failed(host, met)
    if met.spoke is Spoke.NO_TLS:
        raise NotTls
    if met.spoke is Spoke.CERTIFICATE:
        await _guarded(host, met, clock())
        return
    if met.spoke is Spoke.HUNG_UP:
        try:
            await probe_web(host, stranger())
        except NotHttp:
            await _guarded(host, replace(met, spoke=Spoke.CERTIFICATE), clock())
        else:
            _versions(host, met, clock(), dicom=False)
        return
    dicom = met.spoke in (Spoke.ACCEPTED, Spoke.REFUSED)
    if met.spoke is Spoke.ACCEPTED:
        _client_certificate(host, met, taken=True)
    if dicom:
        before = len(host.seen)
        await probe_dicom(host, Line("tls", stranger()))
        if met.spoke is Spoke.REFUSED:
            _without_certificate(host, met, host.seen[before:])
    else:
        await probe_web(host, stranger())
    _versions(host, met, clock(), dicom=dicom)


async def probe_gently(host: Host) -> None:
    """One association over TLS, and nothing more. Raises `NotDicom` and as `probe_secure`."""
    await probe_dicom(host, Line("tls", stranger()))


async def _failed(host: Host, met: Handshake) -> Handshake:
    """What a handshake failed over, of which servers say no more: a certificate, or nothing in common.

    RFC 5246 sections 7.2.2 and 7.4.6: the alert is the same. One that chooses a suite wanted something else.
    """
    answer = await hello(host, Version.TLS_1_2, ANY)
    return replace(met, spoke=Spoke.CERTIFICATE if isinstance(answer, Chosen) else Spoke.NO_TLS)


async def _guarded(host: Host, met: Handshake, now: datetime) -> None:
    """It wants a certificate: whether one will do that anybody can make."""
    _client_certificate(host, met, taken=False)
    if host.wants("DCM-017", *STRANGER):
        with throwaway(now) as files:
            await _forged(host, Line("tls", stranger(certificate=files)))
    _versions(host, met, now, dicom=True)


async def _forged(host: Host, line: Line) -> None:
    """What it makes of a certificate that nobody knows. Nothing is raised: what was seen before stands."""
    where = facts(port=host.target.port, transport="tls", client_certificate=True)
    checks, silences = ("DCM-017", *STRANGER[1:]), host.silences
    try:
        assert line.tls is not None  # noqa: S101 - made with one
        met = await first_read(host, line.tls)
        if met.spoke is Spoke.ACCEPTED:
            host.saw(What.FOREIGN_CERTIFICATE, where + facts(contexts=1))
            checks = STRANGER[1:]
            await probe_dicom(host, line)
        elif met.spoke is Spoke.REFUSED:
            await _turned_away(host, line)
        elif met.spoke in (Spoke.CERTIFICATE, Spoke.FAILED, Spoke.HUNG_UP):
            host.saw(What.FOREIGN_CERTIFICATE, where)
            host.missed(STRANGER[1:], None, where, Outcome.CLOSED)
        else:
            # The handshake held: what would have come after a question that it understood is not known.
            silent = host.silences > silences
            host.missed(checks, Reason.TIMED_OUT if silent else Reason.PROTOCOL, where)
    except NotSpoken:
        host.missed(checks, Reason.PROTOCOL, where)  # it was spoken a moment ago
    except (PeerTooSlow, PeerUnreachable, OutOfTurns) as error:
        reason = host.spent() if isinstance(error, OutOfTurns) else Reason.TIMED_OUT
        host.missed(checks, reason, where)


async def _turned_away(host: Host, line: Line) -> None:
    """It answered in DICOM to a certificate that anybody can make, and refused: for the title, or for us.

    Raises as `probe_dicom`, but for what is not DICOM: an abort, in form, is a refusal.
    """
    where = facts(port=host.target.port, transport="tls", client_certificate=True)
    before = len(host.seen)
    try:
        await probe_dicom(host, line)
    except NotSpoken:
        host.saw(What.FOREIGN_CERTIFICATE, where)
        host.missed(STRANGER[1:], None, where, Outcome.CLOSED)
        return
    asked = host.seen[before:]
    if (reason := _unknown(asked, Reason.BUSY)) is not None:
        host.missed(("DCM-017",), reason, where)
    elif _associated(asked) or _unknown(asked, Reason.NEEDS_TITLE):
        # It refuses the title it was called by, and not us: the certificate did for it.
        host.saw(What.FOREIGN_CERTIFICATE, where + facts(contexts=1))
    else:
        host.saw(What.FOREIGN_CERTIFICATE, where)


def _without_certificate(host: Host, met: Handshake, asked: list[Seen]) -> None:
    """Whether a stranger without a certificate got one after all; a refusal over TLS is one, too."""
    if (reason := _unknown(asked, Reason.NEEDS_TITLE, Reason.BUSY)) is not None:
        host.missed(("DCM-016",), reason, facts(port=host.target.port, transport="tls"))
    else:
        _client_certificate(host, met, taken=_associated(asked))


def _client_certificate(host: Host, met: Handshake, *, taken: bool) -> None:
    """Note whether a stranger without a certificate got an association."""
    told = facts(
        port=host.target.port,
        transport="tls",
        client_certificate=met.spoke is Spoke.CERTIFICATE,
        tls_version=met.version,
        contexts=1 if taken else None,
    )
    host.saw(What.CLIENT_CERTIFICATE, told)


def _associated(asked: list[Seen]) -> bool:
    return any(
        isinstance(one, Observation) and one.what is What.CALLING_TITLE and one.get(Key.CONTEXTS) is not None
        for one in asked
    )


def _unknown(asked: list[Seen], *reasons: Reason) -> Reason | None:
    """Why nothing was told of the caller, if it is one of these."""
    return next((one.reason for one in asked if isinstance(one, Miss) and one.reason in reasons), None)


def _versions(host: Host, met: Handshake, now: datetime, *, dicom: bool) -> None:
    """What certificate is shown; whether old versions and weak suites are taken as well is asked later."""
    if met.certificate is not None:
        what = What.DICOM_CERTIFICATE if dicom else What.WEB_CERTIFICATE
        shown = certificate_facts(met.certificate, now)
        if shown:
            host.saw(what, facts(port=host.target.port, transport="tls") + shown)
        else:
            check = "DCM-020" if dicom else "WEB-023"
            host.missed((check,), Reason.UNREADABLE, facts(port=host.target.port, transport="tls"))
    if host.wants("DCM-018" if dicom else "WEB-023"):
        host.later.append(Later(Rank.SEALING, partial(old_versions, host, met.version, dicom=dicom)))
    if host.wants("DCM-019" if dicom else "WEB-023"):
        host.later.append(Later(Rank.SEALING, partial(weak_suites, host, dicom=dicom)))
