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


def judge_nginx(blocks: list[Block]) -> list[Setting]:
    """Locations that lead to images, and whether somebody asks who comes."""
    doors, open_ = _nginx(Block([], blocks), guarded=False)
    return [Setting("proxy", open_ > 0, count=open_)] if doors or open_ else []


def _nginx(block: Block, *, guarded: bool) -> tuple[int, int]:
    guarded = _guard(block, guarded=guarded)
    doors = open_ = 0
    leads = _leads(block)
    listed = any("on" in one.words for one in block.all("autoindex"))
    anyone = any(
        "access-control-allow-origin" in " ".join(one.words).lower() and "*" in one.words
        for one in block.all("add_header")
    )
    if leads or listed or anyone:
        doors += 1
        open_ += (not guarded) or anyone
    for one in block.inner:
        more, wide = _nginx(one, guarded=guarded)
        doors, open_ = doors + more, open_ + wide
    return doors, open_


def _guard(block: Block, *, guarded: bool) -> bool:
    """Whether a login, a client certificate or a list of private addresses stands here."""
    for one in block.all("auth_basic"):
        guarded = one.words[1:2] != ["off"]
    for one in block.all("auth_request"):
        guarded = one.words[1:2] != ["off"]
    if any(one.words[1:2] == ["on"] for one in block.all("ssl_verify_client")):
        guarded = True
    denies = any(one.words[1:2] == ["all"] for one in block.all("deny"))
    return (
        guarded or denies or any(one.words[1:2] in (["401"], ["403"], ["444"]) for one in block.all("return"))
    )


def _leads(block: Block) -> bool:
    passes = [one for name in ("proxy_pass", "fastcgi_pass") for one in block.all(name)]
    return any(PACS.search(" ".join((*block.words, *one.words))) for one in passes)


_SECTION: Final = re.compile(r"^\s*<(/?)(\w+)\s*([^>]*)>", re.IGNORECASE)


def judge_apache(text: str) -> list[Setting]:
    """ProxyPass to images, in sections with and without `Require`."""
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
    return [Setting("proxy", open_ > 0, count=open_)] if doors else []


def judge_caddy(text: str) -> list[Setting]:
    """Sites with `reverse_proxy` to images and no login of their own."""
    blocks = parse_nginx(re.sub(r"(?<=[^\s{};])[ \t]*$", ";", text, flags=re.MULTILINE), lambda _: [])
    doors = open_ = 0
    for site in blocks:
        flat = list(_flat(site))
        leads = sum(
            1
            for one in flat
            if one.words[:1] == ["reverse_proxy"] and PACS.search(" ".join((*site.words, *one.words)))
        )
        guarded = any(one.words[:1] in (["basic_auth"], ["basicauth"], ["forward_auth"]) for one in flat)
        doors += leads
        open_ += 0 if guarded else leads
    return [Setting("proxy", open_ > 0, count=open_)] if doors else []


def _flat(block: Block) -> Iterator[Block]:
    for one in block.inner:
        yield one
        yield from _flat(one)
