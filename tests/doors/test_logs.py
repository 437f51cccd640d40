"""Logs: values of patients and strangers who came in are counted, by day, and nothing of a line is kept."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors import logs
from huisclos.doors.assemble import Audit
from huisclos.doors.observation import Miss
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Language, Reason, Severity
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested

STRANGER = (
    '8.8.4.4 - - [23/Nov/2026:18:31:00 +0000] "GET /dicom-web/studies?PatientName=MARTIN HTTP/1.1" 200 12\n'
)
NEIGHBOUR = '192.168.1.7 - - [23/Nov/2026:18:31:00 +0000] "GET /dicom-web/studies HTTP/1.1" 200 12\n'
REFUSED = '8.8.4.4 - - [23/Nov/2026:18:31:00 +0000] "GET /dicom-web/studies HTTP/1.1" 401 12\n'
PAGE = '8.8.4.4 - - [23/Nov/2026:18:31:00 +0000] "GET /index.html HTTP/1.1" 200 12\n'
ORTHANC = "I1123 18:31:00 2026-11-23 Association Received from AET X on IP 8.8.4.4\n"
DUMP = "D: (0010,0010) PN [MARTIN^LEA]          #  10, 1 PatientName\n"


def read(path: Path) -> Report:
    """The report on logs."""
    made = Audit("logs", Language.EN, now())
    made.take(logs.read_logs([path]), now())
    return made.report()


def test_strangers_are_counted_by_day(tmp_path: Path) -> None:
    """Two answered requests from a public address are one critical finding; no name or address is in it."""
    (tmp_path / "access.log").write_text(STRANGER + NEIGHBOUR + STRANGER)
    (tmp_path / "access.log").chmod(0o600)
    report = read(tmp_path)
    (one,) = [one for one in report.findings if one.check == "LOG-005"]
    assert Severity.CRITICAL is one.severity
    assert {(Key.COUNT, 2), (Key.DAY, "2026-11-23")} <= {(fact.key, fact.value) for fact in one.evidence}
    assert {"LOG-002", "LOG-005"} == set(open_doors(report))
    assert "MARTIN" not in str(report)
    assert "8.8.4.4" not in str(report)


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("I1123 18:31:00.123456 A.cpp:332] Association Received from AET X on IP 8.8.4.4", "2026-11-23"),
        ("I1231 18:31:00.123456 A.cpp:332] Association Received from AET X on IP 8.8.4.4", "2025-12-31"),
        ("I: Association Received (8.8.4.4:X -> ARCHIVE)", None),
    ],
)
def test_a_day_without_a_year_is_the_last_one_and_no_day_is_made_up(
    tmp_path: Path, line: str, day: str | None
) -> None:
    """Orthanc writes month and day: the year is the log's own. DCMTK writes none, and none is told."""
    log = tmp_path / "Orthanc.log"
    log.write_text(f"{line}\n")
    os.utime(log, (1796083200.0, 1796083200.0))  # 1 December 2026
    (one,) = [one for one in read(tmp_path).findings if one.check == "LOG-005"]
    assert ([] if day is None else [day]) == [fact.value for fact in one.evidence if fact.key is Key.DAY]


@pytest.mark.parametrize("line", [NEIGHBOUR, REFUSED, PAGE])
def test_others_are_not_strangers_who_came_in(tmp_path: Path, line: str) -> None:
    """A neighbour, a refusal and an ordinary page are not."""
    (tmp_path / "access.log").write_text(line)
    assert {} == open_doors(read(tmp_path))
    assert "LOG-005" in closed_doors(read(tmp_path))


def test_associations_and_values(tmp_path: Path) -> None:
    """An association from a public address, and a dump of elements, in a packed log that all may read."""
    (tmp_path / "o.log.gz").write_bytes(gzip.compress((ORTHANC + DUMP).encode()))
    (tmp_path / "o.log.gz").chmod(0o644)
    report = read(tmp_path)
    assert {"LOG-001", "LOG-004", "LOG-005"} == set(open_doors(report))
    assert "MARTIN" not in str(report)


