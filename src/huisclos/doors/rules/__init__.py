"""The rules: which observation opens which door. Pure: observations in, judgements out.

A rule is a row: the observation it reads, the check it answers, the verdict it can give, and when the door
stands open. Judgement can change without asking again; `RULES` says which rules judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from huisclos.doors.observation import Observation, What
from huisclos.doors.rules.box import BOX, OUTSIDE
from huisclos.doors.rules.machine import CONFIG, LOGS, MACHINE, PORTS, REST
from huisclos.doors.rules.rule import Rule
from huisclos.doors.rules.servers import DICOM, WEB
from huisclos.findings.evidence import Fact
from huisclos.findings.nouns import Reach, Verdict

RULES: Final = 2
"""Version of this table; it goes up when a verdict can change."""
ALL: Final = MACHINE + BOX + OUTSIDE + PORTS + LOGS + CONFIG + DICOM + REST + WEB


class Judgement(NamedTuple):
    """A rule's word on an observation."""

    check: str
    verdict: Verdict
    open: bool
    observation: Observation


def judge(observations: Iterable[Observation]) -> list[Judgement]:
    """Each rule's word on each observation it reads."""
    return [
        Judgement(*word, seen) for seen in observations for word in _words(seen.what, seen.reach, seen.facts)
    ]


@lru_cache(maxsize=4096)
def _words(what: What, reach: Reach, found: tuple[Fact, ...]) -> tuple[tuple[str, Verdict, bool], ...]:
    """The rules' words on what was seen, wherever it was: a rule never reads a target's name."""
    seen = Observation(what, "", reach, found)
    rules = (rule for rule in _ROWS[what] if rule.reads(seen))
    return tuple((rule.check, rule.verdict, rule.is_open(seen)) for rule in rules)


def _by_what(table: tuple[Rule, ...]) -> dict[What, tuple[Rule, ...]]:
    """The rows that read each kind of observation: most of a table never reads a given one."""
    return {what: tuple(rule for rule in table if rule.what is what) for what in What}


_ROWS: Final = _by_what(ALL)
