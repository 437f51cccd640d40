"""The upper layer as a machine: bytes in, events out (PS3.8 section 9.2), no socket and no clock.

Whoever owns the socket and the clock does four things: `feed` what was read and take events until
`next_event` gives None; send what `take_outgoing` gives; keep a timer of `Bounds.artim_seconds`
while `artim` is true, anew when `artim_starts` grows, and call `expire_artim` when it runs out;
close the transport when `closing` becomes true. Bytes that follow an event are not looked at before
the next call of `next_event`, so not to call it is how to hold a peer back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import ClassVar, Final

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import Command, write_command
from huisclos.dimse.protocol.contexts import agreed
from huisclos.dimse.protocol.events import (
    Aborted,
    AcceptedContext,
    AssociateAccepted,
    AssociateRejected,
    AssociateRequested,
    Event,
    Lost,
    Released,
    ReleaseRequested,
)
from huisclos.dimse.protocol.messages import Assembler, fragments
from huisclos.dimse.protocol.names import APPLICATION_CONTEXT
from huisclos.dimse.protocol.pdus import (
    PDU,
    PROTOCOL_VERSION,
    REFUSED,
    WRONG_APPLICATION_CONTEXT,
    WRONG_VERSION,
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Kind,
    ReleaseReply,
    ReleaseRequest,
    read_pdu,
    write_pdu,
)
from huisclos.dimse.protocol.reader import Control, Fragment, Reader
from huisclos.dimse.protocol.states import NEXT, TABLE, Action, Evt, Sta
from huisclos.errors import AssociationEnded, BadIdentifier, BadPDU

_UNBOUNDED_PEER: Final = 128 * 1024
"""bytes: of the PDUs we send to a peer that sets no bound"""
_EVENT_OF_KIND: Final = {
    Kind.ASSOCIATE_RQ: Evt.ASSOCIATE_RQ_PDU,
    Kind.ASSOCIATE_AC: Evt.ASSOCIATE_AC_PDU,
    Kind.ASSOCIATE_RJ: Evt.ASSOCIATE_RJ_PDU,
    Kind.RELEASE_RQ: Evt.RELEASE_RQ_PDU,
    Kind.RELEASE_RP: Evt.RELEASE_RP_PDU,
    Kind.ABORT: Evt.ABORT_PDU,
}


class Side(Enum):
    """Who asked for the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class Machine:
    """One association, from before it is asked for until its transport is closed."""

    def __init__(self, side: Side, bounds: Bounds) -> None:
        self.side = side
        self.bounds = bounds
        self.state = Sta.STA1
        self.artim = False
        """whether the ARTIM timer runs"""
        self.artim_starts = 0
        """how often it was started: a new number starts it anew"""
        self.closing = False
        """whether the transport is to be closed, once what is outgoing has left"""
        self.request: AssociateRequest | None = None
        self.peer_pdu_length = _UNBOUNDED_PEER
        """bytes: of the P-DATA-TF PDUs that the peer takes"""
        self._reader = Reader(bounds)
        self._assembler = Assembler(bounds)
        self.unreadable = False
        """the peer's bytes are no PDUs, from some point on: nothing more is taken from it"""
        self._events: deque[Event] = deque()
        self._outgoing: list[bytes | memoryview] = []

    # What the owner of the transport says and asks.

    def open_transport(self) -> None:
        """The transport connection stands: for an acceptor it came in, for a requestor it got through."""
        if self.side is Side.ACCEPTOR:
            self._happen(Evt.TRANSPORT_INDICATION)
        else:
            self._happen(Evt.TRANSPORT_CONFIRM)

    def close_transport(self) -> None:
        """The transport connection is gone."""
        if self.state is not Sta.STA1:
            self._happen(Evt.TRANSPORT_CLOSED)

    def expire_artim(self) -> None:
        """The ARTIM timer ran out; does nothing if it was stopped meanwhile."""
        if self.artim:
            self._happen(Evt.ARTIM_EXPIRED)

    def feed(self, data: memoryview) -> None:
        """Take bytes from the peer; `next_event` must have given None for those before."""
        if not self.unreadable and self.state is not Sta.STA1:
            self._reader.feed(data)

    def take_outgoing(self) -> list[bytes | memoryview]:
        """What is to be sent, in order; the caller has it from then on."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def next_event(self) -> Event | None:
        """The next thing that the peer's bytes mean, or None when more of them are needed."""
        while not self._events:
            if self.unreadable or self.state is Sta.STA1:
                return None
            try:
                read = self._reader.read()
                if read is None:
                    return None
                if read.__class__ is Fragment:
                    event = self._take_fragment(read)
                    if event is not None:
                        return event
                else:
                    self._take_pdu(read)  # type: ignore[arg-type]
            except BadPDU as bad:
                # Where the next PDU would begin is not known any more.
                self.unreadable = True
                self._happen(Evt.INVALID_PDU, bad)
        return self._events.popleft()

    # What the user of the association asks: the primitives of PS3.8 chapter 7.

    def ask(self, request: AssociateRequest) -> None:
        """A-ASSOCIATE request: to be sent once the transport is open."""
        self._require(Evt.ASSOCIATE_REQUEST)
        self.request = request
        self._happen(Evt.ASSOCIATE_REQUEST)

    def accept(self, accept: AssociateAccept) -> None:
        """A-ASSOCIATE response, accepted."""
        self._require(Evt.ASSOCIATE_RESPONSE_ACCEPT)
        assert self.request is not None  # noqa: S101 - Sta3 follows only from a request
        self._assembler.contexts = agreed(self.request, accept)
        self._happen(Evt.ASSOCIATE_RESPONSE_ACCEPT, accept)

    def reject(self, reject: AssociateReject) -> None:
        """A-ASSOCIATE response, rejected."""
        self._happen(Evt.ASSOCIATE_RESPONSE_REJECT, reject)

    def send_command(self, context_id: int, command: Command) -> None:
        """P-DATA request: a whole command set."""
        message = memoryview(write_command(command))
        self._send(context_id, message, command=True, last=True)

    def send_data(self, context_id: int, piece: bytes | memoryview, *, last: bool) -> None:
        """P-DATA request: a piece of the data set that the command sent before announced."""
        self._send(context_id, memoryview(piece), command=False, last=last)

    def release(self) -> None:
        """A-RELEASE request."""
        self._happen(Evt.RELEASE_REQUEST)

    def confirm_release(self) -> None:
        """A-RELEASE response."""
        self._happen(Evt.RELEASE_RESPONSE)

    def abort(self) -> None:
        """A-ABORT request; does nothing when there is no association to abort."""
        if (Evt.ABORT_REQUEST, self.state) in TABLE:
            self._happen(Evt.ABORT_REQUEST)

    @property
    def contexts(self) -> dict[int, AcceptedContext]:
        """The presentation contexts agreed on, by number; empty before."""
        return self._assembler.contexts

    # The table, and its actions.

    def _require(self, event: Evt) -> Action:
        action = TABLE.get((event, self.state))
        if action is None:
            raise AssociationEnded(f"{event.name} cannot be in state {self.state}")
        return action

    def _happen(self, event: Evt, subject: object = None) -> None:
        action = self._require(event)
        following = NEXT.get(action)
        act = self._ACTIONS.get(action)
        if act is not None:
            act(self, subject)
        if following is not None:
            self.state = following

    def _take_fragment(self, fragment: Fragment | Control) -> Event | None:
        assert isinstance(fragment, Fragment)  # noqa: S101
        action = TABLE.get((Evt.P_DATA_TF_PDU, self.state))
        if action is Action.DT_2 or action is Action.AR_6:
            return self._assembler.take(fragment)
        self._happen(Evt.P_DATA_TF_PDU, BadPDU("data out of turn", reason=AbortReason.UNEXPECTED_PDU))
        return None

    def _take_pdu(self, control: Control) -> None:
        kind = Kind(control.kind)
        try:
            subject: object = read_pdu(kind, control.body, self.bounds)
        except BadIdentifier:
            subject = REFUSED
        event = _EVENT_OF_KIND[kind]
        if self._require(event) in (Action.AA_1, Action.AA_7, Action.AA_8):
            subject = BadPDU("a PDU out of turn", reason=AbortReason.UNEXPECTED_PDU)
        self._happen(event, subject)

    def _send(self, context_id: int, message: memoryview, *, command: bool, last: bool) -> None:
        self._happen(Evt.P_DATA_REQUEST)
        self._outgoing += fragments(
            context_id, message, command=command, last=last, pdu_length=self.peer_pdu_length
        )

    def _write(self, pdu: PDU) -> None:
        self._outgoing.append(write_pdu(pdu))

    def _heed_peer(self, max_length: int | None) -> None:
        # PS3.8 annex D.1.2: 0 is no bound. One over ours is cut, as whole PDUs are built in memory.
        self.peer_pdu_length = min(max_length or _UNBOUNDED_PEER, _UNBOUNDED_PEER)

    def _ae_2(self, _: object) -> None:
        assert self.request is not None  # noqa: S101 - Sta4 follows only from a request
        self._write(self.request)

    def _ae_3(self, accept: object) -> None:
        assert isinstance(accept, AssociateAccept)  # noqa: S101
        assert self.request is not None  # noqa: S101
        self._assembler.contexts = agreed(self.request, accept)
        self._heed_peer(accept.user.max_length)
        self._events.append(AssociateAccepted(accept))

    def _ae_4(self, reject: object) -> None:
        assert isinstance(reject, AssociateReject)  # noqa: S101
        self._events.append(AssociateRejected(reject))
        self.closing = True

    def _ae_6(self, request: object) -> None:
        reject = _unacceptable(request)
        if reject is not None:
            self._write(reject)
            self._start_artim()
            self.state = Sta.STA13
            return
        assert isinstance(request, AssociateRequest)  # noqa: S101
        self.artim = False
        self.request = request
        self._heed_peer(request.user.max_length)
        self._events.append(AssociateRequested(request))
        self.state = Sta.STA3

    def _send_pdu(self, pdu: object) -> None:
        self._write(pdu)  # type: ignore[arg-type]

    def _ae_8(self, reject: object) -> None:
        self._send_pdu(reject)
        self._start_artim()

    def _ar_1(self, _: object) -> None:
        self._write(ReleaseRequest())

    def _ar_2(self, _: object) -> None:
        self._events.append(ReleaseRequested())

    def _ar_3(self, _: object) -> None:
        self._events.append(Released())
        self.closing = True

    def _ar_4(self, _: object) -> None:
        self._write(ReleaseReply())
        self._start_artim()

    def _ar_8(self, _: object) -> None:
        self._events.append(ReleaseRequested())
        self.state = Sta.STA9 if self.side is Side.REQUESTOR else Sta.STA10

    def _ar_9(self, _: object) -> None:
        self._write(ReleaseReply())

    def _ar_10(self, _: object) -> None:
        self._events.append(Released())

    def _start_artim(self, _: object = None) -> None:
        self.artim = True
        self.artim_starts += 1

    def _stop_artim(self, _: object) -> None:
        self.artim = False

    def _aa_1(self, _: object) -> None:
        self._write(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED))
        self._start_artim()

    def _aa_2(self, _: object) -> None:
        self.artim = False
        self.closing = True

    def _aa_3(self, abort: object) -> None:
        assert isinstance(abort, Abort)  # noqa: S101
        self._events.append(Aborted(abort.source, abort.reason, by_peer=True))
        self.closing = True

    def _aa_4(self, _: object) -> None:
        self._events.append(Lost())

    def _aa_7(self, bad: object) -> None:
        assert isinstance(bad, BadPDU)  # noqa: S101
        self._write(Abort(AbortSource.PROVIDER, bad.reason))

    def _aa_8(self, bad: object) -> None:
        assert isinstance(bad, BadPDU)  # noqa: S101
        self._write(Abort(AbortSource.PROVIDER, bad.reason))
        self._events.append(Aborted(AbortSource.PROVIDER, bad.reason, by_peer=False, why=bad.message))
        self._start_artim()

    _ACTIONS: ClassVar[dict[Action, Callable[[Machine, object], None]]] = {
        Action.AE_2: _ae_2,
        Action.AE_3: _ae_3,
        Action.AE_4: _ae_4,
        Action.AE_5: _start_artim,
        Action.AE_6: _ae_6,
        Action.AE_7: _send_pdu,
        Action.AE_8: _ae_8,
        Action.AR_1: _ar_1,
        Action.AR_2: _ar_2,
        Action.AR_3: _ar_3,
        Action.AR_4: _ar_4,
        Action.AR_5: _stop_artim,
        Action.AR_8: _ar_8,
        Action.AR_9: _ar_9,
        Action.AR_10: _ar_10,
        Action.AA_1: _aa_1,
        Action.AA_2: _aa_2,
        Action.AA_3: _aa_3,
        Action.AA_4: _aa_4,
        Action.AA_5: _stop_artim,
        Action.AA_7: _aa_7,
        Action.AA_8: _aa_8,
    }
    """The actions that do more than lead to a state; AE-1 is the transport's owner's."""


def _unacceptable(request: object) -> AssociateReject | None:
    """The rejection of a request that the provider itself cannot take (PS3.8 table 9-21)."""
    if isinstance(request, AssociateReject):
        return request
    assert isinstance(request, AssociateRequest)  # noqa: S101
    if not request.version & PROTOCOL_VERSION:
        return WRONG_VERSION
    if request.application_context != APPLICATION_CONTEXT:
        return WRONG_APPLICATION_CONTEXT
    return None
