"""Growing waits after wrong passwords and codes, per name and per address.

An attempt counts before it is judged, so that many at once do not slip past the wait; a right one
takes its count back. Bounded: a guesser who invents names does not fill the memory.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from typing import Final

from huisclos.access.addresses import parse_address
from huisclos.errors import BadSetting, TooManyAttempts
from huisclos.vault.watch import Watch

FREE_FOR_NAME: Final = 4
FREE_FOR_ADDRESS: Final = 12
"""Attempts before the first wait; a practice may share one address."""
LONGEST_WAIT: Final = 300.0
"""Seconds. Not longer: whoever knows a name could keep its owner out."""
FORGOTTEN_AFTER: Final = 3600.0
"""Seconds without an attempt after which a count starts again."""
MAX_KEYS: Final = 10_000
_SITE: Final = 64
"""One machine can have every address of an IPv6 prefix of this length (RFC 4291 section 2.5.4)."""


@dataclass(slots=True)
class _Count:
    attempts: int = 0
    at: float = 0.0
    heard_again_at: float = 0.0


class Throttle:
    """Counts of attempts by name and by address."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._counts: dict[tuple[str, str], _Count] = {}

    def enter(self, name: str, address: str) -> None:
        """Count an attempt. Raises `TooManyAttempts`, the wait in its message, while there is one."""
        now = self._watch.now()
        keys = ((_name_key(name), FREE_FOR_NAME), (address_key(address), FREE_FOR_ADDRESS))
        wait = max(self._wait(key, now) for key, _ in keys)
        if wait > 0:
            raise TooManyAttempts(f"too many wrong attempts: wait {math.ceil(wait)} s, then try again")
        self._prune(now)
        for key, free in keys:
            if key[1]:
                self._count(key, free, now)

    def right(self, name: str, address: str) -> None:
        """The attempt was right: the address gets its count back, and the name need not wait for its code.

        The name keeps its count until whose it is has come in: each wrong code makes the next wait longer.
        Without the end of its wait, a code was asked for and refused: after some twelve mistakes the wait
        outlasted the question, and nobody came in.
        """
        count = self._counts.get(address_key(address))
        if count is not None:
            count.attempts = max(0, count.attempts - 1)
            count.heard_again_at = 0.0
        named = self._counts.get(_name_key(name))
        if named is not None:
            named.heard_again_at = 0.0

    def clear(self, name: str) -> None:
        """Whose name it is has come in: the name starts again."""
        self._counts.pop(_name_key(name), None)

    def _wait(self, key: tuple[str, str], now: float) -> float:
        count = self._counts.get(key)
        return 0.0 if count is None else count.heard_again_at - now

    def _count(self, key: tuple[str, str], free: int, now: float) -> None:
        count = self._counts.setdefault(key, _Count())
        if now - count.at > FORGOTTEN_AFTER:
            count.attempts = 0
        count.attempts, count.at = count.attempts + 1, now
        if count.attempts >= free:
            count.heard_again_at = now + min(LONGEST_WAIT, 2.0 ** min(count.attempts - free + 1, 16))

    def _prune(self, now: float) -> None:
        if len(self._counts) < MAX_KEYS:
            return
        fresh = {key: count for key, count in self._counts.items() if now - count.at <= FORGOTTEN_AFTER}
        if len(fresh) >= MAX_KEYS:
            # names tried once go first: a long wait is not bought off with invented names
            order = sorted(fresh, key=lambda key: (fresh[key].attempts, fresh[key].at))
            for key in order[: len(order) // 2]:
                del fresh[key]
        self._counts = fresh


def fold(name: str) -> str:
    """The form under which a name is unique: without regard to case or to how its accents are written."""
    return unicodedata.normalize("NFKC", name.strip()).casefold()


def _name_key(name: str) -> tuple[str, str]:
    return "name", fold(name[:256])


def address_key(address: str) -> tuple[str, str]:
    """What counts as one address: an IPv4 address, or all of an IPv6 prefix that one machine may have."""
    try:
        parsed = parse_address(address)
    except BadSetting:
        return "address", address[:256]
    if isinstance(parsed, IPv6Address):
        return "address", str(ip_network((parsed, _SITE), strict=False))
    return "address", str(parsed)
