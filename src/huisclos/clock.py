"""The only place that reads the wall clock; everything else is handed the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A source of the current time: aware, UTC."""


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def timestamp() -> float:
    """Seconds since the epoch."""
    return time.time()


def steady() -> float:
    """Seconds on a clock that never goes back: for durations and deadlines."""
    return time.monotonic()
