"""Languages: which one a reader gets, and numbers, dates and sizes as that reader writes them."""

from __future__ import annotations

import gettext
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Final

from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_decimal
from starlette.requests import Request

from huisclos.clock import now
from huisclos.web.site import LANGUAGE_COOKIE

LANGUAGES: Final = ("fr", "en")
NAMES: Final = {"fr": "Français", "en": "English"}
LOCALES: Final = Path(__file__).parent / "locale"
_DOMAIN: Final = "messages"
_DICOM_DATE: Final = 8
_UNITS: Final = ("o", "ko", "Mo", "Go", "To")


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; the sentences as written (English) while it is not compiled."""
    return gettext.translation(_DOMAIN, LOCALES, [language], fallback=True)


def language_of(request: Request, chosen: str = "") -> str:
    """The language of a reader: chosen in the account, on this browser, or what the browser asks for.

    French for a browser that names French before English; English otherwise.
    """
    for wanted in (chosen, request.cookies.get(LANGUAGE_COOKIE, "")):
        if wanted in LANGUAGES:
            return wanted
    return negotiate(request.headers.get("accept-language", ""))


def negotiate(header: str) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110 section 12.5.4)."""
    wishes: list[tuple[float, int, str]] = []
    for place, wish in enumerate(header.split(",")[:20]):
        tag, _, weight = wish.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            wishes.append((-_weight(weight), place, language))
    return min(wishes)[2] if wishes else "en"


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


class Words:
    """What a page needs to speak one language, at one moment, in the zone of this machine."""

    def __init__(self, language: str, moment: datetime | None = None, zone: tzinfo | None = None) -> None:
        self.language = language
        self._moment = moment or now()
        self._zone = zone
        self._catalogue = translations(language)
        self._locale = {"fr": "fr_FR", "en": "en_GB"}[language]

    def gettext(self, message: str) -> str:
        """The sentence in this language."""
        return self._catalogue.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The sentence for this number."""
        return self._catalogue.ngettext(one, many, number)

    def local(self, seconds: float) -> datetime:
        """A moment on this machine's clock."""
        return datetime.fromtimestamp(seconds, UTC).astimezone(self._zone)

    def midnight(self, day: str, days_after: int = 0) -> float:
        """When a day written YYYY-MM-DD begins in this zone, or one some days after. Raises `ValueError`."""
        begins = datetime.strptime(day, "%Y-%m-%d") + timedelta(days=days_after)  # noqa: DTZ007 - the zone is next
        return (begins.replace(tzinfo=self._zone) if self._zone else begins).timestamp()

    def number(self, value: float) -> str:
        """With the reader's separators."""
        return format_decimal(value, locale=self._locale)

    def size(self, octets: int) -> str:
        """A size in bytes, three figures and a unit."""
        value, unit = float(octets), 0
        while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - SI prefixes
            value, unit = value / 1000, unit + 1
        name = _UNITS[unit] if self.language == "fr" else _UNITS[unit].replace("o", "B")
        return f"{format_decimal(value, format='0.#' if value < 100 and unit else '0', locale=self._locale)} {name}"  # noqa: PLR2004, E501 - three figures

    def when(self, seconds: float) -> str:
        """Date and time of day."""
        return format_datetime(self.local(seconds), "short", locale=self._locale) if seconds else "–"

    def date(self, seconds: float) -> str:
        """The day in figures."""
        return format_date(self.local(seconds), "dd/MM/yyyy", locale=self._locale) if seconds else "–"

    def last_day(self, seconds: float) -> str:
        """The last day of what ends at a moment: what ends at midnight ends with the day before."""
        return format_date(self.local(seconds - 1), "dd/MM/yyyy", locale=self._locale) if seconds else "–"

    def time(self, seconds: float) -> str:
        """Time of day alone."""
        return format_time(self.local(seconds), "short", locale=self._locale) if seconds else "–"

    def day(self, seconds: float) -> str:
        """The day in full words."""
        if not seconds:
            return "–"
        day = self.local(seconds)
        told = format_date(day, "full", locale=self._locale)
        # the first of a month has an ordinal in French, which the CLDR's patterns do not know
        return told.replace(" 1 ", " 1er ", 1) if self.language == "fr" and day.day == 1 else told

    def ago(self, seconds: float) -> str:
        """How long ago, roughly: "4 minutes ago"."""
        if not seconds:
            return self.gettext("never")
        gone = self._moment - datetime.fromtimestamp(seconds, UTC)
        if gone < timedelta(seconds=60):
            return self.gettext("just now")
        return format_timedelta(-gone, add_direction=True, threshold=1.0, locale=self._locale)

    def dicom_date(self, value: str) -> str:
        """A DA value (PS3.5 section 6.2) as the reader writes dates; as received when it is not one."""
        try:
            parsed = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
        except ValueError:
            return value
        return format_date(parsed, "dd/MM/yyyy", locale=self._locale) if len(value) == _DICOM_DATE else value

    def dicom_time(self, value: str) -> str:
        """Hours and minutes of a TM value."""
        return f"{value[:2]}:{value[2:4]}" if value[:4].isdigit() and len(value) >= 4 else ""  # noqa: PLR2004 - HHMM

    def age(self, birth: str, at: str) -> str:
        """Age in years at a study's date, or today's; empty when unknown."""
        today = self._moment.strftime("%Y%m%d")
        moment = at if len(at) == _DICOM_DATE and at.isdigit() else today
        if len(birth) != _DICOM_DATE or not birth.isdigit() or moment < birth:
            return ""
        years = int(moment[:4]) - int(birth[:4]) - (moment[4:] < birth[4:])
        return self.ngettext("%(years)d year", "%(years)d years", years) % {"years": years}


def words_of(request: Request, chosen: str = "") -> Words:
    """The words for whoever asks."""
    return Words(language_of(request, chosen))
