"""The line to a box: questions that are written down here and nowhere else, bounded answers, no redirect.

A box is asked only what is a member of a `Question`: its method, path and body are literals of this program,
and nothing but an index can be put into them. What goes in to log in is an `Entry`. There is no other way to
send, so no call that changes a box's settings can be written (tests/doors/test_box_line.py reads every
member).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from huisclos.doors.probes.host import OutOfTurns
from huisclos.doors.probes.http import Answer, NotHttp, Web
from huisclos.errors import HuisclosError, PeerTooSlow, PeerUnreachable
from huisclos.findings.nouns import Reason

MAX_ITEMS: Final = 256
"""rules of one list that are looked at"""
_TEXT: Final = 128
_DIGITS: Final = 9
_OK: Final = range(200, 300)
_MOVED: Final = range(300, 400)
_ASKS: Final = (401, 403)
_WAIT: Final = 429


class NoAnswer(HuisclosError):
    """A box did not tell; `reason` is what the report says."""

    kind = "box-no-answer"

    def __init__(self, reason: Reason) -> None:
        super().__init__("the box did not tell")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it is sent: only `{index}` in its path or body is filled in, with a number."""

    method: Literal["GET", "POST"]
    path: str
    body: str = ""
    type: str = ""
    action: str = ""
    """the SOAPAction header"""


class Question(Enum):
    """A call that reads. Each box's own questions are the members of a subclass."""

    @property
    def call(self) -> Call:
        """What is sent."""
        call: Call = self.value
        return call


class Entry(Enum):
    """A call that opens or ends a session."""

    @property
    def call(self) -> Call:
        """What is sent."""
        call: Call = self.value
        return call


@dataclass(frozen=True, slots=True)
class Login:
    """What the owner gave to log in with; never shown."""

    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login(...)"


class Line:
    """One box, one question after the other. After a time-out, a break or a lock-out nothing more is sent."""

    def __init__(self, web: Web, prefix: str = "") -> None:
        self._web = web
        self._dead: Reason | None = None
        self.prefix = prefix
        self.headers: dict[str, str] = {}
        """what a session adds to each request"""
        self.query: dict[str, str] = {}

    async def ask(self, question: Question, *, index: int = 0) -> Answer:
        """The answer to a question. Raises `NoAnswer`."""
        return _told(await self.look(question, index=index))

    async def look(
        self, question: Question | Entry, *, index: int = 0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer whatever its status: a refusal may hold what is wanted. Raises `NoAnswer`."""
        call, given = question.call, str(int(index))
        path, body = (one.replace("{index}", given) for one in (call.path, call.body))
        return await self._send(call, path, body, headers)

    async def enter(self, entry: Entry, body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a login, on a connection of its own: it is never sent twice. Raises `NoAnswer`."""
        await self._web.close()
        answer = await self._send(entry.call, entry.call.path, body, headers)
        if answer.status == _WAIT or answer.status in _ASKS:
            # One try, whatever was wrong: some boxes lock longer with each.
            self._dead = Reason.LOCKED if answer.status == _WAIT else Reason.NEEDS_LOGIN
        return _told(answer)

    async def _send(self, call: Call, path: str, body: str, headers: Mapping[str, str] | None) -> Answer:
        if self._dead is not None:
            raise NoAnswer(self._dead)
        fields = {**self.headers, **(headers or {})}
        if call.type:
            fields["Content-Type"] = call.type
        if call.action:
            fields["SOAPAction"] = f'"{call.action}"'
        path = self.prefix + path
        if self.query:
            path += ("&" if "?" in path else "?") + urlencode(self.query)
        try:
            return await self._web.get(path, method=call.method, headers=fields, body=body.encode())
        except PeerTooSlow:
            self._dead = Reason.TIMED_OUT
        except PeerUnreachable:
            self._dead = Reason.UNREACHABLE
        except OutOfTurns:
            self._dead = Reason.BUDGET
        except NotHttp:
            self._dead = Reason.PROTOCOL
        raise NoAnswer(self._dead)


def _told(answer: Answer) -> Answer:
    if answer.status in _ASKS:
        raise NoAnswer(Reason.NEEDS_LOGIN)
    if answer.status == _WAIT:
        raise NoAnswer(Reason.LOCKED)
    if answer.status in _MOVED:
        raise NoAnswer(Reason.OUT_OF_SCOPE)
    if answer.status not in _OK:
        raise NoAnswer(Reason.PROTOCOL)
    if not answer.whole:
        raise NoAnswer(Reason.TOO_LARGE)
    return answer


def read_json(answer: Answer) -> object:
    """The document of an answer. Raises `NoAnswer` for what is none, however deep it is."""
    try:
        document: object = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NoAnswer(Reason.PROTOCOL) from None
    return document


def table(value: object) -> dict[str, object]:
    """`value` if it is a JSON object, its keys in lower case; else an empty one."""
    return {str(key).lower(): one for key, one in value.items()} if isinstance(value, dict) else {}


def items(value: object) -> list[dict[str, object]]:
    """The objects of a list, or of an object's values: boxes use both for their rules."""
    inner = list(value.values()) if isinstance(value, dict) else value
    found = inner[:MAX_ITEMS] if isinstance(inner, list) else []
    return [table(one) for one in found if isinstance(one, dict)]


def text(fields: Mapping[str, object], *keys: str) -> str:
    """The first of `keys` that holds a text, cut short."""
    return next((one[:_TEXT].strip() for key in keys if isinstance(one := fields.get(key), str)), "")


def number(fields: Mapping[str, object], *keys: str) -> int | None:
    """The first of `keys` that holds a number, or digits."""
    for key in keys:
        value = fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and _is_number(value):
            return int(value)
    return None


def flag(fields: Mapping[str, object], *keys: str) -> bool | None:
    """The first of `keys` that is there, as yes or no; None when none is."""
    for key in keys:
        value = fields.get(key)
        if isinstance(value, bool | int):
            return bool(value)
        if isinstance(value, str) and value:
            return value.strip().lower() in ("1", "true", "on", "yes", "up", "enabled", "active")
    return None


def known(value: bool | None) -> bool:  # noqa: FBT001 - a flag as it was read
    """`value`, when the box told it. Raises `NoAnswer`."""
    if value is None:
        raise NoAnswer(Reason.PROTOCOL)
    return value


def ports(fields: Mapping[str, object], *keys: str) -> tuple[int, int] | None:
    """The first of `keys` that holds a port, or a range of them written `104-110` or `104:110`."""
    for key in keys:
        if (one := number(fields, key)) is not None:
            return _port_range(one, one)
        first, dash, last = text(fields, key).replace(":", "-").partition("-")
        if dash and all(_is_number(part) for part in (first, last)):
            return _port_range(int(first), int(last))
    return None


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= _DIGITS


def _port_range(first: int, last: int) -> tuple[int, int] | None:
    return (first, last) if 0 < first <= last <= 65535 else None  # noqa: PLR2004 - the last port
