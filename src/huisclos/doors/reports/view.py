"""What every face of a report shows, in the report's own words, set in type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from huisclos.doors.catalogue import catalogue
from huisclos.doors.facts import codes, place, said
from huisclos.doors.reports.typeset import day, ended, moment, typeset_all
from huisclos.doors.reports.words import why_unknown, word
from huisclos.doors.system import HERE
from huisclos.findings.evidence import Fact, Key
from huisclos.findings.frameworks import shown
from huisclos.findings.nouns import (
    SEVERITIES,
    Attempt,
    Finding,
    Language,
    Outcome,
    Reach,
    Severity,
    Verdict,
)
from huisclos.findings.report import Change, Report, digest, encode

RESCUED: Final = ("RST-001", "RST-002", "RST-003", "RST-004", "RST-013", "RST-014")
"""findings on images that an archive can take in"""
_REACHED: Final = ("DCM", "WEB", "BOX")
"""families of doors that somebody walks up to over a network"""
_INSTALLED: Final = ("package ", "application ")
"""what lies on the disk: from where it is reached is said of what listens"""
_ALL: Final = "*"
_LAW: Final = {"GDPR": 0, "CNIL, guide de la sécurité des données personnelles": 1}
"""what the law says comes first, then the authority's guide, then the standards"""

Say = Callable[..., str]


def view(report: Report) -> dict[str, Any]:
    """The report as texts for a template."""
    language, say = report.language, _say(report.language)
    doors = open_doors(report)
    notes = [one for one in report.findings if one.severity is Severity.INFO and one.muted is None]
    muted = [one for one in report.findings if one.muted is not None]
    made = {
        "title": word("heading", language, report.site) if report.site else word("title", language),
        "made": moment(report.made_at, language, zone=True),
        "rights": _listed([_right(report, number) for number in range(len(report.consents))], language)
        or say("own"),
        "headline": headline(report),
        "tiles": tiles(report),
        "changes": changes(report),
        "doors": _grouped(doors, report, say),
        "notes": _grouped(notes, report, say),
        "untested": untested(report),
        "muted": [_muted(one, say, language) for one in muted],
        "annex": _annexed((*doors, *notes, *muted), report, say),
        "closed": _closed(report),
        "made_by": say("made-by", report.generator, report.rules),
        "words": {name: say(name) for name in _CHROME},
    }
    names = {"language": language.value, "reference": digest(encode(report)), "record": report.record or ""}
    return {**typeset_all(made, language), **names}


_CHROME: Final = (
    "open", "notes", "untested", "untested-why", "unknown", "muted", "muted-why", "closed", "opened-since",
    "closed-since", "unchanged", "fix", "should", "texts", "annex", "target", "verdict", "evidence",
    "right", "made", "kept", "more", "not-advice", "refer", "record-kept", "rescue", "tested-by", "codes",
)  # fmt: skip


def open_doors(report: Report) -> list[Finding]:
    """The findings that count: neither muted nor for information."""
    return [one for one in report.findings if one.muted is None and one.severity is not Severity.INFO]


def headline(report: Report) -> str:
    """One or two sentences: how many doors are open, and how much nobody knows."""
    say, doors, untested_ = _say(report.language), open_doors(report), len(report.untested)
    closed = any(one.outcome is Outcome.CLOSED for one in report.attempts)
    if not doors and untested_ and not closed and not report.findings:
        return say("nothing")
    critical = sum(one.severity is Severity.CRITICAL for one in doors)
    muted = sum(one.muted is not None and one.severity is not Severity.INFO for one in report.findings)
    if muted and not doors:
        said_ = [say("one-only-muted") if muted == 1 else say("many-only-muted", muted)]
    else:
        said_ = [_opened(len(doors), critical, say)]
    if untested_:
        said_.append(say("one-untested") if untested_ == 1 else say("many-untested", untested_))
    return " ".join(said_)


def _opened(doors: int, critical: int, say: Say) -> str:
    if doors <= 1:
        return say("none" if not doors else "is-critical" if critical else "one-open")
    if critical:
        return say("one-critical", doors) if critical == 1 else say("many-critical", doors, critical)
    return say("many-open", doors)