def test_a_bomb_and_a_broken_log_are_untested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log over its bound, and one that breaks off, are not called clean."""
    monkeypatch.setattr(logs, "MAX_OCTETS", 1000)
    (tmp_path / "a.log").write_bytes(b"x" * 5000)
    assert Reason.TOO_LARGE is untested(read(tmp_path))["LOG-005"]
    (tmp_path / "a.log").write_bytes(gzip.compress(b"x" * 5000)[:30])
    assert Reason.UNREADABLE is untested(read(tmp_path))["LOG-005"]
    assert "*" in untested(read(tmp_path / "absent"))


@pytest.mark.parametrize(
    "name",
    ["Orthanc.log.20261201-101500.42", "access.log.2", "access.log-20261201", "ssl_access_log.3", "a.LOG"],
)
def test_logs_that_were_put_aside_are_read(tmp_path: Path, name: str) -> None:
    """A log keeps what it holds under the name that Orthanc or a rotation gives it."""
    (tmp_path / name).write_text("I1201 10:15:00 (0010,0010) PN [MARTIN^LEA]\n")
    assert "LOG-001" in open_doors(read(tmp_path))


@pytest.mark.parametrize(
    "raw",
    [gzip.compress(os.urandom(500))[:40] + b"\xff" * 200, b"\xfd7zXZ\0" + bytes(100), b"BZh9" + bytes(100)],
)
def test_what_does_not_unpack_is_untested(tmp_path: Path, raw: bytes) -> None:
    """A log with a broken byte, or packed as we do not read, ends no audit and is not called clean."""
    (tmp_path / "a.log.2.gz").write_bytes(raw)
    (tmp_path / "b.log").write_text("I1201 10:15:00 nothing\n")
    assert Reason.UNREADABLE is untested(read(tmp_path))["LOG-001"]


def test_more_logs_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs beyond the bound are said to be unread."""
    monkeypatch.setattr(logs, "MAX_FILES", 1)
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("I1201 10:15:00 nothing\n")
    assert Reason.TOO_LARGE is untested(read(tmp_path))["LOG-001"]


def test_whether_anybody_writes_down_who_comes(tmp_path: Path) -> None:
    """No line of a request, or none for a month, is a door; a request of today is none; years are long."""
    path = tmp_path / "o.log"
    path.touch(mode=0o600)
    assert Reason.ABSENT is untested(read(tmp_path))["LOG-003"]
    path.write_text("I1123 18:31:00 Orthanc has started\n")
    path.chmod(0o600)
    assert {"LOG-003"} == set(open_doors(read(tmp_path)))
    path.write_text(NEIGHBOUR)
    assert {} == open_doors(read(tmp_path))
    assert "LOG-003" in closed_doors(read(tmp_path))
    moment = now().timestamp()
    os.utime(path, (moment, moment - 40 * 86400))
    assert {"LOG-003"} == set(open_doors(read(tmp_path)))
    os.utime(path, (moment, moment - 1200 * 86400))
    assert {"LOG-003", "LOG-004"} == set(open_doors(read(tmp_path)))


def test_logs_that_time_runs_out_for_are_untested(tmp_path: Path) -> None:
    """What was not read in time is not called clean."""
    (tmp_path / "access.log").write_text(STRANGER)
    (seen,) = [one for one in logs.read_logs([tmp_path], until=0.0) if isinstance(one, Miss)][:1]
    assert Reason.BUDGET is seen.reason


@given(st.binary(max_size=300))
def test_any_line_is_counted(line: bytes) -> None:
    """No line makes the counter stumble."""
    counts = logs._Counts()
    logs._count(line, counts)
    logs._count(b"Association Received 8.8.8.8 " + line, counts)
