"""Apache in front of an imaging server: who stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from huisclos.doors.config import Setting
from huisclos.doors.config.proxies import FOLDER, MAX_DEPTH, PACS, Include

MAX_LINES: Final = 20_000
_SECTION: Final = re.compile(r"^\s*<(/?)(\w+)\s*([^>]*)>", re.IGNORECASE)
_LOGGED: Final = re.compile(r"(?mi)^\s*(?:CustomLog|TransferLog)\s")
_INCLUDED: Final = re.compile(r"(?mi)^[ \t]*Include(?:Optional)?[ \t]+\"?([^\"\s]+)\"?[ \t]*$")
_PROXIED: Final = re.compile(r"\[(?:[^\]]*,)?\s*(?:P|proxy)\s*(?:,[^\]]*)?\]")
"""flags of a RewriteRule that passes a request on"""
_PASSES: Final = ("proxypass", "proxypassmatch")
_OPEN_PLACES: Final = ("ifmodule", "ifdefine", "ifversion", "macro")
"""sections whose lines count as if they stood around them"""


@dataclass(slots=True)
class _Section:
    """A section, its lines as words, and what stands in it."""

    kind: str = ""
    argument: str = ""
    lines: list[list[str]] = field(default_factory=list)
    inner: list[_Section] = field(default_factory=list)

    def all(self, *names: str) -> Iterator[list[str]]:
        """The lines that begin so."""
        return (words for words in self.lines if words[0].lower() in names)


@dataclass(frozen=True, slots=True)
class _Pass:
    """A way through: its path here, where it leads, and what guards the section it stands in."""

    path: str
    leads: str
    guard: bool | None = None


def judge_apache(text: str, include: Include = lambda _: []) -> list[Setting]:
    """Ways to images, with and without a guard before them; includes in their place."""
    text = _included(text, include)
    doors, open_ = _site(_parsed(text), [], guarded=False)
    if not doors:
        return [Setting("access-log", False)] if is_logged(text) else []
    unlogged = not is_logged(text)
    return [Setting("proxy", open_ > 0, count=open_), Setting("access-log", unlogged, count=int(unlogged))]


def is_logged(text: str) -> bool:
    """Whether Apache is told to write requests down."""
    return _LOGGED.search(text) is not None


def _included(text: str, include: Include, depth: int = 0) -> str:
    if depth > MAX_DEPTH // 4:
        return ""
    return _INCLUDED.sub(
        lambda found: "\n".join(_included(one, include, depth + 1) for one in include(found[1])), text
    )


def _parsed(text: str) -> _Section:
    """The sections of a file; one that is never closed ends with it."""
    top = _Section()
    stack = [top]
    for line in re.sub(r"\\\n", " ", text).splitlines()[:MAX_LINES]:
        bare = re.sub(r"(^|\s)#.*", "", line)
        if match := _SECTION.match(bare):
            kind = match[2].lower()
            if kind in _OPEN_PLACES:
                continue
            if match[1]:
                if len(stack) > 1 and stack[-1].kind == kind:
                    stack.pop()
            elif len(stack) < MAX_DEPTH:
                stack[-1].inner.append(_Section(kind, match[3].strip().strip("\"'")))
                stack.append(stack[-1].inner[-1])
        elif words := [word.strip("\"'") for word in bare.split()]:
            stack[-1].lines.append(words)
    return top


def _site(site: _Section, around: list[_Section], *, guarded: bool) -> tuple[int, int]:
    """Ways to images through one site and those in it; how many of them nobody guards."""
    rules = [*around, *_rules(site)]
    certificate = [words[1:2] == ["require"] for words in site.all("sslverifyclient")]
    guarded = _guard(site) or (certificate[-1] if certificate else guarded)
    names = " ".join(" ".join(words) for words in site.all("servername", "serveralias"))
    doors = open_ = 0
    for one in (*_passes(site, "/", None), *_listings(site, names)):
        balancer = " ".join(_members(one.leads, rules))
        if not PACS.search(f"{names} {one.path} {one.leads} {balancer}") and one.leads != _LISTING:
            continue
        doors += 1
        open_ += not (guarded or _covered(one, rules))
        open_ += _reopened(one, rules) if guarded or _covered(one, rules) else 0
    for inner in site.inner:
        if inner.kind == "virtualhost":
            more, wide = _site(inner, rules, guarded=guarded)
            doors, open_ = doors + more, open_ + wide
    return doors, open_


def _rules(site: _Section) -> Iterator[_Section]:
    """Sections of a site that may guard a way, however deep."""
    for one in site.inner:
        if one.kind != "virtualhost":
            if one.kind in ("location", "locationmatch", "proxy", "proxymatch"):
                yield one
            yield from _rules(one)


def _passes(section: _Section, path: str, guard: bool | None) -> Iterator[_Pass]:  # noqa: FBT001 - as `_Pass`
    for words in section.all(*_PASSES):
        here, to = (words[1], words[2]) if len(words) > 2 else (path, words[-1])  # noqa: PLR2004 - path, URL
        if to != "!":
            yield _Pass(_literal(here), to, guard)
    for words in section.all("rewriterule"):
        if len(words) > 2 and _PROXIED.search(" ".join(words[3:])):  # noqa: PLR2004 - pattern, URL
            yield _Pass(_literal(words[1]) or path, words[2], guard)
    for one in section.inner:
        if one.kind != "virtualhost":
            inner = one.argument if one.kind.startswith("location") else path
            told = _guard(one)
            yield from _passes(one, _literal(inner), guard if told is None else told)


_LISTING: Final = "listing"


def _listings(site: _Section, names: str) -> Iterator[_Pass]:
    """Folders of images that are listed."""
    roots = " ".join(" ".join(words[1:]) for words in site.all("documentroot"))
    for one in (site, *site.inner):
        listed = any("indexes" in " ".join(words).lower().split() for words in _bare_options(one))
        if listed and one.kind != "virtualhost" and FOLDER.search(f"{one.argument or roots} {names}"):
            yield _Pass("/", _LISTING, _guard(one))


def _bare_options(section: _Section) -> Iterator[list[str]]:
    return ([word.lstrip("+") for word in words[1:]] for words in section.all("options"))


def _covered(one: _Pass, rules: Iterable[_Section]) -> bool:
    """Whether a guard stands before it: of the backend, then of the path, where the last one counts."""
    guard = one.guard
    for rule in rules:
        if (told := _guard(rule)) is None:
            continue
        if rule.kind.startswith("proxy"):
            place = rule.argument.rstrip("*")
            if guard is None and one.leads.startswith(place):
                guard = told
        elif one.path.startswith(_literal(rule.argument)):
            guard = told
    return bool(guard)


def _reopened(one: _Pass, rules: Iterable[_Section]) -> int:
    """Places below a guarded way that let in everybody again."""
    return sum(
        _guard(rule) is False
        for rule in rules
        if rule.kind.startswith("location")
        and len(_literal(rule.argument)) > len(one.path)
        and _literal(rule.argument).startswith(one.path)
    )


def _members(leads: str, rules: Iterable[_Section]) -> Iterator[str]:
    """Where a balancer's members are."""
    if leads.startswith("balancer:"):
        for rule in rules:
            if rule.kind == "proxy" and leads.startswith(rule.argument):
                yield from (words[1] for words in rule.all("balancermember") if len(words) > 1)


def _guard(section: _Section) -> bool | None:
    """Whether a section asks who comes; None when it says nothing of it (mod_authz_core)."""
    told = [_lets_in_some(words) for words in section.all("require") if words[1:2] != ["not"]]
    for one in section.inner:
        if one.kind in ("requireall", "requireany", "requirenone"):
            inner = [_lets_in_some(words) for words in one.all("require") if words[1:2] != ["not"]]
            told += [any(inner) if one.kind == "requireall" else all(inner)] if inner else []
    old = [" ".join(words[:3]).lower() for words in section.all("deny", "allow")]
    if "deny from all" in old:
        told.append("allow from all" not in old)
    return all(told) if told else None


def _lets_in_some(words: list[str]) -> bool:
    return " ".join(words[1:3]).lower() != "all granted"


def _literal(path: str) -> str:
    """What a path or a pattern begins with for certain."""
    return re.split(r"[\\^$.|?*+()\[{]", path.lstrip("~ ").lstrip("^").strip("\"'"), maxsplit=1)[0] or "/"