def tiles(report: Report) -> list[dict[str, Any]]:
    """The figures at the top; what could not be tested stands beside what is open."""
    say, counted = _say(report.language), Counter(one.severity for one in open_doors(report))
    closed = sum(one.outcome is Outcome.CLOSED for one in report.attempts)
    muted = sum(one.muted is not None for one in report.findings)
    rows = [(one.value, counted[one], "open") for one in SEVERITIES if counted[one]]
    rows += [("untested", len(report.untested), "untested")] if report.untested else []
    rows += [("muted", muted, "muted")] if muted else []
    rows += [("closed", closed, "closed")] if closed else []
    return [
        {
            "tone": name,
            "anchor": anchor,
            "count": str(count),
            "word": say(f"{'tile' if count == 1 else 'tiles'}-{name}"),
        }
        for name, count, anchor in rows
    ]


def changes(report: Report) -> dict[str, Any] | None:
    """What opened and what closed since the baseline; None without one."""
    if report.baseline is None:
        return None
    return {
        "opened": [_changed(one, report.language) for one in report.opened],
        "closed": [_changed(one, report.language) for one in report.closed],
    }


def _changed(one: Change, language: Language) -> dict[str, str]:
    check = catalogue().get(one.check)
    title = check.title.in_(language) if check is not None else one.check
    return {"check": one.check, "title": ended(title), "place": place(one.target, language, one.check)}


def _say(language: Language) -> Say:
    return lambda name, *inner: word(name, language, *inner)


def _right(report: Report, number: int) -> str:
    one, language = report.consents[number], report.language
    until = f", {word('until', language)} {_last(one.until, language)}" if one.until else ""
    signed = ""
    if one.signer:
        signed = f"; {word('vouched' if one.vouched else 'not-vouched', language, one.signer)}"
    return f"{word(one.kind, language)} {one.by} ({moment(one.at, language)}{until}{signed})"


def _last(until: str, language: Language) -> str:
    """The end of a right; one that ends with a day is said by that day."""
    last = datetime.fromisoformat(until) - timedelta(seconds=1)
    whole = (last.hour, last.minute, last.second) == (23, 59, 59)
    return day(last.date().isoformat(), language) if whole else moment(until, language)


def _grouped(found: Iterable[Finding], report: Report, say: Say) -> list[dict[str, Any]]:
    """Doors that are closed in the same way, once, with each of their places."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in found:
        group = groups.setdefault(
            (one.check, one.severity.value, one.fix),
            {
                "check": one.check,
                "tone": one.severity.value,
                "severity": say(one.severity.value),
                "title": ended(one.title),
                "fix": ended(one.fix),
                "places": [],
            },
        )
        group["places"].append(_placed(one, report, say))
    return list(groups.values())


def _placed(one: Finding, report: Report, say: Say) -> dict[str, str]:
    language = report.language
    proof = say(f"at-{one.verdict.value}", moment(one.seen_at, language))
    facts = ", ".join(said(_telling(one), language))
    detail = "" if one.is_.startswith(one.title) else one.is_
    if facts and not detail:
        proof = f"{proof}{':' if language is Language.EN else ' :'} {facts}"
    since = _older(one)
    known = f" ({say('known-since', moment(since, language))})" if since else ""
    by_network = one.check.startswith(_REACHED) or one.reach is Reach.INTERNET
    installed = one.target.startswith(_INSTALLED)
    return {
        "id": one.id,
        "place": _capital(place(one.target, language, one.check), one.target),
        "detail": ended(detail[:1].upper() + detail[1:]) if detail else "",
        "proof": ended(proof + known),
        "reach": say(f"from-{one.reach.value}") if by_network and not installed else "",
    }


def _capital(where: str, target: str) -> str:
    """At the beginning of a line; a host or a path stays as it is."""
    return where if where == target and target != HERE else where[:1].upper() + where[1:]


def _telling(one: Finding) -> list[Fact]:
    """The facts that prove this door: what is known of a version proves nothing but its faults."""
    known = (Key.CVE, Key.RULE) + ((Key.COUNT,) if any(fact.key is Key.CVE for fact in one.evidence) else ())
    return [fact for fact in one.evidence if one.verdict is Verdict.INFERRED or fact.key not in known]


def _older(one: Finding) -> str:
    """Since when it is known, if that is another day."""
    return one.since if one.since is not None and one.since[:10] != one.seen_at[:10] else ""


def untested(report: Report) -> list[dict[str, Any]]:
    """What nobody knows, by place and reason."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for one in report.untested:
        reason = why_unknown(one.check, one.target, one.reason, report.language)
        where = "" if one.target == _ALL else place(one.target, report.language, one.check)
        where = _capital(where, one.target)
        group = groups.setdefault(
            (where, reason), {"place": where, "reason": ended(reason[:1].upper() + reason[1:]), "asked": []}
        )
        group["asked"].append({"check": "" if one.check == _ALL else one.check, "text": _asked(one, report)})
    return _together(groups.values(), report.language)


