"""PDUs: what is accepted is written back the same, and what is out of bounds is refused."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.contexts import answer_contexts
from huisclos.dimse.protocol.items import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
    join_item,
)
from huisclos.dimse.protocol.names import is_ae_title, is_uid, read_ae_title, write_ae_title
from huisclos.dimse.protocol.pdus import (
    HEADER,
    PDU,
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextAnswer,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    read_pdu,
    write_pdu,
)
from huisclos.dimse.storage import STORAGE, is_storage
from huisclos.errors import BadIdentifier, BadPDU, BadSetting, HuisclosError
from tests.dimse.listening import is_storage_or_verification
from tests.fuzz import fuzz_dimse_pdu

BOUNDS = Bounds()
UIDS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,8}){0,6}", fullmatch=True)
TITLES = st.from_regex(r"[A-Z][A-Z0-9_ ]{0,14}[A-Z]", fullmatch=True)
NUMBERS = st.integers(0, 127).map(lambda number: 2 * number + 1)
USERS = st.builds(
    UserInformation,
    max_length=st.none() | st.integers(8, 2**32 - 1) | st.just(0),
    implementation_uid=st.none() | UIDS,
    implementation_version=st.none() | st.from_regex(r"[A-Z][A-Z0-9_.]{0,15}", fullmatch=True),
    async_window=st.none() | st.builds(AsyncWindow, st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(st.builds(RoleSelection, UIDS, st.booleans(), st.booleans()), max_size=3).map(tuple),
    extended=st.lists(st.builds(ExtendedNegotiation, UIDS, st.binary(max_size=9)), max_size=3).map(tuple),
    common_extended=st.lists(
        st.builds(CommonExtendedNegotiation, UIDS, UIDS, st.lists(UIDS, max_size=3).map(tuple)), max_size=2
    ).map(tuple),
    identity=st.none()
    | st.builds(
        UserIdentity, st.integers(1, 5), st.booleans(), st.binary(max_size=40), st.binary(max_size=9)
    ),
    identity_response=st.none() | st.binary(max_size=20),
)
PROPOSED = st.lists(
    st.builds(ProposedContext, NUMBERS, UIDS, st.lists(UIDS, min_size=1, max_size=5).map(tuple)),
    min_size=1,
    max_size=8,
    unique_by=lambda context: context.id,
).map(tuple)
ANSWERED = st.lists(
    st.builds(AnsweredContext, NUMBERS, st.just(0), UIDS)
    | st.builds(AnsweredContext, NUMBERS, st.integers(1, 4), st.just("")),
    max_size=8,
    unique_by=lambda context: context.id,
).map(tuple)
PDUS: st.SearchStrategy[PDU] = st.one_of(
    st.builds(AssociateRequest, called=TITLES, calling=TITLES, contexts=PROPOSED, user=USERS),
    st.builds(AssociateAccept, called=TITLES, calling=TITLES, contexts=ANSWERED, user=USERS),
    st.builds(AssociateReject, st.integers(1, 2), st.integers(1, 3), st.integers(1, 10)),
    st.builds(ReleaseRequest),
    st.builds(ReleaseReply),
    st.builds(Abort, st.integers(0, 2), st.integers(0, 6)),
)


def read(raw: bytes, bounds: Bounds = BOUNDS) -> PDU:
    """The PDU in `raw`, header and all."""
    kind, length = HEADER.unpack_from(raw)
    assert length == len(raw) - HEADER.size
    return read_pdu(kind, raw[HEADER.size :], bounds)


@given(PDUS)
def test_a_pdu_reads_as_it_was_written(pdu: PDU) -> None:
    """Every PDU that can be made survives the wire."""
    assert read(write_pdu(pdu)) == pdu


@given(st.data())
def test_a_damaged_pdu_is_refused_or_reads_the_same_again(data: st.DataObject) -> None:
    """Any byte changed, cut off or added: either refused, or written back to what reads the same."""
    raw = bytearray(data.draw(st.sampled_from(fuzz_dimse_pdu.SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    with suppress(HuisclosError):
        fuzz_dimse_pdu.one(bytes(raw[:cut]) if data.draw(st.booleans()) else bytes(raw))


def test_the_seeds_of_the_fuzzer_are_accepted() -> None:
    """A seed that is refused would teach the fuzzer nothing."""
    for seed in fuzz_dimse_pdu.SEEDS:
        assert write_pdu(read(seed)) == seed


def request_with(items: bytes, *, called: bytes = b"HUISCLOS".ljust(16)) -> bytes:
    """The body of a request made by hand."""
    return struct.pack(">Hxx16s16s32x", 1, called, b"MODALITY".ljust(16)) + items


APPLICATION = join_item(0x10, b"1.2.840.10008.3.1.1.1")
USER = join_item(0x50, join_item(0x51, struct.pack(">I", 16384)))


def context(number: int, syntaxes: int = 1) -> bytes:
    """A proposed context made by hand."""
    body = bytes((number, 0, 0, 0)) + join_item(0x30, b"1.2.840.10008.1.1")
    return join_item(0x20, body + join_item(0x40, b"1.2.840.10008.1.2") * syntaxes)


@pytest.mark.parametrize(
    "items",
    [
        APPLICATION + b"".join(context(number % 256) for number in range(1, 2000, 2)) + USER,
        APPLICATION + context(2) + USER,
        APPLICATION + context(1) * 2 + USER,
        APPLICATION + context(1, syntaxes=65) + USER,
        APPLICATION + context(1, syntaxes=0) + USER,
        APPLICATION + USER,
        APPLICATION + context(1),
        context(1) + USER,
        APPLICATION + context(1) + USER * 2,
        APPLICATION * 2 + context(1) + USER,
        APPLICATION + context(1) + USER[:-1],
        APPLICATION + context(1) + b"\x50\x00\xff\xff",
        APPLICATION + context(1) + join_item(0x50, join_item(0x51, b"\x00\x00\x40")),
        APPLICATION + context(1) + join_item(0x50, join_item(0x51, b"\x00\x00\x00\x05")),
        APPLICATION + context(1) + join_item(0x50, join_item(0x52, b"1" * 65)),
        APPLICATION + context(1) + join_item(0x50, join_item(0x54, b"\x00\x031.2\x01")),
        APPLICATION + context(1) + join_item(0x50, join_item(0x58, b"\x01\x00\xff\xffx")),
        APPLICATION + context(1) + join_item(0x50, join_item(0x57, b"\x00\x011\x00\x011\x00\x03\x00\x041")),
        b"",
    ],
    ids=lambda items: f"{len(items)} bytes",
)
def test_a_hostile_request_is_an_invalid_parameter(items: bytes) -> None:
    """Each request that breaks a rule of PS3.8 section 9.3.2 is refused with the Standard's reason."""
    with pytest.raises(BadPDU) as refused:
        read_pdu(1, request_with(items), BOUNDS)
    assert refused.value.reason == 6


