"""What looking into one outermost file may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from huisclos.clock import steady

MAX_MEMBERS: Final = 200_000
MAX_OCTETS: Final = 8 * 1024**3
"""bytes unpacked from one outermost file"""
MEMORY: Final = 128 * 1024 * 1024
"""bytes that the dictionary of a compressed stream may ask for"""


class TooMuch(Exception):
    """The budget is spent: what is left was not looked at."""


@dataclass(slots=True)
class Budget:
    """What one outermost file may cost."""

    octets: int = MAX_OCTETS
    members: int = MAX_MEMBERS
    until: float | None = None
    """on the steady clock: who asked waits no longer"""

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.octets < 0 or self.members < 0 or (self.until is not None and steady() > self.until)

    def spend(self, octets: int, members: int = 0) -> None:
        """Raises `TooMuch`."""
        self.octets -= octets
        self.members -= members
        if self.is_spent:
            raise TooMuch
