"""What the owner declares, what changed since the last report, and what to click on which box."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box.ask import settled
from huisclos.doors.box.declared import (
    Answers,
    Said,
    declaration,
    declare,
    questions,
    read_answers,
    write_answers,
)
from huisclos.doors.box.drift import drift
from huisclos.doors.box.guides import advice, guides, old_firmware, recognise
from huisclos.doors.box.state import Box, Forward, Outside, observe
from huisclos.doors.catalogue import catalogue
from huisclos.doors.observation import Miss, Seen
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.evidence import Key, words
from huisclos.findings.nouns import Language, Reach, Reason, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested
from tests.tools import PROJECT

BOX = "192.168.1.1"


def _report(seen: list[Seen], language: Language = Language.EN) -> Report:
    audit = Audit("box", language, now())
    audit.take(settled(seen), now())
    return audit.report()


def _answers(**said: Said) -> Answers:
    named = {name.replace("_", "-"): one for name, one in said.items()}
    return Answers(by="A. Martin, owner", at=date(2026, 11, 23), box="livebox", answers=named)


def test_each_answer_opens_its_door() -> None:
    """Every question has its check; its answer is inferred, and says that it was declared."""
    for one in questions():
        opposite: Said = "no" if one.open == "yes" else "yes"
        report = _report(declare(_answers(**{one.id: one.open}), BOX))
        assert {one.check: Verdict.INFERRED} == open_doors(report)
        evidence = report.findings[0].evidence
        assert (Key.DECLARED, True) in [(fact.key, fact.value) for fact in evidence]
        assert {one.check} == closed_doors(_report(declare(_answers(**{one.id: opposite}), BOX)))
        unknown: Said = "unknown"
        report = _report(declare(_answers(**{one.id: unknown}), BOX))
        assert {one.check: Reason.NOT_TOLD} == untested(report)


def test_the_box_wins_over_its_owner() -> None:
    """What the box itself says open stays proved, whatever its owner thinks."""
    told = Box(product="livebox", dmz=True, outside=Outside.PUBLIC)
    report = _report([*observe(told, BOX), *declare(_answers(dmz="no"), BOX)])
    assert {"BOX-006": Verdict.PROVED} == open_doors(report)
    told = Box(product="livebox", dmz=False)
    report = _report([*observe(told, BOX), *declare(_answers(dmz="yes"), BOX)])
    assert {"BOX-006": Verdict.INFERRED} == open_doors(report)


def test_an_answer_settles_what_the_box_does_not_tell() -> None:
    """A question without an answer stays untested; with the owner's, it is declared."""
    silent = Miss(("BOX-005", "BOX-006"), BOX, Reason.NOT_TOLD)
    report = _report([silent, *declare(_answers(dmz="no"), BOX)])
    assert {"BOX-005": Reason.NOT_TOLD} == untested(report)
    assert {"BOX-006"} == closed_doors(report)


SAYS = st.dictionaries(
    st.sampled_from([one.id for one in questions()]), st.sampled_from(["yes", "no", "unknown"]), max_size=11
)


@given(st.text(min_size=1, max_size=40).filter(str.strip), st.dates(date(2000, 1, 1)), SAYS)
def test_a_file_of_answers_comes_back(by: str, at: date, said: dict[str, Said]) -> None:
    """What is written is read back to the same."""
    answers = Answers(by=by, at=at, box="bbox", answers=said)
    assert answers == read_answers(write_answers(answers))
    assert declaration(answers).by == by.strip()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"by = 3", b"\xff", b'by = "A"\nat = 2026-11-23\nmore = 1', b"x = [" + b"[" * 20_000,
        b'by = "A"\nat = 2026-11-23\n[answers]\ndmz = "perhaps"', b"#" * 70_000,
    ],
)  # fmt: skip
def test_what_is_no_file_of_answers(raw: bytes) -> None:
    """Anything else is refused, however deep."""
    with pytest.raises(Unreadable):
        read_answers(raw)


def test_answers_to_nothing() -> None:
    """An unknown question, an unknown box, or nobody who answers is refused, and not quoted."""
    for raw in (
        b'by = "A"\nat = 2026-11-23\n[answers]\nMARTIN = "yes"',
        b'by = "A"\nat = 2026-11-23\nbox = "MARTIN"',
        b'by = " "\nat = 2026-11-23',
    ):
        with pytest.raises(BadSetting) as caught:
            read_answers(raw)
        assert "MARTIN" not in caught.value.message


@given(st.binary(max_size=200))
def test_any_file_of_answers_is_read(raw: bytes) -> None:
    """No bytes make the reader stumble."""
    with suppress(Unreadable, BadSetting):
        read_answers(raw)


