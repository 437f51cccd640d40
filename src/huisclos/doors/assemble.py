"""From what was seen to the report: one finding a check and target, the strongest verdict, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from huisclos import __version__
from huisclos.doors.catalogue import catalogue
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rules import RULES, Judgement, judge
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.evidence import Fact, Key
from huisclos.findings.frameworks import cited
from huisclos.findings.nouns import (
    Attempt,
    Finding,
    Language,
    Mute,
    Outcome,
    severity_at,
)
from huisclos.findings.report import Change, Consent, Report, decode, digest

MAX_FACTS: Final = 24
"""facts of one finding; a target does not fill a report"""


@dataclass(slots=True)
class Audit:
    """What one run gathers; `report` closes it."""

    command: str
    language: Language
    at: datetime
    site: str | None = None
    consents: tuple[Consent, ...] = ()
    mutes: tuple[Mute, ...] = ()
    only: frozenset[str] | None = None
    """the checks that were asked for; None: all"""
    record: str | None = None
    """the head of the packet record, when one is kept"""
    _best: dict[tuple[str, str], tuple[Judgement, str]] = field(default_factory=dict)
    _attempts: dict[tuple[str, str], Attempt] = field(default_factory=dict)

    def take(self, seen: Iterable[Seen], at: datetime) -> list[Finding]:
        """Judge what was seen; the doors that this opened."""
        opened = []
        seen = list(seen)
        for judgement in judge(one for one in seen if isinstance(one, Observation)):
            key = judgement.check, judgement.observation.target
            if self.only is not None and judgement.check not in self.only:
                continue
            if not judgement.open:
                self._attempts.setdefault(
                    key,
                    Attempt(check=key[0], target=key[1], outcome=Outcome.CLOSED, evidence=_few(judgement)),
                )
                continue
            known = self._best.get(key)
            if known is None or judgement.verdict.rank < known[0].verdict.rank:
                self._best[key] = judgement, at.isoformat(timespec="seconds")
                opened.append(key)
        for miss in seen:
            if isinstance(miss, Miss):
                for check in miss.checks:
                    self._attempts[check, miss.target] = Attempt(
                        check=check, target=miss.target, outcome=miss.outcome, reason=miss.reason,
                        evidence=miss.facts,
                    )  # fmt: skip
        return [self._finding(key, "") for key in dict.fromkeys(opened)]

    def report(self, baseline: bytes | None = None) -> Report:
        """The report, with what changed since `baseline`."""
        keys = sorted(self._best, key=lambda key: (self._severity(key), key))
        findings = tuple(self._finding(key, f"F{number}") for number, key in enumerate(keys, 1))
        opened_attempts = (
            Attempt(check=one.check, target=one.target, outcome=Outcome.OPEN, evidence=one.evidence)
            for one in findings
        )
        others = (one for key, one in sorted(self._attempts.items()) if key not in self._best)
        report = Report(
            generator=f"huisclos {__version__}",
            rules=RULES,
            made_at=self.at.isoformat(timespec="seconds"),
            command=self.command,
            language=self.language,
            site=self.site,
            consents=self.consents,
            findings=findings,
            attempts=(*opened_attempts, *others),
            record=self.record,
        )
        return report if baseline is None else compared(report, baseline)

    def _severity(self, key: tuple[str, str]) -> int:
        return severity_at(catalogue()[key[0]].severity, self._best[key][0].observation.reach).rank

    def _finding(self, key: tuple[str, str], number: str) -> Finding:
        judgement, at = self._best[key]
        check = catalogue()[judgement.check]
        seen = judgement.observation
        return Finding(
            id=number,
            check=check.id,
            target=seen.target,
            verdict=judgement.verdict,
            severity=severity_at(check.severity, seen.reach),
            reach=seen.reach,
            title=check.title.in_(self.language),
            is_=_is(check.title.in_(self.language), seen, self.language),
            should_be=check.should.in_(self.language),
            fix=check.fix.in_(self.language),
            frameworks=cited(check.id, check.areas, self.language),
            evidence=_few(judgement),
            seen_at=at,
            muted=muted_by(self.mutes, check.id, seen.target, self.at.date()),
        )


def compared(report: Report, baseline: bytes) -> Report:
    """`report` with what changed since; a door not tested now has not closed. Raises `Unreadable`."""
    before = {(one.check, one.target): one for one in decode(baseline).findings}
    now = {(one.check, one.target) for one in report.findings}
    closed_now = {(one.check, one.target) for one in report.attempts if one.outcome is Outcome.CLOSED}
    findings = tuple(
        msgspec.structs.replace(one, since=_since(before.get((one.check, one.target)), one))
        for one in report.findings
    )
    return msgspec.structs.replace(
        report,
        findings=findings,
        baseline=digest(baseline),
        opened=tuple(Change(*key) for key in sorted(now - set(before))),
        closed=tuple(Change(*key) for key in sorted((set(before) - now) & closed_now)),
    )


def _since(before: Finding | None, one: Finding) -> str:
    return (before.since or before.seen_at) if before is not None else one.seen_at


class _Mutes(msgspec.Struct, forbid_unknown_fields=True):
    mute: tuple[Mute, ...] = ()


def read_mutes(raw: str) -> tuple[Mute, ...]:
    """The `[[mute]]` tables of a TOML file. Raises `Unreadable`, `BadSetting`."""
    try:
        mutes = msgspec.toml.decode(raw, type=_Mutes).mute
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable(
            "this is not a file of mutes",
            hint="each [[mute]] has check, target, reason, author and until",
        ) from None
    for one in mutes:
        try:
            date.fromisoformat(one.until)
        except ValueError:
            raise BadSetting("a mute's until is a day, written YYYY-MM-DD") from None
        if not one.reason.strip() or not one.author.strip():
            raise BadSetting("a mute needs a reason and an author")
    return mutes


def muted_by(mutes: Sequence[Mute], check: str, target: str, today: date) -> Mute | None:
    """The mute that covers a finding today."""
    for one in mutes:
        covers = fnmatchcase(check, one.check) and fnmatchcase(target, one.target)
        if covers and today <= date.fromisoformat(one.until):
            return one
    return None


def _is(title: str, seen: Observation, language: Language) -> str:
    images, persons = seen.number(Key.IMAGES), seen.number(Key.PERSONS)
    if seen.what is What.FILES and images > 0:
        years = sorted({seen.number(Key.YEAR_FROM), seen.number(Key.YEAR_TO)} - {-1})
        span = f", {'-'.join(str(year) for year in years)}" if years else ""
        whose = (
            (" of ", " persons", ", in clear")
            if language is Language.EN
            else (" de ", " personnes", ", en clair")
        )
        people = f"{whose[0]}{persons:,}{whose[1]}" if persons > 0 else ""
        return f"{images:,} images{people}{span}{whose[2]}"
    shown = ", ".join(shown_fact(one) for one in seen.facts[:MAX_FACTS] if one.key is not Key.PLACE)
    return f"{title} ({shown})" if shown else title


def shown_fact(one: Fact) -> str:
    """A fact for a person: `port 4242`, `status 0x0000`."""
    if one.key is Key.STATUS and isinstance(one.value, int):
        return f"status {one.value:#06x}"
    if isinstance(one.value, bool):
        return f"{one.key} {'yes' if one.value else 'no'}"
    return f"{one.key} {one.value}"


def _few(judgement: Judgement) -> tuple[Fact, ...]:
    return judgement.observation.facts[:MAX_FACTS]
