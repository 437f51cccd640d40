"""What free words are looked for in, and what the words a person types mean.

A study's text is one line of folded words in four fields, each begun by a mark below the space:
the patient's name, the patient's id, the accession number, the description.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from huisclos.dicom.matching import MAX_QUERY, PARTICLES, fold, name_words
from huisclos.errors import BadQuery
from huisclos.finder.records import StudyRecord

NAME, PATIENT_ID, ACCESSION, DESCRIPTION = "\x01", "\x02", "\x03", "\x04"
MARKS: Final = (NAME, PATIENT_ID, ACCESSION, DESCRIPTION, " ")
"""What can stand before a word."""
SHORT: Final = 3
"""UTF-8 bytes; a shorter word is looked for at the beginning of words only."""
MAX_WORDS: Final = 16

_NOT_SHOWN: Final = re.compile(r"[\x00-\x20\x7f\s]+")


def plain_id(text: str) -> str:
    """An identifier as it is looked for: case and blanks taken away, signs kept."""
    return _NOT_SHOWN.sub("", text.casefold())


def study_text(study: StudyRecord) -> str:
    """The line of one study."""
    return "".join(
        (
            NAME,
            " ".join(name_words(study.patient_name)),
            PATIENT_ID,
            plain_id(study.patient_id),
            ACCESSION,
            plain_id(study.accession_number),
            DESCRIPTION,
            fold(study.study_description),
        )
    )


class Word(Struct, frozen=True):
    """One word of a text query: a study matches it by its text, its dates or its modalities."""

    needles: tuple[str, ...] = ()
    """All of these are in the text..."""
    whole: str = ""
    """... or this is, as an identifier writes it."""
    first: int = 0
    """First study date, YYYYMMDD as a number; 0 when the word is no date."""
    last: int = 0
    born: int = 0
    """A birth date it may be, too."""
    modality: str = ""


def found_in(needle: str, text: str) -> bool:
    """Whether a study's text holds `needle`: anywhere, or at the beginning of a word when it is short."""
    if len(needle.encode()) >= SHORT:
        return needle in text
    return begins_in(needle, text)


def begins_in(needle: str, text: str) -> bool:
    """Whether a word of the text begins with `needle`."""
    return any(mark + needle in text for mark in MARKS)


def word_matches(word: Word, text: str, study: StudyRecord) -> bool:
    """Whether one study matches one word: what the index must answer, said slowly."""
    if word.needles and all(found_in(needle, text) for needle in word.needles):
        return True
    if word.whole and found_in(word.whole, text):
        return True
    if word.modality and word.modality in study.modalities:
        return True
    when = day_number(study.study_date)
    return (word.first <= when <= word.last and when > 0) or (
        word.born > 0 and day_number(study.patient_birth_date) == word.born
    )


def day_number(stored: str) -> int:
    """A stored date as a number, YYYYMMDD; 0 for none or what is not one."""
    plain = stored.replace(".", "").replace("-", "")[:8]
    return int(plain) if len(plain) == 8 and plain.isascii() and plain.isdigit() else 0  # noqa: PLR2004 - YYYYMMDD


def parse_text(text: str, today: date) -> tuple[Word, ...]:
    """The words of a text query; spans of days in words ("last week") become one.

    Particles are left out where there is another word, as people leave them out. Raises
    `BadQuery` for more than 16 words.
    """
    if len(text) > MAX_QUERY:
        raise BadQuery(f"a query has at most {MAX_QUERY} characters")
    typed = text.split()
    if len(typed) > MAX_WORDS:
        raise BadQuery(f"a query has at most {MAX_WORDS} words")
    words: list[Word] = []
    at = 0
    while at < len(typed):
        taken, span = _span(typed[at : at + 3], today)
        if span is not None:
            words.append(Word((), "", *span))
            at += taken
        else:
            words.append(_word(typed[at]))
            at += 1
    telling = [word for word in words if not _is_particle(word)]
    return tuple(telling or words)


def _is_particle(word: Word) -> bool:
    return not word.first and all(needle in PARTICLES for needle in word.needles)


