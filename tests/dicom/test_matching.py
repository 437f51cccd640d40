"""Query keys match as PS3.4 section C.2.2.2 says, and names as people type them."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dicom.matching import (
    date_range,
    fold,
    matcher,
    moment_matcher,
    name_query,
    name_words,
    time_range,
    wildcard,
)
from huisclos.errors import BadIdentifier, BadQuery


@pytest.mark.parametrize(
    ("vr", "query", "stored", "matches"),
    [
        ("LO", "", "", True),
        ("LO", "*", "", True),
        ("LO", "abc", "abc", True),
        ("LO", "abc", "ABC", False),
        ("LO", "a*c", "abbc", True),
        ("LO", "a*c", "ac", True),
        ("LO", "a?c", "ac", False),
        ("LO", "*b*", "abc", True),
        ("LO", "?b*", "abc", True),
        ("LO", "a*", "", False),
        ("PN", "dupont*", "DUPONT^Jean", True),
        ("PN", "DUPONT^JEAN", "Dupont^Jean", True),
        ("CS", "CT", "MR", False),
        ("UI", "1.2\\1.3", "1.3", True),
        ("UI", "1.2,1.3", "1.4", False),
        ("DA", "20240131", "20240131", True),
        ("DA", "20240101-20240131", "20240131", True),
        ("DA", "20240101-", "20231231", False),
        ("DA", "-20240101", "20231231", True),
        ("DA", "-20240101", "", False),
        ("DA", "20240101", "2024.01.01", True),
        ("TM", "10-11", "105959.5", True),
        ("TM", "1000-1100", "110059", True),
        ("TM", "100000", "100000.25", True),
        ("TM", "10", "10", True),
        ("IS", "7", "07", True),
        ("IS", "7", "x", False),
    ],
)
def test_single_keys(vr: str, query: str, stored: str, matches: bool) -> None:
    """Values, wildcards, lists and ranges."""
    assert matches is matcher(vr, query)(stored)


@pytest.mark.parametrize(
    ("vr", "query"), [("DA", "2024"), ("DA", "-"), ("TM", "25h"), ("TM", "-"), ("IS", "x")]
)
def test_bad_keys(vr: str, query: str) -> None:
    """What a VR does not allow is refused."""
    with pytest.raises(BadQuery):
        matcher(vr, query)
    with pytest.raises(BadQuery):
        matcher("LO", "x" * 2000)
    with pytest.raises(BadIdentifier):
        matcher("UI", "1.2/..")


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_wildcards_are_those_of_the_shell(pattern: str, text: str) -> None:
    """The same answers as a regular expression made for it."""
    expected = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert expected is wildcard(pattern)(text) or not pattern.strip()


def test_no_pattern_takes_long() -> None:
    """Many stars against a long text: the time is bounded, whatever the pattern."""
    begun = time.process_time()
    assert wildcard("*a" * 300 + "b")("a" * 1000) is False
    assert wildcard("*?a?" * 200 + "b")("a" * 1000) is False
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "pattern", ["*" + "?" * 28 + "q*", "*" + "?" * 20 + "Q?*" + "?" * 9 + "X*", "?*" * 300]
)
def test_no_pattern_keeps_the_others_waiting(pattern: str) -> None:
    """One search through 20,000 names is over in a moment, since everybody's searches wait for it."""
    matches = wildcard(pattern, ignore_case=True)
    begun = time.process_time()
    assert not any(matches(f"AB{number:07}" * 6) for number in range(20_000))
    assert time.process_time() - begun < 1


def test_ranges() -> None:
    """Both ends, one end, and dates with hyphens."""
    assert date_range("20240101-20240201") == ("20240101", "20240201")
    assert date_range("2024-01-31-2024-02-29") == ("20240131", "20240229")
    assert date_range("2024-01-31") == ("20240131", "20240131")
    assert time_range("10-") == ("100000000000", "999999999999")


def test_a_span_of_moments() -> None:
    """Date and time ranges together are one span, not two conditions."""
    within = moment_matcher("20240101-20240103", "1200-0800")
    assert within("20240101", "130000")
    assert within("20240102", "030000")
    assert not within("20240103", "0900")
    assert not within("20240101", "1100")
    assert not within("", "")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("LE GŒUFF d'Élian^Jean-Noël", "le goeuff d elian jean noel"),
        ("Straße  ÅSA", "strasse asa"),
        ("山田^太郎", "山田 太郎"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    """Case, accents, ligatures, signs."""
    assert folded == fold(text)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("DUPONT^Jean", "dupont"),
        ("DUPONT^Jean", "jean dup"),
        ("de la TOUR^Aurélie", "aurelie tour"),
        ("de la TOUR^Aurélie", "de la tour"),
        ("de la TOUR^Aurélie", "latour"),
        ("de la TOUR^Aurélie", "delatour aur"),
        ("D'ARTAGNAN^Charles", "dartagnan"),
        ("D'ARTAGNAN^Charles", "d artagnan"),
        ("ARTAGNAN^Charles", "d'artagnan"),
        ("LEFÈVRE^Jean-Noël", "jean noel lefevre"),
        ("LEFÈVRE^Jean-Noël", "jeannoel"),
        ("LEFEVRE^Jeannoël", "jean noël"),
        ("VAN DEN BERG^Ingrid", "vandenberg"),
        ("O’BRIEN^Séan", "obrien"),
        ("EL HADDAD^Samir", "haddad"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田"),
        ("GŒUFF^Œdipe", "goeuff oed"),
    ],
)
def test_names_are_found(name: str, query: str) -> None:
    """What a person types finds the name."""
    assert name_query(query)(name_words(name))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("DUPONT^Jean", "dupond"),
        ("MARTIN^Jean", "martin martin"),
        ("DUPONT^Jean", "ean"),
        ("DUPONT^Jean", "jean paul"),
    ],
)
def test_names_are_not_found(name: str, query: str) -> None:
    """Each word needs a word of its own, which it begins."""
    assert not name_query(query)(name_words(name))


@given(st.text(max_size=40))
def test_a_name_finds_itself(name: str) -> None:
    """Typed in full, any name is found; folding twice changes nothing."""
    assert name_query(name.replace("^", " ").replace("=", " "))(name_words(name)) or not fold(name)
    assert fold(fold(name)) == fold(name)


def test_a_comparison_is_quick() -> None:
    """Well under a millisecond with the words kept beside the name."""
    words, asked = name_words("de la TOUR-MAUBOURG^Aurélie Jeanne"), name_query("maubourg aurel")
    begun = time.process_time()
    for _ in range(1000):
        asked(words)
    assert time.process_time() - begun < 0.5
