"""A data set on its way to its sink."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable

import pytest

from huisclos.dimse.protocol.commands import store_request
from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.receiving import Deposit
from huisclos.errors import Full
from tests.dimse.listening import CT


class Behind:
    """A sink that is behind, and then has no room."""

    def __init__(self) -> None:
        self.aborted = 0
        self.full: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, piece: memoryview) -> Awaitable[None] | None:
        """See `StoreSink`."""
        return self.full

    async def finish(self) -> Status:
        """See `StoreSink`."""
        return Status.SUCCESS

    def abort(self) -> None:
        """See `StoreSink`."""
        self.aborted += 1


def deposit(sink: Behind) -> Deposit:
    """One instance that goes to `sink`."""
    return Deposit(
        lambda _command, _context: sink,
        AcceptedContext(1, CT, EXPLICIT_LITTLE_ENDIAN),
        store_request(1, CT, "1.2.3"),
    )


async def test_an_association_that_breaks_off_need_not_wait(recwarn: pytest.WarningsRecorder) -> None:
    """It ended while the sink was behind: nothing is complained of."""
    warnings.simplefilter("always")
    sink = Behind()
    one = deposit(sink)
    behind = one.write(memoryview(b"piece"))
    assert behind is not None
    one.abort()
    del behind
    gc.collect()
    assert sink.aborted == 1
    assert [str(each.message) for each in recwarn] == []


async def test_what_goes_wrong_while_it_waits_is_its_status() -> None:
    """Whoever waits hears nothing of it; what is still to come is forgotten."""
    sink = Behind()
    one = deposit(sink)
    behind = one.write(memoryview(b"piece"))
    assert behind is not None
    sink.full.set_exception(Full("no room"))
    await behind
    assert sink.aborted == 1
    assert one.write(memoryview(b"more")) is None
    assert await one.finish(memoryview(b"last")) is Status.OUT_OF_RESOURCES
