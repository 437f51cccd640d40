"""What a browser or a DICOMweb client sends, sealed as it arrives and written by threads.

Hashing and sealing are quick and done on the loop; whatever touches the disk is not: a slow one must
not hold up everybody this worker serves. For one instance, at most `archive.behind.BACKLOG` sealed
bytes wait for the disk; then its sender waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from starlette.requests import Request

from huisclos.access.nouns import Source
from huisclos.archive.behind import BACKLOG
from huisclos.archive.intake import FileIntake
from huisclos.archive.receive import Received, Receiver, Reception
from huisclos.errors import HuisclosError
from huisclos.web.bodies import Event, PartBegun, PartData

AT_A_TIME: Final = 12
"""Instances of one request that are being made durable at once, while the next one arrives.

With 4, of 512 KB each, the network waited for the disk a tenth of the time.
"""
MOST_HELD: Final = 4 * BACKLOG
"""Sealed bytes that they hold at most, for large ones."""

Deposited = Received | HuisclosError
"""What came of one instance: it is durable, or was refused."""


def begin(
    receiver: Receiver, source: Source, only_study: str = "", *, one_of_many: bool = False
) -> Reception:
    """One instance that comes as a file, alone or in a request of many. Raises as `Receiver.begin_file`."""
    return Reception(
        receiver, source, FileIntake(), beside=True, only_study=only_study, one_of_many=one_of_many
    )


async def deposit_body(
    request: Request, receiver: Receiver, source: Source, only_study: str = ""
) -> Received:
    """The whole body as one instance, and what came of it. Raises what `Reception` raises.

    What is refused is read to its end all the same: a browser that is still sending would
    otherwise see a broken connection in place of the reason.
    """
    reception = begin(receiver, source, only_study)
    refused: HuisclosError | None = None
    try:
        async for chunk in request.stream():
            if refused is None:
                try:
                    await write(reception, chunk)
                except HuisclosError as error:
                    reception.abandon()
                    refused = error
        if refused is not None:
            raise refused
        return await reception.finish()
    finally:
        reception.abandon()
        receiver.rest_later()


async def write(reception: Reception, data: bytes) -> None:
    """The next bytes; waits while the disk is behind. Raises as `Reception.write`."""
    behind = reception.write(data)
    if behind is not None:
        await behind


async def deposit_parts(
    body: AsyncIterator[Event],
    wanted: Callable[[PartBegun], bool],
    receiver: Receiver,
    source: Source,
    only_study: str = "",
) -> AsyncIterator[Deposited]:
    """Each part of `body` that is `wanted` as one instance, and what came of each, in their order.

    While the next part arrives, up to `AT_A_TIME` are being made durable. `wanted` raises the
    `HuisclosError` that refuses a part. Raises what reading the body raises; what was whole by then
    is kept.
    """
    reception: Reception | None = None
    under_way: deque[_Ending] = deque()
    try:
        async for event in body:
            try:
                if isinstance(event, PartBegun):
                    reception = (
                        begin(receiver, source, only_study, one_of_many=True) if wanted(event) else None
                    )
                elif reception is None:
                    continue
                elif isinstance(event, PartData):
                    await write(reception, event.data)
                else:
                    under_way.append(_Ending(_finishing(reception), min(reception.octets, BACKLOG)))
                    reception = None
            except HuisclosError as error:
                under_way.append(_Ending(error))
                if reception is not None:
                    reception.abandon()
                    reception = None
            while len(under_way) > AT_A_TIME or sum(one.held for one in under_way) > MOST_HELD:
                yield await _outcome(under_way.popleft().outcome)
        while under_way:
            yield await _outcome(under_way.popleft().outcome)
    finally:
        if reception is not None:
            reception.abandon()
        receiver.rest_later()
        tasks = [one.outcome for one in under_way if isinstance(one.outcome, asyncio.Task)]
        await asyncio.gather(*tasks, return_exceptions=True)


class _Ending(NamedTuple):
    """What becomes of one part."""

    outcome: asyncio.Task[Received] | HuisclosError
    held: int = 0
    """Sealed bytes that wait with it for the disk, at most."""


def _finishing(reception: Reception) -> asyncio.Task[Received]:
    task = asyncio.ensure_future(reception.finish())
    # cancelled before its first step it would not have begun to end
    task.add_done_callback(lambda ended: reception.abandon() if ended.cancelled() else None)
    return task


async def _outcome(one: asyncio.Task[Received] | HuisclosError) -> Deposited:
    if isinstance(one, HuisclosError):
        return one
    try:
        return await one
    except HuisclosError as error:
        return error
