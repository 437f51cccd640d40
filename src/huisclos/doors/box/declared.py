"""What the owner declares where a box cannot be asked: questions, a file of answers, and their observations.

An answer is never more than inferred, and its evidence says `declared`; whatever the box itself tells wins.
A door declared closed is closed only in the owner's words, which the report keeps with who said so and when.
"""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec

from huisclos.doors.box.guides import guides
from huisclos.doors.catalogue import Words
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason
from huisclos.findings.report import Consent

MAX_ANSWERS: Final = 64 * 1024
"""bytes"""
Said = Literal["yes", "no", "unknown"]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One question, and what its answer means."""

    id: str
    check: str
    word: str
    """the class of the observation"""
    open: Said
    ask: Words
    internet: bool = False
    """whether the open door is reached from the Internet"""


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A file of answers (docs/how-to/ask-the-box.md)."""

    by: str
    """who answers, and in what role"""
    at: date
    box: str = ""
    """the product of a guide"""
    answers: dict[str, Said] = {}


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    question: tuple[Question, ...]


@cache
def questions() -> tuple[Question, ...]:
    """Every question, in the order in which it is asked."""
    raw = files("huisclos.doors.box").joinpath("questions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(raw), _Table, strict=True).question


def read_answers(raw: bytes) -> Answers:
    """The file, strictly. Raises `Unreadable`, `BadSetting`."""
    if len(raw) > MAX_ANSWERS:
        raise Unreadable("this file of answers is too long to be one")
    try:
        answers = msgspec.convert(tomllib.loads(raw.decode("utf-8")), Answers, strict=True)
    except (msgspec.ValidationError, ValueError, RecursionError):
        raise Unreadable(
            "this is not a file of answers",
            hint="it has by, at and [answers] of yes, no or unknown: --questions --answers FILE writes one",
        ) from None
    check(answers)
    return answers


def check(answers: Answers) -> None:
    """Raises `BadSetting` for a question, or a box, that does not exist, and for answers of nobody."""
    known = {one.id for one in questions()}
    if unknown := sorted(set(answers.answers) - known):
        # A key of our own making is quoted; another's might hold a name.
        raise BadSetting(
            f"{len(unknown)} of the answers answer no question", hint=f"ids: {', '.join(sorted(known))}"
        )
    if answers.box and answers.box not in guides():
        raise BadSetting("no guide knows this box", hint=f"one of: {', '.join(guides())}")
    if not answers.by.strip():
        raise BadSetting("answers need a `by`: who answers, and in what role")


def write_answers(answers: Answers) -> bytes:
    """The file that `read_answers` reads back to the same."""
    lines = [f"by = {_quoted(answers.by)}", f"at = {answers.at.isoformat()}"]
    if answers.box:
        lines.append(f"box = {_quoted(answers.box)}")
    lines += ["", "[answers]", *(f'{name} = "{said}"' for name, said in answers.answers.items())]
    return ("\n".join(lines) + "\n").encode()


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for the one control character that JSON leaves as it is.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def declare(answers: Answers, target: str) -> list[Seen]:
    """The answers as observations about `target`."""
    seen: list[Seen] = []
    unknown = [one.check for one in questions() if answers.answers.get(one.id) == "unknown"]
    for one in questions():
        said = answers.answers.get(one.id, "unknown")
        is_open = said == one.open
        # Half a yes closes nothing: of two questions of one check, the other is not known.
        if said == "unknown" or (one.check in unknown and not is_open):
            continue
        reach = Reach.INTERNET if is_open and one.internet else Reach.LAN
        found = facts(
            class_=one.word,
            product=answers.box or None,
            value="open" if is_open else "closed",
            declared=True,
        )
        seen.append(Observation(What.BOX, target, reach, found))
    if unknown:
        seen.append(Miss(tuple(unknown), target, Reason.NOT_TOLD))
    return seen


def declaration(answers: Answers) -> Consent:
    """Who said so and when, for the report."""
    return Consent(kind="declared", by=answers.by.strip(), at=answers.at.isoformat())
