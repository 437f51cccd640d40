"""nginx in front of an imaging server: who stands before it; and what all proxies' readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from huisclos.doors.config import Setting
from huisclos.errors import Unreadable

PACS: Final = re.compile(
    r":(?:8042|4242|11112)\b|orthanc|dcm4che|dicom|conquest|ohif|pacs|wado|imagerie|imaging|radiolog"
    r"|weasis|oviyam|meddream|dicoogle|horos|osirix|xnat",
    re.IGNORECASE,
)
"""an upstream, a path or a name that leads to images; ports that anybody uses, such as 8080, are none"""
FOLDER: Final = re.compile(rf"{PACS.pattern}|images?\b|radio|scanner|\birm\b|\bdcm\b", re.IGNORECASE)
"""a folder of images"""
MAX_BLOCKS: Final = 10_000
MAX_DEPTH: Final = 40

Include = Callable[[str], list[str]]
"""The texts of the files that an include names."""


@dataclass(slots=True)
class Block:
    """A directive with what stands in its braces."""

    words: list[str]
    inner: list[Block] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Block]:
        """The directives of this name, here only."""
        return (one for one in self.inner if one.words and one.words[0].lower() == name)


_TOKEN: Final = re.compile(r"#[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{};]|[^\s{};\"'#][^\s{};]*")


def parse_nginx(text: str, include: Include, depth: int = 0) -> list[Block]:
    """The directives of a file, includes in their place. Raises `Unreadable`."""
    top = Block([])
    stack, words, count = [top], list[str](), 0
    for match in _TOKEN.finditer(text):
        found = match[0]
        if found.startswith("#"):
            continue
        if found not in ("{", "}", ";"):
            words.append(found.strip("\"'"))
            continue
        count += 1
        if count > MAX_BLOCKS or len(stack) > MAX_DEPTH:
            raise Unreadable("this configuration is larger or deeper than any")
        if found == "}":
            if len(stack) == 1:
                raise Unreadable("this is not a configuration of nginx")
            stack.pop()
        elif words:
            block = Block(words)
            if words[0] == "include" and found == ";" and len(words) > 1 and depth < MAX_DEPTH // 4:
                for inner in include(words[1]):
                    stack[-1].inner += parse_nginx(inner, include, depth + 1)
            else:
                stack[-1].inner.append(block)
            if found == "{":
                stack.append(block)
        words = []
    return top.inner


def is_nginx(blocks: list[Block]) -> bool:
    """Whether these directives are nginx's."""
    return any(one.words[0] in ("http", "server", "location", "upstream", "events") for one in blocks)


@dataclass(slots=True)
class Doors:
    """What was met on the way down."""

    all: int = 0
    open: int = 0
    unlogged: int = 0
    logins: int = 0
    unlimited: int = 0

    def settings(self) -> list[Setting]:
        """As what they decide."""
        if not self.all:
            return []
        made = [
            Setting("proxy", self.open > 0, count=self.open),
            Setting("access-log", self.unlogged > 0, count=self.unlogged),
        ]
        if self.logins:
            made.append(Setting("no-limit", self.unlimited > 0, count=self.unlimited))
        return made


@dataclass(frozen=True, slots=True)
class _Way:
    """What stands in the way so far: nginx's directives hold for what is inside."""

    login: bool = False
    asked: bool = False
    """by `auth_request`"""
    certificate: bool = False
    listed: bool = False
    """only addresses of a list come through"""
    refused: bool = False
    logged: bool = True
    limited: bool = False
    any_origin: bool = False
    names: str = ""
    """of the server"""
    folder: str = ""

    @property
    def guarded(self) -> bool:
        """Whether somebody asks who comes."""
        return self.login or self.asked or self.certificate or self.listed or self.refused


def judge_nginx(blocks: list[Block]) -> list[Setting]:
    """Locations that lead to images: who is asked who he is, how often, and is it written down."""
    doors = Doors()
    _nginx(Block([], blocks), _Way(), doors, _named(blocks))
    return doors.settings()


def _nginx(block: Block, way: _Way, doors: Doors, named: Mapping[str, str]) -> None:
    way = _guard(block, way)
    listing = any("on" in one.words for one in block.all("autoindex")) and FOLDER.search(
        " ".join((*block.words, way.folder, way.names))
    )
    if listing or _leads(block, way, named):
        doors.all += 1
        doors.open += not way.guarded or way.any_origin
        doors.unlogged += not way.logged
        doors.logins += way.login
        doors.unlimited += way.login and not way.limited
    for one in block.inner:
        _nginx(one, way, doors, named)


def _guard(block: Block, way: _Way) -> _Way:
    """The way into `block`: what it says itself stands in the place of what was said around it."""

    def said(name: str) -> list[list[str]]:
        return [one.words[1:] for one in block.all(name)]

    def flag(name: str, off: str, before: bool) -> bool:  # noqa: FBT001 - what held around it
        told = said(name)
        return told[-1][:1] != [off] if told else before

    certificate = [words[:1] == ["on"] for words in said("ssl_verify_client")]
    logs, headers = said("access_log"), said("add_header")
    origins = (
        "*" in words[1:] and words[0].lower() == "access-control-allow-origin" for words in headers if words
    )
    folders = said("root") + said("alias")
    return _Way(
        login=flag("auth_basic", "off", way.login),
        asked=flag("auth_request", "off", way.asked),
        certificate=certificate[-1] if certificate else way.certificate,
        listed=_listed(block, before=way.listed),
        refused=any(words[:1] in (["401"], ["403"], ["444"]) for words in said("return")),
        logged=logs != [["off"]] if logs else way.logged,
        limited=way.limited or bool(said("limit_req")),
        any_origin=any(origins) if headers else way.any_origin,
        names=" ".join(names[0]) if (names := said("server_name")) else way.names,
        folder=" ".join(folders[0]) if folders else way.folder,
    )


def _listed(block: Block, *, before: bool) -> bool:
    """Whether a list of addresses is all that comes through: the first line that fits counts."""
    lines = [
        one.words for one in block.inner if one.words[:1] in (["allow"], ["deny"]) and len(one.words) > 1
    ]
    if not lines:
        return before
    return next((words[0] == "deny" for words in lines if words[1] in _EVERYBODY), False)


_EVERYBODY: Final = ("all", "0.0.0.0/0", "::/0")


def _named(blocks: Iterable[Block]) -> dict[str, str]:
    """What names stand for: servers of an `upstream`, values of a variable."""
    named: dict[str, str] = {}
    for one in blocks:
        kind = one.words[0]
        inside = " ".join(" ".join(inner.words) for inner in one.inner)
        if kind == "upstream" and len(one.words) > 1:
            named[one.words[1]] = inside
        elif kind == "map" and len(one.words) > 2:  # noqa: PLR2004 - what is looked up, what is set
            named[one.words[2]] = inside
        elif kind == "set" and len(one.words) > 2:  # noqa: PLR2004 - variable, value
            named[one.words[1]] = one.words[2]
        named |= _named(one.inner)
    return named


def _leads(block: Block, way: _Way, named: Mapping[str, str]) -> bool:
    passes = [one for name in ("proxy_pass", "fastcgi_pass") for one in block.all(name)]
    return any(PACS.search(_meant(" ".join((*block.words, *one.words, way.names)), named)) for one in passes)


def _meant(text: str, named: Mapping[str, str]) -> str:
    """`text` with what its names stand for; a variable may hold an upstream's name."""
    for _ in range(2):
        text += "".join(f" {named[word]}" for word in set(re.findall(r"\$?[\w.-]+", text)) & named.keys())
    return text
