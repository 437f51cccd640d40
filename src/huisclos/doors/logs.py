"""Logs: do they name patients, did strangers already come in. Lines are counted, nothing of them is kept."""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO, Final

from huisclos.access.addresses import is_private, parse_address
from huisclos.clock import Clock, now, steady
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.errors import BadSetting
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason

MAX_OCTETS: Final = 2 * 1024**3
"""bytes of one log that are read, unpacked"""
MAX_LINE: Final = 16 * 1024
MAX_FILES: Final = 10_000
MAX_DAYS: Final = 8
"""days that a finding names"""
STALE_DAYS: Final = 31
"""a log that nothing was added to for so long is not kept any more"""
KEPT_DAYS: Final = 1096
"""three years: the CNIL asks for six months to one year, three at most (recommendation of 14 October 2021)"""
_LOGS: Final = re.compile(r"\.(?:log|txt|gz|\d{1,2})\Z|\.log[._-]|(?:access|error)_log\b", re.IGNORECASE)
"""names of logs, and of those that were put aside: Orthanc's are `Orthanc.log.20261201-101500.42`"""
_PACKED: Final = (b"\xfd7z", b"BZh", b"\x28\xb5\x2f")
"""how a log begins that was packed so that we do not read it"""

_VALUE: Final = re.compile(
    rb"\(0010,(?:0010|0020|0030|0040|1000|1040|2154)\)\s+(?:[A-Z]{2}\s+)?[\[=][^\]\s]"
    rb"|Patient'?s?\s?(?:Name|ID|BirthDate|Birth Date)\"?\s*[:=]\s*[\"\[]?[^\s\"\[,}]",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(
    rb"[?&](?:PatientName|PatientID|PatientBirthDate|00100010|00100020|00100030|AccessionNumber)=[^&\s]",
    re.IGNORECASE,
)
_WEB: Final = re.compile(
    rb'^(\S{2,45}) \S+ \S+ \[(\d\d)/(\w{3})/(\d{4})[^\]]*\] "[A-Z]{3,8} (\S*)[^"]*" (\d{3})'
)
_IMAGING: Final = re.compile(
    rb"/(?:dicom-web|wado|rs/studies|studies|instances|patients|series"
    rb"|app/explorer|dcm4chee-arc|tools/find|ohif|viewer|system)\b",
    re.IGNORECASE,
)
_ASSOCIATION: Final = re.compile(
    rb"(?:association (?:received|acknowledged|accepted)|incoming association|peer application"
    rb"|from (?:host|ip|aet)).{0,200}?"
    rb"(\d{1,3}(?:\.\d{1,3}){3})",
    re.IGNORECASE,
)
_LINE: Final = re.compile(
    rb"[DIWEFT]: |[DIWEFT]\d{4} |.{0,40}\d\d:\d\d|.{0,24}\b(?:DEBUG|INFO|WARN|ERROR|TRACE)\b"
)
"""how logs begin a line: DCMTK's level, Orthanc's level and day, a time, a level"""
_DAY: Final = re.compile(rb"(20\d\d)-?(\d\d)-?(\d\d)")
_SHORT_DAY: Final = re.compile(rb"[TIWEF](\d\d)(\d\d) \d\d:\d\d:")
"""Orthanc's level, month and day"""
_MONTHS: Final = (
    b"Jan",
    b"Feb",
    b"Mar",
    b"Apr",
    b"May",
    b"Jun",
    b"Jul",
    b"Aug",
    b"Sep",
    b"Oct",
    b"Nov",
    b"Dec",
)
_SERVED: Final = (200, 206)


@dataclass(slots=True)
class _Counts:
    values: int = 0
    parameters: int = 0
    strangers: Counter[str] = field(default_factory=Counter)
    """by day; those of lines that have none are under the empty text"""
    written: date = date.min
    """when the log that is read was written last"""
    loose: int = 0
    files: int = 0
    octets: int = 0
    accesses: int = 0
    """lines of requests and associations, whoever came"""
    lines: int = 0
    """that begin as logs do"""
    newest: int | None = None
    """days since something was added to any of the logs"""
    kept: int = 0
    """logs that are older than anybody needs"""

    def meet(self, path: Path, at: datetime) -> None:
        """One log more: its rights and its age."""
        status = path.stat()
        written = datetime.fromtimestamp(status.st_mtime, UTC)
        self.written, days = written.date(), max((at - written).days, 0)
        self.files += 1
        self.octets += status.st_size
        self.loose += bool(status.st_mode & stat.S_IROTH)
        self.kept += days > KEPT_DAYS
        self.newest = days if self.newest is None else min(days, self.newest)

    @property
    def unlogged(self) -> bool:
        """Whether nobody writes down who comes."""
        return not self.accesses or (self.newest or 0) > STALE_DAYS


def read_logs(roots: Iterable[Path], clock: Clock = now, until: float | None = None) -> Iterator[Seen]:
    """What the logs at or below `roots` show, one set of observations a root.

    What is not read by `until`, on the steady clock, is said to be so.
    """
    for root in roots:
        counts = _Counts()
        for path in _files(root):
            if isinstance(path, Reason):
                yield Miss(("LOG-001", "LOG-005"), str(root), path)
                continue
            if until is not None and steady() > until:
                yield Miss(("LOG-001", "LOG-003", "LOG-005"), str(root), Reason.BUDGET)
                break
            try:
                counts.meet(path, clock())
                if not _read(path, counts):
                    yield Miss(("LOG-005",), str(root), Reason.TOO_LARGE)
            except (OSError, EOFError, zlib.error):
                yield Miss(("LOG-001", "LOG-005"), str(root), Reason.UNREADABLE)
        if not counts.files or (counts.octets and not counts.lines and not counts.values):
            yield Miss(("*",), str(root), Reason.UNREADABLE if not root.exists() else Reason.NOT_IDENTIFIED)
            continue
        yield from _seen(root, counts)


def _seen(root: Path, counts: _Counts) -> Iterator[Seen]:
    telling = counts.values + counts.parameters + sum(counts.strangers.values())
    for word, count in (
        ("values", counts.values),
        ("parameters", counts.parameters),
        ("loose", counts.loose if telling else 0),
        ("kept", counts.kept),
    ):
        yield Observation(What.LOG, str(root), Reach.LAN, facts(class_=word, count=count))
    found = facts(class_="unlogged", count=int(counts.unlogged), days=counts.newest, rows=counts.accesses)
    if counts.octets:
        yield Observation(What.LOG, str(root), Reach.LAN, found)
    else:  # Nothing was ever written: nobody may have come, or nobody writes it down.
        yield Miss(("LOG-003",), str(root), Reason.ABSENT)
    found = facts(class_="strangers", count=sum(counts.strangers.values()))
    for day, count in sorted(counts.strangers.items())[:MAX_DAYS]:
        found += facts(day=day or None, rows=count)
    reach = Reach.INTERNET if counts.strangers else Reach.LAN
    yield Observation(What.LOG, str(root), reach, found)


def _files(root: Path) -> Iterator[Path | Reason]:
    """The logs at or below `root`; a reason where some were not come to."""
    if root.is_file():
        yield root
        return
    count, closed = 0, list[OSError]()
    for folder, _, names in os.walk(root, onerror=closed.append):
        for name in sorted(names):
            path = Path(folder, name)
            if _LOGS.search(name) and path.is_file() and not path.is_symlink():
                count += 1
                if count > MAX_FILES:
                    yield Reason.TOO_LARGE
                    return
                yield path
    if closed and root.exists():
        yield Reason.UNREADABLE


def _read(path: Path, counts: _Counts) -> bool:
    """Count one log's lines; False when it was left at its bound."""
    with path.open("rb") as raw:
        begins = raw.read(3)
        if begins in _PACKED:
            raise EOFError
        packed = begins == b"\x1f\x8b\x08"
        raw.seek(0)
        lines: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        left = MAX_OCTETS
        while line := lines.readline(MAX_LINE):
            left -= len(line)
            if left < 0:
                return False
            _count(line, counts)
    return True


def _count(line: bytes, counts: _Counts) -> None:
    match = _WEB.match(line)
    if match is not None:
        counts.accesses += 1
        counts.lines += 1
        counts.parameters += bool(_PARAMETER.search(match[5]))
        if int(match[6]) in _SERVED and _IMAGING.search(match[5]) and _is_public(match[1]):
            counts.strangers[_web_day(match)] += 1
        return
    counts.lines += _LINE.match(line) is not None
    counts.values += bool(_VALUE.search(line))
    came = _ASSOCIATION.search(line)
    counts.accesses += came is not None
    if came is not None and _is_public(came[1]):
        counts.strangers[_line_day(line, counts.written)] += 1


def _web_day(match: re.Match[bytes]) -> str:
    month = _MONTHS.index(match[3]) + 1 if match[3] in _MONTHS else 1
    return _day(int(match[4]), month, int(match[2]))


def _line_day(line: bytes, written: date) -> str:
    """The day of a line; Orthanc's have no year, so the last one that is not after `written` (UTC)."""
    if found := _DAY.search(line):
        return _day(*(int(part) for part in found.groups()))
    if (found := _SHORT_DAY.match(line)) is None:
        return ""
    month, day = int(found[1]), int(found[2])
    after = (month, day) > (written + timedelta(days=1)).timetuple()[1:3]
    return _day(written.year - after, month, day)


def _day(year: int, month: int, day: int) -> str:
    try:
        made = date(year, month, day)
    except ValueError:
        return ""
    return made.isoformat() if made.year >= 2020 else ""  # noqa: PLR2004 - the first day that evidence takes


def _is_public(text: bytes) -> bool:
    try:
        return not is_private(parse_address(text.decode("ascii")))
    except (BadSetting, UnicodeDecodeError):
        return False
