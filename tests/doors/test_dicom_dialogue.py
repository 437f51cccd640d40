"""The dialogue without a socket: any bytes, however cut, end it or are waited for; none makes it stumble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from huisclos.dimse.protocol.commands import Field, echo_request
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.doors.probes.dialogue import Dialogue, End, Question, Script
from tests.doors.scripted import accept_all, success

ECHO = Question("DCM-005", VERIFICATION, Field.C_ECHO, echo_request)


def _script() -> Script:
    return Script("HUISCLOS-AUDIT", [Proposal(VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,))], [ECHO])


SCRIPT = _script()
RELEASED = b"\x06\0\0\0\0\x04\0\0\0\0"


def _begun(script: Script = SCRIPT) -> Dialogue:
    return Dialogue(script, "ANY-SCP", [ECHO])


@given(st.lists(st.integers(1, 40), max_size=60))
def test_a_whole_dialogue_however_it_is_cut(cuts: list[int]) -> None:
    """Accept, answer, release: the same answers and the same end, in one piece or in many."""
    dialogue = _begun()
    waiting = accept_all(dialogue.opening)
    said = []
    while waiting:
        size = cuts.pop() if cuts else len(waiting)
        out, waiting = dialogue.feed(waiting[:size]), waiting[size:]
        if out:
            said.append(out)
            waiting += success(out) if out[0] == 4 else RELEASED
    assert End.RELEASED is dialogue.end
    assert [0] == [one.status for one in dialogue.answers]
    assert [4, 5] == [out[0] for out in said]


@given(st.booleans(), st.lists(st.binary(min_size=1, max_size=80), max_size=12))
def test_noise_ends_it_or_is_waited_for(accepted: bool, pieces: list[bytes]) -> None:
    """Nothing is said after the end, and what breaks the protocol is answered by an A-ABORT."""
    dialogue = _begun()
    if accepted:
        dialogue.feed(accept_all(dialogue.opening))
    for piece in pieces:
        ended = dialogue.end is not None
        out = dialogue.feed(piece)
        assert not (ended and out)
        assert dialogue.end is not End.BROKEN or ended or b"\x07\0" in out
    dialogue.lost()
    assert dialogue.end is not None


_PIECES = st.sampled_from(["answer", "refusal", "half", "rest", "release", "noise"])


@given(st.lists(st.lists(_PIECES, max_size=4), min_size=1, max_size=6))
def test_what_others_sent_before_changes_no_answer(servers: list[list[str]]) -> None:
    """A script that remembers what servers sent comes to what one that met nobody comes to."""
    shared = _script()
    for sent in servers:
        known, fresh = _begun(shared), _begun(_script())
        said = [(one.feed(accept_all(one.opening)), one) for one in (known, fresh)]
        assert said[0][0] == said[1][0]
        answer = success(said[0][0])
        pieces = {
            "answer": answer,
            "refusal": answer[:-2] + b"\x22\x01",
            "half": answer[:30],
            "rest": answer[30:],
            "release": RELEASED,
            "noise": b"\x09\0\0\0\0\0",
        }
        for name in sent:
            assert known.feed(pieces[name]) == fresh.feed(pieces[name])
        assert (known.end, known.answers, known.unanswered) == (fresh.end, fresh.answers, fresh.unanswered)
