"""Imaging over HTTP by canary: what opens without a password, proved without reading anything of anybody.

A 404 alone proves nothing, since any web server gives one: an address counts as DICOMweb, Orthanc, dcm4chee
and so on only once its own answers say so.
"""

from __future__ import annotations

import base64
import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.probes.host import SILENCES, Host, Later, OutOfTurns, Rank, canary_uid
from huisclos.doors.probes.http import Answer, NotHttp, Web, web
from huisclos.doors.versions import faults
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Outcome, Reason

QIDO_ROOTS: Final = ("/dicom-web", "/rs", "/pacs", "/dicomweb")
_OK: Final = 200
_NO_CONTENT: Final = 204
_NOT_FOUND: Final = 404
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_ASKS: Final = (_UNAUTHORIZED, _FORBIDDEN)
_BAD_REQUEST: Final = 400
_BROKEN: Final = 500
_PARTIAL: Final = 206
_FOREIGN: Final = "https://" + "huisclos-audit.invalid"
_VERSION = re.compile(r'"Version"\s*:\s*"(\d{1,3}\.\d{1,3}\.\d{1,3})"')
_IMAGE_LINK = re.compile(rb'href="[^"]{1,200}\.(?:dcm|dicom|ima)"|href="(?:\./)?DICOMDIR"', re.IGNORECASE)
_OHIF_ROOT = re.compile(r"""qidoRoot['"]?\s*:\s*['"]([^'"]{1,200})['"]""")
_PLAIN_TO_TLS: Final = (b"sent to HTTPS port", b"SSL-enabled server port", b"to an HTTPS server")
_AT_ONCE: Final = 4
"""connections that a web server takes before others have their turn"""
MAX_FOLDERS: Final = 3
"""of a URL's path that are looked below"""
_STRANGER: Final = ("WEB-001", "WEB-009", "WEB-010", "WEB-012", "WEB-013", "WEB-014", "WEB-015", "WEB-033")
"""what a server that lets in nobody keeps closed"""
_VIEWERS: Final = (
    ("meddream", b"<title>MedDream"),
    ("weasis", b"<title>Weasis"),
    ("oviyam", b"<title>Oviyam"),
    ("stone", b"<title>Stone"),
    ("dicoogle", b"<title>Dicoogle"),
    ("xero", b"<title>XERO"),
)
_OHIF: Final = b"<title>OHIF"
_CONSOLES: Final = (
    ("wildfly", b"<title>Welcome to WildFly"),
    ("wildfly", b"<title>HAL Management Console"),
    ("keycloak", b"<title>Welcome to Keycloak"),
    ("keycloak", b"<title>Keycloak Administration"),
)
_STORAGE_BOXES: Final = (
    ("synology", b"Synology"),
    ("qnap", b"QNAP"),
    ("truenas", b"<title>TrueNAS"),
    ("truenas", b"<title>FreeNAS"),
    ("openmediavault", b"<title>openmediavault"),
    ("readynas", b"ReadyNAS"),
)
_TITLE = re.compile(rb"<title>[^<]{0,120}", re.IGNORECASE)
_WIDENING: Final = (b'"serve-folders"', b'"python"', b'"webdav"', b'"file-browser"')
"""plugins of Orthanc that serve files or run scripts"""
_DICOMWEB: Final = b'"dicom-web"'
_DEFAULT_LOGIN: Final = "Basic " + base64.b64encode(b"orthanc:orthanc").decode("ascii")


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
        self.bases = _bases(host.target.path)
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


async def probe_web(host: Host, tls: ssl.SSLContext | None = None) -> list[Seen]:
    """Everything about one web server; the rest of one that takes many connections is in `host.later`.

    Raises `NotHttp`, `PeerUnreachable`, `PeerTooSlow`, `OutOfTurns`.
    """
    async with web(host, tls) as connection:
        asking, made = Asking(host, connection, tls), host.made
        root = await connection.get(host.target.path)
        asking.unknown = await connection.get(f"/{secrets.token_hex(8)}")
        if tls is None and _wants_tls(root) and _wants_tls(asking.unknown):
            raise NotHttp("it speaks HTTP only to say that it wants TLS")
        if root.status >= _BROKEN and asking.unknown.status >= _BROKEN:
            # What lies behind it is not there, or not now: nothing was closed to us.
            checks = tuple(check for _, some in _PARTS for check in some)
            asking.seen.append(Miss(_wanted(host, checks), host.target.name, Reason.NOT_TOLD, asking.where))
            return asking.told()
        if _wants_certificate(root) and _wants_certificate(asking.unknown):
            asking.closed(_wanted(host, _STRANGER), root)
            return asking.told()
        # One that hangs up after an answer waits until the host's other listeners were met.
        await _each_part(asking, root, 0, made)
        return asking.told()