def _together(groups: Iterable[dict[str, Any]], language: Language) -> list[dict[str, Any]]:
    """Places of which the same is not known for the same reason, once."""
    made: dict[tuple[str, ...], dict[str, Any]] = {}
    for group in groups:
        what = (group["reason"], *(asked["text"] for asked in group["asked"]))
        known = made.setdefault(what, {**group, "question": _question(group["asked"], language)})
        if known["place"] != group["place"]:
            known["place"] += f", {group['place']}"
    return list(made.values())


def _question(asked: list[dict[str, str]], language: Language) -> str:
    """What nobody knows, where it is one thing."""
    if len(asked) != 1 or not asked[0]["check"]:
        return ""
    return asked[0]["text"].removesuffix(".") + (" ?" if language is Language.FR else "?")


def _asked(one: Attempt, report: Report) -> str:
    check = catalogue().get(one.check)
    return ended(check.should.in_(report.language) if check else word("everything", report.language))


def _muted(one: Finding, say: Say, language: Language) -> dict[str, str]:
    assert one.muted is not None  # noqa: S101 - asked for above
    mute = one.muted
    return {
        "id": one.id,
        "check": one.check,
        "tone": one.severity.value,
        "severity": say(one.severity.value),
        "title": ended(one.title),
        "place": place(one.target, language, one.check),
        "reason": ended(mute.reason),
        "decided": ended(say("decided", mute.author, day(mute.until, language))),
    }


def _annexed(found: Iterable[Finding], report: Report, say: Say) -> list[dict[str, Any]]:
    """For the technician: each check once, what it cites, and the evidence of each place."""
    groups: dict[str, dict[str, Any]] = {}
    for one in found:
        group = groups.setdefault(one.check, _checked(one, report.language))
        rescue = f"huisclos doors rescue REPORT.json#{one.id} --into ARCHIVE" if one.check in RESCUED else ""
        group["places"].append(
            {
                "id": one.id,
                "place": place(one.target, report.language, one.check),
                "verdict": ended(say(f"at-{one.verdict.value}", moment(one.seen_at, report.language))),
                "codes": codes(one.evidence),
                "rescue": rescue,
            }
        )
    return list(groups.values())


def _checked(one: Finding, language: Language) -> dict[str, Any]:
    check = catalogue().get(one.check)
    cited: dict[str, list[str]] = {}
    for text in sorted(one.frameworks, key=lambda text: _LAW.get(text.framework, len(_LAW))):
        name = "" if text.name in ("", text.item) else f" ({text.name})"
        item = text.name if text.item == "whole" else f"{text.item}{name}"
        cited.setdefault(shown(text.framework, language), []).append(item)
    return {
        "check": one.check,
        "title": ended(one.title),
        "should": ended(one.should_be),
        "tested": ended(check.test.in_(language)) if check is not None else "",
        "texts": [{"framework": name, "items": _listed(items, language)} for name, items in cited.items()],
        "places": [],
    }


def _listed(items: list[str], language: Language) -> str:
    return (" ; " if language is Language.FR else "; ").join(items)


def _closed(report: Report) -> list[dict[str, Any]]:
    """What was answered and is closed, by place."""
    groups: dict[str, list[dict[str, str]]] = {}
    for one in report.attempts:
        check = catalogue().get(one.check)
        if one.outcome is Outcome.CLOSED and check is not None:
            where = place(one.target, report.language, one.check)
            groups.setdefault(where, []).append(
                {"check": one.check, "text": check.should.in_(report.language)}
            )
    return [
        {"place": where[:1].upper() + where[1:], "checks": made} for where, made in sorted(groups.items())
    ]
