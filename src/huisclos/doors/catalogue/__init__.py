"""The catalogue of checks: one table row each, its texts in both languages (`*.toml` beside this file)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from huisclos.findings.nouns import Language, Severity

On = Literal["real", "recorded", "untried"]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text in each language."""

    en: str
    fr: str

    def in_(self, language: Language) -> str:
        """The text in `language`."""
        return self.fr if language is Language.FR else self.en


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row: what door it is, how it is tested, and how it is closed."""

    id: str
    severity: Severity
    """for a door that a LAN can reach"""
    areas: tuple[str, ...]
    title: Words
    """one sentence, for the person whose door it is"""
    should: Words
    fix: Words
    test: Words
    on: On = "real"
    """real: tested on the real thing; recorded: on answers recorded or emulated from its documents;
    untried: on nothing yet"""

    @property
    def family(self) -> str:
        """`DCM` of `DCM-006`."""
        return self.id.partition("-")[0]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    check: tuple[Check, ...]


@cache
def catalogue() -> dict[str, Check]:
    """Every check by its id, in order."""
    rows: dict[str, Check] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            table = msgspec.convert(tomllib.loads(entry.read_text(encoding="utf-8")), _Table, strict=True)
            rows.update((row.id, row) for row in table.check)
    return dict(sorted(rows.items()))