async def _each_part(asking: Asking, root: Answer, start: int, most: int) -> None:
    """Part by part: one that breaks off leaves its own checks open, and the others go on."""
    host = asking.host
    for number, (part, checks) in enumerate(_PARTS[start:], start):
        if host.made > most:
            host.later.append(Later(Rank.PAGES, partial(_go_on, asking, root, number)))
            return
        try:
            await part(asking, root)
        except (NotHttp, PeerTooSlow, PeerUnreachable) as error:
            reason = Reason.TIMED_OUT if isinstance(error, PeerTooSlow) else Reason.PROTOCOL
            asking.seen.append(Miss(_wanted(host, checks), host.target.name, reason, asking.where))
            over = host.turns.silences >= SILENCES
        except OutOfTurns:
            over = True
        else:
            continue
        if over:
            _not_asked(asking, number)
            break
    clear = asking.tls is None and (asking.imaging or root.status == _UNAUTHORIZED)
    asking.saw(What.WEB_TRANSPORT, *facts(value="clear-imaging" if clear else None))


async def _go_on(asking: Asking, root: Answer, start: int) -> list[Seen]:
    """The parts from `start` on, over a connection of their own."""
    try:
        async with web(asking.host, asking.tls) as connection:
            asking.web = connection
            await _each_part(asking, root, start, asking.host.made + _AT_ONCE)
    except OutOfTurns:
        _not_asked(asking, start)
    return asking.told()


def _not_asked(asking: Asking, start: int) -> None:
    checks = tuple(check for _, some in _PARTS[start:] for check in some)
    asking.seen.append(
        Miss(_wanted(asking.host, checks), asking.host.target.name, asking.host.spent(), asking.where)
    )


def _bases(path: str) -> tuple[str, ...]:
    """The folders of a URL's path, deepest first; then the root, and where proxies usually put Orthanc."""
    folders = [part for part in path.rpartition("/")[0].split("/") if part][:MAX_FOLDERS]
    inside = ["/" + "/".join(folders[:count]) for count in range(len(folders), 0, -1)]
    return tuple(dict.fromkeys((*inside, "", "/orthanc")))


def _same(one: Answer, other: Answer) -> bool:
    return one.status == other.status and one.body == other.body


def _wants_tls(answer: Answer) -> bool:
    """Whether it speaks TLS, and says so in clear: nginx, Apache and Go do."""
    return answer.status == _BAD_REQUEST and any(words in answer.body for words in _PLAIN_TO_TLS)


def _wants_certificate(answer: Answer) -> bool:
    """Whether it lets in nobody without a client certificate: nginx says so in HTTP."""
    return answer.status == _BAD_REQUEST and b"SSL certificate was sent" in answer.body


def _wanted(host: Host, checks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check for check in dict.fromkeys(checks) if host.wants(check))


async def _orthanc(asking: Asking, _root: Answer) -> None:
    asked = None
    for base in asking.bases:
        answer = await asking.web.get(f"{base}/system")
        if _is_orthanc(answer):
            await _rest(asking, base, answer)
            return
        asked = asked if asked is not None and asked.status in _ASKS else answer
    if asked is not None and asked.status < _BROKEN:
        asking.closed(("WEB-001",), asked)


def _is_orthanc(answer: Answer) -> bool:
    if answer.status in _ASKS:
        return "Orthanc" in answer.headers.get("www-authenticate", "")
    return answer.status == _OK and b'"ApiVersion"' in answer.body


