"""SARIF 2.1.0: what we write holds to the OASIS standard, property by property, and names no host.

The published schema closes each object, so the table below is of every property that the objects we write may
have and must have (sections 3.13 to 3.58 of the standard); one that is not there fails.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.catalogue import catalogue
from huisclos.doors.observation import Miss, Observation, What
from huisclos.doors.reports.table import to_sarif
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Language, Mute, Reach, Reason
from huisclos.findings.report import Report, encode

MUST: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema", "inlineExternalProperties", "properties"}),
    "run": ({"tool"}, {"automationDetails", "baselineGuid", "invocations", "results", "properties"}),
    "tool": ({"driver"}, {"extensions", "properties"}),
    "toolComponent": ({"name"}, {"version", "semanticVersion", "rules", "language", "properties"}),
    "reportingDescriptor": (
        {"id"},
        {"shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"},
    ),
    "reportingConfiguration": (set(), {"enabled", "level", "rank", "parameters", "properties"}),
    "text": ({"text"}, {"markdown", "properties"}),
    "runAutomationDetails": (set(), {"id", "description", "guid", "correlationGuid", "properties"}),
    "invocation": (
        {"executionSuccessful"},
        {"endTimeUtc", "startTimeUtc", "exitCode", "toolExecutionNotifications", "properties"},
    ),
    "notification": ({"message"}, {"level", "locations", "timeUtc", "descriptor", "properties"}),
    "result": (
        {"message"},
        {
            "ruleId", "ruleIndex", "kind", "level", "locations", "partialFingerprints", "fingerprints",
            "baselineState", "suppressions", "properties",
        },
    ),
    "location": (set(), {"id", "physicalLocation", "logicalLocations", "message", "properties"}),
    "logicalLocation": (set(), {"name", "fullyQualifiedName", "kind", "index", "parentIndex", "properties"}),
    "suppression": ({"kind"}, {"status", "justification", "location", "guid", "properties"}),
}  # fmt: skip
INSIDE = {
    ("log", "runs"): "run",
    ("run", "tool"): "tool",
    ("tool", "driver"): "toolComponent",
    ("toolComponent", "rules"): "reportingDescriptor",
    ("reportingDescriptor", "shortDescription"): "text",
    ("reportingDescriptor", "fullDescription"): "text",
    ("reportingDescriptor", "help"): "text",
    ("reportingDescriptor", "defaultConfiguration"): "reportingConfiguration",
    ("run", "automationDetails"): "runAutomationDetails",
    ("run", "invocations"): "invocation",
    ("invocation", "toolExecutionNotifications"): "notification",
    ("notification", "message"): "text",
    ("run", "results"): "result",
    ("result", "message"): "text",
    ("result", "locations"): "location",
    ("location", "logicalLocations"): "logicalLocation",
    ("result", "suppressions"): "suppression",
}
ENUMS = {
    "level": {"none", "note", "warning", "error"},
    "baselineState": {"new", "unchanged", "updated", "absent"},
    "status": {"accepted", "underReview", "rejected"},
}
KINDS = {
    "result": {"notApplicable", "pass", "fail", "review", "open", "informational"},
    "suppression": {"inSource", "external"},
}


def check(value: Any, name: str) -> None:
    """`value` is an object `name` of the standard, and so is all in it."""
    must, may = MUST[name]
    assert must <= value.keys(), name
    assert value.keys() <= must | may, (name, value.keys() - must - may)
    for key, inner in value.items():
        if key in ENUMS:
            assert inner in ENUMS[key]
        if key == "kind" and name in KINDS:
            assert inner in KINDS[name]
        if (name, key) in INSIDE:
            for one in inner if isinstance(inner, list) else [inner]:
                check(one, INSIDE[name, key])


def check_log(raw: bytes) -> dict[str, Any]:
    """The run of a log that holds."""
    log = json.loads(raw)
    check(log, "log")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert all(isinstance(one, str) for one in result["partialFingerprints"].values())
        assert result.get("kind", "fail") == "fail" or result["level"] == "none"
    for invocation in run["invocations"]:
        dt.datetime.fromisoformat(invocation["endTimeUtc"])
        assert invocation["endTimeUtc"].endswith("Z")
    return dict(run)


def _report(*whats: What, mutes: tuple[Mute, ...] = (), baseline: bytes | None = None) -> Report:
    audit = Audit("probe", Language.FR, now(), site="Cabinet inventé", mutes=mutes)
    where = facts(port=4242, status=0, contexts=1, transport="plain")
    seen = [Observation(what, "pacs.cabinet.invalid:4242", Reach.LAN, where) for what in whats]
    audit.take([*seen, Miss(("DCM-010",), "pacs.cabinet.invalid:4242", Reason.TIMED_OUT)], now())
    return audit.report(baseline)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(What), max_size=8), st.sampled_from(Language))
def test_whatever_was_seen_the_log_holds(whats: list[What], language: Language) -> None:
    """Any observation makes a log that the standard takes."""
    audit = Audit("probe", language, now())
    audit.take(
        [Observation(what, "host:1", Reach.INTERNET, facts(port=1, status=0)) for what in whats], now()
    )
    check_log(to_sarif(audit.report()))


def test_a_log_names_no_host_and_leads_back_to_the_report() -> None:
    """A place is a token; the finding's id is there."""
    report = _report(What.STUDY_QUERY, What.ECHO)
    raw = to_sarif(report)
    run = check_log(raw)
    assert b"pacs.cabinet" not in raw
    assert {one.id for one in report.findings} == {one["properties"]["finding"] for one in run["results"]}
    assert run["invocations"][0]["toolExecutionNotifications"]
    assert all("baselineState" not in one for one in run["results"])


