"""No right, no packet: who may be asked, by what right, and until when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.addresses import Address, parse_address
from huisclos.doors.assemble import Audit
from huisclos.doors.mandate import (
    Beyond,
    Mandate,
    OutsideMandate,
    Scope,
    check_beyond,
    check_right,
    read,
    sign,
    with_exclusions_pinned,
)
from huisclos.doors.reports.view import view
from huisclos.doors.runner import Manners, run
from huisclos.doors.target import parse_target
from huisclos.errors import BadSetting, Refused, Unreadable
from huisclos.findings.nouns import Language, Reach

NOW = datetime(2026, 11, 23, 18, 31, tzinfo=UTC)
OWN = (ip_network("192.168.1.0/24"), ip_network("203.0.113.0/24"))


def mandate(**changed: object) -> Mandate:
    """A mandate over documentation addresses."""
    fields: dict[str, object] = {
        "owner": "A. Martin, manager",
        "contact": "a telephone number",
        "auditor": "B. Durand",
        "basis": "a contract",
        "scope": Scope(targets=("198.51.100.0/28", "clinic.example"), exclusions=("198.51.100.5",)),
        "since": NOW - timedelta(days=1),
        "until": NOW + timedelta(days=1),
    }
    return Mandate(**(fields | changed))  # type: ignore[arg-type]


def right(
    text: str, *, consent: str | None = None, signed: bytes | None = None, at: datetime = NOW
) -> list[str]:
    """The kinds of right by which a target may be asked."""
    target = parse_target(text, lambda _: parse_address("198.51.100.9"))
    given_right = read(signed) if signed is not None else None
    return [one.kind for one in check_right([target], OWN, consent, given_right, at)]


KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)


def test_a_report_names_who_signed_and_whether_anybody_vouched() -> None:
    """The key's fingerprint goes into the report; a key that was named beforehand is told apart."""
    signed = sign(mandate(), KEY)
    for trusted, vouched in (((), False), ((read(signed).fingerprint,), True)):
        given_right = read(signed, trusted=trusted)
        used = check_right([parse_target("198.51.100.3:104")], OWN, None, given_right, NOW)
        assert [(given_right.fingerprint, vouched)] == [(one.signer, one.vouched) for one in used]
        report = Audit("probe", Language.FR, NOW, consents=used).report()
        assert given_right.fingerprint in view(report)["rights"]
        assert vouched == ("désignée" in view(report)["rights"])


def test_this_machine_needs_nothing() -> None:
    """Loopback, however it is written."""
    for text in ("127.0.0.1:104", "localhost", "[::1]:4242", "http://127.0.0.1:8042/", "::ffff:127.0.0.1"):
        assert [] == right(text)


def test_an_own_network_needs_consent() -> None:
    """A private address on a network of this machine needs a name; others are refused even with one."""
    assert ["consent"] == right("192.168.1.20", consent="A. Martin, manager")
    for text, consent in (
        ("192.168.1.20", None),
        ("192.168.2.20", "A. Martin"),  # private, and not on a network of ours
        ("203.0.113.7", "A. Martin"),  # on a network of ours, and public
        ("8.8.8.8", "A. Martin"),
        ("clinic.example", "A. Martin"),
    ):
        with pytest.raises(OutsideMandate):
            right(text, consent=consent)


def test_a_mandate_covers_what_it_names() -> None:
    """Names and networks, exclusions first, ports if it has any, and only in its days."""
    signed = sign(mandate(), KEY)
    assert ["mandate"] == right("198.51.100.3:104", signed=signed)
    assert ["mandate"] == right("clinic.example", signed=signed)
    for text in ("198.51.100.5", "198.51.100.16"):
        with pytest.raises(OutsideMandate):
            right(text, signed=signed)
    for at in (NOW - timedelta(days=2), NOW + timedelta(days=2)):
        with pytest.raises(OutsideMandate):
            right("198.51.100.3", signed=signed, at=at)
    narrow = sign(mandate(scope=Scope(targets=("198.51.100.0/28",), ports=(104,))), KEY)
    assert ["mandate"] == right("198.51.100.3:104", signed=narrow)
    with pytest.raises(OutsideMandate):
        right("198.51.100.3:105", signed=narrow)


@pytest.mark.parametrize(
    "text", ["pacs.clinic.example.", "PACS.clinic.example", "198.51.100.9", "198.51.100.9:104"]
)
def test_an_excluded_name_is_excluded_however_it_is_written(text: str) -> None:
    """By its address, in capitals, with a dot at its end."""
    scope = Scope(targets=("198.51.100.0/28", "clinic.example"), exclusions=("pacs.clinic.example",))
    given_right = read(sign(mandate(scope=scope), KEY))
    address = parse_address("198.51.100.9")
    pinned = with_exclusions_pinned(given_right, lambda _: (parse_address("2001:db8::9"), address))
    target = parse_target(text, lambda _: address)
    with pytest.raises(OutsideMandate):
        check_right([target], OWN, "A. Martin, manager", pinned, NOW)
    check_right([parse_target("198.51.100.8")], OWN, None, pinned, NOW)


