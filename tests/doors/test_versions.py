"""Versions: every row of the tables is whole, ranges are ranges, distributions' numbers are read."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors import system, versions
from huisclos.doors.assemble import Audit
from huisclos.doors.observation import Seen
from huisclos.doors.toolkits import facts_of
from huisclos.findings.evidence import CVE, Key, words
from huisclos.findings.nouns import Finding, Language, Reason, Verdict
from huisclos.findings.report import Report
from tests.tools import PROJECT


def audit(*seen: Seen) -> Report:
    """The report on what was seen."""
    made = Audit("check", Language.EN, now())
    made.take(seen, now())
    return made.report()


def test_every_row_is_whole() -> None:
    """CVE numbers stand once each for a product; a range has one end; each row has a day and a source."""
    met: set[tuple[str, str]] = set()
    for row in versions.advisories():
        assert row.product in words()
        assert row.cves
        for cve in row.cves:
            assert CVE.fullmatch(cve)
            assert (row.product, cve) not in met
            met.add((row.product, cve))
        assert (row.below is None) != (row.through is None)
        for text in (row.since, row.below, row.through):
            assert text is None or re.fullmatch(r"\d+(\.\d+){1,3}", text)
        assert 0 < row.score <= 10
        assert re.fullmatch(r"20[0-4]\d(-\d\d){0,2}", row.published)
        assert row.published[:4] >= row.cves[0][4:8]
        assert len(row.source) > 8


def test_every_release_has_its_day() -> None:
    """Systems are words of ours, days are days, no version twice."""
    rows = versions.releases()
    assert len({(row.system, row.version) for row in rows}) == len(rows)
    for row in rows:
        assert row.system in words()
        assert date.fromisoformat(row.until) > date(2010, 1, 1)
        assert row.source


def test_how_rows_were_read_is_said() -> None:
    """What nobody read in its source says so in its evidence; the document counts those rows."""
    weak = versions.faults("conquest", "1.4.0")
    strong = versions.faults("pynetdicom", "3.0.3")
    assert ["secondary"] == [one.value for one in weak if one.key is Key.RULE]
    assert [] == [one.value for one in strong if one.key is Key.RULE]
    page = (PROJECT / "docs" / "how-to" / "update-advisories.md").read_text(encoding="utf-8")
    rows = versions.advisories()
    for read in ("source", "secondary"):
        assert f"{sum(row.read == read for row in rows)} of {len(rows)} faults" in page
    assert {"secondary"} == {row.read for row in versions.releases()}
    assert f"all {len(versions.releases())} days of support" in page


@pytest.mark.parametrize(
    ("product", "version", "cve", "affected"),
    [
        ("orthanc", "1.5.7", "CVE-2025-0896", True),
        ("orthanc", "1.5.8", "CVE-2025-0896", False),
        ("orthanc", "1.12.10", "CVE-2026-5442", True),
        ("orthanc", "1.12.11", "CVE-2026-5442", False),
        ("dcmtk", "3.6.6", "CVE-2022-2119", True),
        ("dcmtk", "3.6.7", "CVE-2022-2119", False),
        ("dcm4chee", "5.35.1", "CVE-2026-105279", True),
        ("dcm4chee", "5.35.2", "CVE-2026-105279", False),
        ("pynetdicom", "0.9.1", "CVE-2026-56445", False),
        ("meddream", "7.2.8.810", "CVE-2023-40150", True),
        ("meddream", "7.2.9.820", "CVE-2023-40150", False),
        ("osirix", "14.0.1", "CVE-2025-27578", True),
        ("osirix", "14.1", "CVE-2025-27578", False),
        ("microdicom", "2024.03", "CVE-2025-1002", True),
        ("orthanc", "mainline", "CVE-2026-5442", False),
        ("horos", "4.0.0", "CVE-2025-27578", False),
    ],
)
def test_ranges(product: str, version: str, cve: str, affected: bool) -> None:
    """The first mended version is not affected, the last one before it is."""
    assert affected == any(cve in row.cves for row in versions.known(product, version))


@given(st.text(max_size=30))
def test_any_version_is_read(text: str) -> None:
    """No text makes the table stumble, and none gets into evidence but a version."""
    versions.version_facts("orthanc", text)
    facts_of("1.2.276.0.7230010.3.1", text)


def test_a_toolkit_by_its_name() -> None:
    """DCMTK's and pynetdicom's version names lead to their rows, the worst first."""
    found = facts_of("1.2.276.0.7230010.3.0.3.6.2", "OFFIS_DCMTK_362")
    assert "CVE-2026-50003" == next(one.value for one in found if one.key is Key.CVE)
    assert any(one.key is Key.CVE for one in facts_of("1.2.826.0.1.3680043.9.3811.3.0.3", "PYNETDICOM_303"))
    assert not any(
        one.key is Key.CVE for one in facts_of("1.2.826.0.1.3680043.9.3811.3.0.4", "PYNETDICOM_304")
    )
    assert not any(one.key is Key.CVE for one in facts_of("1.2.276.0.7230010.3.0.3.7.1", "OFFIS_DCMTK_371"))


def dpkg(command: Sequence[str]) -> tuple[int, str]:
    """What dpkg-query says of a machine with an old Orthanc, a removed DCMTK and a mended pynetdicom."""
    assert "dpkg-query" == command[0]
    return 1, (
        "orthanc install ok installed 1.10.1+dfsg-2+deb12u1\n"
        "dcmtk deinstall ok config-files 3.6.4-2\n"
        "python3-pynetdicom install ok installed 3.0.4-1\n"
    )


def test_packages_are_possible_and_said_to_be_a_distributions(tmp_path: Path) -> None:
    """A package's version is inferred, never proved, and said to be a distribution's."""
    report = audit(*system.probe_programs(dpkg, tmp_path))
    (one,) = report.findings
    assert ("DCM-023", Verdict.INFERRED, "package orthanc") == (one.check, one.verdict, one.target)
    assert {(Key.VERSION, "1.10.1"), (Key.RULE, "distribution")} <= _facts(one)
    assert ["package python3-pynetdicom"] == [
        one.target for one in report.attempts if one.outcome == "closed"
    ]
    assert [] == list(system.probe_programs(lambda _: (-1, ""), tmp_path))


def _facts(one: Finding) -> set[tuple[Key, object]]:
    return {(fact.key, fact.value) for fact in one.evidence}


def test_applications_of_a_mac(tmp_path: Path) -> None:
    """OsiriX of 2024 is possibly affected; Horos, of which nothing is public, is not."""
    for name, version in (("OsiriX MD", "14.0.1"), ("Horos", "4.0.1"), ("Weasis", None)):
        folder = tmp_path / f"{name}.app" / "Contents"
        folder.mkdir(parents=True)
        raw = plistlib.dumps({"CFBundleShortVersionString": version}) if version else b"<plist"
        (folder / "Info.plist").write_bytes(raw)
    report = audit(*system.probe_programs(lambda _: (-1, ""), tmp_path))
    assert ["application osirix"] == [one.target for one in report.findings]


@pytest.mark.parametrize(
    ("release", "today", "said"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "2026-11-24", "closed"),
        ('ID=debian\nVERSION_ID="10"\n', "2026-11-24", "open"),
        ('ID=debian\nVERSION_ID="12"\n', "2028-07-01", "open"),
        ('ID="centos"\nVERSION_ID="7"\n', "2026-11-24", "open"),
        ('ID="rocky"\nVERSION_ID="9.4"\n', "2026-11-24", "closed"),
        ('ID=ubuntu\nVERSION_ID="20.04"\n', "2025-06-01", "open"),
        ("ID=arch\n", "2026-11-24", None),
    ],
)
def test_systems_by_their_day(tmp_path: Path, release: str, today: str, said: str | None) -> None:
    """The day after the last one it is a door; what the table does not know is untested."""
    path = tmp_path / "os-release"
    path.write_text(release)
    day = datetime.combine(date.fromisoformat(today), datetime.min.time(), UTC)
    report = audit(system.probe_support(path, lambda: day))
    assert (said == "open") == ("CFG-020" in {one.check for one in report.findings})
    assert (said is None) == bool(report.untested)


def ruleset(policy: str, *rules: list[dict[str, object]]) -> str:
    """What `nft -j list ruleset` prints."""
    where = {"family": "inet", "table": "filter", "chain": "input"}
    made: list[object] = [
        {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input",
                   "policy": policy}},
        *({"rule": {**where, "expr": one}} for one in rules),
    ]  # fmt: skip
    return json.dumps({"nftables": made})


SSH: list[dict[str, object]] = [{"match": {"op": "==", "right": 22}}, {"drop": None}]
SAVED = "*filter\n:INPUT {} [0:0]\n:FORWARD ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n{}COMMIT\n"


@pytest.mark.parametrize(
    ("nft", "saved", "said"),
    [
        (ruleset("drop"), "", False),
        (ruleset("accept"), "", True),
        (ruleset("accept", SSH), "", True),
        (ruleset("accept", SSH, [{"reject": {"type": "icmpx"}}]), "", False),
        ('{"nftables": []}', "", True),
        ('{"nftables": []}', SAVED.format("DROP", ""), False),
        (None, SAVED.format("ACCEPT", ""), True),
        (None, SAVED.format("ACCEPT", "-A INPUT -j REJECT --reject-with icmp-port-unreachable\n"), False),
        (None, None, None),
        ("{", None, None),
    ],
)
def test_firewalls(nft: str | None, saved: str | None, said: bool | None) -> None:
    """A chain that drops by policy or in its last rule is a firewall; one port refused is none."""

    def run(command: Sequence[str]) -> tuple[int, str]:
        text = nft if command[0] == "nft" else saved
        return (-1, "") if text is None else (0, text)

    report = audit(system.probe_firewall(run))
    assert bool(said) == ("CFG-016" in {one.check for one in report.findings})
    assert (said is None) == (
        {"CFG-016": Reason.ABSENT} == {one.check: one.reason for one in report.untested}
    )
