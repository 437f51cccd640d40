"""The machine: however bytes are cut, whatever comes when, and within its bounds."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import echo_request, respond, store_request, write_command
from huisclos.dimse.protocol.contexts import answer_contexts
from huisclos.dimse.protocol.events import (
    Aborted,
    AssociateAccepted,
    AssociateRejected,
    AssociateRequested,
    CommandReceived,
    DataReceived,
    Event,
    Lost,
    Released,
    ReleaseRequested,
)
from huisclos.dimse.protocol.items import UserInformation
from huisclos.dimse.protocol.machine import Machine, Side
from huisclos.dimse.protocol.pdus import (
    CONGESTED,
    REFUSED,
    WRONG_APPLICATION_CONTEXT,
    WRONG_VERSION,
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    ReleaseReply,
    ReleaseRequest,
    read_pdu,
    write_pdu,
)
from huisclos.dimse.protocol.states import TABLE, Evt, Sta
from huisclos.errors import AssociationEnded, BadPDU
from tests.fuzz.fuzz_dimse_message import WHOLE, message
from tests.fuzz.fuzz_dimse_pdu import ACCEPT, REQUEST

CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO, STORE = echo_request(1), store_request(2, CT, "1.2.3.4")
MINE = UserInformation(max_length=131072)


def accept_all(request: object) -> AssociateAccept:
    """The answer that accepts every context of `request`."""
    assert request == REQUEST
    contexts = answer_contexts(REQUEST.contexts, lambda _: True)
    return AssociateAccept(called=REQUEST.called, calling=REQUEST.calling, contexts=contexts, user=MINE)


def acceptor(bounds: Bounds | None = None) -> Machine:
    """An acceptor to whom a peer has connected."""
    machine = Machine(Side.ACCEPTOR, bounds or Bounds())
    machine.open_transport()
    return machine


def requestor() -> Machine:
    """A requestor whose request has left."""
    machine = Machine(Side.REQUESTOR, Bounds())
    machine.ask(REQUEST)
    machine.open_transport()
    machine.take_outgoing()
    return machine


def tell(machine: Machine, data: bytes) -> list[Event]:
    """Feed `data` and collect the events, answering a request for an association and a release."""
    events: list[Event] = []
    machine.feed(memoryview(data))
    while (event := machine.next_event()) is not None:
        if isinstance(event, DataReceived):
            event = DataReceived(event.context_id, memoryview(bytes(event.piece)), event.last)
        events.append(event)
        if isinstance(event, AssociateRequested):
            machine.accept(accept_all(event.request))
    return events


def established(bounds: Bounds | None = None) -> Machine:
    """An acceptor with an association."""
    machine = acceptor(bounds)
    tell(machine, write_pdu(REQUEST))
    machine.take_outgoing()
    assert machine.state is Sta.STA6
    return machine


def sent(machine: Machine) -> bytes:
    """What the machine has to send."""
    return b"".join(machine.take_outgoing())


def joined(events: list[Event]) -> list[object]:
    """The events, the pieces of each data set put together."""
    found: list[object] = []
    data = b""
    for event in events:
        if isinstance(event, DataReceived):
            data += event.piece
            if event.last:
                found.append(data)
                data = b""
        else:
            found.append(event)
    return found


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=12))
def test_the_place_where_bytes_are_cut_says_nothing(cuts: list[int]) -> None:
    """An association cut anywhere gives the same events as in one piece."""
    whole = joined(tell(acceptor(), WHOLE))
    machine, events = acceptor(), list[Event]()
    edges = [0, *sorted(set(cuts)), len(WHOLE)]
    for start, end in pairwise(edges):
        events += tell(machine, WHOLE[start:end])
    assert joined(events) == whole
    assert machine.state is Sta.STA8


def test_byte_by_byte() -> None:
    """The slowest sender is understood as well."""
    machine, events = acceptor(), list[Event]()
    for at in range(len(WHOLE)):
        events += tell(machine, WHOLE[at : at + 1])
    assert joined(events) == joined(tell(acceptor(), WHOLE))


def test_a_whole_association() -> None:
    """What comes out, in its order, and what went back."""
    machine = acceptor()
    events = joined(tell(machine, WHOLE))
    kinds = [event if isinstance(event, bytes) else type(event) for event in events]
    assert kinds == [
        AssociateRequested,
        CommandReceived,
        CommandReceived,
        bytes(range(256)) * 4,
        ReleaseRequested,
    ]
    machine.confirm_release()
    assert (machine.state, machine.artim) == (Sta.STA13, True)
    answer = sent(machine)
    assert answer == write_pdu(accept_all(REQUEST)) + write_pdu(ReleaseReply())
    machine.close_transport()
    assert (machine.state, machine.artim) == (Sta.STA1, False)


def test_two_machines_talk() -> None:
    """What one end writes the other reads, down to the peer's bound on PDUs."""
    asking, serving = requestor(), acceptor()
    tell(serving, write_pdu(REQUEST))
    (accepted,) = tell(asking, sent(serving))
    assert isinstance(accepted, AssociateAccepted)
    assert asking.contexts == serving.contexts
    assert (asking.peer_pdu_length, serving.peer_pdu_length) == (131072, 16384)
    asking.send_command(3, STORE)
    asking.send_data(3, bytes(300_000), last=False)
    asking.send_data(3, b"end", last=True)
    command, data = joined(tell(serving, sent(asking)))
    assert isinstance(command, CommandReceived)
    assert data == bytes(300_000) + b"end"
    serving.send_command(3, respond(STORE, 0))
    (answer,) = tell(asking, sent(serving))
    assert isinstance(answer, CommandReceived)
    assert answer.command.status == 0
    asking.release()
    (asked,) = tell(serving, sent(asking))
    assert asked == ReleaseRequested()
    serving.confirm_release()
    assert tell(asking, sent(serving)) == [Released()]
    assert asking.closing


