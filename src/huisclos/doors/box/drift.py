"""Drift (BOX-021): a door of the box that the last report knew to be closed, or a port it did not have."""

from __future__ import annotations

from collections.abc import Iterable

from huisclos.doors.observation import Observation, What
from huisclos.findings.evidence import Fact, Key, facts
from huisclos.findings.nouns import Finding, Outcome, Reach
from huisclos.findings.report import Report

OWN = "BOX-021"


def drift(before: Report, now: Report) -> list[Observation]:
    """One observation for each box that both reports looked at: its new doors, by their ports."""
    known = {(one.check, one.target): one for one in before.findings}
    closed = {(one.check, one.target) for one in before.attempts if one.outcome is Outcome.CLOSED}
    seen = []
    for target in _targets(before) & _targets(now):
        new, reach = [], Reach.LAN
        for one in now.findings:
            if one.target != target or not _is_box(one.check):
                continue
            key = one.check, one.target
            ports = _ports(one.evidence) - (_ports(known[key].evidence) if key in known else set())
            # What nobody could test last time is not known to be new.
            if key in closed or (key in known and ports):
                new.append((one, sorted(ports)))
                reach = Reach.INTERNET if one.reach is Reach.INTERNET else reach
        found = facts(class_="drift", product=_product(now, target), value="open" if new else "closed")
        if new:
            found += facts(count=len(new))
            found += tuple(Fact(Key.PORT, port) for _, ports in new for port in ports)
        seen.append(Observation(What.BOX, target, reach, found))
    return sorted(seen, key=lambda one: one.target)


def _targets(report: Report) -> set[str]:
    return {
        one.target
        for one in report.attempts
        if _is_box(one.check) and one.outcome in (Outcome.OPEN, Outcome.CLOSED)
    }


def _is_box(check: str) -> bool:
    return check.startswith("BOX-") and check != OWN


def _ports(evidence: Iterable[Fact]) -> set[int]:
    return {one.value for one in evidence if one.key is Key.PORT and isinstance(one.value, int)}


def _product(report: Report, target: str) -> str | None:
    return next((_named(one) for one in report.findings if one.target == target and _named(one)), None)


def _named(one: Finding) -> str | None:
    return next((str(fact.value) for fact in one.evidence if fact.key is Key.PRODUCT), None)
