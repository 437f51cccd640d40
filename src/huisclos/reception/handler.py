"""One association of a peer: admitted by the vault, its instances sealed and durable before it is answered.

The statuses are those of PS3.4 annex B.2.3 and PS3.7 annex C. Success is said once the instance
would survive power loss (P3); the same instance again is a success as well, and so is one held
apart since another has its SOP Instance UID: neither is lost, and a modality can do nothing about it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from huisclos.access.accounts import PeerRight
from huisclos.access.admission import AssociationAsked, AssociationVerdict, PeerDoor
from huisclos.access.nouns import Source
from huisclos.access.peers import KnockReason
from huisclos.archive.receive import Receiver, Reception
from huisclos.dimse.handling import Admission, Ended, HowEnded, StoreSink
from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.pdus import CONGESTED, REFUSED, AssociateReject, AssociateRequest
from huisclos.dimse.protocol.statuses import Status
from huisclos.errors import BadIdentifier, HuisclosError
from huisclos.reception.services import right_for, rights_for, takes
from huisclos.reception.tidings import Tidings

CALLED_OTHER: Final = AssociateReject(1, 1, 7)
"""Permanent, service user, called AE title not recognized (PS3.8 table 9-21)."""
KEPT_WITH_WARNING: Final = Status.COERCION
"""For what a peer stores whose pinned certificate has run out.

PS3.4 table B.2-1 has three warnings and none for this. B006 says that elements were discarded and
B007 that the data set does not match its SOP class: a sender may act on either, by sending again.
B000 is what senders note and go on from. Nothing is coerced.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a connection comes from."""

    address: str
    tls: bool

    @property
    def listener(self) -> str:
        """The name of the listener it came to."""
        return "dicom_tls" if self.tls else "dicom"


class PeerHandler:
    """The house's side of one association, as `dimse.handling.Handler` describes it."""

    def __init__(self, caller: Caller, receiver: Receiver, door: PeerDoor, tidings: Tidings) -> None:
        self._caller = caller
        self._receiver = receiver
        self._door = door
        self._tidings = tidings
        self._asked: AssociateRequest | None = None
        self._source: Source | None = None
        self._may: frozenset[PeerRight] = frozenset()
        self._stored = Status.SUCCESS

    @property
    def peer_id(self) -> str:
        """Whose association this is; empty until it is admitted."""
        return self._source.id if self._source is not None else ""

    async def admit(self, request: AssociateRequest, address: str, certificate: bytes | None) -> Admission:
        """See `Handler`. A refusal never says on the wire what of the identity did not fit."""
        self._asked = request
        asked = AssociationAsked(
            calling=request.calling,
            called=request.called,
            address=address,
            tls=self._caller.tls,
            certificate=certificate or b"",
            wants=rights_for(context.abstract_syntax for context in request.contexts),
        )
        try:
            verdict = await self._door.admit(asked)
        except HuisclosError:
            # The vault is away, or cannot write its journal: the peer may try again later.
            return Admission(reject=CONGESTED)
        return self._follow(verdict)

    def _follow(self, verdict: AssociationVerdict) -> Admission:
        if verdict.source is None:
            return Admission(reject=CALLED_OTHER if verdict.called_other else REFUSED)
        self._source, self._may = verdict.source, verdict.may
        if verdict.warning:
            self._stored = KEPT_WITH_WARNING
        return Admission(takes(verdict.may))

    def on_store(self, command: Command, context: AcceptedContext) -> StoreSink | Status:
        """See `Handler`."""
        if self._source is None or self._asked is None or PeerRight.STORE not in self._may:
            return Status.NOT_AUTHORIZED
        sop_class, sop_instance = command.sop_class or "", command.sop_instance or ""
        if right_for(context.abstract_syntax) is not PeerRight.STORE or sop_class != context.abstract_syntax:
            return Status.SOP_CLASS_NOT_SUPPORTED
        reception = self._receiver.begin(
            self._source, sop_class, sop_instance, context.transfer_syntax, self._asked.calling
        )
        return InstanceSink(reception, self._stored)

    async def on_echo(self) -> Status:
        """See `Handler`."""
        return Status.SUCCESS if PeerRight.ECHO in self._may else Status.NOT_AUTHORIZED

    async def on_other(self, command: Command, context: AcceptedContext) -> Status:
        """See `Handler`: no context of another service is ever accepted."""
        return Status.UNRECOGNIZED_OPERATION

    async def on_release(self) -> None:
        """See `Handler`: what was stored can be searched for once the association is over."""
        await self._receiver.told()

    def ended(self, reason: Ended) -> None:
        """See `Handler`."""
        self._receiver.preparing.rest()
        if self._source is not None:
            self._tidings.left(self._source.id)
        elif self._asked is None and reason.how in _UNASKED:
            self._tidings.knocked(self._caller.address, self._caller.listener, _UNASKED[reason.how])


_UNASKED: Final = {HowEnded.REJECTED: KnockReason.TOO_MANY, HowEnded.BROKEN: KnockReason.NOT_DICOM}
"""Ends before the vault was asked that somebody should know of."""


class InstanceSink:
    """One instance on its way into the archive, as `dimse.handling.StoreSink` describes it."""

    def __init__(self, reception: Reception, stored: Status) -> None:
        self._reception = reception
        self._stored = stored

    def write(self, piece: memoryview) -> Awaitable[None] | None:
        """See `StoreSink`."""
        return self._reception.write(piece)

    async def finish(self) -> Status:
        """See `StoreSink`."""
        try:
            await self._reception.keep()
        except BadIdentifier:
            # The data set is another instance, or of another class, than its command says.
            return Status.DOES_NOT_MATCH_SOP_CLASS
        return self._stored

    def abort(self) -> None:
        """See `StoreSink`."""
        self._reception.abandon()
