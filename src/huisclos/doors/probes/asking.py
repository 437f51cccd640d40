"""The questions that are asked of one web server, and what they showed."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from huisclos.doors.observation import What
from huisclos.doors.probes.host import Host
from huisclos.doors.probes.http import Answer, Web
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Outcome, Reason

OK: Final = 200
NO_CONTENT: Final = 204
NOT_FOUND: Final = 404
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
ASKS: Final = (UNAUTHORIZED, FORBIDDEN)
BAD_REQUEST: Final = 400
BROKEN: Final = 500
_NOT_NOW: Final = (408, 421, 425, 429)
PARTIAL: Final = 206
FOREIGN: Final = "https://" + "huisclos-audit.invalid"
"""a site that is nobody's, for questions as another site's page would ask them"""
MAX_FOLDERS: Final = 3
"""of a URL's path that are looked below"""


class Asking:
    """The questions of one web server over one connection, and what they showed."""

    def __init__(self, host: Host, connection: Web, tls: ssl.SSLContext | None) -> None:
        self.host = host
        self.web = connection
        self.tls = tls
        self.seen = host.seen
        self.where = facts(port=host.target.port, transport="tls" if tls else "plain")
        self.imaging = False
        """whether anything of imaging was met"""
        self.bases = bases_of(host.target.path)
        """below which an imaging program may lie: the URL's folders, the root, where proxies put Orthanc"""
        self.unknown = Answer(0, {}, b"")
        """what it answers at an address that nobody has: a door is told by another answer"""
        self.unsure = False
        """whether a question was left without an answer: what was not met may be there all the same"""

    async def get(
        self, path: str, *checks: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer at `path`, asked for the sake of `checks`; a failure leaves them unknown.

        Raises as `Web.get`.
        """
        answer = await self.web.get(path, method=method, headers=headers)
        if is_failure(answer):
            self.unsure = True
            self.missed(checks, Reason.FAULT, *facts(http_status=answer.status))
        return answer

    def saw(self, what: What, *found: Fact) -> None:
        """Note an observation."""
        self.host.saw(what, self.where + found)

    def missed(self, checks: tuple[str, ...], reason: Reason, *found: Fact) -> None:
        """Note what stays unknown, and why."""
        self.host.missed(checks, reason, self.where + found)

    def closed(self, checks: tuple[str, ...], answer: Answer) -> None:
        """Note that these doors are not there, or not open to us, by the answer where they would be."""
        found = self.where + facts(http_status=answer.status)
        self.host.missed(checks, None, found, Outcome.CLOSED)

    def held_back(self, *checks: str) -> None:
        """Note that these questions were not asked, on purpose."""
        self.host.missed(checks, Reason.NOT_ASKED, self.where, Outcome.SKIPPED)


def is_failure(answer: Answer) -> bool:
    """Whether an answer is about whoever should have answered, and tells nothing of who may come in.

    RFC 9110 sections 15.5.9, 15.5.20 and 15.6, RFC 6585 section 4: what lies behind a proxy is away, or this
    is not now, or not for this name.
    """
    return answer.status >= BROKEN or answer.status in _NOT_NOW


def bases_of(path: str) -> tuple[str, ...]:
    """The folders of a URL's path, deepest first; then the root, and where proxies usually put Orthanc."""
    folders = [part for part in path.rpartition("/")[0].split("/") if part][:MAX_FOLDERS]
    inside = ["/" + "/".join(folders[:count]) for count in range(len(folders), 0, -1)]
    return tuple(dict.fromkeys((*inside, "", "/orthanc")))