def _word(typed: str) -> Word:
    needles = tuple(dict.fromkeys(fold(typed).split()))
    whole = plain_id(typed)
    first, last, born = _days(typed)
    modality = typed.upper() if typed.isascii() and typed.isalnum() and len(typed) <= _CODE else ""
    return Word(needles, "" if needles == (whole,) else whole, first, last, born, modality)


_CODE: Final = 16
"""Characters of a CS value at most (PS3.5 section 6.2)."""
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", re.ASCII)
_YEAR_FIRST: Final = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})", re.ASCII)
_RUN: Final = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_MONTH: Final = re.compile(r"(\d{1,2})[/.-](\d{4})", re.ASCII)
_YEAR_MONTH: Final = re.compile(r"(\d{4})[/.-](\d{1,2})", re.ASCII)
_YEAR: Final = re.compile(r"(?:18|19|20|21)\d{2}", re.ASCII)


def _days(typed: str) -> tuple[int, int, int]:
    """(first day, last day, birth date) that one word may mean; zeros when it is no date.

    Days come before months, as both languages of the house write them.
    """
    if found := _DAY_FIRST.fullmatch(typed):
        day, month, year = map(int, found.groups())
        return _one_day(year, month, day)
    if found := _YEAR_FIRST.fullmatch(typed) or _RUN.fullmatch(typed):
        return _one_day(*map(int, found.groups()))
    if found := _MONTH.fullmatch(typed):
        month, year = map(int, found.groups())
        return (*_month(year, month), 0)
    if found := _YEAR_MONTH.fullmatch(typed):
        year, month = map(int, found.groups())
        return (*_month(year, month), 0)
    if _YEAR.fullmatch(typed):
        return int(typed) * 10_000 + 101, int(typed) * 10_000 + 1231, 0
    return 0, 0, 0


def _one_day(year: int, month: int, day: int) -> tuple[int, int, int]:
    try:
        number = _number(date(year, month, day))
    except ValueError:
        return 0, 0, 0
    return number, number, number


def _month(year: int, month: int) -> tuple[int, int]:
    try:
        days = monthrange(year, month)[1]
    except ValueError:
        return 0, 0
    return _number(date(year, month, 1)), _number(date(year, month, days))


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january janvier",
            "february fevrier",
            "march mars",
            "april avril",
            "may mai",
            "june juin",
            "july juillet",
            "august aout",
            "september septembre",
            "october octobre",
            "november novembre",
            "december decembre",
        ),
        start=1,
    )
    for name in names.split()
}


def _span(typed: list[str], today: date) -> tuple[int, tuple[int, int] | None]:
    """(words taken, days) of the days that the first words name, longest first."""
    folded = [fold(word) for word in typed]
    for taken in range(len(folded), 0, -1):
        span = _named(folded[:taken], today)
        if span is not None:
            return taken, span
    return 0, None


def _named(words: list[str], today: date) -> tuple[int, int] | None:
    named = _SPANS.get(" ".join(words))
    if named is not None:
        return _relative(named, today)
    month = _MONTHS.get(words[-2]) if len(words) > 1 else None
    if month is None or not _YEAR.fullmatch(words[-1]):
        return None
    year = int(words[-1])
    if len(words) == 2:  # noqa: PLR2004 - month and year
        return _month(year, month)
    if not words[0].isascii() or not words[0].isdigit():
        return None
    first, last, _ = _one_day(year, month, int(words[0]))
    return (first, last) if first else None


_SPANS: Final = {
    "today": "day 0",
    "aujourd hui": "day 0",
    "yesterday": "day 1",
    "hier": "day 1",
    "this week": "week 0",
    "cette semaine": "week 0",
    "last week": "week 1",
    "semaine derniere": "week 1",
    "la semaine derniere": "week 1",
    "this month": "month 0",
    "ce mois": "month 0",
    "last month": "month 1",
    "mois dernier": "month 1",
    "le mois dernier": "month 1",
}


def _relative(named: str, today: date) -> tuple[int, int]:
    unit, _, back = named.partition(" ")
    if unit == "day":
        day = _number(today - timedelta(days=int(back)))
        return day, day
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * int(back))
        return _number(monday), _number(monday + timedelta(days=6))
    month = today.replace(day=1)
    if back != "0":
        month = (month - timedelta(days=1)).replace(day=1)
    return _month(month.year, month.month)
