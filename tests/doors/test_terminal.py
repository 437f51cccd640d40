"""What a person reads on a terminal: each door once, with its places, in lines that fit."""

from __future__ import annotations

import io
import os
import pty
import sys

import pytest

from huisclos.cli import output
from huisclos.cli.doors_report import show, take
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Language, Reach, Reason

SEEN: list[Seen] = [
    Observation(What.CALLING_TITLE, f"127.0.0.1:{port}", Reach.LAN, facts(value="open", contexts=3))
    for port in (4242, 11112)
]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Say so."""
        return True


def test_one_door_at_two_places_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Both numbers and places stand above one sentence, one proof and one repair."""
    audit = Audit("check", Language.EN, now())
    list(audit.take(SEEN, now()))
    show(audit.report())
    text = capsys.readouterr().out
    assert (
        "F1   high  DCM-003  this machine, port 11112\nF2                  this machine, port 4242\n" in text
    )
    assert 1 == text.count("The server lets in a caller that nobody introduced")
    assert 1 == text.count("What to do")


def test_what_is_not_known_is_named_on_a_terminal_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The question stands before the reason; without a box it is said that there is none."""
    audit = Audit("check", Language.EN, now())
    audit.take([Miss(("RST-015",), "/srv", Reason.ABSENT)], now())
    audit.take([Miss(("BOX-001", "BOX-002"), "gateway", Reason.ABSENT)], now())
    show(audit.report())
    text = capsys.readouterr().out
    assert "The disk is encrypted (LUKS, BitLocker, FileVault)? This machine cannot tell. RST-015" in text
    assert "This machine is connected to no box." in text


@pytest.mark.parametrize("language", tuple(Language))
def test_lines_fit_a_terminal(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no word is cut at the edge; and what is only for information is not shown on the way."""
    monkeypatch.setenv("COLUMNS", "80")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    audit = Audit("check", language, now())
    told = Observation(What.IMPLEMENTATION, "127.0.0.1:4242", Reach.LAN, facts(product="dcmtk"))
    take(audit, [*SEEN, told])
    assert "DCM-003" in terminal.getvalue()
    assert "DCM-022" not in terminal.getvalue()
    show(audit.report())
    assert max(map(len, terminal.getvalue().splitlines())) < 80


def test_only_a_terminal_gets_broken_lines() -> None:
    """A file, or another program, reads one line a sentence; a command keeps its hyphens together."""
    text = "     " + "word " * 30 + "`huisclos doors box --questions`"
    assert text == output.fitted(text, io.StringIO())
    broken = output.fitted(text, _Terminal())
    assert all(line.startswith("     ") for line in broken.splitlines())
    assert "--questions" in broken
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        assert "\n" in output.fitted(text, stream)
    os.close(leader)
