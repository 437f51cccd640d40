"""What the words a person types mean."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import BadQuery
from huisclos.finder.answers import person
from huisclos.finder.haystack import Haystack
from huisclos.finder.records import StudyRecord
from huisclos.finder.text import begins_in, found_in, parse_text, study_text, word_matches

TODAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("17/09/2019", 20190917, 20190917),
        ("7.9.2019", 20190907, 20190907),
        ("2019-09-17", 20190917, 20190917),
        ("20190917", 20190917, 20190917),
        ("09/2019", 20190901, 20190930),
        ("2020-02", 20200201, 20200229),
        ("2019", 20190101, 20191231),
        ("today", 20260304, 20260304),
        ("aujourd'hui", 20260304, 20260304),
        ("Hier", 20260303, 20260303),
        ("last week", 20260223, 20260301),
        ("la semaine dernière", 20260223, 20260301),
        ("cette semaine", 20260302, 20260308),
        ("last month", 20260201, 20260228),
        ("mois dernier", 20260201, 20260228),
        ("septembre 2019", 20190901, 20190930),
        ("17 sept 2019", 0, 0),
        ("17 septembre 2019", 20190917, 20190917),
        ("1 août 2020", 20200801, 20200801),
        ("31/02/2019", 0, 0),
        ("99/2019", 0, 0),
        ("00000000", 0, 0),
        ("123456", 0, 0),
    ],
)
def test_dates_as_people_write_them(typed: str, first: int, last: int) -> None:
    """Each form of a day, a month, a year or a span is read; what is no date is a word."""
    words = parse_text(typed, TODAY)
    assert (words[0].first, words[0].last) == (first, last)


def test_a_birth_date_finds_too() -> None:
    """A day may be the study's or the patient's."""
    study = StudyRecord("1.2", "EXEMPLE^Camille", patient_birth_date="19540312", study_date="20240229")
    (word,) = parse_text("12/03/1954", TODAY)
    assert word_matches(word, study_text(study), study)
    (year,) = parse_text("1954", TODAY)
    assert not word_matches(year, study_text(study), study)


def test_particles_may_be_typed_or_not() -> None:
    """A particle alone is a word; beside another it says nothing."""
    assert len(parse_text("de la tour", TODAY)) == 1
    assert len(parse_text("de la", TODAY)) == 2


def test_too_much() -> None:
    """A query has a bound."""
    for text in ("a" * 2000, "a " * 17):
        with pytest.raises(BadQuery):
            parse_text(text, TODAY)


@given(st.text(max_size=60))
def test_any_text_is_understood(text: str) -> None:
    """Whatever is typed is words, and never an error."""
    for word in parse_text(text[:20], TODAY):
        assert 0 <= word.first <= word.last


WORDS = st.text(st.sampled_from("abé-12 山"), max_size=12)


@given(st.lists(WORDS, max_size=20), st.lists(st.tuples(st.integers(0, 19), WORDS), max_size=10), WORDS)
def test_haystack_finds_what_is_there(texts: list[str], changes: list[tuple[int, str]], needle: str) -> None:
    """Infix search, and those at a word's or the text's beginning, are those of the lines as they are now."""
    lines = ["\x01" + " ".join(text.split()) for text in texts]
    haystack = Haystack()
    haystack.load(lines[:5])
    for row, line in enumerate(lines[5:], start=5):
        haystack.put(row, line)
    for row, text in changes:
        if row < len(lines):
            lines[row] = "\x02" + " ".join(text.split())
            haystack.put(row, lines[row])
    needle = "".join(needle.split()) or "a"
    assert sorted(haystack.holding(needle).tolist()) == [r for r, line in enumerate(lines) if needle in line]
    expected = [row for row, line in enumerate(lines) if begins_in(needle, line)]
    assert sorted(haystack.beginning(needle).tolist()) == expected
    leading = [row for row, line in enumerate(lines) if line[1:].startswith(needle)]
    assert sorted(haystack.leading(needle).tolist()) == leading
    assert all(haystack.text(row) == line for row, line in enumerate(lines))
    assert found_in(needle, "\x01" + needle)


def test_haystack_through_thousands_of_changes() -> None:
    """Late words are sorted in and dead lines left behind without losing a row."""
    haystack = Haystack()
    haystack.load([f"\x01name{number:05}" for number in range(3000)])
    for number in range(3000):
        haystack.put(number, f"\x01other{number:05}")
    for number in range(3000, 5000):
        haystack.put(number, f"\x01name{number:05}")
    assert haystack.beginning("other01234").tolist() == [1234]
    assert haystack.beginning("name04").tolist() == list(range(4000, 5000))
    assert len(haystack.holding("name")) == 2000
    assert len(haystack.beginning("o")) == 3000


def test_a_sentence_names_a_person_as_the_pages_do() -> None:
    """Not with the signs that part the groups of a name on the wire (PS3.5 section 6.2.1)."""
    said = person(StudyRecord("1.2", "Wang^XiaoDong=王^小东=", "X2", study_date="20240229"))
    assert said == "Wang XiaoDong (王 小东), X2, 2024-02-29"
