"""The rules: which observation opens which door. Pure: observations in, judgements out.

A rule is a row: the observation it reads, the check it answers, the verdict it can give, and when the door
stands open. Judgement can change without asking again; `RULES` says which rules judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from huisclos.doors.observation import Observation, What
from huisclos.doors.rules.box import BOX, OUTSIDE
from huisclos.doors.rules.machine import CONFIG, LOGS, MACHINE, PORTS, REST
from huisclos.doors.rules.rule import Rule
from huisclos.doors.rules.servers import DICOM, WEB
from huisclos.findings.nouns import Verdict

RULES: Final = 1
"""Version of this table; it goes up when a verdict can change."""
ALL: Final = MACHINE + BOX + OUTSIDE + PORTS + LOGS + CONFIG + DICOM + REST + WEB


@dataclass(frozen=True, slots=True)
class Judgement:
    """A rule's word on an observation."""

    check: str
    verdict: Verdict
    open: bool
    observation: Observation


def judge(observations: Iterable[Observation], table: Iterable[Rule] | None = None) -> list[Judgement]:
    """Each rule's word on each observation it reads."""
    rows = _ROWS if table is None else _by_what(tuple(table))
    return [
        Judgement(rule.check, rule.verdict, rule.is_open(seen), seen)
        for seen in observations
        for rule in rows.get(seen.what, ())
        if rule.reads(seen)
    ]


def _by_what(table: tuple[Rule, ...]) -> dict[What, tuple[Rule, ...]]:
    """The rows that read each kind of observation: most of a table never reads a given one."""
    return {what: tuple(rule for rule in table if rule.what is what) for what in What}


_ROWS: Final = _by_what(ALL)