def test_unknown_items_are_skipped() -> None:
    """PS3.8 section 9.3.1: items of unrecognized types are ignored."""
    user = join_item(0x50, join_item(0x5F, b"later") + join_item(0x51, struct.pack(">I", 16384)))
    pdu = read_pdu(1, request_with(APPLICATION + join_item(0x77, b"?") + context(1) + user), BOUNDS)
    assert isinstance(pdu, AssociateRequest)
    assert pdu.user == UserInformation(max_length=16384, implementation_uid=None, implementation_version=None)


def test_an_unknown_pdu_type_has_its_own_reason() -> None:
    """PS3.8 table 9-26: unrecognized PDU."""
    with pytest.raises(BadPDU) as refused:
        read_pdu(9, b"", BOUNDS)
    assert refused.value.reason == 1


@pytest.mark.parametrize(
    "title", [b" " * 16, b"A\\B".ljust(16), b"\x00" * 16, b"T\xc9T\x00".ljust(16), b"A\nB"]
)
def test_what_is_no_ae_title(title: bytes) -> None:
    """PS3.5 section 6.2: no control character, no backslash, not blank."""
    with pytest.raises(BadIdentifier):
        read_ae_title(title)
    with pytest.raises(BadIdentifier):
        read_pdu(1, request_with(APPLICATION + context(1) + USER, called=title.ljust(16)[:16]), BOUNDS)


