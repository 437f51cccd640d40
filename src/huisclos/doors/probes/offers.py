"""What TLS a server still takes: one ClientHello a connection, hung up on as soon as it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Final

from huisclos.access.addresses import parse_address
from huisclos.doors.observation import What
from huisclos.doors.probes.hello import (
    ANY,
    NAMES,
    RSA_ONLY,
    WEAK,
    Alerted,
    Chosen,
    NotTlsAnswer,
    Version,
    client_hello,
    kind_of,
    read_answer,
)
from huisclos.doors.probes.host import Host, OutOfTurns
from huisclos.errors import BadSetting, PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

_ANSWER_MOST: Final = 32 * 1024
"""bytes that are read for one answer"""
_READ: Final = 4096


async def old_versions(host: Host, taken: str | None, *, dicom: bool) -> None:
    """See the lowest version that is taken, from TLS 1.1 downwards; each answer says where to go on.

    `taken` is the version of the handshake before, which stands when none of the old ones is.
    """
    where = facts(port=host.target.port, transport="tls")
    what, check = (What.DICOM_TLS_VERSION, "DCM-018") if dicom else (What.WEB_TLS_VERSION, "WEB-023")
    lowest = taken
    version: Version | None = Version.TLS_1_1
    try:
        while version is not None:
            answer = await hello(host, version, ANY)
            if not isinstance(answer, Chosen) or answer.version > version:
                break
            known = Version(answer.version) if answer.version in NAMES else Version.SSL_3_0
            lowest = NAMES[known]
            version = Version(known - 1) if known > Version.SSL_3_0 else None
    except (PeerUnreachable, PeerTooSlow, OutOfTurns) as error:
        host.missed((check,), _reason(host, error), where)
    else:
        host.saw(what, where + facts(tls_version=lowest))


async def weak_suites(host: Host, *, dicom: bool) -> None:
    """See whether the server takes a suite that is broken, or one without forward secrecy."""
    where = facts(port=host.target.port, transport="tls")
    what, check = (What.DICOM_SUITE, "DCM-019") if dicom else (What.WEB_SUITE, "WEB-023")
    found = None
    try:
        for suites in (WEAK, RSA_ONLY):
            answer = await hello(host, Version.TLS_1_2, suites)
            if isinstance(answer, Chosen) and (found := kind_of(answer.suite)) is not None:
                break
    except (PeerUnreachable, PeerTooSlow, OutOfTurns) as error:
        host.missed((check,), _reason(host, error), where)
    else:
        host.saw(what, where + facts(value=found))


async def hello(host: Host, version: Version, suites: tuple[int, ...]) -> Chosen | Alerted | None:
    """What a server says to these suites; None when it hangs up.

    Raises `PeerUnreachable`, `PeerTooSlow`, `OutOfTurns`.
    """
    async with host.turn():
        reader, writer = await asyncio.open_connection(sock=await host.connect(), limit=_ANSWER_MOST)
        try:
            writer.write(client_hello(version, suites, secrets.token_bytes(32), _name(host.target.host)))
            async with asyncio.timeout(host.seconds):
                return await _answer(reader)
        except TimeoutError:
            host.silent()
            raise PeerTooSlow("no answer in time") from None
        except (OSError, NotTlsAnswer):
            return None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Chosen | Alerted | None:
    held = b""
    while len(held) < _ANSWER_MOST:
        piece = await reader.read(_READ)
        if not piece:
            return None
        held += piece
        if (answer := read_answer(held)) is not None:
            return answer
    raise NotTlsAnswer


def _name(host: str) -> str:
    try:
        parse_address(host)
    except BadSetting:
        return host.rstrip(".")
    return ""


def _reason(host: Host, error: Exception) -> Reason:
    if isinstance(error, OutOfTurns):
        return host.spent()
    return Reason.TIMED_OUT if isinstance(error, PeerTooSlow) else Reason.UNREACHABLE
