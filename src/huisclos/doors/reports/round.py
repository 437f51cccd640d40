"""Many practices on one page, for the technician who serves them: worst first, what changed, what to fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from huisclos.doors.assemble import compared
from huisclos.doors.box.guides import advice
from huisclos.doors.catalogue import catalogue
from huisclos.doors.facts import place
from huisclos.doors.reports.page import render
from huisclos.doors.reports.typeset import ended, moment, typeset_all
from huisclos.doors.reports.view import changes, headline, open_doors, tiles, untested
from huisclos.doors.reports.words import word
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import SEVERITIES, Finding, Language, Severity
from huisclos.findings.report import Change, Report, encode

_WORDS: Final = (
    "round", "practices", "to-fix", "untested", "opened-since", "closed-since", "kept", "fix", "needed-by",
    "changed", "visit", "muted",
)  # fmt: skip
_SHOWN: Final = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def to_round(reports: Sequence[Report], language: Language) -> str:
    """The page: nothing in it is fetched, nothing in it runs."""
    sites = practices(reports, language)
    return render("round.html", round_view(sites, language))


def practices(reports: Sequence[Report], language: Language) -> list[tuple[str, Report]]:
    """Each practice by its name, with one report of all that was looked at there, worst first.

    Reports of one `--site` are one practice: of each command the newest counts, compared with the one before
    it when it was not compared already. A report without a name is a practice of its own.
    """
    sites: dict[str, list[Report]] = {}
    for number, one in enumerate(reports, 1):
        sites.setdefault(one.site or f"{word('practice', language)} {number}", []).append(one)
    made = [(name, _retold(_merged(of_site), language)) for name, of_site in sites.items()]
    return sorted(made, key=lambda row: (_weight(row[1]), len(row[1].untested)), reverse=True)


def _retold(report: Report, language: Language) -> Report:
    """The report in the reader's language, as the catalogue has it; what it does not know stays as it is."""
    if report.language is language:
        return report
    findings = []
    for one in report.findings:
        check = catalogue().get(one.check)
        if check is not None:
            product = next((str(fact.value) for fact in one.evidence if fact.key is Key.PRODUCT), "")
            title, fix = check.title.in_(language), advice(check, product, language)
            one = replace(one, title=title, is_=title, fix=fix)  # noqa: PLW2901 - the same, told again
        findings.append(one)
    return replace(report, language=language, findings=tuple(findings))


def _merged(reports: Sequence[Report]) -> Report:
    by_command: dict[str, list[Report]] = {}
    for one in sorted(reports, key=lambda each: each.made_at):
        by_command.setdefault(one.command, []).append(one)
    now = [_since_last(visits) for visits in by_command.values()]
    latest = max(now, key=lambda one: one.made_at)
    best: dict[tuple[str, str], Finding] = {}
    for one in now:
        for found in one.findings:
            known = best.get((found.check, found.target))
            if known is None or found.verdict.rank < known.verdict.rank:
                best[found.check, found.target] = found
    findings = sorted(best.values(), key=lambda one: (one.severity.rank, one.check, one.target))
    attempts = {(one.check, one.target): one for report in now for one in report.attempts}
    return replace(
        latest,
        baseline=next((one.baseline for one in now if one.baseline is not None), None),
        findings=tuple(findings),
        attempts=tuple(attempts.values()),
        opened=_all_of([one.opened for one in now]),
        closed=_all_of([one.closed for one in now]),
    )


def _since_last(visits: Sequence[Report]) -> Report:
    """The newest of one command's reports, with what changed since the one before."""
    latest = visits[-1]
    if latest.baseline is not None or len(visits) == 1:
        return latest
    return compared(latest, encode(visits[-2]))


def _all_of(parts: Sequence[tuple[Change, ...]]) -> tuple[Change, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part))


def _weight(report: Report) -> tuple[int, ...]:
    counts = Counter(one.severity for one in open_doors(report))
    return tuple(counts.get(severity, 0) for severity in SEVERITIES)


def round_view(sites: Sequence[tuple[str, Report]], language: Language) -> dict[str, Any]:
    """The page as texts for its template."""
    names = (
        word("one-practice", language) if len(sites) == 1 else word("many-practices", language, len(sites))
    )
    made = {
        "headline": names,
        "practices": [_practice(name, report, number) for number, (name, report) in enumerate(sites, 1)],
        "to_fix": _to_fix(sites, language),
        "heads": [{"tone": one.value, "word": word(f"tiles-{one.value}", language)} for one in _SHOWN],
        "words": {name: word(name, language) for name in _WORDS},
    }
    return {**typeset_all(made, language), "language": language.value}


def _practice(name: str, report: Report, number: int) -> dict[str, Any]:
    counts = Counter(one.severity for one in open_doors(report))
    return {
        "name": name,
        "anchor": f"p{number}",
        "made": moment(report.made_at, report.language),
        "headline": headline(report),
        "counts": [_count(severity.value, counts.get(severity, 0), report.language) for severity in _SHOWN]
        + [_count("untested", len(report.untested), report.language)],
        "tiles": tiles(report),
        "changes": changes(report),
        "change": _change(report),
        "doors": [
            {
                "tone": one.severity.value,
                "severity": word(one.severity.value, report.language),
                "check": one.check,
                "title": ended(one.title),
                "place": place(one.target, report.language, one.check),
                "fix": ended(one.fix),
            }
            for one in open_doors(report)
        ],
        "untested": untested(report),
        "muted": sum(one.muted is not None for one in report.findings),
    }


def _count(name: str, count: int, language: Language) -> dict[str, Any]:
    tile = word(f"{'tile' if count == 1 else 'tiles'}-{name}", language)
    return {"tone": name, "count": count, "word": tile}


def _change(report: Report) -> str:
    language = report.language
    if report.baseline is None:
        return word("first-visit", language)
    parts = [
        word(f"{'one' if len(rows) == 1 else 'many'}-{name}-since", language, len(rows))
        for name, rows in (("opened", report.opened), ("closed", report.closed))
        if rows
    ]
    return ", ".join(parts) or word("no-change", language)


def _to_fix(sites: Sequence[tuple[str, Report]], language: Language) -> list[dict[str, Any]]:
    """Each repair once, with the practices that need it; worst first."""
    needs: dict[tuple[str, str], tuple[Finding, dict[str, None]]] = {}
    for name, report in sites:
        for one in open_doors(report):
            worst, names = needs.get((one.check, one.fix), (one, {}))
            names[name] = None
            needs[one.check, one.fix] = (min(worst, one, key=lambda each: each.severity.rank), names)
    rows = sorted(needs.values(), key=lambda row: (row[0].severity.rank, -len(row[1]), row[0].check))
    return [
        {
            "check": one.check,
            "tone": one.severity.value,
            "severity": word(one.severity.value, language),
            "title": ended(one.title),
            "fix": ended(one.fix),
            "names": list(names),
        }
        for one, names in rows
    ]
