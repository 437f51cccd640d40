"""The practice behind real sockets, in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.web.demo import Running, running
from tests.web.world import World


@contextmanager
def live(
    folder: Path, files: list[Path], *, viewer: Path | None = None, world: World | None = None
) -> Iterator[Running]:
    """Serve until the block ends."""
    ready: threading.Event = threading.Event()
    held: list[Running | BaseException] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with running(folder, viewer=viewer, world=world) as house:
            for path in files:
                await house.world.put(path.read_bytes())
            held.append(house)
            ready.set()
            await over.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            held.append(error)
            ready.set()
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(30)
    try:
        house = held[0]
        if isinstance(house, BaseException):
            raise house
        yield house
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)
        thread.join(20)
