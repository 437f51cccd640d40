"""Languages: both complete, dates and sizes as the reader writes them."""

from __future__ import annotations

import io
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from huisclos.web.words import LOCALES, Words, negotiate
from tests.tools import PROJECT

WEB = PROJECT / "src/huisclos/web"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
NOW = datetime(2026, 9, 17, 12, 0, tzinfo=UTC)


def sentences() -> set[str]:
    """Every sentence of the pages, as its source writes it."""
    found = set()
    options = {"**/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
    for _, _, message, _, _ in extract_from_dir(WEB, METHODS, options):
        found.add(message if isinstance(message, str) else message[0])
    return found


def test_no_sentence_is_untranslated() -> None:
    """English is the language of the source; French has every sentence of it, with the same holes."""
    with (LOCALES / "fr/LC_MESSAGES/messages.po").open("rb") as source:
        catalogue = read_po(io.BytesIO(source.read()), locale="fr")
    messages = {(one.id if isinstance(one.id, str) else one.id[0]): one for one in catalogue if one.id}
    assert len(messages) > 400
    missing = {one for one in sentences() if one not in messages or not messages[one].string}
    assert not missing
    for message in messages.values():
        assert not message.fuzzy
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        for text in strings:
            assert text, ids
            assert holes(text) <= holes(ids[-1]), ids
        assert holes(ids[-1]) <= holes(strings[-1]), ids


def test_french_is_set_in_type() -> None:
    """A narrow no-break space before the high signs and inside quotes, round apostrophes, no three dots."""
    with (LOCALES / "fr/LC_MESSAGES/messages.po").open("rb") as source:
        catalogue = read_po(io.BytesIO(source.read()), locale="fr")
    plain = re.compile("[ \u00a0][;:!?»]|«[^\u202f]|[^\u202f]»|[\\w)]([;!?]|:( |$))|\\w'\\w|\\.\\.\\.")
    for message in catalogue:
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        assert not [text for text in strings if message.id and plain.search(text)]


def holes(text: str) -> set[str]:
    """The names that a sentence leaves open, in either form."""
    return {part.split(")")[0] for part in text.split("%(")[1:]} | {
        name for _, name, _, _ in string.Formatter().parse(text.replace("%(", "(")) if name
    }


def test_no_sentence_escapes_translation() -> None:
    """Text between tags is either a translated sentence, a variable, or a name that no language changes."""
    allowed = {
        "huisclos",
        "SHA-256",
        "huisclos viewer install",
        "huisclos user add ARCHIVE NAME --role owner",
        "huisclos doors check",
        "·",
        "–",
        "/",
        "(",
        ")",
        ",",
        ".",
        ":",
        "?",
        "↑",
        "↓",
        "↵",
    }
    for path in sorted((WEB / "templates").glob("*.html")):
        text = path.read_text(encoding="utf-8")
        for opening, closing in (("{%", "%}"), ("{{", "}}"), ("<", ">")):
            while opening in text:
                start = text.index(opening)
                end = text.index(closing, start) + len(closing)
                text = text[:start] + "\n" + text[end:]
        left = {line.strip(" .,:()·–") for line in text.split("\n")} - allowed - {""}
        assert not {line for line in left if any(c.isalpha() for c in line)}, path.name


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr-FR,fr;q=0.9,en-US;q=0.8", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.1", "en"),
        ("de,it;q=0.9", "en"),
        ("fr;q=0.5,en;q=0.7", "en"),
        ("*,fr-CA;q=0.2", "fr"),
    ],
)
def test_negotiation(header: str, language: str) -> None:
    """French for a French browser, English otherwise."""
    assert negotiate(header) == language


@given(st.text(max_size=200))
def test_any_header_gives_a_language(header: str) -> None:
    """No header breaks the page."""
    assert negotiate(header) in ("fr", "en")


@given(st.text(max_size=16), st.text(max_size=16))
def test_any_date_is_shown(birth: str, at: str) -> None:
    """Dates from the wire are anything: what is none is shown as it is."""
    words = Words("fr", NOW, UTC)
    words.dicom_date(birth)
    words.dicom_time(birth)
    words.age(birth, at)


def test_as_the_reader_writes() -> None:
    """Dates, ages, sizes, how long ago."""
    french, english = Words("fr", NOW, UTC), Words("en", NOW, UTC)
    assert french.dicom_date("20240229") == "29/02/2024"
    assert french.dicom_date("20240230") == "20240230"
    assert english.age("19620314", "20260313") == "63 years"
    assert french.age("20250917", "20260917") == "1 an"
    assert french.size(12_600_000) == "12,6 Mo"
    assert english.size(999) == "999 B"
    assert english.ago(NOW.timestamp() - 240) == "4 minutes ago"
    assert french.ago(NOW.timestamp() - 240) == "il y a 4 minutes"
    assert french.ago(0) == "jamais"
    assert Words("fr", NOW, UTC).midnight("2026-09-17", 1) == datetime(2026, 9, 18, tzinfo=UTC).timestamp()


def test_the_last_day_of_what_ends_at_midnight() -> None:
    """Until the end of a day is that day, and not the next."""
    words = Words("fr", zone=UTC)
    assert words.last_day(words.midnight("2027-01-01")) == "31/12/2026"
    assert words.last_day(words.midnight("2027-01-01") + 60) == "01/01/2027"
    assert words.last_day(0) == "–"


def test_templates_have_no_inline_style_or_script() -> None:
    """The policy would refuse them."""
    for path in Path(WEB / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert " style=" not in text
        assert " on" not in "".join(
            part.split("=")[0][-12:] for part in text.split("<")[1:] if " onclick" in part
        )
        assert "<style" not in text


def test_the_first_of_a_month_is_written_as_french_does() -> None:
    """The other days, and other languages, have plain figures."""
    first, second = (datetime(2026, 12, day, 12, 0, tzinfo=UTC).timestamp() for day in (1, 2))
    assert Words("fr", zone=UTC).day(first) == "mardi 1er décembre 2026"
    assert Words("fr", zone=UTC).day(second) == "mercredi 2 décembre 2026"
    assert Words("en", zone=UTC).day(first) == "Tuesday, 1 December 2026"
