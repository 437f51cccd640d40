"""Laws, guides and standards that a finding touches: one data file each."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from huisclos.findings.nouns import Cited, Language

AREAS: Final = ("NET", "AUT", "TLS", "RST", "CNF", "VUL", "ACL", "WEB", "LOG", "BKP", "MIN", "SUB")
"""The areas that a check names; each framework says what of it each area touches."""


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An article, measure or control."""

    item: str
    en: str = ""
    fr: str = ""


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A framework's name and edition, as a reader of each language has it."""

    en: str
    fr: str


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A framework, its edition, and what each area touches in it."""

    framework: str
    edition: str
    shown: Shown
    source: str
    families: tuple[str, ...] = ()
    """families of checks that it is for; all when empty"""
    areas: dict[str, tuple[Item, ...]]


@cache
def frameworks() -> tuple[Framework, ...]:
    """All of them, in the order of their files' names."""
    folder = files(__package__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return tuple(msgspec.json.decode(folder.joinpath(name).read_bytes(), type=Framework) for name in names)


def cited(check: str, areas: Iterable[str], language: Language) -> tuple[Cited, ...]:
    """What a check of these areas touches, each item once."""
    family = check.partition("-")[0]
    found: dict[tuple[str, str], Cited] = {}
    for framework in frameworks():
        if framework.families and family not in framework.families:
            continue
        for area in areas:
            for item in framework.areas.get(area, ()):
                name = item.fr if language is Language.FR else item.en
                one = Cited(framework.framework, framework.edition, item.item, name or item.fr or item.en)
                found.setdefault((framework.framework, item.item), one)
    return tuple(found.values())


def shown(framework: str, language: Language) -> str:
    """The name and edition of a framework that a finding cites; the name itself for one that is gone."""
    found = next((one.shown for one in frameworks() if one.framework == framework), None)
    if found is None:
        return framework
    return found.fr if language is Language.FR else found.en
