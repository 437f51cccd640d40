"""The nouns of an audit: what is wrong, how surely it is known, and who can reach it."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from huisclos.findings.evidence import Fact


class Language(StrEnum):
    """The languages of every sentence."""

    FR = "fr"
    EN = "en"


class Severity(StrEnum):
    """How bad an open door is, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return SEVERITIES.index(self)

    def shifted(self, steps: int) -> Severity:
        """`steps` worse when positive, milder when negative; information stays information."""
        if self is Severity.INFO:
            return self
        return SEVERITIES[min(max(self.rank - steps, 0), Severity.LOW.rank)]


SEVERITIES: Final = tuple(Severity)


class Verdict(StrEnum):
    """How surely it is known, strongest first."""

    PROVED = "proved"
    """an answer was obtained"""
    OFFERED = "offered"
    """negotiated or advertised"""
    CONFIG = "config"
    """read in a file"""
    INFERRED = "inferred"
    """from a version or a banner"""

    @property
    def rank(self) -> int:
        """0 for the strongest."""
        return tuple(Verdict).index(self)


class Reach(StrEnum):
    """From where the door can be walked up to."""

    INTERNET = "internet"
    LAN = "lan"
    LOOPBACK = "loopback"


_STEPS: Final = {Reach.INTERNET: 1, Reach.LAN: 0, Reach.LOOPBACK: -1}


def severity_at(base: Severity, reach: Reach) -> Severity:
    """The catalogue's severity, which is the one for a LAN, as it is for `reach`."""
    return base.shifted(_STEPS[reach])


class Outcome(StrEnum):
    """What became of one question; `failed` and `skipped` are never read as closed."""

    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a question has no answer."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    PROTOCOL = "protocol"
    """the other side broke the protocol"""
    TOO_LARGE = "too-large"
    """a bound was reached"""
    UNREADABLE = "unreadable"
    NOT_IDENTIFIED = "not-identified"
    """nothing known listens there"""
    NEEDS_TITLE = "needs-title"
    """the server checks the title it is called by, and nobody told us"""
    BUSY = "busy"
    """it takes nobody for now"""
    TURNED_AWAY = "turned-away"
    """the server refused us for who we are, before what was asked about came up"""
    OUT_OF_SCOPE = "out-of-scope"
    """an answer led where we may not go"""
    BUDGET = "budget"
    """bytes or time ran out"""
    CONNECTIONS = "connections"
    """not asked: one host is connected to so often in one run, and no more"""
    SILENT = "silent"
    """not asked: the host had left too many questions without an answer"""
    NOT_OURS = "not-ours"
    """nothing showed that the address is ours alone"""
    NEEDS_LOGIN = "needs-login"
    """it tells only whom its owner lets in"""
    LOCKED = "locked"
    """it locked out whoever asks, for a while"""
    NOT_TOLD = "not-told"
    """it has no answer to that question"""
    FAULT = "fault"
    """it, or what lies behind it, failed over the question"""
    NO_VERSION = "no-version"
    """a program is named, and not which version of it"""
    NOT_ASKED = "not-asked"
    """held back on purpose"""
    ENCRYPTED = "encrypted"
    ABSENT = "absent"
    """this machine cannot tell"""
    OWN_FAULT = "own-fault"
    """our own mistake"""


class Cited(msgspec.Struct, frozen=True):
    """One article, measure or control that a finding touches."""

    framework: str
    edition: str
    item: str
    name: str = ""


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that somebody decided to live with, until a day."""

    check: str
    target: str = "*"
    reason: str
    author: str
    until: str
    """YYYY-MM-DD, the last day it counts"""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One door that stands open."""

    id: str
    """in its report: `REPORT#ID`"""
    check: str
    target: str
    verdict: Verdict
    severity: Severity
    reach: Reach
    title: str
    is_: str = msgspec.field(name="is")
    should_be: str
    fix: str
    frameworks: tuple[Cited, ...]
    evidence: tuple[Fact, ...]
    seen_at: str
    """UTC, ISO 8601"""
    muted: Mute | None = None
    since: str | None = None
    """when a report first had it, with a baseline"""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One question that was put, and what became of it."""

    check: str
    target: str
    outcome: Outcome
    reason: Reason | None = None
    evidence: tuple[Fact, ...] = ()


class ExitCode(IntEnum):
    """The exit codes of `doors`, apart from the others of the program."""

    CLEAN = 0
    """nothing at or above `--fail-on`"""
    FINDINGS = 1
    USAGE = 2
    REFUSED = 3
    UNTESTED = 4
    """nothing was found, and something could not be tested"""