async def _rest(asking: Asking, base: str, answer: Answer) -> None:
    """Orthanc's REST interface, at `base`."""
    asking.imaging = True
    version = match[1] if (match := _VERSION.search(answer.body.decode("latin-1"))) else None
    found = facts(http_status=answer.status, product="orthanc", version=version)
    asking.saw(What.REST, *found, *faults("orthanc", version))
    if answer.status in _ASKS:
        asking.saw(What.CROSS_SITE, *facts(http_status=answer.status))
        await _beside(asking, base)
        await _default_login(asking, base)
        return
    await _cross_site(asking, base)
    plugins = await asking.web.get(f"{base}/plugins")
    wide = sum(name in plugins.body for name in _WIDENING) if plugins.status == _OK else 0
    asking.saw(What.PLUGINS, *facts(http_status=plugins.status, count=wide))
    await _beside(asking, base)
    if plugins.status == _OK and _DICOMWEB in plugins.body:
        await _plugin_wado(asking, base)


async def _beside(asking: Asking, base: str) -> None:
    """What Orthanc serves beside its REST interface: a proxy may guard the one and not the other."""
    counted = await asking.web.get(f"{base}/statistics")
    asking.saw(What.STATISTICS, *_sums(counted))
    explorer = await asking.web.get(f"{base}/app/explorer.html")
    asking.saw(What.EXPLORER, *facts(http_status=explorer.status))
    for what, path in ((What.METRICS, "/tools/metrics-prometheus"), (What.WEBDAV, "/webdav/")):
        method = "OPTIONS" if what is What.WEBDAV else "GET"
        answer = await asking.web.get(base + path, method=method)
        dav = what is not What.WEBDAV or "dav" in answer.headers
        asking.saw(what, *facts(http_status=answer.status if dav else 0))


async def _plugin_wado(asking: Asking, base: str) -> None:
    """WADO-URI of Orthanc's plugin, which answers a canary as any other address that it does not have.

    Nor does its list of plugins tell whether `EnableWado` is on: of all methods only DELETE does (405 instead
    of 404: Orthanc 1.10.1, plugin 1.7), and that is never sent. So it is inferred from the plugin.
    """
    uids = f"studyUID={canary_uid()}&seriesUID={canary_uid()}&objectUID={canary_uid()}"
    answer = await asking.web.get(f"{base}/wado?requestType=WADO&{uids}")
    asking.saw(What.WADO_URI, *facts(http_status=answer.status, product="orthanc"))


async def _cross_site(asking: Asking, base: str) -> None:
    """Whether a page of another site that somebody here opens is served, too: nothing is written.

    A plain POST of such a page needs no more than that; if the answer names its origin, it reads as well.
    """
    answer = await asking.web.get(f"{base}/system", headers={"Origin": _FOREIGN})
    allowed = answer.headers.get("access-control-allow-origin", "")
    found = facts(http_status=answer.status, value="any-origin" if allowed in ("*", _FOREIGN) else None)
    asking.saw(What.CROSS_SITE, *found)


async def _default_login(asking: Asking, base: str) -> None:
    """The login that Orthanc makes by itself: once, and only where the owner said so."""
    host = asking.host
    if not host.default_login:
        asking.seen.append(
            Miss(("WEB-002",), host.target.name, Reason.NOT_ASKED, asking.where, Outcome.SKIPPED)
        )
        return
    answer = await asking.web.get(f"{base}/system", headers={"Authorization": _DEFAULT_LOGIN})
    asking.saw(What.DEFAULT_LOGIN, *facts(http_status=answer.status, product="orthanc"))


class _Sums(msgspec.Struct, frozen=True):
    """What is read of Orthanc's statistics; the rest is skipped unread."""

    CountInstances: int
    CountPatients: int
    CountStudies: int


def _sums(answer: Answer) -> tuple[Fact, ...]:
    """The sums of Orthanc's statistics, as numbers."""
    try:
        said = msgspec.json.decode(answer.body, type=_Sums) if answer.status == _OK else None
    except (msgspec.MsgspecError, ValueError, RecursionError):  # the last for brackets without end
        said = None
    if said is None:
        return facts(http_status=answer.status)
    return facts(
        http_status=answer.status,
        images=said.CountInstances,
        persons=said.CountPatients,
        studies=said.CountStudies,
    )


async def _dicomweb(asking: Asking, root: Answer) -> None:
    for base in asking.bases:
        for path in QIDO_ROOTS:
            if await _qido(asking, base + path, root):
                return
    if not any(isinstance(one, Observation) and one.what is What.QIDO for one in asking.seen):
        asking.closed(("WEB-013", "WEB-014"), root if root.status in _ASKS else asking.unknown)


