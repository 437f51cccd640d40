"""What a box's observation says in plain words, beside the door's own sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from huisclos.doors.observation import Observation
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Language

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "port": ("port {0}", "port {0}"),
    "to": ("port {0}, to port {1} inside", "port {0}, vers le port {1} à l'intérieur"),
    "range": ("ports {0} to {1}", "ports {0} à {1}"),
    "here": ("leading to this machine", "menant à cette machine"),
    "more": ("{0} in all", "{0} en tout"),
    "idle": (
        "it is set, and has no effect while the box shares its outside address with others",
        "c'est réglé, et sans effet tant que la box partage son adresse extérieure",
    ),
    "declared": ("as its owner declares", "d'après son propriétaire"),
    "outside-shared": (
        "its provider gives one outside address to several houses (100.64.0.0/10)",
        "son opérateur donne une adresse extérieure à plusieurs foyers (100.64.0.0/10)",
    ),
    "outside-private": ("another box stands before it", "une autre box se trouve devant elle"),
    "outside-ports": (
        "its outside address is shared, and only {0} are this house's",
        "son adresse extérieure est partagée, et seuls les {0} sont à ce foyer",
    ),
    "off": ("it is off", "il est désactivé"),
    "low": ("its level is low", "son niveau est faible"),
    "version": ("version {0}", "version {0}"),
}


def sentence(seen: Observation, language: Language) -> str:
    """What was seen, without the door's own sentence; empty when there is nothing to add."""
    return "; ".join(part for part in _parts(seen, language is Language.FR) if part)


def _parts(seen: Observation, french: bool) -> Iterator[str]:  # noqa: FBT001 - one of two languages
    def say(name: str, *values: object) -> str:
        return _WORDS[name][french].format(*values)

    word = str(seen.get(Key.CLASS))
    groups = list(_groups(seen))
    if word == "outside-ports" and groups:
        first, width = groups[0][Key.PORT], groups[0].get(Key.WIDTH, 1)
        yield say("outside-ports", say("range", first, first + width - 1))
        return
    if word in ("outside-shared", "outside-private"):
        yield say(word)
        return
    for group in groups:
        yield _forward(group, say("here") if group.get(Key.SELF) else "", french)
    if not groups and seen.get(Key.SELF) is True:
        yield say("here")
    if seen.number(Key.COUNT) > len(groups) > 0:
        yield say("more", seen.number(Key.COUNT))
    level, version = seen.get(Key.MODE), seen.get(Key.VERSION)
    yield say(str(level)) if level in ("off", "low") else ""
    yield say("version", version) if version else ""
    yield say("idle") if seen.get(Key.EFFECTIVE) is False else ""
    yield say("declared") if seen.get(Key.DECLARED) is True else ""


def _forward(group: dict[Key, int], here: str, french: bool) -> str:  # noqa: FBT001 - one of two languages
    outer, inner, width = group[Key.PORT], group.get(Key.INTERNAL_PORT), group.get(Key.WIDTH, 1)
    if width > 1:
        text = _WORDS["range"][french].format(outer, outer + width - 1)
    elif inner is not None and inner != outer:
        text = _WORDS["to"][french].format(outer, inner)
    else:
        text = _WORDS["port"][french].format(outer)
    return f"{text}, {here}" if here else text


def _groups(seen: Observation) -> Iterator[dict[Key, int]]:
    """The facts of each forward: a port, and what follows it."""
    group: dict[Key, int] = {}
    for fact in seen.facts:
        if fact.key is Key.PORT:
            if group:
                yield group
            group = {Key.PORT: int(fact.value)}
        elif group and isinstance(fact.value, int):
            group[fact.key] = int(fact.value)
    if group:
        yield group