def test_a_release_from_both_at_once() -> None:
    """PS3.8 section 9.2.2: the collision ends well on both sides."""
    serving = established()
    asking = requestor()
    tell(asking, write_pdu(accept_all(REQUEST)))
    asking.release()
    serving.release()
    assert tell(asking, sent(serving)) == [ReleaseRequested()]
    assert tell(serving, sent(asking)) == [ReleaseRequested()]
    assert (asking.state, serving.state) == (Sta.STA9, Sta.STA10)
    asking.confirm_release()
    assert tell(serving, sent(asking)) == [Released()]
    serving.confirm_release()
    assert tell(asking, sent(serving)) == [Released()]
    assert (asking.state, serving.state) == (Sta.STA1, Sta.STA13)


PDUS = {
    Evt.ASSOCIATE_RQ_PDU: write_pdu(REQUEST),
    Evt.ASSOCIATE_AC_PDU: write_pdu(accept_all(REQUEST)),
    Evt.ASSOCIATE_RJ_PDU: write_pdu(REFUSED),
    Evt.P_DATA_TF_PDU: message(1, write_command(ECHO), command=True, pdu_length=16384),
    Evt.RELEASE_RQ_PDU: write_pdu(ReleaseRequest()),
    Evt.RELEASE_RP_PDU: write_pdu(ReleaseReply()),
    Evt.ABORT_PDU: write_pdu(Abort(0, 0)),
    Evt.INVALID_PDU: b"\x09\x00\x00\x00\x00\x00",
}
STATES = [state for state in Sta if state not in (Sta.STA1, Sta.STA4)]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", PDUS)
def test_every_pdu_in_every_state(event: Evt, state: Sta) -> None:
    """Each cell of the table does what its action says, seen from outside."""
    machine = established()
    machine.request = REQUEST
    machine.state = state
    events = []
    machine.feed(memoryview(PDUS[event]))
    while (found := machine.next_event()) is not None:
        events.append(found)
    action = TABLE[event, state]
    back = sent(machine)
    match action.value:
        case "AA-1":
            assert (events, back) == ([], write_pdu(Abort(0, 0)))
        case "AA-8":
            (aborted,) = events
            assert isinstance(aborted, Aborted)
            assert not aborted.by_peer
            assert back == write_pdu(Abort(2, 1 if event is Evt.INVALID_PDU else 2))
            assert machine.artim
        case "AA-7":
            assert back == write_pdu(Abort(2, 1 if event is Evt.INVALID_PDU else 2))
        case "AA-2" | "AA-3" | "AE-4" | "AR-3":
            assert machine.closing
            assert back == b""
        case "AA-6":
            assert (events, back) == ([], b"")
        case _:
            assert [type(found) for found in events] == [
                {
                    "AE-3": AssociateAccepted,
                    "AE-6": AssociateRequested,
                    "DT-2": CommandReceived,
                    "AR-6": CommandReceived,
                    "AR-2": ReleaseRequested,
                    "AR-8": ReleaseRequested,
                    "AR-10": Released,
                }[action.value]
            ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x04\x00" + struct.pack(">I", 0xFFFFFFFF), 6),
        (b"\x01\x00" + struct.pack(">I", 0xFFFFFFFF), 6),
        (b"\x05\x00" + struct.pack(">I", 0xFFFFFFFF), 6),
        (b"\x00" * 6, 1),
        (b"\xff" * 6, 1),
        (b"GET / HTTP/1.1\r\n", 1),
        (b"\x16\x03\x01\x02\x00\x01", 1),
    ],
)
def test_what_no_association_begins_with(data: bytes, reason: int) -> None:
    """Lengths of 4 GiB and other protocols end it at the sixth byte, with nothing gathered."""
    machine = acceptor()
    assert tell(machine, data[:5]) == []
    tell(machine, data[5:])
    assert machine.state is Sta.STA13
    assert sent(machine) == write_pdu(Abort(0, 0))
    machine = established()
    (aborted,) = tell(machine, data)
    assert isinstance(aborted, Aborted)
    assert aborted.reason == reason
    tell(machine, bytes(100_000))
    assert sent(machine) == write_pdu(Abort(2, reason))