def _with(*forwards: int, dmz: bool = False) -> Report:
    rules = [Forward((port, port), port) for port in forwards]
    return _report(observe(Box("livebox", forwards=rules, dmz=dmz, outside=Outside.PUBLIC), BOX))


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        (_with(), _with(104), 2),  # BOX-005 and BOX-007
        (_with(104), _with(104, 4242), 2),
        (_with(), _with(dmz=True), 1),
        (_with(104), _with(104), 0),
        (_with(104), _with(), 0),
    ],
)
def test_drift_both_ways(before: Report, after: Report, new: int) -> None:
    """A new door, or a new port of a known one, is told; what was open before, or closed since, is not."""
    (one,) = drift(before, after)
    assert ("open" if new else "closed") == one.get(Key.VALUE)
    assert one.reach is (Reach.INTERNET if new else Reach.LAN)
    if new:
        assert new == one.number(Key.COUNT)
        assert "BOX-021" in open_doors(_report([one]))
        assert "Livebox" not in _report([one]).findings[0].fix


def test_what_nobody_could_test_is_not_new() -> None:
    """A door that the last report could not test is not said to have opened since."""
    before = _report([*observe(Box(dmz=False), BOX), Miss(("BOX-005",), BOX, Reason.NEEDS_LOGIN)])
    (one,) = drift(before, _with(104))
    assert "BOX-005" not in str(one)
    assert "closed" == one.get(Key.VALUE) or one.number(Key.COUNT) < 2


def test_every_guide_is_whole() -> None:
    """Each fix is of a check that is there, in both languages; each product is a word of evidence."""
    for one in guides().values():
        assert one.product in words()
        assert set(one.fix) <= set(catalogue())
        assert not one.like or one.like in guides()
        for text in one.fix.values():
            assert text.en
            assert text.fr
            assert text.en != text.fr
            assert not re.search(r"\.$", text.en + text.fr)
        wanted = {"BOX-001", "BOX-002", "BOX-005", "BOX-006", "BOX-009"}
        assert wanted <= set(one.fix), one.product


def test_the_report_says_what_to_click_here() -> None:
    """The same door has other words on another box, and the catalogue's own on an unknown one."""
    check = catalogue()["BOX-006"]
    said = {advice(check, product, Language.FR) for product in (*guides(), "", "orthanc")}
    assert len(guides()) + 1 == len(said)
    assert check.fix.fr in said
    assert "DMZ" in _with(dmz=True).findings[0].fix
    assert _with(dmz=True).findings[0].fix.startswith("Livebox, http://192.168.1.1: ")


@pytest.mark.parametrize(
    ("told", "product"),
    [
        ("Livebox 6", "livebox"), ("livebox 4", "livebox-4"), ("SFR NB6VAC", "sfr-box"), ("F@st 5330", ""),
        ("FRITZ!Box 7590", "fritzbox"), ("fbxgw8-r1/full", "freebox"), ("Bbox must", "bbox"), ("", ""),
    ],
)  # fmt: skip
def test_a_model_is_recognised(told: str, product: str) -> None:
    """By what it calls itself; the name is dropped."""
    assert product == recognise(told)


@pytest.mark.parametrize(
    ("version", "old"), [("7.29", True), ("7.57", False), ("8.2", False), ("", None), ("x.y", None)]
)
def test_an_old_firmware(version: str, old: bool | None) -> None:
    """Older than the maker's own mark, newer, or not known."""
    assert old is old_firmware("fritzbox", version)
    assert old_firmware("livebox", version) is None


def test_questions_are_documented() -> None:
    """Each id stands in the guide for people who write the file by hand."""
    page = (PROJECT / "docs" / "how-to" / "ask-the-box.md").read_text(encoding="utf-8")
    assert all(f"`{one.id}`" in page for one in questions())
    assert all(f"`{one}`" in page for one in guides())


def test_the_sentence_says_where_and_whether_it_works() -> None:
    """Ports, this machine, no effect, and whose word it is: in both languages, in plain words."""
    rules = [Forward((104, 104), 11112, here=True), Forward((5000, 5104), 5000)]
    box = Box("livebox", forwards=rules, outside=Outside.SHARED)
    for language, said in ((Language.EN, "no effect"), (Language.FR, "sans effet")):
        found = {one.check: one.is_ for one in _report(observe(box, BOX), language).findings}
        assert said in found["BOX-005"]
        assert "104" in found["BOX-005"]
        assert "11112" in found["BOX-005"]
        assert "100.64" in found["BOX-018"]
        assert "class" not in str(found)
    found = {one.check: one.is_ for one in _report(declare(_answers(dmz="yes"), BOX)).findings}
    assert "as its owner declares" == found["BOX-006"]
    box = Box(outside=Outside.PUBLIC, ports=(16384, 32767))
    assert "16384 to 32767" in _report(observe(box, BOX)).findings[0].is_
