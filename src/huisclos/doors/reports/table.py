"""CSV and SARIF 2.1.0: for programs that read others' reports."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import Any, Final

import msgspec

from huisclos.doors.assemble import shown_fact
from huisclos.doors.catalogue import catalogue
from huisclos.findings.nouns import Finding, Severity
from huisclos.findings.report import Change, Report

COLUMNS: Final = (
    "id", "check", "target", "severity", "verdict", "reach", "is", "should_be", "fix", "evidence",
    "frameworks", "seen_at", "muted_until", "muted_reason",
)  # fmt: skip
SARIF: Final = "2.1.0"
_LEVELS: Final = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning"}
_SCORES: Final = {
    Severity.CRITICAL: "9.0",
    Severity.HIGH: "7.0",
    Severity.MEDIUM: "4.0",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}


def to_csv(report: Report) -> str:
    """One row a finding; a cell that a spreadsheet would run is written as text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in report.findings:
        row = (
            one.id, one.check, one.target, one.severity.value, one.verdict.value, one.reach.value, one.is_,
            one.should_be, one.fix, "; ".join(shown_fact(fact) for fact in one.evidence),
            "; ".join(f"{cited.framework} {cited.item}" for cited in one.frameworks), one.seen_at,
            one.muted.until if one.muted else "", one.muted.reason if one.muted else "",
        )  # fmt: skip
        writer.writerow([_inert(cell) for cell in row])
    return out.getvalue()


def to_sarif(report: Report) -> bytes:
    """A SARIF log: one result a finding, rules from the catalogue, mutes as suppressions.

    Such logs are made to be handed on, often to others' machines: a place is a token there, the same in each
    report, and the finding's id leads back to the report that names it. With a baseline, each result says
    whether it is new, and a door that closed since is there as absent (SARIF 2.1.0 section 3.27.24).
    """
    checks = {one.check for one in report.findings} | {one.check for one in report.closed}
    used = sorted(checks & catalogue().keys())
    places = {check: number for number, check in enumerate(used)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "huisclos",
                "semanticVersion": report.generator.partition(" ")[2],
                "rules": [_rule(check, report) for check in used],
            }
        },
        "automationDetails": {"id": "/".join(["doors", report.command, *filter(None, [report.site])]) + "/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": report.made_at.replace("+00:00", "Z"),
                "toolExecutionNotifications": _notes(report),
            }
        ],
        "results": [
            *(_result(one, places, report) for one in report.findings),
            *(_gone(one, places, report) for one in report.closed if one.check in places),
        ],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": SARIF, "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2) + b"\n"


def _rule(check: str, report: Report) -> dict[str, Any]:
    row = catalogue()[check]
    return {
        "id": check,
        "shortDescription": {"text": row.title.in_(report.language)},
        "fullDescription": {"text": row.should.in_(report.language)},
        "help": {"text": row.fix.in_(report.language)},
        "defaultConfiguration": {"level": _LEVELS.get(row.severity, "note")},
        "properties": {"security-severity": _SCORES[row.severity], "tags": ["security", *row.areas]},
    }


def _notes(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "level": "warning",
            "message": {
                "text": f"{one.check} {_place(one.target)}: {one.reason.value if one.reason else ''}"
            },
        }
        for one in report.untested
    ]


def _place(target: str) -> str:
    return f"place-{hashlib.sha256(target.encode()).hexdigest()[:16]}"


def _located(check: str, target: str, places: dict[str, int]) -> dict[str, Any]:
    """What a result says of its rule, its place, and of being the same door in another log."""
    fingerprint = hashlib.sha256(f"{check}\n{target}".encode()).hexdigest()
    return {
        "ruleId": check,
        "ruleIndex": places[check],
        "locations": [{"logicalLocations": [{"name": _place(target), "kind": "resource"}]}],
        "partialFingerprints": {"door/v1": fingerprint},
    }


def _result(one: Finding, places: dict[str, int], report: Report) -> dict[str, Any]:
    opened = {(change.check, change.target) for change in report.opened}
    result = _located(one.check, one.target, places) | {
        "level": _LEVELS.get(one.severity, "note"),
        "message": {"text": f"{one.is_}. {one.fix}"},
        "properties": {
            "finding": one.id,
            "verdict": one.verdict.value,
            "reach": one.reach.value,
            "severity": one.severity.value,
            "security-severity": _SCORES[one.severity],
        },
    }
    if report.baseline is not None:
        result["baselineState"] = "new" if (one.check, one.target) in opened else "unchanged"
    if one.muted is not None:
        muted = one.muted
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": muted.reason,
                "properties": {"author": muted.author, "until": muted.until},
            }
        ]
    return result


def _gone(one: Change, places: dict[str, int], report: Report) -> dict[str, Any]:
    title = catalogue()[one.check].title.in_(report.language)
    return _located(one.check, one.target, places) | {
        "kind": "pass",
        "level": "none",
        "message": {"text": title},
        "baselineState": "absent",
    }


def _inert(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
