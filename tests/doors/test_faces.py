"""Every face of a report: one language throughout, set as it is printed, each document with its schema."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors import facts as of_facts
from huisclos.doors.assemble import Audit
from huisclos.doors.box.guides import guides
from huisclos.doors.catalogue import catalogue
from huisclos.doors.facts import codes, place, said
from huisclos.doors.observation import Miss, Observation, What
from huisclos.doors.reports import words as of_words
from huisclos.doors.reports.page import to_html, to_pdf
from huisclos.doors.reports.table import to_sarif
from huisclos.doors.reports.typeset import moment, typeset
from huisclos.doors.reports.view import headline, view
from huisclos.doors.reports.words import word
from huisclos.doors.rules import ALL, Judgement
from huisclos.doors.versions import version_facts
from huisclos.errors import NotFound
from huisclos.findings.evidence import Fact, Key, Kind, facts, kind_of, words
from huisclos.findings.nouns import Finding, Language, Mute, Outcome, Reach, Reason
from huisclos.findings.report import Consent, Report, digest, encode, named
from tests.tools import PROJECT, need

SCHEMA = json.loads((PROJECT / "docs" / "reference" / "doors-report.schema.json").read_text(encoding="utf-8"))
SARIF = PROJECT / ".run" / "schemas" / "sarif-2.1.0.json"
ENGLISH = set(
    re.findall(
        r"\w+",
        "the and of is are was with that this which your from not for it has have been be by or nobody "
        "anyone who what when where can could should does asks answers lets open closed without only every "
        "each there",
    )
)
FRENCH = set(
    re.findall(
        r"\w+", "le la les des est sont avec pour dans sur qui que une ne pas ou et du au aux ce cette"
    )
)
NAMES = frozenset(
    {"id", "check", "codes", "rescue", "tone", "anchor", "language", "reference", "record", "place"}
)


def whole(language: Language) -> Report:
    """A report with each check open, each reason for silence, a mute, a baseline, each kind of right."""
    at, where = now(), facts(port=4242, status=0, contexts=1, transport="plain", count=2, product="orthanc")
    mutes = (Mute(check="DCM-015", reason="essai" if language is Language.FR else "trial", author="A. Martin",
                  until="2099-01-01"),)  # fmt: skip
    consents = tuple(
        Consent(kind=kind, by="A. Martin", at=at.isoformat(), until=None)
        for kind in ("consent", "mandate", "declared")
    )

    def made(checks: set[str], days: int) -> Audit:
        audit = Audit(
            "check", language, at - dt.timedelta(days=days), site="X", mutes=mutes, consents=consents
        )
        for rule in ALL:
            if rule.check in checks:
                audit._best[rule.check, "this machine"] = _judged(rule.check, rule.what, where)
        audit.take(
            [Miss((check,), "gateway", reason) for check, reason in zip(catalogue(), Reason, strict=False)],
            at,
        )
        return audit

    checks = list(catalogue())
    before = made(set(checks[5:]), 40).report()
    return made(set(checks[:-5]), 0).report(encode(before))


def _judged(check: str, what: What, found: tuple[Fact, ...]) -> Any:
    verdict = next(rule.verdict for rule in ALL if rule.check == check)
    return Judgement(
        check, verdict, True, Observation(what, "this machine", Reach.LAN, found)
    ), now().isoformat()


def texts(value: Any) -> Iterator[str]:
    """Every text of a view that a person reads, without names and codes."""
    if isinstance(value, str):
        yield re.sub(r"`[^`]*`|\"[^\"]*\"", "X", value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in NAMES:
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def spoken(text: str) -> set[str]:
    """Its words."""
    return set(re.findall(r"[a-zà-ÿ]+", text.lower()))


def test_french_is_french_and_english_english() -> None:
    """No sentence of the other language in any text of a report that has every check and every reason."""
    for language, foreign in ((Language.FR, ENGLISH), (Language.EN, FRENCH)):
        made = view(whole(language))
        for one in made["annex"] if language is Language.EN else ():
            # A guide's own French titles stand beside their translation.
            one["texts"] = [text for text in one["texts"] if not text["framework"].startswith("CNIL")]
        for text in texts(made):
            assert len(spoken(text) & foreign) <= 1, text


def test_every_word_has_both_languages() -> None:
    """The tables of words and guides are whole."""
    for table in (of_words._TABLE, of_facts._WORDS, of_facts._PLACES):
        for english, french in table.values():
            assert english
            assert french
            assert len(spoken(french) & ENGLISH) <= 1, french
            assert re.findall(r"\{\d\}", english) == re.findall(r"\{\d\}", french)
    for guide in guides().values():
        assert all(fix.en != fix.fr for fix in guide.fix.values())
    for name in (*Reason, *Reach):
        assert word(name.value, Language.FR) != word(name.value, Language.EN)


def test_french_is_set_as_it_is_printed() -> None:
    """No space that can break before a sign, no typewriter's apostrophe; codes are left as they are."""
    for text in texts(view(whole(Language.FR))):
        assert not re.search(r" [:;?!»]|« |\w'\w", text), text
    assert "l’`a : b` :" == typeset("l'`a : b` :", Language.FR).replace("\u202f", " ")
    assert "1er juin 2027" in moment("2027-06-01T12:00:00+00:00", Language.FR)
    assert "1 June 2027" in moment("2027-06-01T12:00:00+00:00", Language.EN)


