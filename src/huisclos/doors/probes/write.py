"""The write test (DCM-012): store one synthetic instance, delete it, and prove that it is gone.

Held back three times over: the caller asks for it, says that the system is not in production, and names
where the instance can be deleted; elsewhere than on this machine the owner's mandate allows it as well. DICOM
has no service that deletes, so it is deleted through the REST interface of the same machine.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from huisclos.dimse.protocol.commands import Field, store_request
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.asking import ASKS
from huisclos.doors.probes.dialogue import TRANSIENT, Dialogue, End, Question, Script
from huisclos.doors.probes.dicom import WRITE_TEST
from huisclos.doors.probes.elements import element
from huisclos.doors.probes.host import SILENCES, Host, OutOfTurns, canary_uid
from huisclos.doors.probes.http import NotHttp, Web, web
from huisclos.doors.probes.talk import talk
from huisclos.doors.probes.tls import stranger
from huisclos.doors.statuses import Word, word
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_WHOLE: Final = 5
"""connections of all of it: to look whether it can be deleted, to store, and three to delete

A server may end each after its answer."""
_OK: Final = 200
_ID = re.compile(rb'"ID"\s*:\s*"([0-9a-f]{8}(?:-[0-9a-f]{8}){4})"')
"""how Orthanc names what it keeps"""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """An instance of nobody."""

    uid: str
    data_set: bytes


def synthetic() -> Synthetic:
    """A new one: no pixels, and a name that says what it is."""
    uid = canary_uid()
    return Synthetic(
        uid,
        element(0x0008, 0x0016, SECONDARY_CAPTURE)
        + element(0x0008, 0x0018, uid)
        + element(0x0008, 0x0060, "OT")
        + element(0x0010, 0x0010, "HUISCLOS^WRITE TEST")
        + element(0x0010, 0x0020, "HUISCLOS-WRITE-TEST")
        + element(0x0020, 0x000D, canary_uid())
        + element(0x0020, 0x000E, canary_uid()),
    )


class Left(StrEnum):
    """What became of the instance, in the words of evidence."""

    NOTHING = "nothing"
    DELETED = "deleted"
    BEHIND = "left-behind"
    """it is there still, or nobody can tell"""


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending it came to."""

    status: int | None = None
    """of the answer; None without one"""
    reason: Reason | None = None
    """why nothing is known; None for a plain refusal, too"""
    may_lie: bool = False
    """whether it may be kept, whatever was answered"""


class NeedsLogin(Exception):
    """Where it could be deleted somebody asks who we are."""


async def write_test(host: Host, calling: str, called: str, tls: ssl.SSLContext | None) -> Seen:
    """Whether a stranger's instance is stored; it is deleted again, and looked for once more.

    Nothing is sent unless whoever deletes answers beforehand, and enough connections are left for that.
    """
    where = facts(port=host.target.port, transport="tls" if tls else "plain")
    made = synthetic()
    reason = await _cannot_begin(host, made.uid)
    if reason is not None:
        return Miss((WRITE_TEST,), host.target.name, reason, where)
    sent = await _store(host, made, calling, called, tls)
    # Whatever was answered it may be kept all the same: it is looked for.
    left, found = await _delete(host, made.uid) if sent.may_lie else (Left.NOTHING, False)
    kept = found or (sent.status is not None and word(sent.status, retrieve=False) is Word.SERVED)
    if kept and left is Left.NOTHING:
        left = Left.BEHIND  # it is not where it was to be deleted: whoever keeps it is another
    told = where + facts(status=sent.status, value=left if left is not Left.NOTHING else None)
    if not kept and left is Left.BEHIND:
        return Miss((WRITE_TEST,), host.target.name, sent.reason or Reason.TIMED_OUT, told)
    if not kept and sent.reason is not None:
        return Miss((WRITE_TEST,), host.target.name, sent.reason, told)
    return Observation(What.STORED, host.target.name, host.target.reach, told)


