"""One association that a peer asked for, from its connection to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from huisclos.dimse.handling import Ended, Handler, HowEnded, status_of
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import Command, Field, respond
from huisclos.dimse.protocol.contexts import answer_contexts
from huisclos.dimse.protocol.events import (
    Aborted,
    AcceptedContext,
    AssociateRequested,
    CommandReceived,
    DataReceived,
    Event,
    Lost,
    ReleaseRequested,
)
from huisclos.dimse.protocol.items import UserInformation
from huisclos.dimse.protocol.machine import Machine, Side
from huisclos.dimse.protocol.pdus import CONGESTED, AssociateAccept, AssociateReject, AssociateRequest
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.receiving import Deposit, forget, read_data
from huisclos.dimse.wire import Wire
from huisclos.errors import AssociationEnded, HuisclosError, PeerTooSlow

_LOG: Final = logging.getLogger(__name__)


class Association:
    """A peer's association: what is known of it, and the loop that serves it."""

    def __init__(self, address: str, handler: Handler, bounds: Bounds, *, congested: bool = False) -> None:
        self.address = address
        """of the peer, as the socket gives it"""
        self.handler = handler
        self.request: AssociateRequest | None = None
        """what the peer asked for, once it has"""
        self.certificate: bytes | None = None
        """the peer's, DER, once TLS has proven it"""
        self.wire = Wire(Machine(Side.ACCEPTOR, bounds))
        self.wire.on_command = self._begin
        self._deposit: Deposit | None = None
        """the instance that is coming"""
        self._bounds = bounds
        self._congested = congested
        self._ended = False

    async def serve(self) -> None:
        """Serve until the transport is gone; the handler is told of the end, whatever happens."""
        how = Ended(HowEnded.FAILED)
        try:
            async with asyncio.timeout(self._bounds.total_seconds):
                while (event := await self.wire.next_event()) is not None:
                    await self._on_event(event)
            # Before there is an association, no event tells of bytes that ask for none (AA-1).
            how = Ended(HowEnded.BROKEN if self.wire.machine.unreadable else HowEnded.LOST)
        except (PeerTooSlow, TimeoutError):
            how = Ended(HowEnded.TOO_SLOW)
        except asyncio.CancelledError:
            how = Ended(HowEnded.STOPPED)
            raise
        finally:
            self._break_off()
            self._end(how)
            self.wire.machine.abort()
            self.wire.settle()
            self.wire.close()

    def _begin(self, event: CommandReceived) -> bool:
        """An instance is about to come: its sink is opened while what came with its command is read."""
        if event.command.field != Field.C_STORE or not event.command.has_data_set:
            return False
        self._deposit = Deposit(self.handler.on_store, event.context, event.command)
        self.wire.on_data = self._deposit.write
        return True

    def _break_off(self) -> None:
        """What was coming, if anything, comes no more."""
        self.wire.on_data = None
        if self._deposit is not None:
            deposit, self._deposit = self._deposit, None
            deposit.abort()

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, DataReceived) and self._deposit is not None:
            await self._keep(self._deposit, event)
            return
        self._break_off()
        match event:
            case AssociateRequested(request):
                await self._decide(request)
            case CommandReceived(context, command):
                await self._perform(context, command)
            case ReleaseRequested():
                await self.handler.on_release()
                with contextlib.suppress(AssociationEnded):
                    self.wire.machine.confirm_release()
                    self.wire.settle()
                self._end(Ended(HowEnded.RELEASED))
            case Aborted(by_peer=by_peer, why=why):
                self._end(Ended(HowEnded.ABORTED if by_peer else HowEnded.BROKEN, why))
            case Lost():
                self._end(Ended(HowEnded.LOST))
            case _:
                raise AssertionError(f"{type(event).__name__} on an accepted association")

    async def _decide(self, request: AssociateRequest) -> None:
        """Answer the request, a refusal never before its time."""
        self.request = request
        loop = asyncio.get_running_loop()
        earliest = loop.time() + self._bounds.refusal_seconds
        if self._congested:
            await self._reject(CONGESTED, earliest)
            return
        admission = await self.handler.admit(request, self.address, self.certificate)
        if admission.takes is None:
            await self._reject(admission.reject, earliest)
            return
        accept = AssociateAccept(
            called=request.called,
            calling=request.calling,
            contexts=answer_contexts(request.contexts, admission.takes),
            user=UserInformation(max_length=self._bounds.announced_pdu_length),
        )
        with contextlib.suppress(AssociationEnded):
            self.wire.machine.accept(accept)
            self.wire.settle()

    async def _reject(self, reject: AssociateReject, earliest: float) -> None:
        await asyncio.sleep(earliest - asyncio.get_running_loop().time())
        with contextlib.suppress(AssociationEnded):
            self.wire.machine.reject(reject)
            self.wire.settle()
        self._end(Ended(HowEnded.REJECTED))

    async def _perform(self, context: AcceptedContext, command: Command) -> None:
        """Do what `command` asks and answer it; an association that ends meanwhile needs no answer."""
        if command.is_response:
            self.wire.machine.abort()
            self._end(Ended(HowEnded.BROKEN, "a response to no request"))
            return
        if command.field == Field.C_CANCEL:
            return
        if command.field == Field.C_STORE:
            # One that announces its data set does not come here.
            await self._answer(context, command, Status.MISTYPED_ARGUMENT)
            return
        status = await self._other(context, command)
        if status is not None:
            await self._answer(context, command, status)

    async def _keep(self, deposit: Deposit, event: DataReceived) -> None:
        """The end of an instance: kept, and answered."""
        self.wire.on_data = None
        status = await deposit.finish(event.piece)
        self._deposit = None
        await self._answer(deposit.context, deposit.command, status)

    async def _answer(self, context: AcceptedContext, command: Command, status: Status) -> None:
        with contextlib.suppress(AssociationEnded):
            self.wire.machine.send_command(context.id, respond(command, status))
            self.wire.settle()
            await self.wire.drain()

    async def _other(self, context: AcceptedContext, command: Command) -> Status | None:
        if command.has_data_set:
            event = await read_data(self.wire, forget)
            if not isinstance(event, DataReceived):
                if event is not None:
                    await self._on_event(event)
                return None
        try:
            if command.field == Field.C_ECHO:
                return await self.handler.on_echo()
            return await self.handler.on_other(command, context)
        except HuisclosError as error:
            return status_of(error)

    def _end(self, how: Ended) -> None:
        if not self._ended:
            self._ended = True
            _LOG.debug("association %s", how.how.value)
            self.handler.ended(how)
