"""The small parts of the command line, without a process."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.accounts import PeerRight
from huisclos.cli import output
from huisclos.cli.first import was_never_set_up
from huisclos.cli.founding import found_archive
from huisclos.cli.options import end_of_day, words_of_list
from huisclos.cli.samples import MODALITIES, STUDIES, samples
from huisclos.cli.serve import address_of
from huisclos.errors import BadSetting
from huisclos.vault.create import Opener
from huisclos.vault.holders import HolderKind


def test_until_is_the_end_of_that_day_here() -> None:
    """The last second of the day belongs to it, in this machine's zone."""
    moment = datetime.fromtimestamp(end_of_day("2027-03-01") - 1).astimezone()
    assert (moment.date().isoformat(), moment.hour) == ("2027-03-01", 23)


@given(st.text())
def test_until_reads_days_and_refuses_the_rest(text: str) -> None:
    """Anything but a day is a setting that cannot be."""
    with contextlib.suppress(BadSetting):
        assert isinstance(end_of_day(text), float)


def test_rights_are_read_as_a_list() -> None:
    """Case and blanks do not matter; an unknown word is told."""
    assert words_of_list("Echo, store", PeerRight, "--may") == {PeerRight.ECHO, PeerRight.STORE}
    with pytest.raises(BadSetting, match="fly"):
        words_of_list("echo,fly", PeerRight, "--may")


@given(st.integers(0, 10**15))
def test_sizes_are_short(octets: int) -> None:
    """A size is a number and a unit."""
    amount, unit = output.size(octets).split()
    assert float(amount) >= 0
    assert unit in {"B", "kB", "MB", "GB", "TB"}


def test_addresses_are_those_to_open() -> None:
    """Loopback is shown under the name that the certificate and the browser know."""
    assert address_of("127.0.0.1:8443") == "https://localhost:8443/"
    assert address_of("[fd00::1]:8443") == "https://[fd00::1]:8443/"


def test_only_an_untouched_archive_is_made_anew(tmp_path: Path) -> None:
    """A set-up link alone opens it: it was never set up. A passphrase, or one object: it was."""
    link = found_archive(tmp_path / "new", Opener("x" * 27, "link", HolderKind.SET_UP))
    assert was_never_set_up(link)
    link.store.put(f"batches/{'a' * 32}/{'b' * 32}.dcm.age", b"sealed")
    assert not was_never_set_up(link)
    assert not was_never_set_up(found_archive(tmp_path / "own", Opener("an invented passphrase", "Alice")))


def test_a_demonstration_has_enough_to_show() -> None:
    """At least 20 studies of 5 modalities, one of many frames, one name that is not Latin."""
    found = samples()
    assert len({sample.heading.study_uid for sample in found}) >= STUDIES
    assert len({sample.heading.modality for sample in found} - {""}) >= MODALITIES
    assert any((sample.heading.number_of_frames or 1) > 1 for sample in found)
    assert any(ord(char) > 0x2FF for sample in found for char in sample.heading.patient_name)
    newest = max(found, key=lambda sample: sample.heading.study_date)
    assert (newest.heading.rows or 0) > 100  # the first one that is opened shows a picture