@pytest.mark.parametrize("language", list(Language))
def test_the_first_page_has_what_a_doctor_needs(language: Language) -> None:
    """How many are open, what nobody knows, what was muted and by whom, what changed; then each door."""
    report = whole(language)
    made, page = view(report), to_html(report)
    assert {"critical", "untested", "muted"} <= {one["tone"] for one in made["tiles"]}
    assert made["changes"]["opened"]
    assert len(report.untested) == sum(len(one["asked"]) for one in made["untested"])
    assert 1 == len(made["muted"])
    assert "A. Martin" in made["muted"][0]["decided"]
    assert digest(encode(report)) in page
    assert {one.id for one in report.findings} == {at["id"] for one in made["annex"] for at in one["places"]}
    frameworks = {text["framework"] for one in made["annex"] for text in one["texts"]}
    assert {"GDPR", "RGPD"} & {name.partition(",")[0] for name in frameworks}
    assert to_pdf(report).startswith(b"%PDF-")
    assert not re.search(r"(?:src|href)=\"(?!#)", page)


def test_nothing_tested_is_never_nothing_open() -> None:
    """A report of silence says so in its first sentence."""
    audit = Audit("probe", Language.EN, now())
    audit.take([Miss(("*",), "192.168.1.5:104", Reason.UNREACHABLE)], now())
    assert "neither open nor closed" in headline(audit.report())


@pytest.mark.parametrize("language", tuple(Language))
def test_what_is_not_open_stands_before_what_is(language: Language) -> None:
    """What could not be tested, and what was muted by whom, come before the first open door on the page."""
    page = to_html(whole(language))
    first = page[: page.index('id="open"')]
    assert word("untested", language) in re.sub("’", "'", first)
    assert "A. Martin" in first


def _silent(language: Language) -> Report:
    """A report with nothing open: a box that does not say, a web server, and a disk."""
    audit = Audit("check", language, now())
    for check, target in (("BOX-009", "192.168.1.1"), ("WEB-016", "10.0.0.2:443")):
        audit.take([Miss((check,), target, Reason.NOT_TOLD)], now())
    audit.take([Miss(("RST-015",), "/srv", Reason.ABSENT)], now())
    audit.take([Miss(("CFG-016",), "this machine", None, (), Outcome.CLOSED)], now())
    return audit.report()


@pytest.mark.parametrize("language", tuple(Language))
def test_what_is_not_known_is_named(language: Language) -> None:
    """One question is put beside its reason, in a word for its target; only a box has an owner to ask."""
    made = {one["place"].partition(" (")[0]: one for one in view(_silent(language))["untested"]}
    disk, web = made.pop("/srv"), made.pop("10.0.0.2:443")
    (box,) = made.values()
    assert box["question"].endswith("?")
    assert "IPv6" in box["question"]
    assert "LUKS" in disk["question"]
    assert "--questions" in box["reason"]
    assert "--questions" not in web["reason"]


