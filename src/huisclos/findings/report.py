"""The report of an audit: one versioned JSON document (docs/reference/doors-report.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from huisclos.errors import NotFound, Unreadable
from huisclos.findings.nouns import Attempt, ExitCode, Finding, Language, Outcome, Severity

SCHEMA: Final = "huisclos-doors/1"
MAX_REPORT: Final = 64 * 1024 * 1024
"""bytes of a report that is read back"""
_AT_ONCE: Final = 256
"""findings of one piece of the document"""


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """The right by which targets other than this machine were asked."""

    kind: str
    """consent or mandate"""
    by: str
    at: str
    until: str | None = None
    digest: str | None = None
    """SHA-256 of the mandate"""
    signer: str | None = None
    """fingerprint of the key that signed the mandate"""
    vouched: bool | None = None
    """whether whoever asked had named that key beforehand"""


class Change(msgspec.Struct, frozen=True):
    """A door that opened or closed since the baseline."""

    check: str
    target: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one audit found, what it could not test, and by what right it asked."""

    schema: str = SCHEMA
    generator: str
    rules: int
    """version of the rules that judged"""
    made_at: str
    command: str
    language: Language
    site: str | None = None
    consents: tuple[Consent, ...] = ()
    findings: tuple[Finding, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    baseline: str | None = None
    """SHA-256 of the report compared with"""
    opened: tuple[Change, ...] = ()
    closed: tuple[Change, ...] = ()
    record: str | None = None
    """SHA-256 of the last line of the packet record, when one was kept"""

    @property
    def untested(self) -> tuple[Attempt, ...]:
        """What could not be tested: never to be read as closed."""
        return tuple(one for one in self.attempts if one.outcome is Outcome.FAILED)


def encode(report: Report) -> bytes:
    """The JSON document."""
    return b"".join(pieces(report))


def pieces(report: Report) -> Iterator[bytes]:
    """The JSON document, piece by piece: that of many targets is large.

    What says the same of many targets is made JSON of once.
    """
    frame = _indented(msgspec.structs.replace(report, findings=(), attempts=()))
    before, _, rest = frame.partition(b'"findings": []')
    between, _, after = rest.partition(b'"attempts": []')
    yield before
    yield from _listed(b"findings", _finding_rows(report.findings))
    yield between
    yield from _listed(b"attempts", _attempt_rows(report.attempts))
    yield after + b"\n"


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _listed(name: bytes, rows: Iterator[bytes]) -> Iterator[bytes]:
    held = list(islice(rows, _AT_ONCE))
    if not held:
        yield b'"%b": []' % name
        return
    yield b'"%b": [\n    ' % name
    while held:
        yield b",\n    ".join(held)
        if held := list(islice(rows, _AT_ONCE)):
            yield b",\n    "
    yield b"\n  ]"


def _finding_rows(findings: Iterable[Finding]) -> Iterator[bytes]:
    """Each finding, indented for its place."""
    known: dict[Hashable, list[bytes]] = {}
    quoted = msgspec.json.encode
    for one in findings:
        # The tuples of texts are long to compare, and shared by those that are alike.
        alike = (
            one.check, one.verdict, one.severity, one.reach, one.title, one.is_, one.should_be, one.fix,
            id(one.frameworks), one.evidence, one.seen_at, one.muted, one.since,
        )  # fmt: skip
        parts = known.get(alike)
        if parts is None:
            parts = known[alike] = _around(msgspec.structs.replace(one, id="", target=""), b"id", b"target")
        yield b"%b%b%b%b%b" % (parts[0], quoted(one.id), parts[1], quoted(one.target), parts[2])


def _attempt_rows(attempts: Iterable[Attempt]) -> Iterator[bytes]:
    """Each attempt, indented for its place."""
    known: dict[Hashable, list[bytes]] = {}
    quoted = msgspec.json.encode
    for one in attempts:
        alike = one.check, one.outcome, one.reason, one.evidence
        parts = known.get(alike)
        if parts is None:
            parts = known[alike] = _around(msgspec.structs.replace(one, target=""), b"target")
        yield b"%b%b%b" % (parts[0], quoted(one.target), parts[1])


def _around(row: Finding | Attempt, *blank: bytes) -> list[bytes]:
    """What is written around the values of the fields `blank`, which are in order and empty in `row`.

    No text can be taken for such a field: a quotation mark inside one is escaped.
    """
    rest, parts = _indented(row).replace(b"\n", b"\n    "), []
    for name in blank:
        before, found, rest = rest.partition(b'"%b": ""' % name)
        parts.append(before + found.removesuffix(b'""'))
    return [*parts, rest]


def decode(raw: bytes) -> Report:
    """A report read back, strictly. Raises `Unreadable`."""
    if len(raw) > MAX_REPORT:
        raise Unreadable("this report is larger than any of ours")
    try:
        report = msgspec.json.decode(raw, type=Report)
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable("this is not a report of the doors", hint="give a file that --json wrote") from None
    if report.schema != SCHEMA:
        raise Unreadable("this report has another schema", hint=f"this program reads {SCHEMA}")
    return report


def digest(raw: bytes) -> str:
    """SHA-256 of a report's bytes, hex: what an incident refers to."""
    return hashlib.sha256(raw).hexdigest()


class Named(msgspec.Struct, frozen=True):
    """One finding by its name: its report's digest, and its number there. It can open an incident."""

    report: str
    """SHA-256 of the report, hex"""
    finding: Finding

    @property
    def reference(self) -> str:
        """`sha256:HEX#F1`: the same whatever the report's file is called."""
        return f"sha256:{self.report}#{self.finding.id}"


def named(raw: bytes, number: str) -> Named:
    """What `REPORT#ID` leads to: the finding `number` of these bytes. Raises `Unreadable`, `NotFound`."""
    found = next((one for one in decode(raw).findings if one.id == number), None)
    if found is None:
        raise NotFound("this report has no such finding", hint="name it as REPORT#ID, such as report.json#F1")
    return Named(digest(raw), found)


def exit_code(report: Report, fail_on: Severity) -> ExitCode:
    """The exit code of an audit; a muted finding does not count, and information is no door."""
    if any(one.severity.rank <= fail_on.rank and one.muted is None for one in report.findings):
        return ExitCode.FINDINGS
    doors = any(one.muted is None and one.severity is not Severity.INFO for one in report.findings)
    if not doors and report.untested:
        return ExitCode.UNTESTED
    return ExitCode.CLEAN
