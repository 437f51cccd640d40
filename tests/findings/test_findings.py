"""Evidence cannot hold a person, severities follow reach, and reports come back as they were."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import Unreadable
from huisclos.findings.evidence import Fact, Key, Kind, facts, kind_of, words
from huisclos.findings.nouns import (
    Attempt,
    Cited,
    ExitCode,
    Finding,
    Language,
    Mute,
    Outcome,
    Reach,
    Reason,
    Severity,
    Verdict,
    severity_at,
)
from huisclos.findings.report import Report, decode, encode, exit_code


@given(st.sampled_from(Key), st.text(max_size=40))
def test_no_free_text_is_evidence(key: Key, text: str) -> None:
    """A text is evidence only as a word of the list, a known version, a keyed token or a day."""
    with contextlib.suppress(ValueError):
        Fact(key, text)
        assert text in words() or kind_of(key) in (Kind.VERSION, Kind.TOKEN, Kind.TIME)


@pytest.mark.parametrize("name", ["MARTIN^LEA", "Dupont", "1.2.840.113619.2.1", "19800203", "CT01"])
def test_a_person_is_never_evidence(name: str) -> None:
    """Names, UIDs, dates of birth and titles of others have no place."""
    for key in Key:
        with pytest.raises(ValueError, match="cannot have"):
            Fact(key, name)


def test_unknown_versions_are_dropped() -> None:
    """A version name that matches nothing of ours is left out, not kept."""
    assert () == facts(version="DR MARTIN PACS")
    assert 1 == len(facts(version="OFFIS_DCMTK_367"))


def test_severity_follows_reach() -> None:
    """Worse from the Internet, milder from the machine alone; information stays what it is."""
    assert Severity.CRITICAL is severity_at(Severity.HIGH, Reach.INTERNET)
    assert Severity.CRITICAL is severity_at(Severity.CRITICAL, Reach.INTERNET)
    assert Severity.HIGH is severity_at(Severity.CRITICAL, Reach.LOOPBACK)
    assert Severity.LOW is severity_at(Severity.LOW, Reach.LOOPBACK)
    assert Severity.INFO is severity_at(Severity.INFO, Reach.INTERNET)


def _report(*, muted: bool = False, findings: bool = True, failed: bool = False) -> Report:
    mute = Mute(check="DCM-006", reason="known", author="A. Martin", until="2027-01-01") if muted else None
    finding = Finding(
        id="F1", check="DCM-006", target="127.0.0.1:104", verdict=Verdict.PROVED, severity=Severity.HIGH,
        reach=Reach.LOOPBACK, title="open", is_="open (port 104)", should_be="closed", fix="close it",
        frameworks=(), evidence=facts(port=104, status=0), seen_at="2026-11-23T18:31:00+00:00", muted=mute,
    )  # fmt: skip
    failure = Attempt(check="*", target="127.0.0.1:1", outcome=Outcome.FAILED, reason=Reason.UNREACHABLE)
    return Report(
        generator="huisclos 0",
        rules=1,
        made_at="2026-11-23T18:31:00+00:00",
        command="probe",
        language=Language.EN,
        findings=(finding,) if findings else (),
        attempts=(failure,) if failed else (),
    )


def test_a_report_comes_back_as_it_was() -> None:
    """What is written is read again the same, and its fields have the names of the schema."""
    report = _report(muted=True, failed=True)
    raw = encode(report)
    assert report == decode(raw)
    assert {"schema", "findings", "attempts"} <= set(msgspec.json.decode(raw))
    (finding,) = msgspec.json.decode(raw)["findings"]
    assert {"check", "target", "verdict", "severity", "reach", "is", "should_be", "fix"} <= set(finding)


_TRICKY = st.text(max_size=12) | st.sampled_from(['"target": ""', '"findings": []', '"id": ""', "a\nb", "\\"])
_FINDINGS = st.builds(
    Finding, id=_TRICKY, check=_TRICKY, target=_TRICKY, verdict=st.sampled_from(Verdict),
    severity=st.sampled_from(Severity), reach=st.sampled_from(Reach), title=_TRICKY, is_=_TRICKY,
    should_be=_TRICKY, fix=_TRICKY, frameworks=st.just(()) | st.just((Cited("a", "1", "b"),)),
    evidence=st.sampled_from([(), facts(port=1), facts(ignored_key=True), facts(status=1)]),
    seen_at=st.sampled_from(["2026-11-23T18:31:00+00:00", "2026-11-23T18:31:01+00:00"]),
    muted=st.none() | st.builds(Mute, check=_TRICKY, reason=_TRICKY, author=_TRICKY, until=_TRICKY),
    since=st.none() | _TRICKY,
)  # fmt: skip
_ATTEMPTS = st.builds(
    Attempt, check=_TRICKY, target=_TRICKY, outcome=st.sampled_from(Outcome),
    reason=st.none() | st.sampled_from(Reason), evidence=st.sampled_from([(), facts(port=1)]),
)  # fmt: skip


@given(st.lists(_FINDINGS, max_size=4), st.lists(_ATTEMPTS, max_size=4), st.integers(1, 300), _TRICKY)
def test_shared_texts_change_no_byte(
    findings: list[Finding], attempts: list[Attempt], times: int, site: str
) -> None:
    """What is made JSON of once for many targets is what the whole document would be."""
    many = [msgspec.structs.replace(one, target=str(at)) for one in findings[:1] for at in range(times)]
    report = msgspec.structs.replace(
        _report(), site=site, findings=(*findings, *many), attempts=tuple(attempts)
    )
    assert msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n" == encode(report)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_report(raw: bytes) -> None:
    """Whatever else is given is refused in one sentence."""
    with pytest.raises(Unreadable):
        decode(raw)


def test_exit_codes() -> None:
    """0, 1 and 4 as the contract has them; a muted door does not count, and unknown is not closed."""
    assert ExitCode.FINDINGS is exit_code(_report(), Severity.LOW)
    assert ExitCode.CLEAN is exit_code(_report(), Severity.CRITICAL)
    assert ExitCode.CLEAN is exit_code(_report(muted=True), Severity.LOW)
    assert ExitCode.CLEAN is exit_code(_report(findings=False), Severity.LOW)
    assert ExitCode.UNTESTED is exit_code(_report(findings=False, failed=True), Severity.LOW)
    assert ExitCode.UNTESTED is exit_code(_report(muted=True, failed=True), Severity.LOW)