async def _qido(asking: Asking, path: str, root: Answer) -> bool:
    """Search for a canary at `path`; whether DICOMweb is there."""
    answer = await asking.web.get(
        f"{path}/studies?StudyInstanceUID={canary_uid()}&limit=1",
        headers={"Accept": "application/dicom+json", "Origin": _FOREIGN},
    )
    kind = answer.headers.get("content-type", "")
    listed = answer.status == _OK and "json" in kind and answer.body.lstrip()[:1] == b"["
    is_open = listed or answer.status == _NO_CONTENT
    if is_open and _same(answer, asking.unknown):
        return False  # It says so to everything.
    if not is_open:
        if answer.status in _ASKS and not {root.status, asking.unknown.status} & set(_ASKS):
            asking.imaging = True
            asking.saw(What.QIDO, *facts(http_status=answer.status))
            asking.closed(("WEB-014",), answer)
            return True
        return False
    asking.imaging = True
    ignored = listed and answer.body.strip() not in (b"[]", b"[ ]")
    asking.saw(What.QIDO, *facts(http_status=_OK, ignored_key=True if ignored else None))
    asking.saw(What.ROOT_AND_API, *facts(status=root.status, http_status=_OK))
    allowed = answer.headers.get("access-control-allow-origin", "")
    asking.saw(What.CORS, *facts(value="any-origin" if allowed in ("*", _FOREIGN) else None))
    metadata = await asking.web.get(
        f"{path}/studies/{canary_uid()}/metadata", headers={"Accept": "application/dicom+json"}
    )
    asking.saw(What.WADO_RS, *facts(http_status=metadata.status))
    await _stow(asking, path)
    return True


async def _stow(asking: Asking, path: str) -> None:
    """Whether storing is said to be allowed; a server that does not say has not closed it."""
    options = await asking.web.get(f"{path}/studies", method="OPTIONS")
    methods = f"{options.headers.get('allow', '')},{options.headers.get('access-control-allow-methods', '')}"
    told = facts(http_status=options.status)
    if methods == "," and options.status not in _ASKS:
        asking.seen.append(Miss(("WEB-016",), asking.host.target.name, Reason.NOT_TOLD, asking.where + told))
        return
    stores = options.status not in _ASKS and "POST" in methods.upper()
    asking.saw(What.STOW, *told, *facts(value="open" if stores else None))


async def _wado_uri(asking: Asking, root: Answer) -> None:
    if any(isinstance(one, Observation) and one.what is What.WADO_URI for one in asking.seen):
        return
    bare = await asking.web.get("/wado")
    if bare.status in _ASKS or bare.status == asking.unknown.status:
        asking.closed(("WEB-015",), root if root.status in _ASKS else bare)
        return
    uids = f"studyUID={canary_uid()}&seriesUID={canary_uid()}&objectUID={canary_uid()}"
    answer = await asking.web.get(f"/wado?requestType=WADO&{uids}")
    if answer.status in (_OK, _NO_CONTENT, _NOT_FOUND):
        asking.imaging = True
    asking.saw(What.WADO_URI, *facts(http_status=answer.status))


async def _arc(asking: Asking, _root: Answer) -> None:
    """dcm4chee-arc: its list of AE titles is counted, its pages are only knocked at."""
    titles = await asking.web.get("/dcm4chee-arc/aets", headers={"Accept": "application/json"})
    listed = titles.status == _OK and b'"dicomAETitle"' in titles.body
    if not listed and titles.status not in (_UNAUTHORIZED, _FORBIDDEN):
        return
    if listed:
        asking.imaging = True
        count = titles.body.count(b'"dicomAETitle"')
        asking.saw(What.ARC_RS, *facts(http_status=_OK, count=count, product="dcm4chee"))
        pages = await asking.web.get("/dcm4chee-arc/ui2/")
        asking.saw(What.ARC_UI, *facts(http_status=pages.status))
        match = re.search(rb'"dicomAETitle"\s*:\s*"([A-Za-z0-9_-]{1,16})"', titles.body)
        if match is not None:
            await _qido(asking, f"/dcm4chee-arc/aets/{match[1].decode('ascii')}/rs", titles)


async def _conquest(asking: Asking, _root: Answer) -> None:
    answer = await asking.web.get("/cgi-bin/dgate?mode=top")
    if answer.status == _OK and b"onquest" in answer.body and b"DICOM" in answer.body:
        asking.imaging = True
        asking.saw(What.CONQUEST_CGI, *facts(http_status=answer.status, product="conquest"))


