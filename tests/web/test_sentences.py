"""The journal's sentences: each says what happened, to which study, and no more than is known."""

from __future__ import annotations

import pytest

from huisclos.access.chronicle import Change, JournalLine
from huisclos.access.nouns import ActorKind
from huisclos.web.pages.sentences import sentence, told_lines
from huisclos.web.words import Words

STUDY = "5" * 32


def _line(act: str, what: str = "", study_id: str = "", **counts: int) -> JournalLine:
    kind, name = ActorKind.TOKEN, "Anne Martin (scanner)"
    return JournalLine(1, 5.0, act, kind, "t" * 32, name, study_id=study_id, what=what, counts=counts)


@pytest.mark.parametrize(
    ("line", "study", "said"),
    [
        (_line("stored", study_id=STUDY, instances=2), "", "sent 2 images, 0 B"),
        (_line("stored", study_id=STUDY, instances=2), "a CT", "sent 2 images of a CT, 0 B"),
        (_line("settled", study_id=STUDY, instances=1), "a CT", "put 1 image received in the dark into a CT"),
        (_line("verified", "journal", entries=4), "", "verified the journal: every entry holds"),
        (_line("verified", entries=4), "", "verified the journal: every entry holds"),
        (_line("verified", "objects"), "", "read and checked every sealed image: all is as it was accepted"),
        (
            _line("verified", "objects", problems=2),
            "",
            "read and checked every sealed image, and found 2 problems",
        ),
    ],
)
def test_what_was_received_and_what_was_verified(line: JournalLine, study: str, said: str) -> None:
    """The study is named where it is known; the journal's chain alone is not the whole archive."""
    assert sentence(line, Words("en"), study) == f"The token of Anne Martin (scanner) {said}"


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("change", Change)
def test_every_change_has_its_sentence(change: Change, language: str) -> None:
    """No reader meets a code: not when the set-up was finished, either."""
    assert change not in sentence(_line("changed", change), Words(language), "")


def test_problems_found_stand_out() -> None:
    """A verification that found something is shown as bad."""
    lines = [_line("verified", "objects", problems=count) for count in (0, 1)]
    assert [told["bad"] for told in told_lines(lines, Words("en"), {})] == [False, True]


def test_who_typed_a_wrong_passphrase_is_somebody() -> None:
    """The house has no passphrase: it is the one who tells, not the one who tried."""
    tried = JournalLine(1, 5.0, "unlock-failed", ActorKind.HOUSE, "", "")
    assert sentence(tried, Words("en"), "") == "Somebody tried to unlock the archive with a wrong passphrase"
    started = JournalLine(1, 5.0, "started", ActorKind.HOUSE, "", "")
    assert sentence(started, Words("en"), "") == "The house was started"


def test_a_study_nobody_may_name_leaves_good_french() -> None:
    """Without an article that would have to be elided after "de"."""
    said = sentence(_line("read", study_id=STUDY, instances=1, octets=1), Words("fr"), "")
    assert " de un " not in said


@pytest.mark.parametrize(
    ("language", "title", "times", "said"),
    [
        ("en", "IRM1", 1, "IRM1 knocked and was refused"),
        ("en", "", 3, "Somebody knocked and was refused, 3 times"),
        ("fr", "IRM1", 1, "IRM1 a frappé et a été refusé"),
        ("fr", "IRM1", 2, "IRM1 a frappé et a été refusé, 2 fois"),
    ],
)
def test_who_knocked_is_who_knocked(language: str, title: str, times: int, said: str) -> None:
    """The house writes the entry: it is not the one who was refused."""
    line = JournalLine(1, 5.0, "knocked", ActorKind.HOUSE, "", "", subject=title, counts={"attempts": times})
    assert sentence(line, Words(language), "") == said


@pytest.mark.parametrize("what", ["", "doubled"])
def test_one_image_is_one_in_french(what: str) -> None:
    """What is said of images does not agree with a number it does not know."""
    for study in ("", "un CT"):
        said = sentence(_line("settled", what, STUDY, instances=1), Words("fr"), study)
        assert "1 image" in said
        assert "reçues" not in said
