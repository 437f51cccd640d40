"""One listener: find out by protocol, not by port, what it speaks, and ask it accordingly.

Most of what is asked speaks DICOM in clear. What reads certificates and the web takes as long to load as it
takes to ask a hundred such servers, and is loaded when a listener first wants it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

from huisclos.clock import Clock
from huisclos.doors.observation import Observation, What
from huisclos.doors.probes.dicom import TLS_PORT, probe_dicom
from huisclos.doors.probes.host import Host, Later, NotSpoken, OutOfTurns, PortClosed, Rank, Unanswered
from huisclos.doors.probes.ports import HL7_PORTS, SERVICE_PORTS, TLS_PORTS, WEB_PORTS
from huisclos.doors.target import Target
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

Way = Callable[[Host, Clock], Awaitable[None]]


async def meet(host: Host, clock: Clock) -> None:
    """See what a listener shows at first, or why nothing is known; `host.later` holds the rest.

    Its port's usual protocol goes first. One that was silent to it waits with the others until all else was
    asked: three silences are all that a host is asked for. Raises `PortClosed`.
    """
    target = host.target
    if target.port in HL7_PORTS and target.scheme is None:
        await _only_connect(host)
    else:
        await _try(host, clock, _ways(host))


def hl7(target: Target) -> Observation:
    """Something listens where HL7 messages are taken."""
    return Observation(What.HL7, target.name, target.reach, facts(port=target.port))


async def _try(host: Host, clock: Clock, ways: tuple[Way, ...]) -> None:
    """See what the first of `ways` shows that is spoken there."""
    try:
        while ways:
            way, ways = ways[0], ways[1:]
            try:
                await way(host, clock)
            except NotSpoken:
                ways = _told(host, way, ways)
            else:
                return
        _nothing(host, Reason.TIMED_OUT if host.silences else Reason.NOT_IDENTIFIED)
    except Unanswered:
        _nothing(host, Reason.TIMED_OUT)
    except PeerTooSlow:
        if not ways:
            _nothing(host, Reason.TIMED_OUT)
        else:
            host.later.append(Later(Rank.UNKNOWN, partial(_try, host, clock, ways)))
    except PeerUnreachable as error:
        # One that took a connection and refuses the next listens there, whatever keeps it from us.
        if host.made == 1 and isinstance(error, PortClosed):
            raise
        _nothing(host, Reason.UNREACHABLE)
    except OutOfTurns:
        _nothing(host, Reason.TIMED_OUT if host.silences else host.spent())


def _nothing(host: Host, reason: Reason) -> None:
    host.missed(("*",), reason, facts(port=host.target.port))


def _told(host: Host, tried: Way, ways: tuple[Way, ...]) -> tuple[Way, ...]:
    """`ways`, the one first that the listener's own words are of."""
    if not host.heard or tried is _greeted:
        return ways
    wanted = next((way for begins, way in _WORDS if host.heard.startswith(begins)), _greeted)
    return (wanted, *(one for one in ways if one is not wanted)) if wanted in (_greeted, *ways) else ways


async def _only_connect(host: Host) -> None:
    try:
        async with host.turn():
            (await host.connect()).close()
    except PortClosed:
        raise
    except Unanswered:
        _nothing(host, Reason.TIMED_OUT)
    except PeerUnreachable:
        _nothing(host, Reason.UNREACHABLE)
    except OutOfTurns:
        _nothing(host, host.spent())
    else:
        host.seen.append(hl7(host.target))


def _ways(host: Host) -> tuple[Way, ...]:
    """What is tried where, in its order.

    Silence is what costs, and most servers hang up on what is not theirs: a web server may wait for the end
    of a line, Samba for the rest of a message; both are asked in their own words by the third silence.
    """
    scheme, port = host.target.scheme, host.target.port
    if host.gentle:
        return (_sealed_dicom,) if scheme == "https" or port == TLS_PORT else (_dicom,)
    if scheme is not None:
        return (_secure,) if scheme == "https" else (_web,)
    if port in SERVICE_PORTS:
        return (_usual, _dicom, _web, _secure, _service)
    if port in WEB_PORTS:
        return (_web, _dicom, _secure, _service)
    if port in TLS_PORTS:
        return (_secure, _dicom, _web, _service)
    return (_dicom, _web, _secure, _service)


async def _dicom(host: Host, _clock: Clock) -> None:
    await probe_dicom(host)


async def _sealed_dicom(host: Host, _clock: Clock) -> None:
    await _probes("secure").probe_gently(host)


async def _greeted(host: Host, _clock: Clock) -> None:
    """A service that said what it is, whatever it was asked; it is asked nothing."""
    if not _wants_service(host):
        raise NotSpoken
    _probes("services").greeted(host)


async def _usual(host: Host, _clock: Clock) -> None:
    if not _wants_service(host):
        raise NotSpoken
    await _probes("services").probe_usual(host)


async def _service(host: Host, _clock: Clock) -> None:
    if not _wants_service(host):
        raise NotSpoken
    await _probes("services").probe_service(host)


async def _web(host: Host, _clock: Clock) -> None:
    await _probes("web").probe_web(host)


async def _secure(host: Host, clock: Clock) -> None:
    await _probes("secure").probe_secure(host, clock)


def _probes(module: str) -> Any:
    return import_module(f"{__package__}.{module}")


def _wants_service(host: Host) -> bool:
    return host.wants("WEB-027", "WEB-028", "WEB-030")


_WORDS: Final[tuple[tuple[bytes, Way], ...]] = ((b"HTTP/", _web), (b"\x15\x03", _secure))
"""How a web server says that this was no request, and TLS that this was no hello (an alert)."""