async def _viewer(asking: Asking, root: Answer) -> None:
    """Which viewer it is; OHIF's configuration leads to a search, followed here only."""
    product = next((name for name, mark in _VIEWERS if mark in root.body), None)
    if product is not None:
        asking.imaging = True
        asking.saw(What.VIEWER, *facts(product=product, http_status=root.status))
    if _OHIF not in root.body:
        return
    asking.imaging = True
    config = await asking.web.get("/app-config.js")
    match = _OHIF_ROOT.search(config.body.decode("latin-1"))
    if match is None:
        return
    parts = urlsplit(match[1])
    if parts.netloc not in ("", asking.host.target.name, asking.host.target.host):
        asking.saw(What.OHIF, *facts(class_="elsewhere"))
        return
    before = len(asking.seen)
    await _qido(asking, parts.path.rstrip("/"), root)
    found = [one for one in asking.seen[before:] if isinstance(one, Observation) and one.what is What.QIDO]
    asking.saw(What.OHIF, *(found[0].facts if found else ()))


async def _files(asking: Asking, root: Answer) -> None:
    listing = b"<title>Index of" in root.body or b"Directory listing" in root.body
    if listing:
        count = len(_IMAGE_LINK.findall(root.body))
        asking.saw(What.LISTING, *facts(count=count, truncated=not root.whole))
    media = await asking.web.get("/DICOMDIR", headers={"Range": "bytes=128-131"})
    if media.status in (_OK, _PARTIAL):
        body = media.body[128:132] if media.status == _OK else media.body
        asking.saw(What.MEDIA, *facts(value="dicm" if body == b"DICM" else None))


async def _others(asking: Asking, _root: Answer) -> None:
    ping = await asking.web.get("/_ping")
    if "docker" in ping.headers.get("server", "").lower() or "api-version" in ping.headers:
        asking.saw(What.DOCKER_API, *facts(http_status=ping.status))
    for prefix in ("/fhir", ""):
        study = await asking.web.get(
            f"{prefix}/ImagingStudy?_id={secrets.token_hex(16)}&_summary=count",
            headers={"Accept": "application/fhir+json"},
        )
        if study.status == _OK and b'"Bundle"' in study.body:
            asking.imaging = True
            asking.saw(What.FHIR, *facts(http_status=_OK))
            return


async def _administration(asking: Asking, root: Answer) -> None:
    """Consoles and storage boxes, by the title of the page that they show to everybody."""
    found = _TITLE.search(root.body)
    title = found[0] if found is not None else b""
    for what, marks in ((What.CONSOLE, _CONSOLES), (What.NAS, _STORAGE_BOXES)):
        product = next((name for name, mark in marks if mark in title), None)
        if product is not None:
            asking.saw(what, *facts(product=product, http_status=root.status))


async def _headers(asking: Asking, root: Answer) -> None:
    """What a page of imaging does not say to browsers, counted."""
    if not asking.imaging or root.status != _OK:
        return
    wanted = {"content-security-policy", "x-content-type-options"}
    if asking.web.session is not None:
        wanted.add("strict-transport-security")
    missing = len(wanted - root.headers.keys())
    cookie = root.headers.get("set-cookie", "").lower()
    missing += bool(cookie) and "httponly" not in cookie
    asking.saw(What.HEADERS, *facts(count=missing))


_Part = tuple[Callable[[Asking, Answer], Awaitable[None]], tuple[str, ...]]
_PARTS: Final[tuple[_Part, ...]] = (
    (_orthanc, ("WEB-001", "WEB-002", "WEB-003", "WEB-004", "WEB-006", "WEB-007", "WEB-008", "WEB-034")),
    (_dicomweb, ("WEB-013", "WEB-014", "WEB-016", "WEB-018", "WEB-024")),
    (_wado_uri, ("WEB-015",)),
    (_arc, ("WEB-009", "WEB-010")),
    (_conquest, ("WEB-012",)),
    (_viewer, ("WEB-017", "WEB-019")),
    (_files, ("WEB-020", "WEB-021")),
    (_others, ("WEB-032", "WEB-033")),
    (_administration, ("WEB-011", "WEB-031")),
    (_headers, ("WEB-025",)),
)
"""Each part and the checks that it answers, the gravest first."""
