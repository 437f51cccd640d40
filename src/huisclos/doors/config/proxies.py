"""nginx, Apache and Caddy in front of an imaging server: who stands before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from huisclos.doors.config import Setting
from huisclos.errors import Unreadable

PACS: Final = re.compile(
    r":(?:8042|4242|11112|8080|8443|3333|5678)\b|orthanc|dcm4chee|dicom|conquest|ohif|pacs|wado",
    re.IGNORECASE,
)
"""an upstream or a path that leads to images"""
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
class _Doors:
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

    guarded: bool = False
    login: bool = False
    logged: bool = True
    limited: bool = False


def judge_nginx(blocks: list[Block]) -> list[Setting]:
    """Locations that lead to images: who is asked who he is, how often, and is it written down."""
    doors = _Doors()
    _nginx(Block([], blocks), _Way(), doors)
    return doors.settings()


def _nginx(block: Block, way: _Way, doors: _Doors) -> None:
    way = _guard(block, way)
    leads = _leads(block)
    listed = any("on" in one.words for one in block.all("autoindex"))
    anyone = any(
        "access-control-allow-origin" in " ".join(one.words).lower() and "*" in one.words
        for one in block.all("add_header")
    )
    if leads or listed or anyone:
        doors.all += 1
        doors.open += (not way.guarded) or anyone
        doors.unlogged += not way.logged
        doors.logins += way.login
        doors.unlimited += way.login and not way.limited
    for one in block.inner:
        _nginx(one, way, doors)


def _guard(block: Block, way: _Way) -> _Way:
    """Whether a login, a client certificate or a list of private addresses stands here."""
    guarded, login = way.guarded, way.login
    for one in block.all("auth_basic"):
        guarded = login = one.words[1:2] != ["off"]
    for one in block.all("auth_request"):
        guarded = one.words[1:2] != ["off"]
    logs = [one.words[1:2] for one in block.all("access_log")]
    return _Way(
        guarded
        or any(one.words[1:2] == ["on"] for one in block.all("ssl_verify_client"))
        or any(one.words[1:2] == ["all"] for one in block.all("deny"))
        or any(one.words[1:2] in (["401"], ["403"], ["444"]) for one in block.all("return")),
        login,
        logs != [["off"]] if logs else way.logged,
        way.limited or any(True for _ in block.all("limit_req")),
    )


def _leads(block: Block) -> bool:
    passes = [one for name in ("proxy_pass", "fastcgi_pass") for one in block.all(name)]
    return any(PACS.search(" ".join((*block.words, *one.words))) for one in passes)


_SECTION: Final = re.compile(r"^\s*<(/?)(\w+)\s*([^>]*)>", re.IGNORECASE)


_LOGGED: Final = re.compile(r"(?mi)^\s*(?:CustomLog|TransferLog)\s")
_INCLUDED: Final = re.compile(r"(?mi)^[ \t]*Include(?:Optional)?[ \t]+\"?([^\"\s]+)\"?[ \t]*$")


def judge_apache(text: str, include: Include = lambda _: []) -> list[Setting]:
    """ProxyPass to images, in sections with and without `Require`; includes in their place."""
    text = _included(text, include)
    guards = [False]
    doors = open_ = 0
    pending: list[int] = [0]
    for line in text.splitlines():
        bare = line.split("#", 1)[0]
        if match := _SECTION.match(bare):
            if match[1] and len(guards) > 1:
                held, guarded = pending.pop(), guards.pop()
                open_ += 0 if guarded else held
            elif not match[1]:
                guards.append(guards[-1])
                pending.append(0)
            continue
        words = bare.split()
        name = words[0].lower() if words else ""
        if name == "require" and len(words) > 1:
            guards[-1] = words[1].lower() != "all" or words[2:3] == ["denied"]
        elif (name in ("proxypass", "proxypassmatch") and PACS.search(bare)) or (
            name == "options" and "indexes" in bare.lower().replace("-indexes", "")
        ):
            doors, pending[-1] = doors + 1, pending[-1] + 1
    open_ += 0 if guards[0] else sum(pending)
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


def judge_caddy(text: str, include: Include = lambda _: []) -> list[Setting]:
    """Sites with `reverse_proxy` to images and no login of their own; imports in their place."""
    blocks = _caddy(text, include, 0)
    snippets = {one.words[0].strip("()"): one for one in blocks if one.words[0].startswith("(")}
    doors = _Doors()
    for site in blocks:
        if site.words[0].startswith("("):
            continue
        flat = list(_flat(site, dict(snippets)))
        leads = sum(
            1
            for one in flat
            if one.words[:1] == ["reverse_proxy"] and PACS.search(" ".join((*site.words, *one.words)))
        )
        guarded = any(
            one.words[:1] in (["basic_auth"], ["basicauth"], ["forward_auth"], ["client_auth"])
            for one in flat
        )
        doors.all += leads
        doors.open += 0 if guarded else leads
        doors.unlogged += 0 if any(one.words[:1] == ["log"] for one in flat) else leads
    return doors.settings()


def _caddy(text: str, include: Include, depth: int) -> list[Block]:
    """The blocks of a Caddyfile, files that it imports among them."""
    if depth > MAX_DEPTH // 4:
        return []
    made: list[Block] = []
    for one in parse_nginx(re.sub(r"(?<=[^\s{};])[ \t]*$", ";", text, flags=re.MULTILINE), lambda _: []):
        made.append(one)
        if one.words[0] == "import" and len(one.words) > 1:
            for inner in include(one.words[1]):
                made += _caddy(inner, include, depth + 1)
    return made


def _flat(block: Block, snippets: dict[str, Block]) -> Iterator[Block]:
    """Everything inside, snippets in the place of their first import; each is taken out as it is met."""
    for one in block.inner:
        yield one
        yield from _flat(one, snippets)
        if one.words[0] == "import" and len(one.words) > 1:
            snippet = snippets.pop(one.words[1], None)
            if snippet is not None:
                yield from _flat(snippet, snippets)
