"""What every face of a report shows, in the report's own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from huisclos.doors.assemble import shown_fact
from huisclos.doors.catalogue import catalogue
from huisclos.doors.reports.words import word
from huisclos.findings.nouns import Attempt, Finding, Outcome
from huisclos.findings.report import Report


def view(report: Report) -> dict[str, Any]:
    """The report as plain texts for a template."""
    say = _say(report)
    open_ = [one for one in report.findings if one.muted is None]
    untested = [{"word": say("untested"), "severity": "info", "count": len(report.untested)}]
    return {
        "language": report.language.value,
        "title": word("title", report.language),
        "site": report.site or "",
        "made": _moment(report.made_at),
        "generator": report.generator,
        "rules": report.rules,
        "counts": [
            {"word": say(name), "severity": name, "count": count}
            for name, count in sorted(
                Counter(one.severity.value for one in open_).items(), key=lambda item: _rank(item[0])
            )
        ]
        + (untested if report.untested else []),
        "rights": [_right(report, number) for number in range(len(report.consents))] or [say("own")],
        "findings": [_finding(one, say) for one in open_],
        "muted": [_muted(one, say) for one in report.findings if one.muted is not None],
        "untested": [_attempt(one, say, report) for one in report.attempts if one.outcome is Outcome.FAILED],
        "closed": [_attempt(one, say, report) for one in report.attempts if one.outcome is Outcome.CLOSED],
        "opened_since": [f"{one.check} {one.target}" for one in report.opened],
        "closed_since": [f"{one.check} {one.target}" for one in report.closed],
        "words": {name: say(name) for name in _CHROME},
    }


_CHROME = (
    "none", "open", "untested", "untested-why", "muted", "closed", "opened-since", "closed-since",
    "fix", "proof", "should", "texts", "annex", "check", "target", "severity", "verdict", "reach",
    "evidence", "reason", "seen", "made", "right", "kept", "not-advice", "doors-open",
)  # fmt: skip


def _say(report: Report) -> Callable[[str], str]:
    return lambda name: word(name, report.language)


def _rank(severity: str) -> int:
    return ("critical", "high", "medium", "low", "info").index(severity)


def _moment(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")


def _right(report: Report, number: int) -> str:
    one = report.consents[number]
    until = f", {word('until', report.language)} {_moment(one.until)}" if one.until else ""
    return f"{word(one.kind, report.language)} {one.by} ({_moment(one.at)}{until})"


def _finding(one: Finding, say: Callable[[str], str]) -> dict[str, Any]:
    since = f", {say('since')} {_moment(one.since)}" if one.since and one.since != one.seen_at else ""
    return {
        "id": one.id,
        "check": one.check,
        "target": one.target,
        "severity": one.severity.value,
        "severity_word": say(one.severity.value),
        "verdict": say(one.verdict.value),
        "reach": say(one.reach.value),
        "title": one.title if one.is_.startswith(one.title) else f"{one.title}: {one.is_}",
        "should": one.should_be,
        "fix": one.fix,
        "seen": _moment(one.seen_at) + since,
        "evidence": ", ".join(shown_fact(fact) for fact in one.evidence),
        "texts": [
            f"{cited.framework} {cited.edition}: {cited.item}"
            + (f", {cited.name}" if cited.name and cited.name != cited.item else "")
            for cited in one.frameworks
        ],
    }


def _muted(one: Finding, say: Callable[[str], str]) -> dict[str, Any]:
    assert one.muted is not None  # noqa: S101 - asked for above
    mute = one.muted
    return _finding(one, say) | {"mute": f"{mute.reason} ({mute.author}, {say('until')} {mute.until})"}


def _attempt(one: Attempt, say: Callable[[str], str], report: Report) -> dict[str, Any]:
    check = catalogue().get(one.check)
    return {
        "check": one.check,
        "target": one.target,
        "title": check.should.in_(report.language) if check is not None else say("everything"),
        "question": check.test.in_(report.language) if check is not None else say("everything"),
        "reason": say(one.reason.value) if one.reason is not None else "",
        "evidence": ", ".join(shown_fact(fact) for fact in one.evidence),
    }
