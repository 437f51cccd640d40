"""The command line's way into a house: the one being served, else one started for one command.

Either way the same processes do the work: nothing that parses images ever holds the archive's
secret, also in `huisclos import` on an archive that nobody serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from huisclos.access.gate import Gate
from huisclos.access.nouns import Proof, ProofKind
from huisclos.archive.finder_ports import Upkeep
from huisclos.archive.ports import Catalog, HouseCatalog, HouseKeys, Keeper
from huisclos.channel import (
    Channel,
    Message,
    Sibling,
    locked_when_away,
    receive_message,
    remote,
    send_message,
)
from huisclos.errors import HuisclosError, Locked, Unreachable
from huisclos.finder.client import finder_client
from huisclos.vault.console import Console
from huisclos.wiring.places import Archive, lock_archive
from huisclos.wiring.secrets import names_secret, read_secret, take_variable, wipe
from huisclos.wiring.whole import check_whole

CONSOLE_PROOF = Proof(ProofKind.CONSOLE)
Result = TypeVar("Result")


class House:
    """A running house as the command line sees it."""

    def __init__(self, archive: Archive, control: socket.socket, vault: Channel, *, private: bool) -> None:
        self.archive = archive
        self.store = archive.store
        self.private = private
        """Started for this command only."""
        self.proof = CONSOLE_PROOF
        self._control = control
        self._vault = vault
        self._finder = Sibling("finder", locked_when_away)
        self.console = remote(Console, vault)
        self.gate = remote(Gate, vault)
        self.keeper = remote(Keeper, vault)
        self.house_keys = remote(HouseKeys, vault)
        finder = finder_client(self._finder)
        self.catalog: Catalog = finder
        self.house_catalog: HouseCatalog = finder
        """For what runs over the whole archive."""
        self.upkeep: Upkeep = finder

    async def meet_finder(self) -> None:
        """Reach the finder of an unlocked house. Raises `Locked`."""
        sock = await asyncio.to_thread(_ask_for, self._control, "finder")
        if sock is None:
            raise locked_when_away()
        self._finder.arrive(await Channel.over(sock))

    def stop(self) -> None:
        """Tell the house to end."""
        send_message(self._control, Message("stop"))

    async def end(self) -> None:
        """Let go."""
        self._finder.leave()
        self._vault.close()
        await self._vault.closed()


Work = Callable[[House], Awaitable[Result]]


def is_served(archive: Archive) -> bool:
    """Whether a house runs on this archive."""
    control = _reach(archive)
    if control is None:
        return False
    control.close()
    return True


def in_house(
    archive: Archive,
    work: Work[Result],
    private: Callable[[Archive, int, int], int],
    *,
    unlock_with: str | None = None,
    unlocked: bool = True,
    rebuilding: bool = False,
) -> Result:
    """Run `work` in the house of `archive` and give what it gives.

    `private(archive, owner, ready)` runs a house without listeners until process `owner` ends, under
    the lock taken here, and writes a byte to descriptor `ready` once it can be reached. With
    `unlocked`, the archive is unlocked for the work if it is not: with what `unlock_with` names,
    else with HUISCLOS_PASSPHRASE_FILE; and locked again after. Raises `Locked` when nothing names
    a secret; `Incomplete` when parts of the archive are missing (`rebuilding`: but for the index).
    """
    if unlock_with is not None:
        names_secret(unlock_with, archive.root)  # what is off is said, also where it is not needed
    control = _reach(archive)
    started = -1
    if control is None:
        check_whole(archive, rebuilding=rebuilding)
        control, started = _start(archive, private, unlock_with)
    try:
        return asyncio.run(
            _within(archive, control, work, unlock_with, unlocked=unlocked, private=started >= 0)
        )
    finally:
        if started >= 0:
            with contextlib.suppress(Unreachable):
                send_message(control, Message("stop"))
            os.waitpid(started, 0)
        control.close()


async def _within(
    archive: Archive,
    control: socket.socket,
    work: Work[Result],
    unlock_with: str | None,
    *,
    unlocked: bool,
    private: bool,
) -> Result:
    sock = await asyncio.to_thread(_ask_for, control, "vault")
    if sock is None:
        raise Unreachable("the vault is away", hint="try again in a moment")
    house = House(archive, control, await Channel.over(sock), private=private)
    opened = False
    try:
        if unlocked:
            opened = await _unlock(house, unlock_with)
            await house.meet_finder()
        return await work(house)
    finally:
        if opened and not private:
            with contextlib.suppress(HuisclosError):
                await house.gate.lock(CONSOLE_PROOF)
        await house.end()


async def _unlock(house: House, unlock_with: str | None) -> bool:
    state = await house.gate.state()
    if not state.locked:
        return False
    secret = read_secret(unlock_with, house.archive.root)
    if secret is None:
        raise Locked(
            "the archive is locked, and nothing says how to unlock it",
            hint="--unlock-with tty, file:PATH or env:NAME",
        )
    await house.gate.unlock(secret, "", "")
    return True


def _reach(archive: Archive) -> socket.socket | None:
    for place in archive.controls:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            control.connect(str(place))
        except OSError:
            control.close()
        else:
            return control
    return None


def _ask_for(control: socket.socket, role: str) -> socket.socket | None:
    send_message(control, Message(role))
    heard = receive_message(control)
    if heard is None:
        return None
    message, sockets = heard
    return sockets[0] if message.word == "sibling" and sockets else None


def _start(
    archive: Archive, private: Callable[[Archive, int, int], int], unlock_with: str | None
) -> tuple[socket.socket, int]:
    descriptor = lock_archive(archive)
    reading, writing = os.pipe()
    owner = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.setsid()
        # the secret stays with the command: nothing in the house it starts inherits it
        wipe(take_variable(unlock_with) or b"")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _be_private(private, archive, owner, writing)
    # the child holds the lock as well, and goes on holding it
    os.close(descriptor)
    os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        ready.read(1)
    control = _reach(archive)
    if control is None:
        os.waitpid(pid, 0)
        raise Unreachable("the house did not start", hint="see the lines above")
    return control, pid


def _be_private(
    private: Callable[[Archive, int, int], int], archive: Archive, owner: int, ready: int
) -> NoReturn:
    code = 1
    try:
        code = private(archive, owner, ready)
    except HuisclosError as error:
        print(f"huisclos: {error.message}", file=sys.stderr)  # noqa: T201 - it has no other voice
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
