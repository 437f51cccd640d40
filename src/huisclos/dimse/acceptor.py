"""Listening for associations: who may connect, how many at once, and how they all end.

Everything that can be decided before a byte is read is: the source, by the gatekeeper, and the
number of connections, in all and from one address, also ahead of the TLS handshake. Whoever has not
asked for an association yet gives its place to the next one when there is no other, so that silence
by the hundred shuts nobody out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final

from huisclos.dimse.handling import Ended, Handler, HowEnded, TurnedAway
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.service import Association

_LOG: Final = logging.getLogger(__name__)
_BREATH: Final = 0.1
"""seconds: before accepting again when the system has no more descriptors"""


class Acceptor:
    """Serves associations on any number of listening sockets, within one set of bounds.

    `handlers` makes the handler of one association, given the address it comes from and whether over
    TLS. `gatekeeper` says of an address, as the socket
    gives it, whether it may connect at all; a refused one is closed unread. `turned_away` is told
    of each connection that did not become an association.
    """

    def __init__(
        self,
        handlers: Callable[[str, bool], Handler],
        *,
        gatekeeper: Callable[[str], bool],
        turned_away: Callable[[str, TurnedAway], None],
        bounds: Bounds | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._handlers = handlers
        self._gatekeeper = gatekeeper
        self._turned_away = turned_away
        self._places = _Places(self.bounds)
        self._listening: dict[asyncio.Task[None], socket.socket] = {}
        self._served: dict[asyncio.Task[None], Association] = {}
        """In the order they came."""
        self._held: dict[asyncio.Task[None], _Place] = {}

    @property
    def associations(self) -> tuple[Association, ...]:
        """The associations being served, asked for or not."""
        return tuple(self._served.values())

    def listen(self, listener: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Accept on `listener`, a bound and listening TCP socket that is ours from now on."""
        listener.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._accept(listener, tls))
        self._listening[task] = listener

    def end(self, which: Callable[[Association], bool]) -> int:
        """Abort the associations that `which` picks, as when their peer was removed; how many."""
        picked = [task for task, association in self._served.items() if which(association)]
        for task in picked:
            task.cancel()
        return len(picked)

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more; let what is in progress finish for `grace_seconds`, then abort it."""
        for task in self._listening:
            task.cancel()
        if self._listening:
            await asyncio.wait(self._listening)
        for listener in self._listening.values():
            listener.close()
        self._listening.clear()
        if self._served and grace_seconds > 0:
            await asyncio.wait(self._served, timeout=grace_seconds)
        remaining = list(self._served)
        self.end(lambda _: True)
        if remaining:
            await asyncio.wait(remaining)

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, name = await loop.sock_accept(listener)
            except OSError:
                # Out of descriptors, or the peer left again: neither may end the house's hearing.
                await asyncio.sleep(_BREATH)
                continue
            self._welcome(connection, str(name[0]), tls)
            # Accepting does not wait while others knock: those who are in get their turn.
            await asyncio.sleep(0)

    def _welcome(self, connection: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        """Decide on a connection before anything is read from it."""
        if not self._gatekeeper(address):
            connection.close()
            self._turned_away(address, TurnedAway.NOT_ALLOWED)
            return
        if not self._places.ordinary(address):
            self._make_room(address)
        place = self._places.take(address)
        if place is _Place.NONE:
            connection.close()
            self._turned_away(address, TurnedAway.TOO_MANY)
            return
        congested = place is _Place.TO_BE_TOLD
        handler = self._handlers(address, tls is not None)
        association = Association(address, handler, self.bounds, congested=congested)
        task = asyncio.get_running_loop().create_task(self._serve(association, connection, tls))
        self._served[task], self._held[task] = association, place
        task.add_done_callback(self._forget)

    def _make_room(self, address: str) -> None:
        """End the oldest of the connections that ask for nothing: of `address` when that has too many.

        Else of the address that has most of them, so that one who knocks by the hundred pays for it.
        """
        silent = [
            (task, one.address)
            for task, one in self._served.items()
            # One that has not begun to be served could not be told that it is over.
            if one.request is None and one.wire.connection and self._held.get(task) is _Place.ORDINARY
        ]
        if self._places.full(address):
            crowded = address
        else:
            crowded = next(iter(Counter(of for _, of in silent).most_common(1)), ("", 0))[0]
        oldest = next((task for task, of in silent if of == crowded), None)
        if oldest is not None:
            self._give_back(oldest)
            oldest.cancel()
            self._turned_away(crowded, TurnedAway.TOO_MANY)

    def _give_back(self, task: asyncio.Task[None]) -> None:
        place = self._held.pop(task, None)
        if place is not None:
            self._places.give_back(self._served[task].address, place)

    async def _serve(
        self, association: Association, connection: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        association.wire.connection = connection
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: association.wire,
                connection,
                ssl=tls,
                ssl_handshake_timeout=self.bounds.artim_seconds if tls else None,
            )
        except OSError as error:
            connection.close()
            other = isinstance(error, ssl.SSLCertVerificationError)
            why = TurnedAway.OTHER_CERTIFICATE if other else TurnedAway.NO_TLS
            self._turned_away(association.address, why)
            association.handler.ended(Ended(HowEnded.LOST))
            return
        except asyncio.CancelledError:
            connection.close()
            association.handler.ended(Ended(HowEnded.STOPPED))
            raise
        session = transport.get_extra_info("ssl_object")
        if session is not None:
            association.certificate = session.getpeercert(binary_form=True)
        await association.serve()

    def _forget(self, done: asyncio.Task[None]) -> None:
        self._give_back(done)
        del self._served[done]
        error = None if done.cancelled() else done.exception()
        if error is not None:
            # Its kind only: what it says may hold what came over the wire.
            _LOG.error("an association failed: %s", type(error).__name__)


class _Place(Enum):
    """What a new connection gets."""

    ORDINARY = "ordinary"
    TO_BE_TOLD = "to be told"
    """one over the bounds: its request is read, and answered with congestion"""
    NONE = "none"


class _Places:
    """Counts connections against the bounds, by address and in all."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._by_address: Counter[str] = Counter()
        self._to_be_told = 0

    def full(self, address: str) -> bool:
        """Whether this address has all it may have."""
        return self._by_address[address] >= self._bounds.associations_per_address

    def ordinary(self, address: str) -> bool:
        """Whether there is an ordinary place for one more from `address`."""
        return self._by_address.total() < self._bounds.associations and not self.full(address)

    def take(self, address: str) -> _Place:
        if self.ordinary(address):
            self._by_address[address] += 1
            return _Place.ORDINARY
        if self._to_be_told < self._bounds.turned_away:
            self._to_be_told += 1
            return _Place.TO_BE_TOLD
        return _Place.NONE

    def give_back(self, address: str, place: _Place) -> None:
        if place is _Place.TO_BE_TOLD:
            self._to_be_told -= 1
        elif self._by_address[address] == 1:
            del self._by_address[address]
        else:
            self._by_address[address] -= 1
