"""DICOM by canary: search, get and move for a UID made this second, so that no record is ever read.

A negotiated presentation context proves nothing (Orthanc accepts them and aborts at the request): only the
answer to a request does. Each association is released or aborted, and there is one at a time.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.requested import RequestedAssociation
from huisclos.dimse.requestor import Timeouts, associate
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.host import Host, OutOfBudget, canary_uid
from huisclos.doors.toolkits import claims_dcmtk, facts_of
from huisclos.errors import (
    AssociationEnded,
    AssociationRejected,
    BadPDU,
    OperationFailed,
    PeerTooSlow,
    PeerUnreachable,
)
from huisclos.findings.evidence import Fact, Key, facts
from huisclos.findings.nouns import Reason

CALLING: Final = "HUISCLOS-AUDIT"
"""We say who we are; that this title is unknown is the point."""
NOWHERE: Final = "HUISCLOS-NOWHERE"
"""a destination that no server can know"""

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
_BOUNDS: Final = Bounds(
    announced_pdu_length=16 * 1024,
    pdu_length=128 * 1024,
    associate_length=64 * 1024,
    identifier_length=64 * 1024,
)
_CANCEL_SECONDS: Final = 1.0
_CALLING_NOT_RECOGNISED: Final = 3
_CALLED_NOT_RECOGNISED: Final = 7
"""PS3.8 table 9-21"""


class NotDicom(Exception):
    """Whatever listens there does not speak DICOM."""


class _SentAnInstance(Exception):
    """The peer answered the canary with an image: nothing of it is read."""


@dataclass(frozen=True, slots=True)
class Line:
    """How the listener is spoken to."""

    transport: str
    """plain or tls"""
    tls: ssl.SSLContext | None = None


PLAIN: Final = Line("plain")


async def probe_dicom(host: Host, line: Line = PLAIN) -> list[Seen]:
    """Everything about one DICOM listener, as a stranger finds it.

    Raises `NotDicom`, `PeerUnreachable` and `PeerTooSlow` while nothing is known of it yet.
    """
    waiting = [] if host.gentle else [ask for ask in _QUESTIONS if host.wants(ask.check)]
    called, seen = await _knock(host, line, waiting)
    while called is not None and waiting:
        seen += await _ask_again(host, line, called, waiting)
    return seen


@asynccontextmanager
async def _association(host: Host, line: Line, called: str) -> AsyncIterator[RequestedAssociation]:
    seconds = host.seconds
    async with (
        host.turn(),
        associate(
            str(host.target.address),
            host.target.port or 0,
            calling=CALLING,
            called=called,
            contexts=_proposals(host),
            tls=line.tls,
            server_hostname="" if line.tls else None,
            timeouts=Timeouts(
                connect=seconds, associate=seconds, idle=seconds, release=2.0, total=3 * seconds
            ),
            bounds=_BOUNDS,
        ) as association,
    ):
        yield association


def _proposals(host: Host) -> list[Proposal]:
    plain = (IMPLICIT_LITTLE_ENDIAN,)
    made = [Proposal(VERIFICATION, plain)]
    if host.gentle:
        return made
    wanted = {"DCM-006": STUDY_FIND, "DCM-009": STUDY_GET, "DCM-010": STUDY_MOVE}
    wanted |= {"DCM-007": PATIENT_FIND, "DCM-008": WORKLIST_FIND}
    made += [Proposal(uid, plain) for check, uid in wanted.items() if host.wants(check)]
    if host.wants("DCM-011", "DCM-009"):
        made += [Proposal(uid, plain, scp=True) for uid in STORAGE]
    if host.wants("DCM-014"):
        made += [Proposal(uid, plain) for uid in SERVICES]
    if host.wants("DCM-030"):
        made.append(Proposal(canary_uid(), plain))
    return made


async def _knock(host: Host, line: Line, waiting: list[_Question]) -> tuple[str | None, list[Seen]]:
    """Associate under a random title, then under the one we were told; the title that was taken, if any."""
    target, reach = host.target.name, host.target.reach
    called = "HC-" + secrets.token_hex(6).upper()
    try:
        return called, await _within(host, line, called, waiting, called_too=True)
    except AssociationRejected as rejected:
        first = rejected
    refused = _reject_facts(host, line, first)
    seen: list[Seen] = [Observation(What.DICOM_LISTENER, target, reach, refused)]
    seen.append(Observation(What.CALLED_TITLE, target, reach, refused))
    if host.called is None:
        if first.reason == _CALLED_NOT_RECOGNISED:
            # It refuses the title, not us: what it would let us do stays unknown.
            seen.append(Miss(_wanted(host, STRANGER[1:]), target, Reason.NEEDS_TITLE, refused))
        else:
            seen.append(Observation(What.CALLING_TITLE, target, reach, refused))
        return None, seen
    try:
        return host.called, seen + await _within(host, line, host.called, waiting, called_too=False)
    except AssociationRejected as second:
        refused = _reject_facts(host, line, second)
        seen.append(Observation(What.CALLING_TITLE, target, reach, refused))
        told = first.reason == _CALLED_NOT_RECOGNISED and second.reason == _CALLING_NOT_RECOGNISED
        differ = "reasons-differ" if told else None
        seen.append(Observation(What.REJECT_REASONS, target, reach, refused + facts(rule=differ)))
        return None, seen


async def _within(
    host: Host, line: Line, called: str, waiting: list[_Question], *, called_too: bool
) -> list[Seen]:
    """What the first accepted association tells; it answers as many of `waiting` as it lives for."""
    target, reach, where = host.target.name, host.target.reach, _where(host, line)
    seen: list[Seen] = []
    try:
        async with _association(host, line, called) as association:
            counted = where + facts(contexts=len(association.contexts))
            seen.append(Observation(What.DICOM_LISTENER, target, reach, where))
            if called_too:
                seen.append(Observation(What.CALLED_TITLE, target, reach, counted))
            seen.append(Observation(What.CALLING_TITLE, target, reach, counted))
            seen.append(Observation(What.DICOM_TRANSPORT, target, reach, where))
            seen += _offers(host, association)
            if host.gentle:
                return seen
            if host.wants("DCM-005"):
                status = await _echo(association)
                seen.append(Observation(What.ECHO, target, reach, where + facts(status=status)))
                if status is None:
                    return seen
            seen += await _ask(host, line, association, waiting)
    except (AssociationEnded, BadPDU):
        if not seen:
            raise NotDicom from None
    return seen


async def _ask_again(host: Host, line: Line, called: str, waiting: list[_Question]) -> list[Seen]:
    """One more association; whatever happens, at least one question leaves `waiting`."""
    before = len(waiting)
    seen: list[Seen] = []
    reason = Reason.PROTOCOL
    try:
        async with _association(host, line, called) as association:
            seen = await _ask(host, line, association, waiting)
    except AssociationRejected as refused:
        reason, seen = Reason.NOT_ASKED, [_closed(host, line, ask, refused) for ask in waiting]
        waiting.clear()
    except PeerTooSlow:
        host.timeouts += 1
        reason = Reason.TIMED_OUT
    except PeerUnreachable:
        reason = Reason.UNREACHABLE
    except OutOfBudget:
        checks = tuple(ask.check for ask in waiting)
        waiting.clear()
        return [Miss(checks, host.target.name, host.spent(), _where(host, line))]
    except (AssociationEnded, BadPDU):
        reason = Reason.PROTOCOL
    if len(waiting) == before and waiting:
        seen.append(Miss((waiting.pop(0).check,), host.target.name, reason, _where(host, line)))
    return seen


async def _ask(
    host: Host, line: Line, association: RequestedAssociation, waiting: list[_Question]
) -> list[Seen]:
    """Put questions until none is left or the association is over."""
    target, reach, where = host.target.name, host.target.reach, _where(host, line)
    seen: list[Seen] = []
    while waiting:
        ask = waiting.pop(0)
        try:
            found = await ask.put(association)
        except OperationFailed as refused:
            seen.append(Observation(ask.what, target, reach, where + facts(status=refused.status)))
        except _SentAnInstance:
            seen.append(Observation(ask.what, target, reach, where + facts(ignored_key=True)))
            return seen
        except (AssociationEnded, BadPDU) as ended:
            if isinstance(ended, AssociationEnded) and _by_peer(ended):
                seen.append(Observation(ask.what, target, reach, where))
            else:
                seen.append(Miss((ask.check,), target, Reason.PROTOCOL, where))
            return seen
        except PeerTooSlow:
            host.timeouts += 1
            seen.append(Miss((ask.check,), target, Reason.TIMED_OUT, where))
            return seen
        else:
            seen.append(Observation(ask.what, target, reach, where + found))
            if any(fact.key is Key.IGNORED_KEY for fact in found):
                return seen
    return seen


def _closed(host: Host, line: Line, ask: _Question, refused: AssociationRejected) -> Observation:
    return Observation(ask.what, host.target.name, host.target.reach, _reject_facts(host, line, refused))


def _offers(host: Host, association: RequestedAssociation) -> list[Seen]:
    target, reach = host.target.name, host.target.reach
    accepted = {context.abstract_syntax for context in association.contexts}
    where = facts(port=host.target.port)
    user = association.accept.user if association.accept is not None else None
    uid = user.implementation_uid if user is not None else None
    version = user.implementation_version if user is not None else None
    made: list[Seen] = [Observation(What.IMPLEMENTATION, target, reach, where + facts_of(uid, version))]
    if host.gentle:
        return made
    made.append(
        Observation(What.STORE_OFFER, target, reach, where + facts(contexts=len(accepted & set(STORAGE))))
    )
    offered = len(accepted & set(SERVICES))
    made.append(Observation(What.SERVICES_OFFER, target, reach, where + facts(contexts=offered)))
    invented = any(uid.startswith("2.25.") for uid in accepted)
    belied = claims_dcmtk(uid) and len(accepted & set(SERVICES)) == len(SERVICES)
    rule = "invented-class" if invented else "every-context" if belied else None
    made.append(Observation(What.DECOY, target, reach, where + facts(rule=rule)))
    return made


async def _echo(association: RequestedAssociation) -> int | None:
    """The status; None when the peer would rather hang up."""
    try:
        return await association.echo()
    except OperationFailed as refused:
        return refused.status
    except AssociationEnded:
        return None


@dataclass(frozen=True, slots=True)
class _Question:
    what: What
    check: str
    put: Callable[[RequestedAssociation], Awaitable[tuple[Fact, ...]]]


def _find(
    sop_class: str, make: Callable[[], bytes]
) -> Callable[[RequestedAssociation], Awaitable[tuple[Fact, ...]]]:
    async def put(association: RequestedAssociation) -> tuple[Fact, ...]:
        matches = association.find(make(), sop_class=sop_class, limit=1)
        async for _ in matches:
            # Somebody's record: dropped undecoded. Going on once sends C-CANCEL; then the association is cut.
            try:
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await anext(matches, None)
            except (TimeoutError, AssociationEnded, OperationFailed):
                pass
            return facts(ignored_key=True)
        return facts(status=0, matches=0)

    return put


async def _get(association: RequestedAssociation) -> tuple[Fact, ...]:
    done = await association.get(_study_key(), sop_class=STUDY_GET, open_sink=_refuse_to_look)
    return facts(status=done.status, sub_operations=done.completed + done.failed + done.warnings)


async def _move(association: RequestedAssociation) -> tuple[Fact, ...]:
    done = await association.move(_study_key(), sop_class=STUDY_MOVE, destination=NOWHERE)
    return facts(status=done.status, sub_operations=done.completed + done.failed + done.warnings)


def _refuse_to_look(_command: Command, _context: AcceptedContext) -> Status:
    raise _SentAnInstance


def element(group: int, number: int, value: str) -> bytes:
    """One element, implicit little endian (PS3.5 section 7.1.3), padded to an even length."""
    raw = value.encode("ascii")
    raw += (b"\0" if "." in value else b" ") * (len(raw) % 2)
    return struct.pack("<HHI", group, number, len(raw)) + raw


def _study_key() -> bytes:
    return element(0x0008, 0x0052, "STUDY") + element(0x0020, 0x000D, canary_uid())


def _patient_key() -> bytes:
    return element(0x0008, 0x0052, "PATIENT") + element(0x0010, 0x0020, secrets.token_hex(16))


def _worklist_key() -> bytes:
    return element(0x0008, 0x0050, secrets.token_hex(8))


_QUESTIONS: Final = (
    _Question(What.STUDY_QUERY, "DCM-006", _find(STUDY_FIND, _study_key)),
    _Question(What.GET, "DCM-009", _get),
    _Question(What.MOVE, "DCM-010", _move),
    _Question(What.PATIENT_QUERY, "DCM-007", _find(PATIENT_FIND, _patient_key)),
    _Question(What.WORKLIST_QUERY, "DCM-008", _find(WORKLIST_FIND, _worklist_key)),
)


def _where(host: Host, line: Line) -> tuple[Fact, ...]:
    return facts(port=host.target.port, transport=line.transport)


def _reject_facts(host: Host, line: Line, reject: AssociationRejected) -> tuple[Fact, ...]:
    return _where(host, line) + facts(
        reject_result=reject.result, reject_source=reject.source, reject_reason=reject.reason
    )


def _wanted(host: Host, checks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check for check in checks if host.wants(check))


def _by_peer(ended: AssociationEnded) -> bool:
    """Whether it was an A-ABORT: a refusal in form, not a broken line."""
    return ended.message.startswith("the peer aborts")