def test_an_excluded_name_that_leads_nowhere_stops_everything() -> None:
    """What it is could not be kept out: nobody is asked."""

    def nowhere(_: str) -> tuple[Address, ...]:
        raise BadSetting("no address")

    scope = Scope(targets=("198.51.100.0/28",), exclusions=("pacs.clinic.example", "198.51.100.5"))
    with pytest.raises(OutsideMandate, match="pacs\\.clinic\\.example"):
        with_exclusions_pinned(read(sign(mandate(scope=scope), KEY)), nowhere)
    numbers = read(sign(mandate(), KEY))
    assert numbers == with_exclusions_pinned(numbers, nowhere), "addresses are not looked up"


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_mandate_that_lets_nobody_be_asked(rate: float) -> None:
    """It cannot stand, rather than stop the work in its middle."""
    with pytest.raises(Unreadable):
        sign(mandate(scope=Scope(targets=("198.51.100.0/28",), hosts_per_second=rate)), KEY)


def test_what_goes_beyond_looking_is_allowed_by_the_mandate_that_covers_it() -> None:
    """Not by one that has run out, nor by one over somebody else, whoever consented."""
    scope = Scope(targets=("198.51.100.0/28",), allows=(Beyond.WRITE_TEST,), ports=(104, 8042))
    given_right = read(sign(mandate(scope=scope), KEY))
    inside, home = parse_target("198.51.100.3:104"), parse_target("192.168.1.20:104")
    check_beyond([inside], given_right, Beyond.WRITE_TEST, NOW, consent=False)
    check_beyond([home], given_right, Beyond.DEFAULT_LOGIN, NOW, consent=True)
    for targets, what, at in (
        ([inside], Beyond.WRITE_TEST, NOW + timedelta(days=2)),
        ([home], Beyond.WRITE_TEST, NOW),
        ([inside, home], Beyond.WRITE_TEST, NOW),
        ([inside, parse_target("http://198.51.100.3:8043/")], Beyond.WRITE_TEST, NOW),
        ([inside], Beyond.DEFAULT_LOGIN, NOW),
    ):
        with pytest.raises(OutsideMandate):
            check_beyond(targets, given_right, what, at, consent=False)
    with pytest.raises(OutsideMandate):  # the owner of what it covers did not say so
        check_beyond([inside], given_right, Beyond.DEFAULT_LOGIN, NOW, consent=True)


def test_an_exclusion_wins_over_consent() -> None:
    """What a mandate excludes is not asked, even where a consent would do for its neighbours."""
    scope = Scope(targets=("192.168.1.0/24",), exclusions=("192.168.1.7",), ports=(104,))
    signed = sign(mandate(scope=scope), KEY)
    assert ["consent"] == right("192.168.1.20:105", consent="A. Martin, manager", signed=signed)
    with pytest.raises(OutsideMandate):
        right("192.168.1.7:105", consent="A. Martin, manager", signed=signed)


def test_a_mandate_that_was_changed_does_not_hold() -> None:
    """One character, and it is refused; a signer that was not named is, too."""
    signed = sign(mandate(), KEY)
    with pytest.raises(OutsideMandate):
        read(signed.replace(b"A. Martin", b"A. Mortin"))
    with pytest.raises(OutsideMandate):
        read(signed, trusted=["0000-0000-0000-0000"])
    assert read(signed).fingerprint == read(signed, trusted=[read(signed).fingerprint]).fingerprint


@pytest.mark.parametrize("targets", [("0.0.0.0/0",), ("10.0.0.0/8",), ("::/0",), ("224.0.0.0/24",), ()])
def test_nobody_answers_for_the_internet(targets: tuple[str, ...]) -> None:
    """A mandate names what somebody answers for."""
    with pytest.raises(Unreadable):
        sign(mandate(scope=Scope(targets=targets)), KEY)


@given(st.binary(max_size=300))
def test_other_bytes_are_no_mandate(raw: bytes) -> None:
    """Whatever else is given gives no right."""
    with pytest.raises((Unreadable, Refused)):
        read(raw)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_is_not(text: str) -> None:
    """A target reads as one, pinned to one address, or is refused in one sentence."""
    try:
        target = parse_target(text, lambda _: parse_address("127.0.0.1"))
    except BadSetting:
        return
    assert target.port is None or 0 < target.port < 65536


def test_reach_is_by_address() -> None:
    """Loopback, private and public are told apart after unwrapping."""
    reaches = {
        text: parse_target(text).reach for text in ("127.0.0.9", "10.0.0.1", "8.8.8.8", "::ffff:10.0.0.1")
    }
    assert [Reach.LOOPBACK, Reach.LAN, Reach.INTERNET, Reach.LAN] == list(reaches.values())


def test_a_name_is_asked_once() -> None:
    """What a name resolves to later does not matter: the address is pinned at the start."""
    answers = iter(["127.0.0.1", "198.51.100.77"])
    target = parse_target("localhost.example:9", lambda _: parse_address(next(answers)))

    async def work() -> None:
        async for found, _ in run([target], Manners(seconds=0.5)):
            assert "127.0.0.1" == str(found.address)

    asyncio.run(work())
    assert "198.51.100.77" == next(answers)
