"""Servers that turn a stranger away: what that closes, and what it leaves unknown."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from huisclos.findings.nouns import Outcome, Reason
from tests.doors.auditing import closed_doors, open_doors, probe, untested
from tests.doors.scripted import scripted

WITHIN = {"DCM-003", "DCM-005", "DCM-006", "DCM-007", "DCM-008", "DCM-009", "DCM-010", "DCM-011"}


def _rejects(result: int, source: int, reason: int) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.recv(64 * 1024)
        connection.sendall(bytes((3, 0, 0, 0, 0, 4, 0, result, source, reason)))
        connection.recv(1)

    return script


@pytest.mark.parametrize("reason", [1, 3])
def test_a_stranger_who_is_rejected_gets_nothing(reason: int) -> None:
    """Whoever gets no association can neither search nor take nor send: each door is closed, and named."""
    with scripted(_rejects(1, 1, reason)) as server:
        report = probe(f"127.0.0.1:{server.port}")
    assert {} == open_doors(report)
    assert closed_doors(report) >= WITHIN
    unknown = {check: why for check, why in untested(report).items() if why is not Reason.NOT_ASKED}
    # Reason 3 is the caller's (PS3.8 table 9-21): nobody knows whether the called title was looked at.
    assert ({"DCM-002": Reason.TURNED_AWAY} if reason == 3 else {}) == unknown
    assert (reason == 3) == ("DCM-002" not in closed_doors(report))


@pytest.mark.parametrize("reason", [1, 2])
def test_a_busy_server_is_not_called_closed(reason: int) -> None:
    """Not now (rejected-transient: congestion, a limit) says nothing of what it lets a stranger do."""
    with scripted(_rejects(2, 3, reason)) as server:
        report = probe(f"127.0.0.1:{server.port}")
    assert {} == open_doors(report)
    assert set() == closed_doors(report) & WITHIN
    assert dict.fromkeys(WITHIN, Reason.BUSY).items() <= untested(report).items()


def test_a_host_that_refuses_everywhere_is_closed(
    monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    """A host without a port whose usual ports all say no is told as closed, and not left out."""
    monkeypatch.setattr("huisclos.doors.runner.USUAL_PORTS", (free_port(),))
    monkeypatch.setattr("huisclos.doors.runner.HL7_PORTS", frozenset())
    report = probe("127.0.0.1")
    assert [("*", Outcome.CLOSED)] == [(one.check, one.outcome) for one in report.attempts]
