"""What the boxes that answer in JSON have in common: questions, and rules that pass ports on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from huisclos.doors.box.line import Line, NoAnswer, Question, flag, items, ports, read_json, text
from huisclos.doors.box.state import Box, Forward, is_here

ANYONE: Final = ("", "0.0.0.0", "0.0.0.0/0", "::/0")  # noqa: S104 - words for any source

Keep = Callable[[Box, object, str], None]
"""Takes from an answer what the box told; `str` is this machine's own address. Raises `NoAnswer`."""
Step = tuple[Question, tuple[str, ...], Keep]


async def walk(
    line: Line,
    box: Box,
    own: str,
    steps: Sequence[Step],
    inside: Callable[[object], object] = lambda said: said,
) -> None:
    """Ask one question after the other; checks whose question has no answer are left open, with the reason.

    `inside` is what is kept of a document. Raises `NoAnswer` for one that says no.
    """
    for question, checks, keep in steps:
        try:
            keep(box, inside(read_json(await line.ask(question))), own)
        except NoAnswer as error:
            box.miss(checks, error.reason)


@dataclass(frozen=True, slots=True)
class Names:
    """What a maker calls the parts of a rule, the first that is there."""

    outer: tuple[str, ...]
    inner: tuple[str, ...]
    source: str
    to: tuple[str, ...]
    on: str = "enable"
    protocol: str = "protocol"
    told_on: bool = False
    """whether a rule that does not say so is off"""


def forwards(rules: object, own: str, names: Names) -> list[Forward]:
    """The rules that are on."""
    return [made for one in items(rules) if (made := forward(one, own, names)) is not None]


def forward(one: Mapping[str, object], own: str, names: Names) -> Forward | None:
    """One rule; None for one that is off, or names no port."""
    outer = ports(one, *names.outer)
    inner = ports(one, *names.inner) or outer
    on = flag(one, names.on)
    if outer is None or inner is None or on is False or (names.told_on and not on):
        return None
    anyone = text(one, names.source) in ANYONE
    return Forward(
        outer, inner[0], transport(one, names.protocol), anyone, is_here(text(one, *names.to), own)
    )


def transport(one: Mapping[str, object], key: str = "protocol") -> str:
    """By name or by IANA's number; what says neither is TCP."""
    udp = text(one, key).lower() in ("udp", "17") or one.get(key) == _UDP
    return "udp" if udp else "tcp"


_UDP: Final = 17
