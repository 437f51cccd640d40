"""Promise P1: nothing that names a person or says when they came is in clear on disk, ever."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.journey.needles import Needles
from tests.journey.patients import EVERYBODY, Patient
from tests.tools import PROJECT, need


@pytest.fixture(scope="module")
def walked() -> dict[str, Any]:
    """What the whole journey came to; walked once, alone on read-only file systems where that is allowed."""
    need("chromium", "certutil", "dcmsend", "Orthanc", "zstd", "python:playwright")
    program = [sys.executable, "-B", "-m", "tests.journey.sealed"]
    alone = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0
    where = "alone" if alone else tempfile.mkdtemp(prefix="hp", dir="/tmp")
    ran = subprocess.run(
        [*(["unshare", "--mount"] if alone else []), *program, where],
        check=False, capture_output=True, text=True, cwd=PROJECT, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-6000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_nothing_is_in_clear(walked: dict[str, Any]) -> None:
    """No value of any patient is in any byte written by the house, its commands or the browser."""
    assert walked["leaks"] == {}


def test_the_control_finds_everything(walked: dict[str, Any]) -> None:
    """The same search over Orthanc's store, after the same sends, finds each value."""
    assert walked["facts"]["control missed"] == []


def test_the_journey_was_a_whole_one(walked: dict[str, Any]) -> None:
    """Images were stored by every way in, looked at, kept through lock, crash and reindex."""
    facts = walked["facts"]
    assert facts["stow"] == 200
    assert facts["imported"] == 3
    assert facts["listed"] == 4
    assert facts["study page"]
    assert facts["killed after"] >= 10
    assert facts["found"] >= 15 + facts["killed after"]
    assert facts["verify"] == []
    assert facts["reindex"] == 0
    for stage in ("looking", "locked", "killed", "stopped"):
        assert facts[f"searched {stage}"] > 1_000_000


@pytest.mark.parametrize("patient", EVERYBODY, ids=lambda patient: patient.accession)
def test_the_search_would_find_it(patient: Patient) -> None:
    """A file of a patient is found as it is, in base64, in hex, and inside compressed streams."""
    needles = Needles(EVERYBODY)
    plain = patient.file(1)
    everything = {*patient.values(), *patient.dates()}
    for hidden in (
        plain, base64.b64encode(b"x" + plain), plain.hex().encode(), plain.hex().upper().encode(),
        b"before" + zlib.compress(plain) + b"after", gzip.compress(plain)[:-20],
    ):  # fmt: skip
        assert everything <= needles.found_in(hidden)


@pytest.mark.parametrize("patient", EVERYBODY, ids=lambda patient: patient.accession)
def test_the_search_reads_every_spelling(patient: Patient, tmp_path: Path) -> None:
    """A name is found in wide characters, escaped, without its accents, in capitals, and in a file's name."""
    needles = Needles(EVERYBODY)
    for value in patient.values():
        for written in (
            value.encode("utf-16-le"), value.encode("utf-16-be"), value.upper().encode(),
            json.dumps(value).encode(), value.encode("ascii", "xmlcharrefreplace"),
        ):  # fmt: skip
            assert value in needles.found_in(b"\0" + written + b"\0")
    (tmp_path / patient.accession).touch()
    assert needles.found_below(tmp_path) == {str(tmp_path / patient.accession): {patient.accession}}
