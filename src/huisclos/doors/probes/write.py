"""The write test (DCM-012): store one synthetic instance, delete it, and prove that it is gone.

Held back three times over: the caller asks for it, says that the system is not in production, and names
where the instance can be deleted; elsewhere than on this machine the owner's mandate allows it as well. DICOM
has no service that deletes, so it is deleted through the REST interface of the same machine.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Final

from huisclos.dimse.protocol.commands import Field, store_request
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dialogue import Dialogue, End, Question, Script
from huisclos.doors.probes.dicom import WRITE_TEST
from huisclos.doors.probes.elements import element
from huisclos.doors.probes.host import Host, OutOfTurns, canary_uid
from huisclos.doors.probes.http import NotHttp, Web, web
from huisclos.doors.probes.talk import talk
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_TO_DELETE: Final = 3
"""connections that are kept for deleting again: the server may end each after its answer"""
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


async def write_test(host: Host, calling: str, called: str, tls: ssl.SSLContext | None) -> Seen:
    """Whether a stranger's instance is stored; it is deleted again, and looked for once more."""
    where = facts(port=host.target.port, transport="tls" if tls else "plain")
    made = synthetic()
    question = Question(
        WRITE_TEST,
        SECONDARY_CAPTURE,
        Field.C_STORE,
        lambda number: store_request(number, SECONDARY_CAPTURE, made.uid),
        lambda: made.data_set,
    )
    script = Script(calling, [Proposal(SECONDARY_CAPTURE, (IMPLICIT_LITTLE_ENDIAN,))], [question])
    dialogue = Dialogue(script, called, [question])
    if host.turns.left <= _TO_DELETE:
        return Miss((WRITE_TEST,), host.target.name, host.spent(), where)
    try:
        await talk(host, dialogue, tls)
    except OutOfTurns:
        return Miss((WRITE_TEST,), host.target.name, host.spent(), where)
    except (PeerTooSlow, PeerUnreachable):
        return Miss((WRITE_TEST,), host.target.name, Reason.TIMED_OUT, where)
    if not dialogue.answers:
        if dialogue.end in (End.ABORTED, End.REJECTED):
            return Observation(What.STORED, host.target.name, host.target.reach, where)
        return Miss((WRITE_TEST,), host.target.name, Reason.PROTOCOL, where)
    status = dialogue.answers[0].status
    gone = await _delete(host, made.uid) if status == 0 else None
    left = None if gone is None else "deleted" if gone else "left-behind"
    return Observation(
        What.STORED, host.target.name, host.target.reach, where + facts(status=status, value=left)
    )


async def _delete(host: Host, uid: str) -> bool:
    """Whether it was there, was deleted, and is there no more."""
    if host.delete_at is None:
        return False
    there = Host(host.delete_at, host.turns, seconds=host.seconds)
    try:
        async with web(there) as connection:
            found = await _look_up(connection, uid)
            if found is None:
                return False
            await connection.get(f"/instances/{found}", method="DELETE")
            return await _look_up(connection, uid) is None
    except (NotHttp, PeerTooSlow, PeerUnreachable, OutOfTurns):
        return False


async def _look_up(connection: Web, uid: str) -> str | None:
    answer = await connection.get("/tools/lookup", method="POST", body=uid.encode("ascii"))
    if answer.status != _OK:
        raise NotHttp("nothing to delete by answers there")
    match = _ID.search(answer.body)
    return match[1].decode("ascii") if match is not None else None
