"""The questions that are asked of one web server, and what they showed."""

from __future__ import annotations

import ssl
from typing import Final

from huisclos.doors.observation import Miss, Observation, Seen, What
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
        self.seen: list[Seen] = []
        self.where = facts(port=host.target.port, transport="tls" if tls else "plain")
        self.imaging = False
        """whether anything of imaging was met"""
        self.bases = bases_of(host.target.path)
        """below which an imaging program may lie: the URL's folders, the root, where proxies put Orthanc"""
        self.unknown = Answer(0, {}, b"")
        """what it answers at an address that nobody has: a door is told by another answer"""
        self._told = 0

    def told(self) -> list[Seen]:
        """What was seen since this was last asked."""
        seen, self._told = self.seen[self._told :], len(self.seen)
        return seen

    def saw(self, what: What, *found: Fact) -> None:
        """Note an observation."""
        self.seen.append(Observation(what, self.host.target.name, self.host.target.reach, self.where + found))

    def closed(self, checks: tuple[str, ...], answer: Answer) -> None:
        """Note that these doors are not there, or not open to us, by the answer where they would be."""
        found = self.where + facts(http_status=answer.status)
        self.seen.append(Miss(checks, self.host.target.name, None, found, Outcome.CLOSED))

    def held_back(self, *checks: str) -> None:
        """Note that these questions were not asked, on purpose."""
        name = self.host.target.name
        self.seen.append(Miss(checks, name, Reason.NOT_ASKED, self.where, Outcome.SKIPPED))


def bases_of(path: str) -> tuple[str, ...]:
    """The folders of a URL's path, deepest first; then the root, and where proxies usually put Orthanc."""
    folders = [part for part in path.rpartition("/")[0].split("/") if part][:MAX_FOLDERS]
    inside = ["/" + "/".join(folders[:count]) for count in range(len(folders), 0, -1)]
    return tuple(dict.fromkeys((*inside, "", "/orthanc")))
