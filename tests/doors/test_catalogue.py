"""The catalogue, its rules and its documents say the same."""

from __future__ import annotations

import runpy

from hypothesis import given
from hypothesis import strategies as st

from huisclos.doors.catalogue import catalogue
from huisclos.doors.observation import Observation, What
from huisclos.doors.rules import ALL, judge
from huisclos.findings.evidence import Fact, Key
from huisclos.findings.frameworks import AREAS, cited, frameworks
from huisclos.findings.nouns import Language, Reach
from tests.tools import PROJECT


def test_every_rule_has_its_row_and_every_row_its_rule() -> None:
    """A check in the catalogue can be found open, and a rule's door can be explained."""
    assert {rule.check for rule in ALL} == set(catalogue())


def test_the_catalogue_is_complete() -> None:
    """134 checks, numbered without a gap, and the change log says that number."""
    families = {"BOX": 21, "DCM": 30, "WEB": 34, "RST": 24, "LOG": 5, "CFG": 20}
    wanted = {f"{name}-{number:03}" for name, most in families.items() for number in range(1, most + 1)}
    assert wanted == set(catalogue())
    said = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"{len(catalogue())} checks" in said


def test_every_row_is_whole() -> None:
    """Each text is there in both languages, and no sentence ends with a point of its own."""
    for check in catalogue().values():
        for text in (check.title, check.should, check.fix, check.test):
            assert text.en
            assert text.fr
            assert text.en != text.fr or "/" in text.en
        assert not check.title.en.endswith(".")
        assert set(check.areas) <= set(AREAS)


def test_every_check_stands_in_three_frameworks() -> None:
    """A finding leads to the Regulation, to the authority's guide, and to one standard at least."""
    for check in catalogue().values():
        names = {one.framework for one in cited(check.id, check.areas, Language.FR)}
        assert {"GDPR"} <= names
        assert len(names) >= 3
    assert all(set(one.areas) <= set(AREAS) for one in frameworks())


def test_the_marks_are_honest() -> None:
    """A check that no test names is not called tested; one called untried has none."""
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "tests").glob("*/*.py")))
    by_word = {f"BOX-{number:03}" for number in (8, 11, 13, 14, 17, 19, 20)} | {"RST-015"}
    for check in catalogue().values():
        named = check.id in tests or check.id in by_word
        assert named == (check.on != "untried"), f"{check.id}: set `on`, then run packaging/doors.py"


def test_the_documents_are_the_catalogues() -> None:
    """docs/reference/doors.*.md are what packaging/doors.py writes."""
    made = runpy.run_path(str(PROJECT / "packaging" / "doors.py"))["document"]
    for language in Language:
        path = PROJECT / "docs" / "reference" / f"doors.{language.value}.md"
        assert path.read_text(encoding="utf-8") == made(language)


_NUMBERS = (
    Key.PORT,
    Key.STATUS,
    Key.HTTP_STATUS,
    Key.REJECT_REASON,
    Key.CONTEXTS,
    Key.DAYS,
    Key.COUNT,
    Key.IMAGES,
)


@given(
    st.sampled_from(What),
    st.sampled_from(Reach),
    st.lists(st.builds(Fact, st.sampled_from(_NUMBERS), st.integers(-(2**40), 2**40)), max_size=6),
)
def test_rules_judge_anything(what: What, reach: Reach, found: list[Fact]) -> None:
    """No observation makes a rule stumble."""
    for judgement in judge([Observation(what, "host:1", reach, tuple(found))]):
        assert judgement.check in catalogue()
