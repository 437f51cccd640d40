"""Seconds for deadlines in memory: idle sessions, tickets, waits."""

from __future__ import annotations

from collections.abc import Callable

from huisclos import clock


class Watch:
    """A count of seconds that runs as fast as the faster of two clocks.

    The wall clock can be set back, which must not keep an idle session awake; the steady one stands
    still while the machine sleeps, which must not either.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float] = clock.steady) -> None:
        self._wall, self._steady = wall, steady
        self._wall_before, self._steady_before = wall(), steady()
        self._count = 0.0

    def now(self) -> float:
        """Seconds since this watch was made, never fewer than before."""
        wall, steady = self._wall(), self._steady()
        self._count += max(wall - self._wall_before, steady - self._steady_before, 0.0)
        self._wall_before, self._steady_before = wall, steady
        return self._count
