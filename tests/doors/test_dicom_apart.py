"""Questions that want an association of their own: two at once, and a user that does not exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huisclos.findings.nouns import Outcome, Reason, Verdict
from tests.doors.auditing import closed_doors, open_doors, probe, query_server, started, untested
from tests.doors.test_cli import doors
from tests.tools import need, program


def test_one_association_at_a_time(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's storescp holds one and no more; it is asked only where its owner says so."""
    port = free_port()
    with started([program("storescp"), "--ignore", str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}", two_at_once=True)
        held_back = probe(f"127.0.0.1:{port}")
        after = probe(f"127.0.0.1:{port}")
    assert Verdict.PROVED is open_doors(report)["DCM-025"]
    assert {} == untested(report)
    (skipped,) = [one for one in held_back.attempts if one.check == "DCM-025"]
    assert (Outcome.SKIPPED, Reason.NOT_ASKED) == (skipped.outcome, skipped.reason)
    assert "DCM-005" in open_doors(after), "it is not left busy"


def test_two_associations_at_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's dcmqrscp takes four: closed."""
    port = free_port()
    with started(query_server(tmp_path, port, "ANY"), port, tmp_path):
        report = probe(f"127.0.0.1:{port}", called="ARCHIVE", two_at_once=True)
    assert "DCM-025" in closed_doors(report)


def test_two_at_once_needs_the_owners_word(tmp_path: Path) -> None:
    """Elsewhere than here a mandate must allow it by name; without, no packet leaves."""
    mandate, key = str(tmp_path / "m.json"), str(tmp_path / "key")
    made = ("--owner", "A", "--contact", "B", "--auditor", "C", "--basis", "D", "--until", "2099-01-01")
    assert 0 == doors("mandate", "new", mandate, *made, "--target", "198.51.100.0/28")[0]
    assert 0 == doors("mandate", "sign", mandate, "--key", key)[0]
    assert 3 == doors("probe", "198.51.100.7", "--mandate", mandate, "--two-at-once")[0]


def test_a_name_that_nobody_has_is_taken(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's storescp looks at no user's name: open."""
    port = free_port()
    with started([program("storescp"), "--ignore", str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}")
    (found,) = [one for one in report.findings if one.check == "DCM-026"]
    assert "user-ignored" in [one.value for one in found.evidence]


@pytest.mark.parametrize("knows", [True, False])
def test_a_server_that_asks_who_the_user_is(free_port: Callable[[], int], knows: bool) -> None:
    """One that knows its users rejects a name made this second; one that takes any is open."""
    need("python:pynetdicom")
    from pynetdicom import AE, evt

    asked: list[bytes] = []

    def identity(event: Any) -> tuple[bool, bytes | None]:
        asked.append(event.primary_field)
        return not knows, None

    port = free_port()
    ae = AE()
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_USER_ID, identity)])
    assert server is not None
    try:
        report = probe(f"127.0.0.1:{port}")
    finally:
        server.shutdown()
    assert knows == ("DCM-026" in closed_doors(report))
    assert knows == ("DCM-026" not in open_doors(report))
    assert all(one.startswith(b"huisclos-") for one in asked)
    assert asked
