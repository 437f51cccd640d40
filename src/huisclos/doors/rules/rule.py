"""What a rule is, and the questions that several tables ask of an observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from huisclos.doors.observation import Observation, What
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    what: What
    check: str
    verdict: Verdict
    is_open: Callable[[Observation], bool]
    reads: Callable[[Observation], bool] = lambda _: True


def says(key: Key, name: str) -> Callable[[Observation], bool]:
    """Whether an observation's `key` is `name`."""
    return lambda seen: seen.get(key) == name


def stands_open(seen: Observation) -> bool:
    """Whether what was seen is called open."""
    return seen.get(Key.VALUE) == "open"


def counted(seen: Observation) -> bool:
    """Whether anything was counted."""
    return seen.number(Key.CONTEXTS) > 0 or seen.number(Key.COUNT) > 0


def known_fault(seen: Observation) -> bool:
    """Whether the version that was seen has a public fault."""
    return seen.get(Key.CVE) is not None


def plain(seen: Observation) -> bool:
    """Whether it was spoken to in clear."""
    return seen.get(Key.TRANSPORT) == "plain"
