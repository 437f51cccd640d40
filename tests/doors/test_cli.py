"""The commands: exit codes, files, rescue and round, as a person types them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huisclos.cli.doors_more import sealed_by_now
from huisclos.doors.reports.page import to_html, to_pdf
from huisclos.doors.reports.round import to_round
from huisclos.doors.reports.table import to_csv, to_sarif
from huisclos.findings.nouns import Language
from huisclos.findings.report import decode
from tests.doors.auditing import started
from tests.doors.test_rest import encode, image
from tests.peers.house import make_archive
from tests.peers.house import program as huisclos
from tests.tools import program


def doors(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    ran = subprocess.run(
        [huisclos(), "doors", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_refused_before_a_packet(tmp_path: Path) -> None:
    """A target nobody answers for is exit code 3; so is one whose mandate does not cover it."""
    assert 3 == doors("probe", "198.51.100.7")[0]
    assert 3 == doors("probe", "127.0.0.1:1", "198.51.100.7", "--consent", "A. Martin, manager")[0]
    mandate, key = str(tmp_path / "m.json"), str(tmp_path / "key")
    made = ("--owner", "A", "--contact", "B", "--auditor", "C", "--basis", "D", "--until", "2099-01-01")
    assert 0 == doors("mandate", "new", mandate, *made, "--target", "198.51.100.0/28")[0]
    assert 2 == doors("mandate", "show", mandate)[0], "it is not signed yet"
    assert 0 == doors("mandate", "sign", mandate, "--key", key)[0]
    code, shown, _ = doors("mandate", "show", mandate)
    assert 0 == code
    assert "198.51.100.0/28" in shown
    assert 3 == doors("probe", "198.51.100.77", "--mandate", mandate)[0]
    mark = next(line.split()[-1] for line in shown.splitlines() if line.startswith("signed by"))
    other = "0" * 32
    code, _, said = doors("probe", "127.0.0.1:1", "--mandate", mandate, "--trust", other)
    assert (3, True) == (code, "a key that was not named" in said)
    code, _, said = doors(
        "probe", "127.0.0.1:1", "--mandate", mandate, "--trust", mark.upper().replace("-", "")
    )
    assert (4, False) == (code, mark in said), "vouched for, nothing is said of it"
    code, _, said = doors("probe", "127.0.0.1:1", "--mandate", mandate)
    assert (4, True) == (code, f"{mark}, and nobody vouches" in said)
    assert 2 == doors("probe", "127.0.0.1:1", "--trust", mark)[0]
    assert 2 == doors("probe", "127.0.0.1:1", "--mandate", mandate, "--trust", "abcd")[0]
    assert 0o600 == Path(key).stat().st_mode & 0o777


def test_exit_codes(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """1 for findings, 0 for milder ones than asked for, 2 for a mistake, 4 for what could not be tested."""
    port = free_port()
    with started([program("storescp"), "--ignore", str(port)], port, tmp_path):
        target = f"127.0.0.1:{port}"
        assert 1 == doors("probe", target)[0]
        assert 0 == doors("probe", target, "--fail-on", "critical")[0]
    assert 4 == doors("probe", target)[0]
    assert 2 == doors("probe")[0]
    assert 2 == doors("probe", target, "--fail-on", "often")[0]
    assert 2 == doors("probe", "::nonsense::")[0]
    assert 2 == doors("config", str(tmp_path), "--baseline", str(tmp_path / "absent"))[0]
    (tmp_path / "empty").mkdir()
    assert 0 == doors("rest", str(tmp_path / "empty"), "--workers", "1")[0]


@pytest.fixture
def clear(tmp_path: Path) -> Path:
    """A folder with two images in clear."""
    folder = tmp_path / "clear"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.dcm").write_bytes(encode(image(number=f"P{number}")))
    return folder


def _report(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def test_a_baseline_and_mutes(tmp_path: Path, clear: Path) -> None:
    """What closed since is told; a muted door does not count, says by whom, and comes back after its day."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert 1 == doors("rest", str(clear), "--json", str(first), "--workers", "1")[0]
    for path in clear.iterdir():
        path.unlink()
    doors("rest", str(clear), "--json", str(second), "--baseline", str(first), "--workers", "1")
    assert {"check": "RST-001", "target": str(clear)} in _report(second)["closed"]
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "orthanc.json").write_text('{"DicomPort": 4242}')
    for day, code in (("2099-01-01", 0), ("2020-01-01", 1)):
        (tmp_path / "mutes.toml").write_text(
            f'[[mute]]\ncheck = "CFG-*"\nreason = "lab"\nauthor = "A. Martin"\nuntil = "{day}"\n'
        )
        got, said, _ = doors("config", str(tmp_path / "config"), "--mutes", str(tmp_path / "mutes.toml"))
        assert code == got
        assert ("A. Martin" in said) == (code == 0)
    (tmp_path / "mutes.toml").write_text('[[mute]]\ncheck = "CFG-005"\nuntil = "2099-01-01"\n')
    assert 2 == doors("config", str(tmp_path / "config"), "--mutes", str(tmp_path / "mutes.toml"))[0]


