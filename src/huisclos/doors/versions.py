"""Versions against what is public: faults of programs, and the end of systems' support, from tables.

A match by version alone is a possibility, never a proof: distributions mend under the old number.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from huisclos.findings.evidence import VERSIONS, Fact, facts

MAX_NAMED: Final = 3
"""CVE numbers that a finding names; it counts the others"""
_NUMBER: Final = re.compile(r"\d{1,4}(?:\.\d{1,5}){0,3}")

Version = tuple[int, ...]
Read = Literal["source", "secondary"]
"""how a row came into its table: compared with what it cites, or taken from somebody who repeats it"""


class Advisory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of `advisories.toml`."""

    product: str
    cves: tuple[str, ...]
    """the worst first"""
    since: str | None = None
    below: str | None = None
    """the first mended version"""
    through: str | None = None
    """the last affected one, where no mended version was named"""
    score: float
    """CVSS 3.1 base score of the worst"""
    published: str
    """YYYY, YYYY-MM or YYYY-MM-DD"""
    source: str
    read: Read

    def affects(self, version: Version) -> bool:
        """Whether `version` is in the range."""
        if self.since is not None and version < parse(self.since):
            return False
        if self.below is not None:
            return version < parse(self.below)
        return self.through is not None and version <= parse(self.through)


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of `support.toml`."""

    system: str
    version: str
    until: str
    """YYYY-MM-DD, the last day"""
    source: str
    read: Read


class _Advisories(msgspec.Struct, forbid_unknown_fields=True):
    as_of: str
    advisory: tuple[Advisory, ...]


class _Releases(msgspec.Struct, forbid_unknown_fields=True):
    as_of: str
    release: tuple[Release, ...]


@cache
def advisories() -> tuple[Advisory, ...]:
    """Every row, in the file's order."""
    return msgspec.convert(_read("advisories.toml"), _Advisories, strict=False).advisory


@cache
def releases() -> tuple[Release, ...]:
    """Every row, in the file's order."""
    return msgspec.convert(_read("support.toml"), _Releases, strict=False).release


def _read(name: str) -> object:
    return tomllib.loads(files("huisclos.doors").joinpath(name).read_text(encoding="utf-8"))


def parse(text: str) -> Version:
    """A version's numbers, four of them; `2024.03` is `2024.3`. Empty for what is none."""
    match = _NUMBER.match(text.removeprefix("v"))
    if match is None:
        return ()
    numbers = tuple(int(part) for part in match[0].split("."))
    return numbers + (0,) * (4 - len(numbers))


def known(product: str | None, version: str | None) -> list[Advisory]:
    """The rows that a version falls in, the worst first."""
    numbers = parse(version) if version else ()
    if not numbers:
        return []
    found = (one for one in advisories() if one.product == product and one.affects(numbers))
    return sorted(found, key=lambda one: (-one.score, one.published))


def faults(product: str | None, version: str | None) -> tuple[Fact, ...]:
    """How many public faults a version may have, and the numbers of the worst; none when it has none.

    When no row was read in its source, the evidence says `secondary`.
    """
    rows = known(product, version)
    named = list(dict.fromkeys(cve for row in rows for cve in row.cves))
    made = facts(count=len(named)) if named else ()
    for cve in named[:MAX_NAMED]:
        made += facts(cve=cve)
    return made + told_by(*(row.read for row in rows))


def told_by(*rows: Read) -> tuple[Fact, ...]:
    """The weakness of what rests on rows that nobody here read in their source."""
    return facts(rule="secondary") if rows and "source" not in rows else ()


def version_facts(product: str, version: str) -> tuple[Fact, ...]:
    """A program and its version, with what is public against it."""
    match = _NUMBER.match(version.removeprefix("v"))
    shown = match[0] if match and VERSIONS.fullmatch(match[0]) else None
    return facts(class_="program", product=product, version=shown) + faults(product, shown)


def release_of(system: str, version: str) -> Release | None:
    """The row of a system's version; None when the table says nothing of it."""
    return next((one for one in releases() if one.system == system and one.version == version), None)