async def _store(host: Host, made: Synthetic, calling: str, called: str, tls: ssl.SSLContext | None) -> Sent:
    question = Question(
        WRITE_TEST,
        SECONDARY_CAPTURE,
        Field.C_STORE,
        lambda number: store_request(number, SECONDARY_CAPTURE, made.uid),
        lambda: made.data_set,
    )
    script = Script(calling, [Proposal(SECONDARY_CAPTURE, (IMPLICIT_LITTLE_ENDIAN,))], [question])
    dialogue = Dialogue(script, called, [question])
    try:
        await talk(host, dialogue, tls)
    except OutOfTurns:
        return Sent(reason=host.spent())
    except PeerTooSlow:
        return Sent(reason=Reason.TIMED_OUT)
    except PeerUnreachable:
        return Sent(reason=Reason.UNREACHABLE)
    if dialogue.answers:
        status = dialogue.answers[0].status
        said = word(status, retrieve=False) if status is not None else Word.UNTOLD
        return Sent(status, _WHY.get(said), may_lie=True)
    if (reject := dialogue.reject) is not None:
        return Sent(reason=Reason.BUSY if reject.result == TRANSIENT else None)
    if dialogue.end is End.ABORTED:
        return Sent(may_lie=True)
    late = dialogue.end is End.LATE
    return Sent(reason=Reason.TIMED_OUT if late else Reason.PROTOCOL, may_lie=dialogue.accepted is not None)


_WHY: Final = {Word.BUSY: Reason.BUSY, Word.UNTOLD: Reason.FAULT}


async def _cannot_begin(host: Host, uid: str) -> Reason | None:
    """Why what is stored could not be deleted again; None when it can be looked up there."""
    if host.turns.silences >= SILENCES - 1:
        return Reason.SILENT
    if host.turns.left < _WHOLE:
        return Reason.CONNECTIONS
    try:
        async with _rest(host) as connection:
            found = await _look_up(host, connection, uid)
    except NeedsLogin:
        return Reason.NEEDS_LOGIN
    except NotHttp:
        return Reason.NOT_TOLD
    except PeerTooSlow:
        return Reason.TIMED_OUT
    except PeerUnreachable:
        return Reason.UNREACHABLE
    except OutOfTurns:
        return host.spent()
    # One that has what was made this moment would say so of anything.
    return Reason.NOT_TOLD if found is not None else None


async def _delete(host: Host, uid: str) -> tuple[Left, bool]:
    """What became of it, and whether it was seen to be kept."""
    seen = False
    try:
        async with _rest(host) as connection:
            found = await _look_up(host, connection, uid)
            if found is None:
                return Left.NOTHING, False
            seen = True
            await connection.get(f"{_base(host)}/instances/{found}", method="DELETE")
            still = await _look_up(host, connection, uid)
    except (NeedsLogin, NotHttp, PeerTooSlow, PeerUnreachable, OutOfTurns):
        return Left.BEHIND, seen
    return Left.DELETED if still is None else Left.BEHIND, True


@contextlib.asynccontextmanager
async def _rest(host: Host) -> AsyncIterator[Web]:
    """A connection to where it is deleted, which counts as one to this host. Raises as `web`."""
    assert host.delete_at is not None  # noqa: S101 - without, the test is held back
    tls = stranger() if host.delete_at.scheme == "https" else None
    async with web(Host(host.delete_at, host.turns, seconds=host.seconds), tls) as connection:
        yield connection


def _base(host: Host) -> str:
    """The folder of the URL that was given: a proxy may keep Orthanc's interface below one."""
    assert host.delete_at is not None  # noqa: S101 - without, the test is held back
    return host.delete_at.path.rstrip("/")


async def _look_up(host: Host, connection: Web, uid: str) -> str | None:
    answer = await connection.get(f"{_base(host)}/tools/lookup", method="POST", body=uid.encode("ascii"))
    if answer.status in ASKS:
        raise NeedsLogin("whoever deletes asks for a login")
    if answer.status != _OK or not answer.body.lstrip().startswith(b"["):
        raise NotHttp("nothing to delete by answers there")
    match = _ID.search(answer.body)
    return match[1].decode("ascii") if match is not None else None
