"""What to click on this box: one data file for each model (`guides/*.toml`), in both languages.

Menus change with a box's firmware; a guide names the rubric to look for. A model that is `like` another has
only what differs.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from huisclos.doors.catalogue import Check, Words
from huisclos.findings.nouns import Language

_PARTS: Final = 4


class Guide(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model of box."""

    product: str
    """a word of evidence"""
    name: str
    """as its owner says it"""
    seen_as: tuple[str, ...]
    """texts, in lower case, by which it is recognised; the longest of all guides wins"""
    page: str
    """the address of its own page"""
    like: str = ""
    """another product, whose fixes are this one's too"""
    oldest: str = ""
    """the maker's own mark: an older firmware lacks a security update"""
    source: str = ""
    """of `oldest`"""
    fix: dict[str, Words] = {}


@cache
def guides() -> dict[str, Guide]:
    """Every guide by its product."""
    folder = files("huisclos.doors.box").joinpath("guides")
    made = [
        msgspec.convert(tomllib.loads(entry.read_text(encoding="utf-8")), Guide, strict=True)
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    ]
    return {one.product: one for one in made}


def recognise(text: str) -> str:
    """The product that a model's name means; empty for one that no guide knows. The name is dropped."""
    lowered = text.lower()
    found = [(len(name), one.product) for one in guides().values() for name in one.seen_as if name in lowered]
    return max(found)[1] if found else ""


def advice(check: Check, product: str, language: Language) -> str:
    """How to close `check` on this box; the catalogue's own text on any other."""
    guide = guides().get(product)
    if guide is None:
        return check.fix.in_(language)
    words = guide.fix.get(check.id)
    if words is None and guide.like:
        words = guides()[guide.like].fix.get(check.id)
    if words is None:
        return check.fix.in_(language)
    colon = " :" if language is Language.FR else ":"
    return f"{guide.name}, {guide.page}{colon} {words.in_(language)}"


def old_firmware(product: str, version: str) -> bool | None:
    """Whether `version` is older than the maker's mark; None when there is no mark or no version."""
    guide = guides().get(product)
    oldest = guide.oldest or (guides()[guide.like].oldest if guide.like else "") if guide else ""
    mark, found = _parts(oldest), _parts(version)
    return found < mark if mark and found else None


def _parts(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:_PARTS]
    good = all(part.isascii() and part.isdigit() and len(part) <= _PARTS + 1 for part in parts)
    return tuple(int(part) for part in parts) if good else ()
