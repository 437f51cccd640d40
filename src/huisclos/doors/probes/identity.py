"""Whether a user's name counts (DCM-026): an association under a name that nobody has.

PS3.7 annex D.3.3.7: a requestor may name its user and ask for a response. A server that knows its users
rejects a name made this second; one that looks at no name accepts it, with or without a response.
"""

from __future__ import annotations

import secrets
import ssl
from typing import Final

from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.items import UserIdentity
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.dialogue import PROVIDER, TRANSIENT, Dialogue, Script
from huisclos.doors.probes.host import Host, OutOfTurns
from huisclos.doors.probes.talk import talk
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

CHECK: Final = "DCM-026"
_USERNAME: Final = 1
"""PS3.7 table D.3-14: a name alone, and no secret that could be one of somebody's"""


async def ask_as_nobody(host: Host, calling: str, called: str, tls: ssl.SSLContext | None) -> Seen:
    """What a server that takes `called` makes of a user that does not exist."""
    where = facts(port=host.target.port, transport="tls" if tls else "plain")
    nobody = UserIdentity(_USERNAME, True, f"huisclos-{secrets.token_hex(8)}".encode())
    proposals = [Proposal(VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,))]
    dialogue = Dialogue(Script(calling, proposals, [], nobody), called, [])
    try:
        await talk(host, dialogue, tls)
    except OutOfTurns:
        return Miss((CHECK,), host.target.name, host.spent(), where)
    except PeerTooSlow:
        return Miss((CHECK,), host.target.name, Reason.TIMED_OUT, where)
    except PeerUnreachable:
        return Miss((CHECK,), host.target.name, Reason.UNREACHABLE, where)
    reject = dialogue.reject
    if (accepted := dialogue.accepted) is not None:
        word = "user-taken" if accepted.knows_user else "user-ignored"
        found = facts(class_=word, contexts=len(accepted.contexts))
    elif reject is not None:
        found = facts(reject_result=reject.result, reject_source=reject.source, reject_reason=reject.reason)
        if (reject.result, reject.source) == (TRANSIENT, PROVIDER):
            return Miss((CHECK,), host.target.name, Reason.BUSY, where + found)
    else:
        return Miss((CHECK,), host.target.name, Reason.PROTOCOL, where)
    return Observation(What.USER, host.target.name, host.target.reach, where + found)
