"""Throttle, watch and codes: the small parts that logging in stands on."""

from __future__ import annotations

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import TooManyAttempts
from huisclos.vault import totp
from huisclos.vault.throttle import FREE_FOR_NAME, LONGEST_WAIT, MAX_KEYS, Throttle
from huisclos.vault.watch import Watch
from tests.vault.world import Time

_STEPS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6)))


def _watch(time: Time) -> Watch:
    return Watch(lambda: time.wall, lambda: time.steady)


@given(_STEPS)
def test_a_watch_never_goes_back_nor_slower_than_the_steady_clock(steps: list[tuple[float, float]]) -> None:
    """Whatever happens to the wall clock."""
    time = Time()
    watch, begun, before = _watch(time), time.steady, 0.0
    for wall, steady in steps:
        time.wall += wall
        time.steady += steady
        now = watch.now()
        assert now >= before
        before = now
    assert watch.now() >= (time.steady - begun) * (1 - 1e-9)


def test_waits_are_bounded_and_forgotten() -> None:
    """However many wrong attempts, a wait ends within minutes, and a quiet hour clears it."""
    time = Time()
    throttle = Throttle(_watch(time))
    for _ in range(40):
        throttle.enter("Ann", "")
        time.pass_(LONGEST_WAIT)
    time.pass_(3601)
    for _ in range(FREE_FOR_NAME):
        throttle.enter("ann ", "")
    with pytest.raises(TooManyAttempts):
        throttle.enter("ANN", "")
    throttle.clear("Ann")
    throttle.enter("Ann", "")


def test_invented_names_neither_fill_the_memory_nor_buy_off_a_wait() -> None:
    """The counts are bounded, and those with many attempts stay."""
    throttle = Throttle(_watch(Time()))
    for _ in range(FREE_FOR_NAME):
        throttle.enter("Ann", "")
    for number in range(2 * MAX_KEYS):
        throttle.enter(f"invented {number}", "")
    assert len(throttle._counts) <= MAX_KEYS
    with pytest.raises(TooManyAttempts):
        throttle.enter("Ann", "")


@given(st.integers(10**9, 4 * 10**9), st.integers(-3, 3), st.integers(-3, 3))
def test_a_code_is_taken_one_step_around_and_after_the_last_used(now: int, off: int, used: int) -> None:
    """RFC 6238 section 5.2, with each step at most once."""
    seed, here = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", now // 30
    code = pyotp.HOTP(seed).at(here + off)
    step = totp.step_of(seed, f"{code[:3]} {code[3:]}", now, here + used)
    fresh = (here + shift for shift in (-1, 0, 1) if shift > used)
    near = [step for step in fresh if pyotp.HOTP(seed).at(step) == code]
    assert step == (near[-1] if near else 0)


@given(st.text(max_size=12))
def test_nothing_but_six_figures_is_a_code(code: str) -> None:
    """Whatever is typed is judged without an error."""
    step = totp.step_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", code, 1.8e9, 0)
    assert step == 0 or len("".join(code.split())) == 6


def test_recovery_codes_are_known_however_typed() -> None:
    """Case, blanks and hyphens do not matter; each code is another."""
    codes = totp.new_recovery_codes()
    digests = totp.recovery_digests(codes)
    assert len(set(digests)) == totp.RECOVERY_CODES
    assert totp.recovery_digest(codes[0].lower().replace("-", "  ")) == digests[0]
