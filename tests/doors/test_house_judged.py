"""What the house makes of the answers at its own doors, and what a report makes of that again."""

from __future__ import annotations

from huisclos.doors.house import DoorState, as_seen, judged
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Outcome, Reach, Reason

AT = "192.0.2.7:8443"
NO: Miss = Miss(("WEB-014", "WEB-015"), AT, None, facts(port=8443, http_status=401), Outcome.CLOSED)
SILENT = Miss(("WEB-001",), AT, Reason.TIMED_OUT, facts(port=8443))
UNASKED = Miss(("WEB-002",), AT, Reason.NOT_ASKED, facts(port=8443), Outcome.SKIPPED)
OPEN = Observation(What.WADO_RS, AT, Reach.LAN, facts(port=8443, http_status=404))


def states(seen: list[Seen]) -> dict[str, DoorState]:
    """Each check's state."""
    return {one.check: one.state for one in judged(seen)}


def test_a_plain_no_is_a_closed_door() -> None:
    """A question that was answered by a refusal is no question without an answer."""
    assert states([NO, SILENT, UNASKED]) == {
        "WEB-001": DoorState.UNTESTED,
        "WEB-014": DoorState.CLOSED,
        "WEB-015": DoorState.CLOSED,
    }


def test_what_is_open_is_open_whatever_else_was_said() -> None:
    """A door that one answer calls closed and another shows open is open."""
    assert states([NO, OPEN])["WEB-014"] is DoorState.OPEN


def test_a_report_says_of_each_door_what_the_house_does() -> None:
    """What the house remembers comes out of a report in the same state, with the same facts."""
    doors = judged([NO, SILENT, UNASKED, OPEN])
    assert judged(as_seen(doors)) == doors
    told = {check: one.outcome for one in as_seen(doors) if isinstance(one, Miss) for check in one.checks}
    assert told == {"WEB-001": Outcome.FAILED, "WEB-015": Outcome.CLOSED}