def test_rescue_takes_in_what_lies_in_clear(short_dir: Path, clear: Path, tmp_path: Path) -> None:
    """From a finding to a sealed archive, with a receipt, and the clear copy looked at again."""
    archive, kept = make_archive(short_dir)
    report = tmp_path / "report.json"
    doors("rest", str(clear), "--json", str(report), "--workers", "1")
    (number,) = [one["id"] for one in _report(report)["findings"] if one["check"] == "RST-001"]
    unlock = ("--unlock-with", f"file:{kept / 'passphrase'}")
    (clear / "notes.txt").write_text("not an image")
    rescue = ("rescue", f"{report}#{number}", "--into", str(archive), *unlock)
    listed = tmp_path / "to-wipe"
    code, said, heard = doors(*rescue, "--wipe-list", str(listed))
    assert 1 == code, "they are still in clear as well"
    assert "stored        2" in said
    assert "verified      every object" in said
    assert "in clear      2 images" in said
    assert f"sha256:{hashlib.sha256(report.read_bytes()).hexdigest()}#{number}" in said
    names = [Path(os.fsdecode(one)) for one in listed.read_bytes().split(b"\0") if one]
    assert sorted(clear.glob("*.dcm")) == sorted(names), "what was not taken in is never listed"
    assert 0o600 == listed.stat().st_mode & 0o777
    assert "shred" in heard
    for path in names:
        path.unlink()
    code, said, _ = doors(*rescue)
    assert 0 == code
    assert "in clear      0 images" in said
    assert (clear / "notes.txt").exists()
    assert 2 == doors("rescue", f"{report}#F99", "--into", str(archive), *unlock)[0]


def test_what_a_rescue_did_not_take_in_is_never_listed(
    short_dir: Path, clear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what was refused, however it was named; not what came or changed meanwhile; not their index."""
    archive, kept = make_archive(short_dir)
    report, listed = tmp_path / "report.json", tmp_path / "to-wipe"
    broken = next(clear.glob("*.dcm"))
    (clear / "broken").write_bytes(broken.read_bytes()[:300])
    monkeypatch.chdir(clear)
    doors("rest", ".", "--json", str(report), "--workers", "1")
    (number,) = [one["id"] for one in _report(report)["findings"] if one["check"] == "RST-001"]
    unlock = ("--unlock-with", f"file:{kept / 'passphrase'}")
    doors("rescue", f"{report}#{number}", "--into", str(archive), "--wipe-list", str(listed), *unlock)
    names = {Path(os.fsdecode(one)).name for one in listed.read_bytes().split(b"\0") if one}
    assert {path.name for path in clear.glob("*.dcm")} == names
    found = [("clear", str(broken)), ("clear", str(clear / "broken")), ("media", str(clear / "DICOMDIR"))]
    later = broken.stat().st_ctime + 1
    assert [str(broken)] == sealed_by_now(found, {broken}, later)
    assert [] == sealed_by_now(found, {broken}, later - 2)
    whole = [found[0], found[2]]
    assert {path for _, path in whole} == set(sealed_by_now(whole, {broken}, later))


def test_a_rescue_into_a_locked_archive_wipes_nothing(short_dir: Path, clear: Path, tmp_path: Path) -> None:
    """What was taken in waits sealed; nothing is called verified, and no list is written."""
    archive, _ = make_archive(short_dir)
    report, listed = tmp_path / "report.json", tmp_path / "to-wipe"
    doors("rest", str(clear), "--json", str(report), "--workers", "1")
    (number,) = [one["id"] for one in _report(report)["findings"] if one["check"] == "RST-001"]
    code, said, heard = doors(
        "rescue", f"{report}#{number}", "--into", str(archive), "--wipe-list", str(listed)
    )
    assert 1 == code
    assert "verified      not yet" in said
    assert "Wipe nothing" in heard
    assert not listed.exists()


def test_every_face_of_a_report(tmp_path: Path, clear: Path) -> None:
    """HTML fetches nothing, PDF is one, SARIF and CSV hold each finding; in both languages, names escaped."""
    for language in Language:
        path = tmp_path / f"{language}.json"
        doors(
            "rest",
            str(clear),
            "--json",
            str(path),
            "--lang",
            language,
            "--site",
            "<b>A & B</b>",
            "--workers",
            "1",
        )
        report = decode(path.read_bytes())
        assert report.findings
        page = to_html(report)
        assert "<b>A" not in page
        assert "&lt;b&gt;A &amp; B" in page
        assert "http" not in page.replace("http-equiv", "")
        assert "<script" not in page
        assert to_pdf(report).startswith(b"%PDF-")
        rows = list(csv.DictReader(io.StringIO(to_csv(report))))
        assert [one.check for one in report.findings] == [row["check"] for row in rows]
        _check_sarif(json.loads(to_sarif(report)), [one.check for one in report.findings])
        round_page = to_round([report, report], language)
        assert "<b>A" not in round_page
    french = decode((tmp_path / "fr.json").read_bytes()).findings[0]
    assert "en clair" in french.title


def _check_sarif(log: dict[str, Any], checks: list[str]) -> None:
    """The parts that SARIF 2.1.0 requires (sections 3.13, 3.14, 3.27); indexes lead to their rules."""
    assert "2.1.0" == log["version"]
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"]
    assert checks == [result["ruleId"] for result in run["results"]]
    for result in run["results"]:
        assert result["ruleId"] == rules[result["ruleIndex"]]["id"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        assert {"internet", "lan", "loopback"} >= {result["properties"]["reach"]}
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert isinstance(run["invocations"][0]["executionSuccessful"], bool)


def test_a_round_of_practices(tmp_path: Path, clear: Path) -> None:
    """Many reports make one page; the terminal has a line for each."""
    reports = []
    for name in ("A", "B"):
        path = tmp_path / f"{name}.json"
        doors("rest", str(clear), "--json", str(path), "--site", name, "--workers", "1")
        reports.append(str(path))
    code, said, _ = doors("round", *reports)
    assert 0 == code
    assert 2 == len(said.splitlines())
    assert 0 == doors("round", *reports, "--html", str(tmp_path / "round.html"))[0]
    page = (tmp_path / "round.html").read_text()
    assert all(f"☐&nbsp;{name}</span>" in page for name in ("A", "B"))
