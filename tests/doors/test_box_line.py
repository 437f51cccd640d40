"""No call that changes a box can be sent: each question of each maker is read here, each bound tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import cast

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.addresses import parse_address
from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.box import ask, bbox, fritz, livebox
from huisclos.doors.box.line import (
    Entry,
    Line,
    Login,
    NoAnswer,
    Question,
    flag,
    items,
    number,
    ports,
    read_json,
    table,
    text,
)
from huisclos.doors.box.rules import Names, forwards
from huisclos.doors.box.state import Box, Forward, Outside, class_of, effective, observe
from huisclos.doors.probes.http import Answer, Web
from huisclos.findings.nouns import Language


def _members(kind: type[Question | Entry]) -> list[Question | Entry]:
    return list(chain.from_iterable(kind.__subclasses__()))


def test_every_question_reads() -> None:
    """GET, a sysbus method that begins with get, or a SOAP action that begins with Get: nothing else."""
    assert ask.MAKERS, "every maker's questions are there"
    asked = _members(Question)
    assert len(asked) > 40
    for one in asked:
        call = one.call
        if call.method == "GET":
            assert not call.body
            words = ("set", "add", "delete", "enable", "disable", "reboot", "reset", "token=")
            method = call.path.partition("method=")[2]
            assert not any(method.partition(".")[2].startswith(word) for word in words)
        elif call.action:
            assert call.action.partition("#")[2].startswith("Get")
            assert f"<u:{call.action.partition('#')[2]} " in call.body
        else:
            assert '"method":"get' in call.body
            assert "/ws" == call.path


def test_every_entry_opens_or_ends_a_session() -> None:
    """Beside questions there are only logins and logouts."""
    for one in _members(Entry):
        path = one.call.path
        assert "login" in path or "logout" in path or path == "/ws" or one is fritz.Enter.CHALLENGE
        assert one.call.method == "POST"


def test_a_question_cannot_be_made_of_a_text() -> None:
    """A text is no question: what is not written down cannot be asked."""
    with pytest.raises(ValueError, match="is not a valid Read"):
        livebox.Read("Firewall.setDMZ")


@given(st.binary(max_size=200))
def test_any_bytes_are_read(raw: bytes) -> None:
    """No answer makes the readers stumble, and none is taken for another."""
    try:
        document = read_json(Answer(200, {}, raw))
    except NoAnswer:
        return
    for one in (table(document), *items(document)):
        text(one, "a"), number(one, "a"), flag(one, "a"), ports(one, "a")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_document_is_looked_through(document: object) -> None:
    """A search in a document ends, whatever it is."""
    bbox.find(document, "ip")
    names = Names(outer=("a",), inner=("b",), source="c", to=("d",))
    made = forwards(document, "", names)
    assert all(0 < one.outer[0] <= one.outer[1] <= 65535 for one in made)
    assert all(0 < one.inner <= 65535 for one in made)


def test_a_rule_counts_while_it_is_on() -> None:
    """One that says it is off does not count; one that does not say so, by its maker's word."""
    rule = {"a": "80-90", "b": "4242", "c": "203.0.113.9", "protocol": 17}
    names = Names(outer=("a",), inner=("b",), source="c", to=("d",))
    (made,) = forwards([rule], "", names)
    assert ((80, 90), 4242, "udp", False) == (made.outer, made.inner, made.transport, made.anyone)
    assert not forwards([rule], "", replace(names, told_on=True))
    assert not forwards([{**rule, "enable": False}], "", names)
    assert forwards([{**rule, "enable": True, "c": ""}], "", replace(names, told_on=True))[0].anyone


@given(st.text(max_size=20))
def test_ports_are_ports(written: str) -> None:
    """A range is within 1 to 65535 and the right way round, or it is none."""
    found = ports({"a": written}, "a")
    assert found is None or 0 < found[0] <= found[1] <= 65535


