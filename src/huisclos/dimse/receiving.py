"""The data sets that come over an association: to a sink, or to nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator

from huisclos.dimse.handling import StoreSink, status_of
from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.events import AcceptedContext, DataReceived, Event
from huisclos.dimse.protocol.names import is_uid
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.wire import OnData, Wire
from huisclos.errors import HuisclosError

OpenSink = Callable[[Command, AcceptedContext], StoreSink | Status]
"""`Handler.on_store`, or what stands for it."""


async def receive_instance(
    wire: Wire, open_sink: OpenSink, context: AcceptedContext, command: Command
) -> Status | Event | None:
    """Take the instance that the C-STORE request `command` announces.

    Gives the status to answer with; or, when the data set broke off, the event it broke off with,
    None if the transport is gone. A sink that was opened is finished or aborted in any case.
    """
    if not command.has_data_set:
        return Status.MISTYPED_ARGUMENT
    deposit = Deposit(open_sink, context, command)
    try:
        event = await read_data(wire, deposit.write)
        return await deposit.finish(event.piece) if isinstance(event, DataReceived) else event
    finally:
        deposit.abort()


async def read_data(wire: Wire, on_data: OnData) -> Event | None:
    """Give each piece of a data set but the last to `on_data`; the event that holds the last.

    Another event than `DataReceived` means that the data set broke off.
    """
    wire.on_data = on_data
    try:
        return await wire.next_event()
    finally:
        wire.on_data = None


def forget(_: memoryview) -> None:
    """Take a piece that nobody wants."""


class Deposit:
    """One instance on its way to its sink; once something failed, the rest is read and forgotten.

    `finish` or `abort` it in any case.
    """

    def __init__(self, open_sink: OpenSink, context: AcceptedContext, command: Command) -> None:
        self.context = context
        self.command = command
        self._sink: StoreSink | None = None
        self._status = Status.PROCESSING_FAILURE
        if not (is_uid(command.sop_class or "") and is_uid(command.sop_instance or "")):
            self._status = Status.INVALID_INSTANCE
            return
        try:
            opened = open_sink(command, context)
        except HuisclosError as error:
            self._fail(error)
            return
        if isinstance(opened, Status):
            self._status = opened
        else:
            self._sink = opened

    def write(self, piece: memoryview) -> Awaitable[None] | None:
        """Take the next bytes, as `StoreSink.write`; raises nothing of the house's."""
        if self._sink is None:
            return None
        try:
            behind = self._sink.write(piece)
        except HuisclosError as error:
            self._fail(error)
            return None
        return None if behind is None else _Waiting(self, behind)

    async def finish(self, last: memoryview) -> Status:
        """Take the last bytes; the status to answer with."""
        behind = self.write(last)
        if behind is not None:
            await behind
        if self._sink is None:
            return self._status
        try:
            status = await self._sink.finish()
        except HuisclosError as error:
            self._fail(error)
            return self._status
        self._sink = None
        return status

    def abort(self) -> None:
        """Abort the sink unless it has finished."""
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.abort()

    async def wait(self, behind: Awaitable[None]) -> None:
        """Wait for what the sink gave; raises nothing of the house's."""
        try:
            await behind
        except HuisclosError as error:
            self._fail(error)

    def _fail(self, error: HuisclosError) -> None:
        self._status = status_of(error)
        self.abort()


class _Waiting:
    """What `Deposit.write` gives: not begun before it is waited for, which a broken association does not."""

    def __init__(self, deposit: Deposit, behind: Awaitable[None]) -> None:
        self._deposit, self._behind = deposit, behind

    def __await__(self) -> Generator[object, None, None]:
        return self._deposit.wait(self._behind).__await__()
