"""The fuzzing program finds what it is for, says the same thing twice, and keeps what it found."""

from __future__ import annotations

import contextlib
import itertools
import resource
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from huisclos.errors import Unreadable
from tests.fuzz import run as fuzz


def _target(one: Callable[[bytes], str], *seeds: bytes) -> fuzz.Target:
    return cast("fuzz.Target", SimpleNamespace(SEEDS=list(seeds), one=one))


def test_the_same_seed_makes_the_same_inputs() -> None:
    """A printed seed is enough to come back to an input."""
    made = [list(itertools.islice(fuzz.Mutator([b"abc", b"0" * 400], seed), 300)) for seed in (7, 7, 8)]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_seeds_come_first() -> None:
    """Each seed is tried as it is before anything is changed."""
    assert list(itertools.islice(fuzz.Mutator([b"one", b"two"], 1), 2)) == [b"one", b"two"]


def test_a_crash_is_found_once_and_saved(tmp_path: Path) -> None:
    """A parser that lets an IndexError out is found; the input that does it is on disk."""

    def one(data: bytes) -> str:
        return str(data[len(data)]) if len(data) > 2 and data[0] == 0xFF else "read"

    outcome = fuzz.run("index", _target(one, b"abcdef"), fuzz.Enough(seconds=1.0), 1, tmp_path)
    assert len(outcome.findings) == 1
    (where, path), *_ = outcome.findings.items()
    assert where.startswith("IndexError")
    with pytest.raises(IndexError):
        fuzz.trial(one, path.read_bytes())
    assert "IndexError" in path.with_suffix(".txt").read_text()


def test_a_refusal_is_no_finding(tmp_path: Path) -> None:
    """A parser may refuse with an error of the house."""

    def one(_: bytes) -> str:
        raise Unreadable("not this")

    outcome = fuzz.run("refuse", _target(one, b"x"), fuzz.Enough(inputs=50), 1, tmp_path)
    assert outcome.findings == {}
    assert outcome.refused == outcome.inputs == 50


def test_a_new_outcome_leads_further(tmp_path: Path) -> None:
    """What got further than all before it is changed further: three right bytes are found one by one."""

    def one(data: bytes) -> str:
        right = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(data, b"abc", strict=False))
        )
        if right == 3:
            raise IndexError
        return f"{right} right"

    outcome = fuzz.run("steps", _target(one, b"xyz"), fuzz.Enough(seconds=20.0), 3, tmp_path)
    assert outcome.seen >= {"0 right", "1 right", "2 right"}
    assert outcome.findings


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that takes too long is stopped, even by a parser that catches everything."""
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 0.1)

    def one(_: bytes) -> str:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    with pytest.raises(fuzz.Hang):
        fuzz.trial(one, b"")


def test_growth_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that makes the process allocate out of proportion is a finding."""
    monkeypatch.setattr(fuzz, "GROWTH", 32 * 1024 * 1024)
    # A machine that has to find the memory first is slow, and that is not what is tested.
    monkeypatch.setattr(fuzz, "HANG_SECONDS", 60.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def one(_: bytes) -> str:
        # The peak is the whole run's: only what goes beyond it shows.
        return str(len(b"\x01" * (peak - held + 2 * fuzz.GROWTH)))

    assert fuzz.trial(lambda _: "read", b"") == ("read", False)
    with pytest.raises(fuzz.Growth):
        fuzz.trial(one, b"")


def test_every_target_accepts_or_refuses_its_seeds() -> None:
    """Each seed of each target is parsed or refused, in time."""
    for name, target in fuzz.discover().items():
        assert target.SEEDS, name
        for data in target.SEEDS:
            came, _ = fuzz.trial(target.one, data)
            assert came, name


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt target does not pass for a run that found nothing."""
    with pytest.raises(SystemExit):
        fuzz.main(["--seconds", "0.1", "no-such-target"])
    assert "no such target" in capsys.readouterr().err
