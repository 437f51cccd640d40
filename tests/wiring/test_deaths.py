"""What dies is started again: at once at first, then later and later, and never not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from huisclos.wiring.deaths import AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE, Deaths


def test_the_first_deaths_cost_nothing() -> None:
    """A crash now and then is not noticed by anybody."""
    assert [Deaths.pause(number) for number in range(1, AT_ONCE + 1)] == [0.0] * AT_ONCE
    assert Deaths.pause(AT_ONCE + 1) == FIRST_PAUSE


@given(st.integers(1, 10_000))
def test_the_pause_grows_and_is_bounded(deaths: int) -> None:
    """However often it dies, there is a next start."""
    assert 0.0 <= Deaths.pause(deaths) <= Deaths.pause(deaths + 1) <= LONGEST_PAUSE


def test_only_the_last_minute_counts_and_each_role_by_itself() -> None:
    """A web worker that keeps ending does not make the vault wait."""
    deaths = Deaths()
    assert [deaths.add("web", at) for at in (0.0, 10.0, 59.0, 61.0, 500.0)] == [1, 2, 3, 3, 1]
    assert deaths.add("vault", 500.0) == 1
