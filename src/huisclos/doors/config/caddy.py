"""Caddy in front of an imaging server: who stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from huisclos.doors.config import Setting
from huisclos.doors.config.proxies import MAX_DEPTH, PACS, Block, Doors, Include, parse_nginx


def judge_caddy(text: str, include: Include = lambda _: []) -> list[Setting]:
    """Sites with `reverse_proxy` to images and no login of their own; imports in their place."""
    blocks = _caddy(text, include, 0)
    snippets = {one.words[0].strip("()"): one for one in blocks if one.words[0].startswith("(")}
    doors = Doors()
    for site in blocks:
        if site.words[0].startswith("("):
            continue
        flat = list(_flat(site, dict(snippets)))
        leads = [
            one
            for one in flat
            if one.words[:1] == ["reverse_proxy"] and PACS.search(" ".join((*site.words, *one.words)))
        ]
        doors.all += len(leads)
        doors.open += sum(not _guarded(one, flat) for one in leads)
        doors.unlogged += 0 if any(one.words[:1] == ["log"] for one in flat) else len(leads)
    return doors.settings()


def _guarded(door: Block, flat: list[Block]) -> bool:
    """Whether a login, a certificate or a list of addresses stands before this `reverse_proxy`."""
    near = {
        one.words[0]
        for one in flat
        if one.words[0].startswith("@")
        and any(inner[:1] == ["not"] and _NEAR & set(inner) for inner in _lines(one))
    }
    for one in flat:
        name, path = one.words[0], one.words[1] if len(one.words) > 1 else ""
        if name == "client_auth" or (name in ("respond", "abort", "error") and path in near):
            return True
        if name in _LOGINS and (not path.startswith("/") or _covers(path, door)):
            return True
    return False


def _lines(matcher: Block) -> Iterator[list[str]]:
    """What a named matcher says, on its own line or in braces."""
    yield matcher.words[1:]
    yield from (one.words for one in matcher.inner)


def _covers(path: str, door: Block) -> bool:
    """Whether a login for `path` holds for all that `door` passes on."""
    to = next((word for word in door.words[1:] if word.startswith("/")), "/*")
    return path in ("/*", to) or (path.endswith("*") and to.startswith(path[:-1]))


_LOGINS: Final = ("basic_auth", "basicauth", "forward_auth")
_NEAR: Final = frozenset(("remote_ip", "client_ip"))
"""matchers by address"""


def _caddy(text: str, include: Include, depth: int) -> list[Block]:
    """The blocks of a Caddyfile, files that it imports among them."""
    if depth > MAX_DEPTH // 4:
        return []
    made: list[Block] = []
    for one in parse_nginx(_lined(text), lambda _: []):
        made.append(one)
        if one.words[0] == "import" and len(one.words) > 1:
            for inner in include(one.words[1]):
                made += _caddy(inner, include, depth + 1)
    return made


def _lined(text: str) -> str:
    """A Caddyfile with its lines ended, placeholders as words; the braces of its one site may be left out."""
    text = _PLACEHOLDER.sub("placeholder", re.sub(r"(?m)(^|\s)#.*$", r"\1", text))
    first, _, rest = text.strip().partition("\n")
    if not first.rstrip().endswith("{") and first.split()[:1] != ["import"]:
        text = f"{first} {{\n{rest}\n}}"
    return re.sub(r"(?<=[^\s{};])[ \t]*$", ";", text, flags=re.MULTILINE)


_PLACEHOLDER: Final = re.compile(r"\{\$?[^\s{}]+\}")
"""of the environment or of a request"""


def _flat(block: Block, snippets: dict[str, Block]) -> Iterator[Block]:
    """Everything inside, snippets in the place of their first import; each is taken out as it is met."""
    for one in block.inner:
        yield one
        yield from _flat(one, snippets)
        if one.words[0] == "import" and len(one.words) > 1:
            snippet = snippets.pop(one.words[1], None)
            if snippet is not None:
                yield from _flat(snippet, snippets)
