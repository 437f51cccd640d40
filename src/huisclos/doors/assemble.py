"""From what was seen to the report: one finding a check and target, the strongest verdict, worst first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import msgspec

from huisclos import __version__
from huisclos.doors.box.guides import advice
from huisclos.doors.box.sentence import sentence
from huisclos.doors.catalogue import Check, catalogue
from huisclos.doors.facts import counted, said
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rules import RULES, Judgement, judge
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.evidence import Fact, Key
from huisclos.findings.frameworks import cited
from huisclos.findings.nouns import (
    Attempt,
    Cited,
    Finding,
    Language,
    Mute,
    Outcome,
    Reach,
    Severity,
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

    def take(self, seen: Iterable[Seen], at: datetime) -> Iterator[Finding]:
        """Judge what was seen; the doors that this opened, put into words for whoever asks."""
        opened = []
        seen, moment = [_as_text(one) for one in seen], at.isoformat(timespec="seconds")
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
                self._best[key] = judgement, moment
                opened.append(key)
        for miss in seen:
            if isinstance(miss, Miss):
                for check in miss.checks:
                    if self.only is not None and check not in self.only and check != "*":
                        continue
                    told = Attempt(
                        check=check, target=miss.target, outcome=miss.outcome, reason=miss.reason,
                        evidence=miss.facts,
                    )  # fmt: skip
                    if miss.outcome is Outcome.CLOSED:
                        self._attempts.setdefault((check, miss.target), told)
                    else:
                        self._attempts[check, miss.target] = told
        return (self._finding(key, "", self._tell(key)) for key in dict.fromkeys(opened))

    def widen(self, targets: Container[str]) -> None:
        """What the network reaches at `targets` is reached from the Internet too: a box passes it on."""
        for key, (judgement, at) in self._best.items():
            seen = judgement.observation
            if key[1] in targets and seen.reach is Reach.LAN:
                self._best[key] = judgement._replace(observation=replace(seen, reach=Reach.INTERNET)), at

    def report(self, baseline: bytes | None = None) -> Report:
        """The report, with what changed since `baseline`."""
        all_told = {key: self._tell(key) for key in self._best}
        keys = sorted(all_told)
        keys.sort(key=lambda key: all_told[key].rank)
        findings = tuple(
            self._finding(key, f"F{number}", all_told[key]) for number, key in enumerate(keys, 1)
        )
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

    def _tell(self, key: tuple[str, str]) -> _Told:
        seen = self._best[key][0].observation
        return _told(key[0], seen.what, seen.reach, seen.facts, self.language)

    def _finding(self, key: tuple[str, str], number: str, told: _Told) -> Finding:
        judgement, at = self._best[key]
        seen = judgement.observation
        return Finding(
            id=number,
            check=key[0],
            target=seen.target,
            verdict=judgement.verdict,
            severity=told.severity,
            reach=seen.reach,
            title=told.title,
            is_=told.is_,
            should_be=told.should_be,
            fix=told.fix,
            frameworks=told.frameworks,
            evidence=seen.facts[:MAX_FACTS],
            seen_at=at,
            muted=muted_by(self.mutes, key[0], seen.target, self.at.date()) if self.mutes else None,
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """What a finding says that depends on the facts, and not on whose they are."""

    severity: Severity
    rank: int
    """of the severity: 0 for the worst"""
    title: str
    is_: str
    should_be: str
    fix: str
    frameworks: tuple[Cited, ...]


@lru_cache(maxsize=4096)
def _told(number: str, what: What, reach: Reach, found: tuple[Fact, ...], language: Language) -> _Told:
    check, seen = catalogue()[number], Observation(what, "", reach, found)
    title, severity = check.title.in_(language), _severity(check, seen)
    return _Told(
        severity=severity,
        rank=severity.rank,
        title=title,
        is_=_is(title, seen, language),
        should_be=check.should.in_(language),
        fix=advice(check, str(seen.get(Key.PRODUCT) or ""), language),
        frameworks=cited(check.id, check.areas, language),
    )


def _severity(check: Check, seen: Observation) -> Severity:
    """The catalogue's for where it can be reached; one milder for what is configured and has no effect."""
    severity = severity_at(check.severity, seen.reach)
    return severity.shifted(-1) if seen.get(Key.EFFECTIVE) is False else severity


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
    if seen.what is What.BOX:
        return sentence(seen, language) or title
    images, persons = seen.number(Key.IMAGES), seen.number(Key.PERSONS)
    if seen.what is What.FILES and images > 0:
        years = sorted({seen.number(Key.YEAR_FROM), seen.number(Key.YEAR_TO)} - {-1})
        of = {Language.EN: " of ", Language.FR: " de "}[language]
        people = of + counted(persons, "person", "persons", language) if persons > 0 else ""
        span = f", {'-'.join(str(year) for year in years)}" if years else ""
        clear = {Language.EN: ", in clear", Language.FR: ", en clair"}[language]
        return f"{counted(images, 'image', 'images', language)}{people}{span}{clear}"
    shown = ", ".join(said(seen.facts[:MAX_FACTS], language))
    return f"{title} ({shown})" if shown else title


def shown_fact(one: Fact) -> str:
    """A fact for a person: `port 4242`, `status 0x0000`."""
    if one.key is Key.STATUS and isinstance(one.value, int):
        return f"status {one.value:#06x}"
    if isinstance(one.value, bool):
        return f"{one.key} {'yes' if one.value else 'no'}"
    return f"{one.key} {one.value}"


def _as_text(one: Seen) -> Seen:
    """With a target that can be written down: the name of a path may hold bytes that are no text."""
    if one.target.isascii():
        return one
    return replace(one, target=one.target.encode("utf-8", "backslashreplace").decode())


def _few(judgement: Judgement) -> tuple[Fact, ...]:
    return judgement.observation.facts[:MAX_FACTS]
