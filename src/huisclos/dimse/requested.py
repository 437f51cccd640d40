"""An association that we asked for, and what can be done on it: echo, store, find, get, move."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Final

from huisclos.dimse.protocol.commands import (
    RESPONSE,
    Command,
    Field,
    Tag,
    cancel_request,
    echo_request,
    find_request,
    get_request,
    move_request,
    respond,
    store_request,
)
from huisclos.dimse.protocol.events import (
    Aborted,
    AcceptedContext,
    AssociateAccepted,
    AssociateRejected,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseRequested,
)
from huisclos.dimse.protocol.names import VERIFICATION
from huisclos.dimse.protocol.pdus import AssociateAccept, AssociateRequest
from huisclos.dimse.protocol.statuses import Category, Status, category
from huisclos.dimse.receiving import OpenSink, read_data, receive_instance
from huisclos.dimse.wire import Wire
from huisclos.errors import (
    AssociationEnded,
    AssociationRejected,
    OperationFailed,
    PeerTooSlow,
)

_SLICE: Final = 256 * 1024
"""bytes of a data set that are handed to the transport at once"""
_MESSAGE_IDS: Final = 0xFFFF

DataSet = bytes | memoryview | AsyncIterable[bytes | memoryview]
"""An encoded data set, whole or in pieces, without preamble and file meta."""


@dataclass(frozen=True, slots=True)
class SubOperations:
    """The outcome of a get or a move: how many instances went, and how (PS3.4 section C.4.2.1.6)."""

    status: int
    completed: int
    failed: int
    warnings: int


class RequestedAssociation:
    """An association that we asked for. One operation at a time."""

    def __init__(self, wire: Wire, request: AssociateRequest) -> None:
        self.request = request
        self.accept: AssociateAccept | None = None
        """what the peer answered, once it has; it says whose implementation it is"""
        self._wire = wire
        self._message_id = 0
        self._busy = False

    @property
    def contexts(self) -> tuple[AcceptedContext, ...]:
        """The presentation contexts that the peer accepted."""
        return tuple(self._wire.machine.contexts.values())

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate, DER; None without TLS."""
        assert self._wire.transport is not None  # noqa: S101
        session: ssl.SSLObject | None = self._wire.transport.get_extra_info("ssl_object")
        return session.getpeercert(binary_form=True) if session is not None else None

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext:
        """The accepted context of `abstract_syntax`, in `transfer_syntax` if it is given.

        Raises `OperationFailed` with the status of an unsupported SOP class when there is none.
        """
        for context in self.contexts:
            if context.abstract_syntax == abstract_syntax and transfer_syntax in (
                None,
                context.transfer_syntax,
            ):
                return context
        raise OperationFailed(
            "the peer did not accept a presentation context for this",
            status=Status.SOP_CLASS_NOT_SUPPORTED,
        )

    async def echo(self) -> int:
        """C-ECHO; the status. Raises `OperationFailed`."""
        context = self.context_for(VERIFICATION)
        answer, _ = await self._ask(context, echo_request(self._next_id()))
        return _checked(answer)

    async def store(
        self, data_set: DataSet, *, sop_class: str, sop_instance: str, transfer_syntax: str
    ) -> int:
        """C-STORE of a data set already encoded in `transfer_syntax`; the status, success or warning.

        Raises `OperationFailed` when the peer did not take it, or accepted no context for it.
        """
        context = self.context_for(sop_class, transfer_syntax)
        answer, _ = await self._ask(
            context, store_request(self._next_id(), sop_class, sop_instance), data_set
        )
        return _checked(answer)

    async def find(
        self, identifier: bytes, *, sop_class: str, limit: int | None = None
    ) -> AsyncIterator[bytes]:
        """C-FIND; each match as it was encoded, in the transfer syntax of `context_for(sop_class)`.

        After `limit` matches the query is cancelled. Raises `OperationFailed`. A caller who stops
        sooner has used the association up: it is aborted instead of released.
        """
        context = self.context_for(sop_class)
        request = find_request(self._next_id(), sop_class)
        found = 0
        await self._send(context, request, identifier)
        while True:
            answer, match = await self._answer(request)
            if category(answer.status or 0) is not Category.PENDING:
                break
            if match is not None and (limit is None or found < limit):
                found += 1
                yield match
                if found == limit:
                    self._wire.machine.send_command(context.id, cancel_request(request.message_id))
                    self._wire.settle()
        self._busy = False
        if category(answer.status or 0) is Category.FAILURE:
            _checked(answer)

    async def get(self, identifier: bytes, *, sop_class: str, open_sink: OpenSink) -> SubOperations:
        """C-GET; each instance that comes is given to the sink that `open_sink` opens for it.

        The storage contexts must have been proposed with `scp=True`. Raises `OperationFailed`.
        """
        request = get_request(self._next_id(), sop_class)
        return await self._retrieve(self.context_for(sop_class), request, identifier, open_sink)

    async def move(self, identifier: bytes, *, sop_class: str, destination: str) -> SubOperations:
        """C-MOVE to the AE title `destination`, which must be listening. Raises `OperationFailed`."""
        request = move_request(self._next_id(), sop_class, destination)
        return await self._retrieve(self.context_for(sop_class), request, identifier, _refuse_instance)

    async def establish(self) -> None:
        """Wait for the answer to our request; `associate` does it."""
        event = await self._wire.next_event()
        if isinstance(event, AssociateAccepted):
            self.accept = event.accept
        elif isinstance(event, AssociateRejected):
            reject = event.reject
            raise AssociationRejected(
                f"the peer rejects the association ({reject.result}, {reject.source}, {reject.reason})",
                result=reject.result,
                source=reject.source,
                reason=reject.reason,
            )
        else:
            raise _ended(event)

    async def release(self, seconds: float) -> None:
        """Release, unless an operation was left half done; `associate` does it."""
        if self._busy:
            return
        with contextlib.suppress(AssociationEnded, PeerTooSlow):
            async with deadline(seconds):
                self._wire.machine.release()
                self._wire.settle()
                while (event := await self._wire.next_event()) is not None:
                    if isinstance(event, ReleaseRequested):  # both asked at once
                        self._wire.machine.confirm_release()
                        self._wire.settle()

    def _next_id(self) -> int:
        self._message_id = self._message_id % _MESSAGE_IDS + 1
        return self._message_id

    async def _ask(
        self, context: AcceptedContext, request: Command, data_set: DataSet | None = None
    ) -> tuple[Command, bytes | None]:
        await self._send(context, request, data_set)
        answer = await self._answer(request)
        self._busy = False
        return answer

    async def _send(self, context: AcceptedContext, request: Command, data_set: DataSet | None) -> None:
        if self._busy:
            raise AssociationEnded("an earlier operation was left half done")
        self._busy = True
        machine, wire = self._wire.machine, self._wire
        machine.send_command(context.id, request)
        if data_set is not None:
            held = memoryview(b"")
            async for piece in _slices(data_set):
                if held:
                    machine.send_data(context.id, held, last=False)
                    wire.settle()
                    await wire.drain()
                held = piece
            machine.send_data(context.id, held, last=True)
        wire.settle()
        await wire.drain()

    async def _answer(self, request: Command) -> tuple[Command, bytes | None]:
        """The next response to `request`, and its data set."""
        command = (await self._command()).command
        if not self._answers(command, request):
            raise self._broken()
        return command, await self._gather() if command.has_data_set else None

    async def _retrieve(
        self, context: AcceptedContext, request: Command, identifier: bytes, open_sink: OpenSink
    ) -> SubOperations:
        await self._send(context, request, identifier)
        while True:
            received = await self._command()
            command = received.command
            if command.field == Field.C_STORE and request.field == Field.C_GET:
                await self._receive(received, open_sink)
                continue
            if not self._answers(command, request):
                raise self._broken()
            if command.has_data_set:
                await self._gather()
            if category(command.status or 0) is not Category.PENDING:
                break
        self._busy = False
        return SubOperations(
            _checked(command),
            command.number(Tag.COMPLETED) or 0,
            command.number(Tag.FAILED) or 0,
            command.number(Tag.WARNINGS) or 0,
        )

    async def _receive(self, received: CommandReceived, open_sink: OpenSink) -> None:
        context, command = received.context, received.command
        status = await receive_instance(self._wire, open_sink, context, command)
        if not isinstance(status, Status):
            raise _ended(status)
        self._wire.machine.send_command(context.id, respond(command, status))
        self._wire.settle()

    async def _command(self) -> CommandReceived:
        event = await self._wire.next_event()
        if isinstance(event, CommandReceived):
            return event
        raise _ended(event)

    async def _gather(self) -> bytes:
        pieces: list[bytes] = []

        def keep(piece: memoryview) -> None:
            pieces.append(bytes(piece))

        event = await read_data(self._wire, keep)
        if not isinstance(event, DataReceived):
            raise _ended(event)
        return b"".join((*pieces, event.piece))

    def _answers(self, command: Command, request: Command) -> bool:
        return command.field == request.field | RESPONSE and command.message_id == request.message_id

    def _broken(self) -> AssociationEnded:
        self._wire.machine.abort()
        return AssociationEnded("the peer answered something that was not asked")


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """`PeerTooSlow` when the block is not done in time."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise PeerTooSlow("the peer did not answer in time") from None
        raise


async def _slices(data_set: DataSet) -> AsyncIterator[memoryview]:
    if isinstance(data_set, AsyncIterable):
        async for piece in data_set:
            for at in range(0, len(piece), _SLICE):
                yield memoryview(piece)[at : at + _SLICE]
    else:
        for at in range(0, len(data_set), _SLICE):
            yield memoryview(data_set)[at : at + _SLICE]


def _checked(answer: Command) -> int:
    """The status of `answer`; `OperationFailed` when it is a failure."""
    status = answer.status
    assert status is not None  # noqa: S101 - a response without a status is not read as one
    if category(status) is Category.FAILURE:
        raise OperationFailed(f"the peer answers with status {status:#06x}", status=status)
    return status


def _ended(event: Event | None) -> AssociationEnded:
    if isinstance(event, Aborted):
        if event.by_peer:
            return AssociationEnded(f"the peer aborts the association ({event.source}, {event.reason})")
        return AssociationEnded(f"the peer broke the protocol: {event.why}")
    return AssociationEnded("the peer ended the association")


def _refuse_instance(_command: Command, _context: AcceptedContext) -> Status:
    return Status.UNRECOGNIZED_OPERATION
