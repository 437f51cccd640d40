"""How soon a process that died is started again."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60.0
AT_ONCE: Final = 3
"""Deaths of one role within a minute that are followed by a new process at once."""
FIRST_PAUSE: Final = 0.5
"""Seconds before the next one; twice as long for each death after that."""
LONGEST_PAUSE: Final = 30.0
"""Seconds: a house under attack, or whose disk is failing, goes on trying without wearing itself out."""
GIVE_UP: Final = 5
"""Deaths of one role within a minute after which a house that was never ready is not started."""


class Deaths:
    """What died, and when; a house that was ready once never gives up, it only waits longer.

    Giving up would hand whoever finds a way to end one process a way to end the whole archive.
    """

    def __init__(self) -> None:
        self._moments: dict[str, list[float]] = {}

    def add(self, role: str, now: float) -> int:
        """A process of `role` died at `now` (steady seconds): how many did within a minute."""
        recent = [at for at in self._moments.get(role, []) if now - at < MINUTE]
        self._moments[role] = [*recent, now]
        return len(recent) + 1

    @staticmethod
    def pause(deaths: int) -> float:
        """Seconds to wait before the next start after so many deaths within a minute."""
        if deaths <= AT_ONCE:
            return 0.0
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(deaths - AT_ONCE - 1, 10))