def test_a_door_has_the_same_fingerprint_in_each_log() -> None:
    """Two logs are compared by it, whatever else changed."""
    marks = [
        {one["ruleId"]: one["partialFingerprints"] for one in check_log(to_sarif(made))["results"]}
        for made in (_report(What.STUDY_QUERY), _report(What.ECHO, What.STUDY_QUERY))
    ]
    assert marks[0]["DCM-006"] == marks[1]["DCM-006"]
    assert marks[1]["DCM-005"] != marks[1]["DCM-006"]


def test_a_mute_is_a_suppression_with_its_reason() -> None:
    """Who muted it, why and until when go with it; the result stays."""
    until = (now() + dt.timedelta(days=9)).date().isoformat()
    mute = Mute(check="DCM-006", reason="replaced in March", author="C. Invented", until=until)
    (result,) = check_log(to_sarif(_report(What.STUDY_QUERY, mutes=(mute,))))["results"]
    (suppression,) = result["suppressions"]
    assert ("external", "accepted", "replaced in March") == tuple(
        suppression[key] for key in ("kind", "status", "justification")
    )
    assert {"author": "C. Invented", "until": until} == suppression["properties"]


def test_a_baseline_says_what_is_new_unchanged_and_gone() -> None:
    """The three states that a comparison can give."""
    before = encode(_report(What.STUDY_QUERY, What.ECHO))
    audit = Audit("probe", Language.EN, now())
    target, where = "pacs.cabinet.invalid:4242", facts(port=4242)
    audit.take(
        [
            Observation(What.STUDY_QUERY, target, Reach.LAN, where + facts(status=0)),
            Observation(What.ECHO, target, Reach.LAN, where),
            Observation(What.GET, target, Reach.LAN, where + facts(status=0)),
        ],
        now(),
    )
    states = {
        one["ruleId"]: one["baselineState"] for one in check_log(to_sarif(audit.report(before)))["results"]
    }
    assert {"DCM-006": "unchanged", "DCM-009": "new", "DCM-005": "absent"} == states


def test_every_check_can_be_a_rule() -> None:
    """Each row of the catalogue has what a rule needs, in both languages."""
    assert all(row.fix.fr and row.fix.en and row.should.en for row in catalogue().values())