@given(st.text(max_size=20))
def test_an_ae_title_survives_its_padding(text: str) -> None:
    """What is a title is written and read back; what is none is not written."""
    if is_ae_title(text):
        assert read_ae_title(write_ae_title(text)) == text
    else:
        with pytest.raises(BadIdentifier):
            write_ae_title(text)


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        *[(good, True) for good in ("1.2.840.10008.1.1", "1", "1.02", "1" * 64)],
        *[(bad, False) for bad in ("", "1.", ".1", "1..2", "1.a", "1" * 65, "1.2\n", "١.٢")],
    ],
)
def test_what_is_a_uid(text: str, *, well_formed: bool) -> None:
    """Digits and points, at most 64 of them."""
    assert is_uid(text) is well_formed


def test_contexts_are_taken_in_the_first_syntax_that_is_one() -> None:
    """The sender's own encoding is kept; what is no UID is not taken."""
    ct = "1.2.840.10008.5.1.4.1.1.2"
    answers = answer_contexts(
        (
            ProposedContext(1, ct, ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2")),
            ProposedContext(3, ct, ("nonsense", "1.2.840.10008.1.2")),
            ProposedContext(5, ct, ("nonsense",)),
            ProposedContext(7, "1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",)),
            ProposedContext(9, "nonsense", ("1.2.840.10008.1.2",)),
        ),
        is_storage_or_verification,
    )
    assert [(one.answer, one.transfer_syntax) for one in answers] == [
        (ContextAnswer.ACCEPTANCE, "1.2.840.10008.1.2.4.70"),
        (ContextAnswer.ACCEPTANCE, "1.2.840.10008.1.2"),
        (ContextAnswer.TRANSFER_SYNTAXES_NOT_SUPPORTED, "nonsense"),
        (ContextAnswer.ABSTRACT_SYNTAX_NOT_SUPPORTED, "1.2.840.10008.1.2"),
        (ContextAnswer.ABSTRACT_SYNTAX_NOT_SUPPORTED, "1.2.840.10008.1.2"),
    ]


@pytest.mark.parametrize(
    ("uid", "taken"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", True),
        ("1.2.840.10008.5.1.4.1.1.1.1", True),  # "... - For Presentation"
        ("1.2.840.10008.5.1.1.29", True),  # hardcopy, retired
        ("1.3.12.2.1107.5.9.1", True),  # private to a maker
        ("1.2.840.10008.1.1", False),
        ("1.2.840.10008.1.20.1", False),  # Storage Commitment
        ("1.2.840.10008.1.3.10", False),  # DICOMDIR
        ("1.2.840.10008.5.1.4.31", False),  # worklist
        ("1.2.840.10008.5.1.4.1.2.2.1", False),
        ("1.2.840.10008.1.2", False),
        ("no uid", False),
    ],
)
def test_what_is_storage(uid: str, *, taken: bool) -> None:
    """All storage SOP classes and those nobody knows; none of the Standard's other services."""
    assert is_storage(uid) is taken


def test_storage_has_what_pynetdicom_calls_storage() -> None:
    """No storage SOP class that another toolkit offers is missing."""
    from pynetdicom import AllStoragePresentationContexts

    offered = {str(one.abstract_syntax) for one in AllStoragePresentationContexts}
    assert {uid for uid in offered if not is_storage(uid)} == set()
    assert len(STORAGE) > 180


@pytest.mark.parametrize(
    "off",
    [
        {"artim_seconds": 11},
        {"contexts": 129},
        {"pdu_length": 0},
        {"object_length": -1},
        {"announced_pdu_length": 2 << 20},
    ],
)
def test_bounds_that_bound_nothing_are_refused(off: dict[str, int]) -> None:
    """A bound over the Standard's, or none at all, is a setting that cannot be."""
    with pytest.raises(BadSetting):
        Bounds(**off)


def test_identity_and_its_secret_are_not_shown() -> None:
    """A password in a request does not reach a log by way of `repr`."""
    shown = repr(read(fuzz_dimse_pdu.SEEDS[0]))
    assert "secret" not in shown
    assert "invented" not in shown
