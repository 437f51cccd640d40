"""What only the owner, or another machine, makes a finding of: backups, retention, copies."""

from __future__ import annotations

import json
import stat
from datetime import date
from pathlib import Path

import pytest

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box.declared import Answers, declare
from huisclos.doors.observation import Seen
from huisclos.doors.rest.audit import Walk, audit, forget
from huisclos.doors.rest.copies import Copies
from huisclos.doors.rest.retention import observe_retention
from huisclos.errors import Unreadable
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Language, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested
from tests.doors.test_cli import doors
from tests.doors.test_rest import encode, image


def _report(*seen: Seen) -> Report:
    made = Audit("rest", Language.EN, now())
    made.take(seen, now())
    return made.report()


def _tree(folder: Path, *dates: str) -> Path:
    folder.mkdir()
    for number, day in enumerate(dates):
        (folder / f"{number}.dcm").write_bytes(encode(image(number=f"P{number}", date=day)))
    return folder


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"backup": "no"}, "open"),
        ({"backup": "yes", "backup-apart": "no"}, "open"),
        ({"backup": "yes", "backup-apart": "unknown"}, "untested"),
        ({"backup": "yes", "backup-apart": "yes"}, "closed"),
    ],
)
def test_a_backup_is_declared(answers: dict[str, str], expected: str) -> None:
    """RST-012: both questions close it, one no opens it, and what is not known closes nothing."""
    said = Answers(by="A. Martin, manager", at=date(2026, 11, 24), answers=answers)  # type: ignore[arg-type]
    report = _report(*declare(said, "box"))
    assert (expected == "open") == (Verdict.INFERRED is open_doors(report).get("RST-012"))
    assert (expected == "closed") == ("RST-012" in closed_doors(report))
    assert (expected == "untested") == ("RST-012" in untested(report))


def test_images_past_their_time(tmp_path: Path) -> None:
    """RST-019: older than the owner keeps them, by year; those of the year itself are kept."""
    root = _tree(tmp_path / "t", "20010203", "20010304", "20050101", "20060101", "")
    tally = audit(root, Walk())
    (found,) = _report(observe_retention(root, tally, 2006)).findings
    years = [(one.key, one.value) for one in found.evidence if one.key in (Key.YEAR_FROM, Key.COUNT)]
    assert "RST-019" == found.check
    assert [2, 1] == [value for key, value in years if key is Key.COUNT]
    assert 3 == next(one.value for one in found.evidence if one.key is Key.IMAGES)
    assert "RST-019" in closed_doors(_report(observe_retention(root, tally, 2001)))


def test_years_and_instances_outlive_a_stop(tmp_path: Path) -> None:
    """What a resume file keeps is what was counted."""
    root = _tree(tmp_path / "t", "20010203", "20050101")
    first = Walk(resume=tmp_path / "resume", copies=True)
    whole = audit(root, first)
    again = Walk(resume=tmp_path / "resume", copies=True)
    assert whole.heaps["clear"] == audit(root, again).heaps["clear"]
    assert 2 == len(whole.heaps["clear"].instances)
    forget(again)


def test_copies_on_two_machines(tmp_path: Path) -> None:
    """RST-020: the first machine cannot tell; the second counts what lies on both."""
    one, two = _tree(tmp_path / "a", "20010203", "20050101", "20060101"), tmp_path / "b"
    two.mkdir()
    for name in ("0.dcm", "1.dcm"):
        (two / name).write_bytes((one / name).read_bytes())
    (two / "other.dcm").write_bytes(encode(image(number="P9")))
    kept = tmp_path / "copies.json"

    def seen_on(machine: str, root: Path) -> Report:
        known = Copies.load(kept, machine)
        report = _report(known.observe(root, audit(root, Walk(key=known.key, copies=True))))
        known.save()
        return report

    assert {} == open_doors(seen_on("first", one))
    assert {} == open_doors(seen_on("first", two)), "what lies twice on one machine is not meant"
    kept.unlink()
    seen_on("first", one)
    (found,) = seen_on("second", two).findings
    assert ("RST-020", 2) == (
        found.check,
        next(fact.value for fact in found.evidence if fact.key is Key.COUNT),
    )
    assert "RST-020" in closed_doors(seen_on("third", _tree(tmp_path / "c", "20010203")))
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    instance = next(iter(audit(one, Walk(copies=True)).heaps.values())).instances
    assert all(8 == len(digest) for digest in instance)
    assert b"1.2." not in kept.read_bytes()


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"format":"x","key":"","machines":{}}', b"\xff" * 20])
def test_another_file_is_no_file_of_copies(tmp_path: Path, raw: bytes) -> None:
    """A file that --copies did not write is refused, and left as it is."""
    path = tmp_path / "copies.json"
    path.write_bytes(raw)
    with pytest.raises(Unreadable):
        Copies.load(path, "here")
    assert raw == path.read_bytes()


def test_the_command_holds_them_back(tmp_path: Path) -> None:
    """Without the owner's word they are skipped and said to be; with it, they are told."""
    root = _tree(tmp_path / "t", "20010203")
    code, said, _ = doors("rest", str(root), "--json", "-", "--workers", "1")
    skipped = {one["check"] for one in json.loads(said)["attempts"] if one["outcome"] == "skipped"}
    assert (1, {"RST-019", "RST-020"}) == (code, skipped)
    kept = str(tmp_path / "copies")
    _, said, _ = doors("rest", str(root), "--keep-years", "10", "--copies", kept, "--json", "-")
    assert "RST-019" in {one["check"] for one in json.loads(said)["findings"]}