@pytest.mark.parametrize(
    ("written", "expected"),
    [("104", (104, 104)), ("104-110", (104, 110)), ("104:110", (104, 110)), ("110-104", None), ("0", None)],
)
def test_how_ports_are_written(written: str, expected: tuple[int, int] | None) -> None:
    """Boxes write ranges with a hyphen or a colon."""
    assert expected == ports({"a": written}, "a")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("9.9.9.9", Outside.PUBLIC),
        ("100.64.0.1", Outside.SHARED),
        ("100.128.0.1", Outside.PUBLIC),
        ("10.0.0.1", Outside.PRIVATE),
        ("192.168.1.1", Outside.PRIVATE),
        ("", Outside.UNKNOWN),
        ("0.0.0.0", Outside.UNKNOWN),  # noqa: S104 - no address: the line is down
        ("Dr MARTIN", Outside.UNKNOWN),
    ],
)
def test_what_an_outside_address_is(address: str, expected: Outside) -> None:
    """Public, shared (RFC 6598), behind another box, or nothing that we know."""
    assert expected is class_of(address)


def test_what_can_work() -> None:
    """Nothing is claimed where the outside address is not known."""
    forward = Forward((104, 104), 104)
    assert effective(Box(), forward) is None
    assert effective(Box(outside=Outside.PUBLIC), forward) is True
    assert effective(Box(outside=Outside.SHARED), forward) is False
    assert effective(Box(outside=Outside.PUBLIC, ports=(100, 200)), forward) is True
    assert effective(Box(outside=Outside.PUBLIC, ports=(200, 300)), forward) is False
    assert effective(Box(outside=Outside.PUBLIC, ports=(200, 300)), Forward((190, 210), 190)) is True


JSON = VALUES.map(lambda document: json.dumps(document, default=str).encode())
NEAR = st.sampled_from(
    [
        b'{"success":true,"result":{"challenge":"a","session_token":"b"}}',
        b'{"result":{"status":{"a":{"Enable":true,"ExternalPort":"1-9","InternalPort":[]}},"data":7}}',
        b'{"status":null,"errors":[{"error":13}],"data":{"contextID":"c"}}',
        b'[{"nat":{"enable":1,"rules":[{"externalport":"a","internalport":-1}]},"wan":{"ip":[]}}]',
        b'<rsp stat="ok"><auth token="abc"/><wan ip_addr=""/><firewall/></rsp>',
        b"<a><NewExternalIPAddress>9.9.9.9</NewExternalIPAddress><NewInternalPort>0</NewInternalPort></a>",
    ]
)
HEADERS = st.fixed_dictionaries(
    {}, optional={"set-cookie": st.text(max_size=20), "www-authenticate": st.text(max_size=40)}
)
ANSWERS = st.lists(
    st.builds(
        Answer, st.sampled_from([200, 200, 200, 401, 500]), HEADERS, JSON | NEAR | st.binary(max_size=60)
    ),
    min_size=1,
    max_size=6,
)


class _Says:
    """A connection that answers whatever it likes."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self._at = 0

    async def get(self, path: str, *, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The next answer; what is sent can stand in a request."""
        h11.Request(method=method, target=path, headers=[("Host", "a"), *headers.items()])
        self._at += 1
        return self._answers[self._at % len(self._answers)]

    async def close(self) -> None:
        """Nothing to close."""


@given(st.sampled_from(ask.MAKERS), ANSWERS)
def test_any_conversation_ends(kind: ask.Kind, answers: list[Answer]) -> None:
    """Whatever each answer is, a box is read to its end, and what it told can be judged."""
    box = Box(product="livebox")
    asking = ask.Asking(ask.Where(parse_address("127.0.0.1")), kind, Login("owner", "a"), "token")
    line = Line(cast("Web", _Says(answers)))
    asyncio.run(ask._told(line, kind, box, asking, "192.168.1.2"))
    audit = Audit("box", Language.EN, now())
    audit.take(observe(box, "192.168.1.1"), now())
    audit.report()


_ODD = st.text('aZ0,="\\ \n\x00é', max_size=12)


@given(_ODD, _ODD)
def test_any_challenge_is_answered_or_refused(challenge: str, user: str) -> None:
    """A header made of a box's words can be sent, or it is not made."""
    with suppress(NoAnswer):
        header = fritz.Digest(f'Digest nonce="{challenge}"', Login("owner", user)).header(
            fritz.Read.DEVICE.call
        )
        assert header.isascii()
        assert header.isprintable()
