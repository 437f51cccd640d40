"""The first minutes: what the set-up takes for a passphrase."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from huisclos.seal import generate_passphrase
from huisclos.vault.setup import slipped


@given(st.integers(0, 40), st.sampled_from("abq7"))
def test_one_wrong_letter_is_a_slip(place: int, letter: str) -> None:
    """The suggested passphrase with a letter changed would be on paper and open nothing."""
    suggested = generate_passphrase()
    typed = suggested[:place] + letter + suggested[place + 1 :]
    assert slipped(typed, suggested) == (typed != suggested)


def test_a_passphrase_of_ones_own_is_no_slip() -> None:
    """Neither is one that was drawn at another time, nor the first when nothing was suggested."""
    assert not slipped(generate_passphrase(), generate_passphrase())
    assert not slipped("seven herons walk past the quiet mill", generate_passphrase())
    assert not slipped(generate_passphrase(), "")