@pytest.mark.parametrize("language", tuple(Language))
def test_a_printed_report_says_it_once_and_whole(language: Language, tmp_path: Path) -> None:
    """Without open doors the gaps are listed once; no command is broken at a hyphen of its own."""
    need("pdftotext")
    (tmp_path / "report.pdf").write_bytes(to_pdf(_silent(language)))
    command = ["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert 1 == len(re.findall(rf"(?m)^\s*{word('untested', language)}\s*$", text.replace("’", "'")))
    assert "huisclos doors box --questions" in text


def test_two_servers_of_which_the_same_is_not_known() -> None:
    """They share one list; another reason, or another list, stands apart."""
    audit = Audit("probe", Language.EN, now())
    for target in ("10.0.0.2:104", "10.0.0.3:104"):
        audit.take([Miss(("DCM-003", "DCM-006"), target, Reason.NEEDS_TITLE)], now())
    audit.take([Miss(("DCM-003",), "10.0.0.4:104", Reason.NEEDS_TITLE)], now())
    audit.take([Miss(("DCM-003", "DCM-006"), "10.0.0.5:104", Reason.BUSY)], now())
    made = view(audit.report())["untested"]
    assert ["10.0.0.2:104, 10.0.0.3:104", "10.0.0.4:104", "10.0.0.5:104"] == [one["place"] for one in made]
    assert [2, 1, 2] == [len(one["asked"]) for one in made]


def test_a_package_is_reached_from_nowhere() -> None:
    """What is installed listens to nobody: the page does not say who reaches it."""
    audit = Audit("check", Language.EN, now())
    seen = Observation(What.INSTALLED, "package orthanc", Reach.LAN, version_facts("orthanc", "1.10.1"))
    audit.take([seen], now())
    (door,) = view(audit.report())["doors"]
    assert [""] == [one["reach"] for one in door["places"]]


def test_this_machine_begins_a_line() -> None:
    """A place of our own words has its capital."""
    audit = Audit("check", Language.EN, now())
    seen = Observation(What.FIREWALL, "this machine", Reach.LAN, facts(product="nftables", value="open"))
    audit.take([seen], now())
    assert "This machine" == view(audit.report())["doors"][0]["places"][0]["place"]


def test_muted_doors_are_open() -> None:
    """Where all that stands open was muted, the first page does not say that nothing does."""
    mute = Mute(check="*", reason="a trial", author="A. Martin", until="2099-01-01")
    audit = Audit("probe", Language.EN, now(), mutes=(mute,))
    audit.take([Observation(What.STUDY_QUERY, "127.0.0.1:4242", Reach.LOOPBACK, facts(status=0))], now())
    assert "The one open door is muted." == headline(audit.report())


@cache
def _values(key: Key) -> st.SearchStrategy[Any]:
    kinds: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.NUMBER: st.integers(-(2**33), 2**33),
        Kind.FLAG: st.booleans(),
        Kind.WORD: st.sampled_from(sorted(words() - {""})),
        Kind.VERSION: st.sampled_from(["1.2.3", "OFFIS_DCMTK_367", "TLSv1.1"]),
        Kind.TOKEN: st.just("p-0123456789abcdef"),
        Kind.TIME: st.just("2026-01-31"),
        Kind.CVE: st.just("CVE-2026-5442"),
    }
    return kinds[kind_of(key)]


FACTS = st.lists(
    st.sampled_from(Key).flatmap(lambda key: st.builds(Fact, st.just(key), _values(key))), max_size=8
)


@settings(max_examples=150)
@given(FACTS, st.sampled_from(Language))
def test_any_evidence_is_told(found: list[Fact], language: Language) -> None:
    """Whatever was seen has words and codes, without a token in the words."""
    assert not any("p-0123" in piece or "{" in piece for piece in said(found, language))
    assert len(found) == len(codes(found).split())


@settings(max_examples=60)
@given(st.lists(st.sampled_from(What), max_size=6), FACTS, st.sampled_from(Language))
def test_every_report_holds_its_schema(whats: list[What], found: list[Fact], language: Language) -> None:
    """The document is what docs/reference/doors-report.schema.json says."""
    audit = Audit("probe", language, now())
    audit.take([Observation(what, "host:1", Reach.LAN, tuple(found)) for what in whats], now())
    _hold(audit.report())


def _hold(report: Report) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(encode(report)))


def test_a_whole_report_holds_its_schema() -> None:
    """With mutes, consents, a baseline; and another schema's number does not."""
    report = whole(Language.FR)
    _hold(report)
    other = json.loads(encode(report)) | {"schema": "huisclos-doors/2"}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(other)


@pytest.mark.parametrize("language", list(Language))
def test_sarif_holds_the_published_schema(language: Language) -> None:
    """The log with mutes, changes and notes, against the schema itself."""
    if not SARIF.exists():
        pytest.skip("needs the schema of SARIF: python packaging/schemas.py")
    schema = json.loads(SARIF.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator(schema, format_checker=validator.FORMAT_CHECKER).validate(json.loads(to_sarif(whole(language))))


def test_a_finding_is_named_by_its_report() -> None:
    """REPORT#ID leads to one finding, and its reference does not depend on a file's name."""
    raw = encode(whole(Language.EN))
    found = named(raw, "F1")
    assert isinstance(found.finding, Finding)
    assert f"sha256:{digest(raw)}#F1" == found.reference
    with pytest.raises(NotFound):
        named(raw, "F9999")


def test_places_are_told() -> None:
    """Names of ours are words; hosts and paths stay as they are."""
    assert "cette machine" == place("this machine", Language.FR)
    assert "cette machine, port 4242" == place("127.0.0.1:4242", Language.FR)
    assert "le paquet orthanc" == place("package orthanc", Language.FR)
    assert str(Path("/srv/a b")) == place("/srv/a b", Language.FR)
