"""DICOM by canary: search, get and move for a UID made this second, so that no record is ever read.

A negotiated presentation context proves nothing (Orthanc accepts them and aborts at the request): only the
answer to a request does. Each association is released or aborted, there is one at a time, and one answers
every question that the server lets it.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Final, cast

from huisclos.dimse.protocol.commands import (
    Field,
    echo_request,
    find_request,
    get_request,
    move_request,
)
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.pdus import AssociateReject
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes import identity, second
from huisclos.doors.probes.dialogue import TRANSIENT, Accepted, Answer, Dialogue, End, Question, Script
from huisclos.doors.probes.elements import element
from huisclos.doors.probes.host import Host, Later, NotSpoken, OutOfTurns, Rank, canary_uid
from huisclos.doors.probes.talk import talk
from huisclos.doors.statuses import Word, word
from huisclos.doors.toolkits import claims_dcmtk, facts_of
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Outcome, Reason

CALLING: Final = "HUISCLOS-AUDIT"
"""We say who we are; that this title is unknown is the point."""
NOWHERE: Final = "HUISCLOS-NOWHERE"
"""a destination that no server can know"""

TLS_PORT: Final = 2762
"""registered for DICOM over TLS (PS3.15 annex B.12)"""
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
STORAGE: Final = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.6.1",  # ultrasound
)
SERVICES: Final = (
    "1.2.840.10008.3.1.2.3.3",  # modality performed procedure step
    "1.2.840.10008.1.20.1",  # storage commitment
    "1.2.840.10008.5.1.1.9",  # grayscale print
    "1.2.840.10008.5.1.4.34.6.1",  # unified procedure step
)

STRANGER: Final = tuple(f"DCM-{number:03}" for number in (2, 3, 5, 6, 7, 8, 9, 10, 11, 15))
"""what only an association shows"""
_USER: Final = 1
_CALLING_NOT_RECOGNISED: Final = 3
_CALLED_NOT_RECOGNISED: Final = 7
"""PS3.8 table 9-21"""


class NotDicom(NotSpoken):
    """Whatever listens there does not speak DICOM."""


@dataclass(frozen=True, slots=True)
class Line:
    """How the listener is spoken to."""

    transport: str
    """plain or tls"""
    tls: ssl.SSLContext | None = None


PLAIN: Final = Line("plain")
_same = lru_cache(maxsize=4096)(facts)
"""Facts that many hosts have in common are made once."""


async def probe_dicom(host: Host, line: Line = PLAIN) -> None:
    """See everything about one DICOM listener, as a stranger finds it.

    What one association does not answer is left in `host.later`. Raises `NotDicom`, `PeerUnreachable` and
    `PeerTooSlow` while nothing is known of it yet.
    """
    asking = _Asking(host, line)
    called = await asking.knock()
    if called is None:
        return
    if asking.waiting:
        host.later.append(Later(Rank.FURTHER, partial(asking.go_on, called)))
    if host.gentle:
        return
    for check, rank, way in _APART:
        if not host.wants(check):
            continue
        if check == WRITE_TEST and host.delete_at is None:
            host.missed((check,), Reason.NOT_ASKED, asking.where, Outcome.SKIPPED)
        else:
            host.later.append(Later(rank, partial(_apart, way, host, called, line)))


async def _apart(way: Apart, host: Host, called: str, line: Line) -> None:
    host.seen.append(await way(host, CALLING, called, line.tls))


@lru_cache(maxsize=64)
def _script(checks: frozenset[str] | None, *, gentle: bool) -> tuple[Script, tuple[Question, ...]]:
    """What is proposed and asked for the sake of `checks`; None: all."""

    def wants(*some: str) -> bool:
        return checks is None or not checks.isdisjoint(some)

    plain = (IMPLICIT_LITTLE_ENDIAN,)
    proposals = [Proposal(VERIFICATION, plain)]
    if gentle:
        return Script(CALLING, proposals, ()), ()
    questions = tuple(one for one in _QUESTIONS if wants(one.check))
    proposals += [Proposal(one.sop_class, plain) for one in questions if one.sop_class != VERIFICATION]
    if wants("DCM-011", "DCM-009"):
        proposals += [Proposal(uid, plain, scp=True) for uid in STORAGE]
    if wants("DCM-014"):
        proposals += [Proposal(uid, plain) for uid in SERVICES]
    if wants("DCM-030"):
        proposals.append(Proposal(canary_uid(), plain))
    return Script(CALLING, proposals, questions), questions


class _Asking:
    """The questions of one listener, and what they showed."""

    def __init__(self, host: Host, line: Line) -> None:
        self.host = host
        self.line = line
        self.script, questions = _script(host.checks, gentle=host.gentle)
        self.waiting = list(questions)
        self.where = _same(port=host.target.port, transport=line.transport)
        self._name, self._reach = host.target.name, host.target.reach

    def saw(self, what: What, found: tuple[Fact, ...] = ()) -> None:
        """Note an observation."""
        self.host.seen.append(Observation(what, self._name, self._reach, self.where + found))

    def missed(self, checks: tuple[str, ...], reason: Reason, found: tuple[Fact, ...] = ()) -> None:
        """Note what stays open, and why."""
        self.host.seen.append(Miss(checks, self._name, reason, self.where + found))

    async def knock(self) -> str | None:
        """Associate under a random title, then under the one we were told; the title that was taken."""
        host = self.host
        if host.gentle and host.called is not None:
            # One association, no more: under the title that is likelier to be taken.
            host.missed(("DCM-002",), Reason.NOT_ASKED, self.where, Outcome.SKIPPED)
            return await self._as_told(host.called)
        called = "HC-" + secrets.token_hex(6).upper()
        first = await self._within(called, called_too=True)
        if first is None:
            return called
        refused = _reject_facts(first)
        self.saw(What.DICOM_LISTENER, refused)
        if first.result == TRANSIENT:
            self._busy(refused, STRANGER)
            return None
        if first.source == _USER and first.reason == _CALLING_NOT_RECOGNISED:
            # It is the caller that it refuses: whether it would have looked at the title it does not say.
            self.missed(("DCM-002",) if host.wants("DCM-002") else (), Reason.TURNED_AWAY, refused)
        else:
            self.saw(What.CALLED_TITLE, refused)
        if host.called is None:
            self._turned_away(first)
            return None
        return await self._as_told(host.called, first)

    async def _as_told(self, called: str, first: AssociateReject | None = None) -> str | None:
        """Associate under the title that we were told; `first` is the answer to another title."""
        second = await self._within(called, called_too=False)
        if second is None:
            return called
        refused = _reject_facts(second)
        if first is None:
            self.saw(What.DICOM_LISTENER, refused)
        if second.result == TRANSIENT:
            self._busy(refused, STRANGER[1:])
            return None
        # Whoever told us the title vouches for it: DCMTK names the title whatever it refuses.
        self._closed_within(refused)
        if first is not None:
            told = first.reason == _CALLED_NOT_RECOGNISED and second.reason == _CALLING_NOT_RECOGNISED
            self.saw(What.REJECT_REASONS, refused + facts(rule="reasons-differ" if told else None))
        return None

    def _turned_away(self, reject: AssociateReject) -> None:
        """Strangers get no association: what is asked within one is closed to them, whatever it is.

        One that refuses the title, and not us, leaves unknown what it would let us do.
        """
        refused = _reject_facts(reject)
        if reject.source == _USER and reject.reason == _CALLED_NOT_RECOGNISED:
            wanted = tuple(check for check in STRANGER[1:] if self.host.wants(check))
            self.missed(wanted, Reason.NEEDS_TITLE, refused)
        else:
            self._closed_within(refused)

    def _closed_within(self, refused: tuple[Fact, ...]) -> None:
        self.saw(What.CALLING_TITLE, refused)
        for check in _WITHIN:
            if self.host.wants(check):
                self.saw(_SHOWS[check], refused)

    def _busy(self, refused: tuple[Fact, ...], checks: tuple[str, ...]) -> None:
        """It would not now (PS3.8 table 9-21, rejected-transient): what it would later is not known."""
        self.missed(tuple(check for check in checks if self.host.wants(check)), Reason.BUSY, refused)

    async def _within(self, called: str, *, called_too: bool) -> AssociateReject | None:
        """What the first association tells; it answers as many questions as it lives for."""
        dialogue = Dialogue(self.script, called, self.waiting)
        await talk(self.host, dialogue, self.line.tls)
        if (accepted := dialogue.accepted) is None:
            if dialogue.reject is None:
                raise NotDicom
            return dialogue.reject
        counted = _same(contexts=len(accepted.contexts))
        self.saw(What.DICOM_LISTENER)
        if called_too:
            self.saw(What.CALLED_TITLE, counted)
        self.saw(What.CALLING_TITLE, counted)
        self.saw(What.DICOM_TRANSPORT)
        if self.host.target.port == TLS_PORT:
            self.saw(What.DICOM_PORT, _same(value="open" if self.line.tls is None else None))
        self._offers(accepted)
        self._answers(dialogue)
        return None

    async def go_on(self, called: str) -> None:
        """One more association, and what waits still in its turn."""
        await self._ask_again(called)
        if self.waiting:
            self.host.later.append(Later(Rank.FURTHER, partial(self.go_on, called)))

    async def _ask_again(self, called: str) -> None:
        """One more association; whatever happens, at least one question leaves `waiting`."""
        before, waiting = len(self.waiting), self.waiting
        reason = Reason.PROTOCOL
        try:
            dialogue = Dialogue(self.script, called, waiting)
            await talk(self.host, dialogue, self.line.tls)
            if (reject := dialogue.reject) is not None:
                # It took the same stranger a moment ago: of the questions that are left this says nothing.
                reason = Reason.BUSY if reject.result == TRANSIENT else Reason.TURNED_AWAY
                self.missed(tuple(one.check for one in waiting), reason, _reject_facts(reject))
                waiting.clear()
            elif dialogue.accepted is not None:
                self._answers(dialogue)
        except PeerTooSlow:
            reason = Reason.TIMED_OUT
        except PeerUnreachable:
            # It listened a moment ago, and was asked nothing but what the Standard has.
            self.saw(What.STOPPED)
            reason = Reason.UNREACHABLE
        except OutOfTurns:
            self.missed(tuple(one.check for one in waiting), self.host.spent())
            waiting.clear()
        if waiting and len(waiting) == before:
            self.missed((waiting.pop(0).check,), reason)

    def _answers(self, dialogue: Dialogue) -> None:
        """What each question came to, and the one over which the association ended."""
        for one in dialogue.answers:
            if (reason := _untold(one)) is not None:
                self.missed((one.question.check,), reason, _found(one))
            else:
                self.saw(_SHOWS[one.question.check], _found(one))
        asked = dialogue.unanswered
        if asked is None:
            return
        if dialogue.end is End.ABORTED:
            self.saw(_SHOWS[asked.check])
        else:
            late = dialogue.end is End.LATE
            self.missed((asked.check,), Reason.TIMED_OUT if late else Reason.PROTOCOL)

    def _offers(self, accepted: Accepted) -> None:
        """What the negotiation alone says."""
        host, offered = self.host, accepted.contexts.keys()
        if host.wants("DCM-022", "DCM-023", "DCM-024"):
            self.saw(What.IMPLEMENTATION, facts_of(accepted.uid, accepted.version))
        if host.gentle:
            return
        services = len(offered & set(SERVICES))
        if host.wants("DCM-011"):
            self.saw(What.STORE_OFFER, _same(contexts=len(offered & set(STORAGE))))
        if host.wants("DCM-014"):
            self.saw(What.SERVICES_OFFER, _same(contexts=services))
        if host.wants("DCM-030"):
            invented = any(uid.startswith("2.25.") for uid in offered)
            belied = claims_dcmtk(accepted.uid) and services == len(SERVICES)
            rule = "invented-class" if invented else "every-context" if belied else None
            self.saw(What.DECOY, _same(rule=rule))


def _found(answer: Answer) -> tuple[Fact, ...]:
    if answer.record:
        return _same(ignored_key=True)
    finds = answer.question.field is Field.C_FIND and answer.status == 0
    return _same(status=answer.status, matches=0 if finds else None, sub_operations=answer.sub_operations)


def _untold(answer: Answer) -> Reason | None:
    """Why an answer tells neither that a stranger is served nor that one is refused; None when it does."""
    if answer.record or answer.status is None:
        return None
    return _WHY.get(word(answer.status, retrieve=answer.question.field in _RETRIEVES))


_RETRIEVES: Final = (Field.C_GET, Field.C_MOVE)
_WHY: Final = {Word.BUSY: Reason.BUSY, Word.UNTOLD: Reason.FAULT}
_STUDY_LEVEL: Final = element(0x0008, 0x0052, "STUDY")
_PATIENT_LEVEL: Final = element(0x0008, 0x0052, "PATIENT")


def _study_key() -> bytes:
    return _STUDY_LEVEL + element(0x0020, 0x000D, canary_uid())


def _patient_key() -> bytes:
    return _PATIENT_LEVEL + element(0x0010, 0x0020, secrets.token_hex(16))


def _worklist_key() -> bytes:
    return element(0x0008, 0x0050, secrets.token_hex(8))


def _find(check: str, sop_class: str, key: Callable[[], bytes]) -> Question:
    return Question(check, sop_class, Field.C_FIND, lambda number: find_request(number, sop_class), key)


_QUESTIONS: Final = (
    Question("DCM-005", VERIFICATION, Field.C_ECHO, echo_request),
    _find("DCM-006", STUDY_FIND, _study_key),
    Question("DCM-009", STUDY_GET, Field.C_GET, lambda number: get_request(number, STUDY_GET), _study_key),
    Question(
        "DCM-010",
        STUDY_MOVE,
        Field.C_MOVE,
        lambda number: move_request(number, STUDY_MOVE, NOWHERE),
        _study_key,
    ),
    _find("DCM-007", PATIENT_FIND, _patient_key),
    _find("DCM-008", WORKLIST_FIND, _worklist_key),
)
_SHOWS: Final = {
    "DCM-005": What.ECHO,
    "DCM-006": What.STUDY_QUERY,
    "DCM-007": What.PATIENT_QUERY,
    "DCM-008": What.WORKLIST_QUERY,
    "DCM-009": What.GET,
    "DCM-010": What.MOVE,
    "DCM-011": What.STORE_OFFER,
}
"""What the answer to each question is an observation of."""
_WITHIN: Final = tuple(_SHOWS)
"""what an association is needed for"""


WRITE_TEST: Final = "DCM-012"


async def _write_test(host: Host, calling: str, called: str, tls: ssl.SSLContext | None) -> Seen:
    # Seldom wanted, and with it all that reads the web.
    return cast("Seen", await import_module(f"{__package__}.write").write_test(host, calling, called, tls))


Apart = Callable[[Host, str, str, ssl.SSLContext | None], Awaitable[Seen]]
_APART: Final[tuple[tuple[str, Rank, Apart], ...]] = (
    (identity.CHECK, Rank.LEAST, identity.ask_as_nobody),
    (second.CHECK, Rank.BESIDE, second.two_at_once),
    (WRITE_TEST, Rank.BESIDE, _write_test),
)
"""Questions that want an association of their own."""


def _reject_facts(reject: AssociateReject) -> tuple[Fact, ...]:
    return facts(reject_result=reject.result, reject_source=reject.source, reject_reason=reject.reason)