def pdv(length: int, context_id: int, flags: int, body: bytes, pdu_length: int | None = None) -> bytes:
    """A P-DATA-TF PDU of one fragment, made by hand."""
    inner = struct.pack(">IBB", length, context_id, flags) + body
    return struct.pack(">BxI", 4, len(inner) if pdu_length is None else pdu_length) + inner


@pytest.mark.parametrize(
    "data",
    [
        pdv(1, 1, 1, b""),
        pdv(0xFFFFFFFF, 1, 1, b"abcd"),
        pdv(7, 1, 1, b"abcd"),
        pdv(5, 1, 1, b"abcd"),
        pdv(6, 1, 1, b"abcd", pdu_length=5),
        pdv(6, 5, 3, b"abcd"),
        pdv(6, 2, 3, b"abcd"),
        pdv(6, 3, 2, b"abcd"),
        pdv(6, 1, 3, b"abcd"),
        pdv(6, 1, 1, b"abcd") + pdv(6, 3, 1, b"abcd"),
        message(3, write_command(STORE), command=True) + message(1, write_command(ECHO), command=True),
        message(3, write_command(STORE), command=True) + pdv(6, 1, 2, b"abcd"),
        message(1, b"\x00" * 70_000, command=True, pdu_length=16384),
    ],
)
def test_hostile_data(data: bytes) -> None:
    """Fragments that do not add up, come out of order or on no context end the association."""
    events = tell(established(), data)
    assert isinstance(events[-1], Aborted)
    assert not events[-1].by_peer


def test_an_object_over_its_bound_ends_the_association() -> None:
    """However it is cut, not a byte over the bound is handed on."""
    machine = established(Bounds(object_length=1000))
    tell(machine, message(3, write_command(STORE), command=True))
    assert joined(tell(machine, message(3, bytes(1000), command=False))) == [bytes(1000)]
    tell(machine, message(3, write_command(STORE), command=True))
    events = tell(machine, message(3, bytes(1001), command=False))
    assert isinstance(events[-1], Aborted)
    assert sum(len(event.piece) for event in events if isinstance(event, DataReceived)) <= 1000


def test_data_is_not_gathered() -> None:
    """A piece comes out as soon as it is in, and is a view of what was fed."""
    machine = established()
    tell(machine, message(3, write_command(STORE), command=True))
    fed = memoryview(pdv(50_002, 3, 2, bytes(40_000), pdu_length=50_006))
    machine.feed(fed)
    event = machine.next_event()
    assert isinstance(event, DataReceived)
    assert event.piece.obj is fed.obj
    assert (len(event.piece), event.last) == (40_000, False)
    assert machine.next_event() is None


def test_an_empty_last_fragment_ends_a_data_set() -> None:
    """Some senders end with a fragment of nothing."""
    machine = established()
    tell(machine, message(3, write_command(STORE), command=True))
    assert joined(tell(machine, pdv(6, 3, 0, b"abcd") + pdv(2, 3, 2, b""))) == [b"abcd"]


def test_a_bound_on_pdus_is_kept_to_and_forgiven() -> None:
    """A PDU over what we announced is taken; one over the bound is not."""
    machine = established(Bounds(announced_pdu_length=16384, pdu_length=65536))
    tell(machine, message(3, write_command(STORE), command=True))
    assert isinstance(tell(machine, pdv(65532, 3, 0, bytes(65530), pdu_length=65536))[-1], DataReceived)
    assert machine.state is Sta.STA6
    assert isinstance(tell(machine, pdv(65533, 3, 0, bytes(65531), pdu_length=65537))[-1], Aborted)


