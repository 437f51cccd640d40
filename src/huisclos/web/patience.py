"""How long a client that has something to read is waited for: for as long as it reads.

What it has read is what the other end's system has acknowledged. Whether our own takes more says little: that
has megabytes in hand by itself, and takes the next once a third of them is gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Final

LEAST: Final = 16 * 1024
"""Bytes that a client reads in the time it is given, or is cut: half a kilobyte a second, in thirty."""
_COUNT: Final = struct.Struct("i")


class Patience:
    """While `transport` holds bytes for a client: `cut` is called once too few of them were read."""

    def __init__(self, transport: asyncio.Transport, seconds: float, cut: Callable[[], object]) -> None:
        self._transport = transport
        self._seconds = seconds
        self._cut = cut
        self._left = unread(transport)
        self._timer = self._arm()

    def cancel(self) -> None:
        """It has read what there was."""
        self._timer.cancel()

    def _arm(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._seconds, self._look)

    def _look(self) -> None:
        left = unread(self._transport)
        if self._left - left < LEAST:
            self._cut()
            return
        self._left = left
        self._timer = self._arm()


def unread(transport: asyncio.Transport) -> int:
    """Bytes that were written for a client and that its system does not have yet (tcp(7), SIOCOUTQ)."""
    waiting = transport.get_write_buffer_size()
    peer = transport.get_extra_info("peer") or transport.get_extra_info("socket")
    if peer is None or peer.fileno() < 0:
        return waiting
    try:
        (sent,) = _COUNT.unpack(fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size)))
    except OSError:  # the line is gone: whoever reads will tell
        return waiting
    return waiting + int(sent)
