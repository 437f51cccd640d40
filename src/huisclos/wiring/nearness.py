"""Which connections are heard (P11), at every listener; what is turned away is told, not too often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import ip_network
from typing import Final

from huisclos.access.addresses import Network, is_near, parse_address
from huisclos.access.admission import PeerDoor
from huisclos.clock import steady
from huisclos.errors import HuisclosError
from huisclos.wiring.listeners import own_networks
from huisclos.wiring.places import Archive

_TOLD_EVERY: Final = 10.0
"""Seconds between two words about one address: a scanner must not fill the journal."""
_MAX_ADDRESSES: Final = 1000


class Nearness:
    """Judges sources by our own table and this machine's prefixes."""

    def __init__(self, archive: Archive, door: PeerDoor) -> None:
        self._own: tuple[Network, ...] = tuple(ip_network(text, strict=False) for text in own_networks())
        self._declared = archive.settings.declared_networks
        self._door = door
        self._told: dict[str, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def is_near(self, address: str) -> bool:
        """Whether a connection from here may be heard."""
        try:
            return is_near(parse_address(address), self._own, self._declared)
        except HuisclosError:
            return False

    def judge(self, listener: str) -> Callable[[str], bool]:
        """The judge of one listener; it tells the vault whom it turned away."""

        def judge(address: str) -> bool:
            if self.is_near(address):
                return True
            now = steady()
            if now - self._told.get(address, -_TOLD_EVERY) >= _TOLD_EVERY:
                if len(self._told) >= _MAX_ADDRESSES:
                    self._told.clear()
                self._told[address] = now
                task = asyncio.get_running_loop().create_task(self._tell(address, listener))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)
            return False

        return judge

    async def _tell(self, address: str, listener: str) -> None:
        with contextlib.suppress(HuisclosError):
            await self._door.turned_away(address, listener)
