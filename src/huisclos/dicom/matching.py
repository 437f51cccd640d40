"""Matching of query keys against values (PS3.4 section C.2.2.2, PS3.18 section 8.3.4), and of names.

A matcher is made once for a query and asked for each value, so that what can be prepared is:
`fold` of a stored name, the bounds of a range.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from huisclos.dicom.uids import clean_uid
from huisclos.errors import BadQuery

Matcher = Callable[[str], bool]
"""Says whether one stored value, unpadded, matches."""

MAX_QUERY: Final = 1024
"""Characters of one query value at most, lists of UIDs apart."""
MAX_UIDS: Final = 10_000
_WILD: Final = frozenset("AE CS LO LT PN SH ST UC UR UT".split())  # noqa: SIM905 - VRs read best so
_UID_SPLIT: Final = re.compile(r"[\\,]")
_DATE: Final = re.compile(r"\d{8}|\d{4}[-.]\d{2}[-.]\d{2}", re.ASCII)
_TIME: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
PARTICLES: Final = frozenset(
    {
        "al",
        "am",
        "ap",
        "ben",
        "bin",
        "bint",
        "d",
        "da",
        "das",
        "de",
        "del",
        "della",
        "den",
        "der",
        "des",
        "di",
    }
    | {"do", "dos", "du", "e", "el", "et", "ibn", "in", "l", "la", "las", "le", "les", "los", "o", "of", "op"}
    | {
        "t",
        "te",
        "ten",
        "ter",
        "the",
        "to",
        "van",
        "vande",
        "vander",
        "vom",
        "von",
        "y",
        "z",
        "zu",
        "zum",
        "zur",
    }
)
"""Words of a name that people leave out or join to the next."""
_LIGATURES: Final = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ı": "i"}
)
_PARTS: Final = re.compile(r"[\^=]+")
_APART: Final = re.compile(r"[^\w]+|_+")
_JOINING: Final = re.compile(r"[-'’ʼ`´‐‑–]")


def universal(value: str) -> bool:
    """Whether a query value matches everything, absent values too: empty, or stars only."""
    return not value.strip("* ")


def matcher(vr: str, value: str) -> Matcher:
    """The matcher for a query value of an attribute of this VR.

    Dates and times take ranges, UIDs lists, text `*` and `?` anywhere; names are matched
    without regard to case. Raises `BadQuery` for what the VR does not allow.
    """
    if universal(value):
        return _always
    if vr == "UI":
        return uid_list(value)
    if len(value) > MAX_QUERY:
        raise BadQuery(f"a query value has more than {MAX_QUERY} characters")
    if vr == "DA":
        return _between(date_range(value), 8)
    if vr == "TM":
        first, last = time_range(value)
        return lambda stored: bool(stored) and first <= _filled(stored.replace(":", ""), "0") <= last
    if vr in ("IS", "DS"):
        return _number(value)
    return wildcard(value, ignore_case=vr == "PN") if vr in _WILD else _same(value)


def _always(_stored: str) -> bool:
    return True


def _same(value: str) -> Matcher:
    wanted = value.strip()
    return lambda stored: stored == wanted


def _number(value: str) -> Matcher:
    try:
        wanted = float(value)
    except ValueError:
        raise BadQuery("a query for a number is no number") from None

    def matches(stored: str) -> bool:
        try:
            return float(stored) == wanted
        except ValueError:
            return False

    return matches


def uid_list(value: str) -> Matcher:
    r"""UIDs separated by backslash or comma (PS3.4 section C.2.2.2.2, PS3.18 section 8.3.4.1)."""
    parts = [part for part in _UID_SPLIT.split(value) if part.strip()]
    if len(parts) > MAX_UIDS:
        raise BadQuery(f"a list has more than {MAX_UIDS} UIDs")
    return frozenset(clean_uid(part) for part in parts).__contains__


def wildcard(value: str, *, ignore_case: bool = False) -> Matcher:
    """`*` for any run of characters, none too; `?` for one (PS3.4 section C.2.2.2.4).

    No query can make it backtrack: what stands between two stars is looked for in turn, and where it
    was first found stays where it is.
    """
    fold_case = str.casefold if ignore_case else str
    wanted = fold_case(value.strip())
    if "*" not in wanted and "?" not in wanted:
        return lambda stored: fold_case(stored) == wanted
    first, *middle = wanted.split("*")
    if not middle:
        alike = re.compile(_piece(first), re.DOTALL).fullmatch
        return lambda stored: alike(fold_case(stored)) is not None
    last = middle.pop()
    if not (middle or last or "?" in first):
        return lambda stored: fold_case(stored).startswith(first)
    between = "".join(f"(?>.*?{_piece(piece)})" for piece in middle if piece)
    found = re.compile(f"{_piece(first)}{between}.*{_piece(last)}", re.DOTALL).fullmatch
    return lambda stored: found(fold_case(stored)) is not None


def _piece(text: str) -> str:
    """The expression for a piece of a pattern without stars; its length is fixed."""
    return re.sub(r"(?:\\\?)+", lambda run: f".{{{len(run[0]) // 2}}}", re.escape(text))


def date_range(value: str) -> tuple[str, str]:
    """First and last day, as YYYYMMDD, of a date or a range of dates (PS3.4 section C.2.2.2.5)."""
    first, last = _ends(value)
    return (_day(first) if first else "00000000"), (_day(last) if last else "99999999")


def _ends(value: str) -> tuple[str, str]:
    text = value.strip()
    if _DATE.fullmatch(text) or "-" not in text:
        return text, text
    first, _, last = text.partition("-")
    if "-" in last:
        # Two dates with hyphens of their own, as in 2024-01-31-2024-02-29.
        first, last = text[:10], text[11:]
    first, last = first.strip(), last.strip()
    if not first and not last:
        raise BadQuery("a range has neither a beginning nor an end")
    return first, last


def _day(text: str) -> str:
    plain = re.sub(r"[-.]", "", text)
    # a month has 31 days here: people end a range with the 31st of any month
    if _DATE.fullmatch(text) is None or not ("01" <= plain[4:6] <= "12" and "01" <= plain[6:] <= "31"):
        raise BadQuery("a date is written YYYYMMDD")
    return plain


def time_range(value: str) -> tuple[str, str]:
    """First and last moment of a day, as HHMMSSFFFFFF, of a time or a range of times."""
    text = value.strip()
    first, dash, last = text.partition("-")
    if not dash:
        last = first
    if not first.strip() and not last.strip():
        raise BadQuery("a range has neither a beginning nor an end")
    return (_moment(first, "0") if first.strip() else "0" * 12), (
        _moment(last, "9") if last.strip() else "9" * 12
    )


def _moment(text: str, fill: str) -> str:
    found = _TIME.fullmatch(text.strip())
    # 60 is a leap second (PS3.5 table 6.2-1)
    if found is None or found[1] > "23" or (found[2] or "") > "59" or (found[3] or "") > "60":
        raise BadQuery("a time is written HHMMSS")
    return _filled("".join(group or "" for group in found.groups()[:3]) + "." + (found[4] or ""), fill)


def _filled(text: str, fill: str) -> str:
    whole, _, fraction = text.partition(".")
    return whole[:6].ljust(6, fill) + fraction[:6].ljust(6, fill)


def _between(bounds: tuple[str, str], width: int) -> Matcher:
    first, last = bounds

    def matches(stored: str) -> bool:
        plain = stored.replace(".", "").replace("-", "")[:width]
        return bool(plain) and first <= plain <= last

    return matches


def moment_matcher(date_value: str, time_value: str) -> Callable[[str, str], bool]:
    """A date and a time range taken as one span of moments (PS3.4 section C.2.2.2.5, combined)."""
    (day, last_day), (hour, last_hour) = date_range(date_value), time_range(time_value)
    first, last = day + hour, last_day + last_hour

    def matches(stored_date: str, stored_time: str) -> bool:
        return bool(stored_date) and first <= stored_date + _filled(stored_time.replace(":", ""), "0") <= last

    return matches


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """`text` as small plain words with single spaces: case, accents, ligatures and signs taken away.

    >>> fold("LE GŒUFF d'Élian^Jean-Noël")
    'le goeuff d elian jean noel'
    """
    # Twice, since taking a letter apart can leave a capital (mathematical alphabets).
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    spread = spread.translate(_LIGATURES)
    plain = "".join(c for c in spread if not unicodedata.combining(c))
    return " ".join(_APART.sub(" ", plain).split())


def name_words(name: str) -> tuple[str, ...]:
    """The folded words of a PN, all its groups, and those that hyphens and particles join.

    To be kept beside a stored name: `de la Tour^Jean-Noël` has tour, latour, delatour, jean,
    noel, jeannoel and the particles.
    """
    words: list[str] = []
    joined: list[str] = []
    for part in _PARTS.split(name):
        plain = fold(part).split()
        words += plain
        joined += (fold(_JOINING.sub("", piece)) for piece in part.split() if _JOINING.search(piece))
        for at, word in enumerate(plain):
            for before in reversed(plain[:at]):
                if before not in PARTICLES:
                    break
                word = before + word  # noqa: PLW2901 - the word grows to the left
                joined.append(word)
    return (*words, *dict.fromkeys(joined))


def name_query(text: str) -> Callable[[Iterable[str]], bool]:
    """Matches the `name_words` of a stored name against what a person types.

    Every word typed begins a word of the name, a different one each, in any order; particles
    typed may be missing, particles of the name need not be typed. Words typed apart may be one
    in the name (`jean noel`, `Jeannoël`).
    """
    words = [word for word in fold(text).split() if len(word) <= MAX_QUERY]
    wanted = [word for word in words if word not in PARTICLES] or words
    wanted.sort(key=len, reverse=True)
    joined = ["".join(words)] if len(words) > 1 else []

    def matches(stored: Iterable[str]) -> bool:
        left = list(stored)
        return _each_begins(wanted, left) or (bool(joined) and _each_begins(joined, left))

    return matches


def _each_begins(wanted: list[str], stored: list[str]) -> bool:
    """Longest first: what two words begin is nested or apart, so taking the first that fits is exact."""
    left = list(stored)
    for word in wanted:
        found = next((at for at, candidate in enumerate(left) if candidate.startswith(word)), None)
        if found is None:
            return False
        del left[found]
    return True
