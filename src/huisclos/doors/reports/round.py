"""Many practices on one page, for the technician who serves them: worst first, what changed, what to fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from huisclos.doors.reports.page import render
from huisclos.doors.reports.view import view
from huisclos.doors.reports.words import word
from huisclos.findings.nouns import SEVERITIES, Finding, Language
from huisclos.findings.report import Report

_WORDS = (
    "practices", "to-fix", "untested", "opened-since", "closed-since", "none", "doors-open", "fix",
    "made", "target", "kept",
)  # fmt: skip


def to_round(reports: Sequence[Report], language: Language) -> str:
    """The page: nothing in it is fetched, nothing in it runs."""
    practices = [_practice(report, number, language) for number, report in enumerate(reports, 1)]
    practices.sort(key=lambda one: one["weight"], reverse=True)
    values = {
        "language": language.value,
        "practices": practices,
        "to_fix": _to_fix(reports, language),
        "words": {name: word(name, language) for name in _WORDS},
    }
    return render("round.html", values)


def _open(report: Report) -> list[Finding]:
    return [one for one in report.findings if one.muted is None]


def _practice(report: Report, number: int, language: Language) -> dict[str, Any]:
    counts = Counter(one.severity for one in _open(report))
    shown = view(report)
    return shown | {
        "name": report.site or f"{word('practice', language)} {number}",
        "anchor": f"p{number}",
        "weight": tuple(counts.get(severity, 0) for severity in SEVERITIES),
        "untested_count": len(report.untested),
    }


def _to_fix(reports: Sequence[Report], language: Language) -> list[dict[str, Any]]:
    """Each repair once, with the practices that need it; worst first."""
    needs: dict[str, tuple[Finding, set[str]]] = {}
    for number, report in enumerate(reports, 1):
        for one in _open(report):
            worst, names = needs.get(one.check, (one, set()))
            names.add(report.site or f"{word('practice', language)} {number}")
            needs[one.check] = (min(worst, one, key=lambda each: each.severity.rank), names)
    rows = sorted(needs.values(), key=lambda row: (row[0].severity.rank, -len(row[1]), row[0].check))
    return [
        {
            "check": one.check,
            "severity": one.severity.value,
            "title": one.title,
            "fix": one.fix,
            "names": sorted(names),
        }
        for one, names in rows
    ]