@pytest.mark.parametrize(
    ("offset", "value", "reject"),
    [(6, b"\x00\x02", WRONG_VERSION), (80 + 4 - 6, b"9", WRONG_APPLICATION_CONTEXT), (26, b"\\", REFUSED)],
)
def test_what_the_provider_rejects_itself(offset: int, value: bytes, reject: AssociateReject) -> None:
    """AE-6: another version, another application, and a title that is none; each with its reason."""
    raw = bytearray(write_pdu(REQUEST))
    raw[offset : offset + len(value)] = value
    machine = acceptor()
    assert tell(machine, bytes(raw)) == []
    assert sent(machine) == write_pdu(reject)
    assert (machine.state, machine.artim) == (Sta.STA13, True)
    machine.expire_artim()
    assert machine.closing


def test_a_rejection_reaches_the_requestor_with_its_three_numbers() -> None:
    """Result, source and reason are kept apart."""
    serving, asking = acceptor(), requestor()
    serving.feed(memoryview(write_pdu(REQUEST)))
    assert isinstance(serving.next_event(), AssociateRequested)
    serving.reject(CONGESTED)
    assert tell(asking, sent(serving)) == [AssociateRejected(AssociateReject(2, 3, 1))]
    assert asking.closing


@pytest.mark.parametrize(
    "contexts",
    [
        (AnsweredContext(5, 0, "1.2.840.10008.1.2"),),
        (AnsweredContext(1, 0, "1.2.840.10008.1.2.4.70"),),
    ],
)
def test_an_answer_to_what_was_not_asked(contexts: tuple[AnsweredContext, ...]) -> None:
    """An accepting peer cannot invent contexts or transfer syntaxes; nor can we."""
    answer = AssociateAccept(called="A", calling="B", contexts=contexts, user=MINE)
    (aborted,) = tell(requestor(), write_pdu(answer))
    assert isinstance(aborted, Aborted)
    machine = acceptor()
    machine.feed(memoryview(write_pdu(REQUEST)))
    machine.next_event()
    with pytest.raises(BadPDU):
        machine.accept(answer)
    assert machine.state is Sta.STA3


def test_a_title_repeated_in_an_answer_is_not_tested() -> None:
    """PS3.8 section 9.3.3: reserved in A-ASSOCIATE-AC."""
    raw = bytearray(write_pdu(ACCEPT))
    raw[10:42] = bytes(32)
    read = read_pdu(2, bytes(raw[6:]), Bounds())
    assert read_pdu(2, write_pdu(read)[6:], Bounds()) == read


def test_artim_ends_a_silent_peer() -> None:
    """PS3.8 section 9.1.5: no request in time, no connection."""
    machine = acceptor()
    assert (machine.artim, machine.artim_starts) == (True, 1)
    machine.expire_artim()
    assert (machine.closing, machine.state, machine.artim) == (True, Sta.STA1, False)
    machine = established()
    machine.expire_artim()
    assert machine.state is Sta.STA6


@pytest.mark.parametrize("state", [*STATES, Sta.STA4])
def test_a_lost_transport_in_every_state(state: Sta) -> None:
    """An association that was there is told to be lost; then there is nothing."""
    machine = established()
    machine.state = state
    machine.close_transport()
    assert machine.state is Sta.STA1
    assert machine.next_event() == (None if state in (Sta.STA2, Sta.STA13) else Lost())
    machine.close_transport()
    assert machine.next_event() is None


def test_a_primitive_out_of_turn() -> None:
    """What the user may not do now is said to him, and changes nothing; aborting twice is harmless."""
    machine = acceptor()
    for primitive in (machine.release, machine.confirm_release, lambda: machine.send_command(1, ECHO)):
        with pytest.raises(AssociationEnded):
            primitive()
    assert machine.state is Sta.STA2
    machine = established()
    machine.abort()
    machine.abort()
    assert sent(machine) == write_pdu(Abort(0, 0))


def test_small_pdus_of_the_peer() -> None:
    """The shortest PDUs a peer may ask for carry a whole response."""
    machine = established()
    machine.peer_pdu_length = 8
    machine.send_command(1, respond(ECHO, 0))
    pieces = sent(machine)
    asking = requestor()
    tell(asking, write_pdu(accept_all(REQUEST)))
    (answer,) = tell(asking, pieces)
    assert isinstance(answer, CommandReceived)
    assert answer.command == respond(ECHO, 0)
