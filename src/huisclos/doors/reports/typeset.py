"""How each language is set in type: spaces before signs, apostrophes, dates as their reader writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from huisclos.findings.nouns import Language

_NARROW: Final = "\u202f"
_APOSTROPHE: Final = re.compile(r"(?<=\w)'(?=\w|$)")
_AS_IT_IS: Final = frozenset({"id", "check", "codes", "reference", "rescue", "tone", "anchor", "language"})
"""keys whose values are names and codes, the same in each language"""
_MONTHS: Final = {
    Language.FR: (
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
        "novembre", "décembre",
    ),
    Language.EN: (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ),
}  # fmt: skip
_AT: Final = {Language.FR: "à", Language.EN: "at"}


def typeset(text: str, language: Language) -> str:
    """A sentence as its language is printed; what stands between backticks stays as it is."""
    parts = text.split("`")
    return "`".join(part if at % 2 else _set(part, language) for at, part in enumerate(parts))


def _set(text: str, language: Language) -> str:
    text = _APOSTROPHE.sub("’", text)
    if language is Language.EN:
        return text
    for sign in (";", ":", "?", "!", "»"):
        text = text.replace(f" {sign}", f"{_NARROW}{sign}")
    return text.replace("« ", f"«{_NARROW}")


def typeset_all(value: Any, language: Language) -> Any:
    """Every text of a view, by value: mappings and lists too; names and codes are left alone."""
    if isinstance(value, str):
        return typeset(value, language)
    if isinstance(value, Mapping):
        return {key: one if key in _AS_IT_IS else typeset_all(one, language) for key, one in value.items()}
    if isinstance(value, list):
        return [typeset_all(one, language) for one in value]
    return value


def ended(text: str) -> str:
    """A text as a sentence: with its point, once."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def moment(text: str, language: Language, *, zone: bool = False) -> str:
    """A moment written in ISO 8601, on this machine's clock: `24 novembre 2026 à 09:12`."""
    local = datetime.fromisoformat(text).astimezone()
    shown = f"{_day(local, language)} {_AT[language]} {local:%H:%M}"
    return f"{shown} ({local:%Z})" if zone else shown


def day(text: str, language: Language) -> str:
    """A day written YYYY-MM-DD: `30 juin 2027`."""
    return _day(date.fromisoformat(text), language)


def _day(one: date, language: Language) -> str:
    number = "1er" if one.day == 1 and language is Language.FR else str(one.day)
    return f"{number} {_MONTHS[language][one.month - 1]} {one.year}"
