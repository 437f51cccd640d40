"""Imaging over HTTP by canary: what opens without a password, proved without reading anything of anybody.

A 404 alone proves nothing, since any web server gives one: an address counts as DICOMweb, Orthanc, dcm4chee
and so on only once its own answers say so.
"""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from urllib.parse import urljoin, urlsplit

from huisclos.doors.observation import Miss, Observation, What
from huisclos.doors.probes.asking import (
    ASKS,
    BAD_REQUEST,
    FOREIGN,
    NO_CONTENT,
    NOT_FOUND,
    OK,
    PARTIAL,
    UNAUTHORIZED,
    Asking,
    is_failure,
)
from huisclos.doors.probes.host import SILENCES, Host, Later, OutOfTurns, Rank, canary_uid
from huisclos.doors.probes.http import Answer, NotHttp, is_path, web
from huisclos.doors.probes.orthanc import ask_orthanc
from huisclos.errors import PeerTooSlow, PeerUnreachable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

QIDO_ROOTS: Final = ("/dicom-web", "/rs", "/pacs", "/dicomweb")
_IMAGE_LINK = re.compile(rb'href="[^"]{1,200}\.(?:dcm|dicom|ima)"|href="(?:\./)?DICOMDIR"', re.IGNORECASE)
_OHIF_ROOT = re.compile(r"""qidoRoot['"]?\s*:\s*['"]([^'"]{1,200})['"]""")
_PLAIN_TO_TLS: Final = (b"sent to HTTPS port", b"SSL-enabled server port", b"to an HTTPS server")
_PORTS: Final = {"http": 80, "https": 443}
_SEARCHED: Final = ("WEB-013", "WEB-014", "WEB-016", "WEB-018", "WEB-024")
"""what is known of a place only once a search there was answered"""
_AT_ONCE: Final = 4
"""connections that a web server takes before others have their turn"""
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


async def probe_web(host: Host, tls: ssl.SSLContext | None = None) -> None:
    """See everything about one web server; the rest of one that takes many connections is in `host.later`.

    Raises `NotHttp`, `PeerUnreachable`, `PeerTooSlow`, `OutOfTurns`.
    """
    async with web(host, tls) as connection:
        asking, made = Asking(host, connection, tls), host.made
        root = await connection.get(host.target.path)
        asking.unknown = await connection.get(f"/{secrets.token_hex(8)}")
        if tls is None and _wants_tls(root) and _wants_tls(asking.unknown):
            raise NotHttp("it speaks HTTP only to say that it wants TLS")
        if is_failure(root) and is_failure(asking.unknown):
            # What lies behind it is not there, or not now: nothing was closed to us.
            checks = tuple(check for _, some in _PARTS for check in some)
            asking.missed((*checks, *(("WEB-022",) if tls is None else ())), Reason.FAULT)
            return
        if _wants_certificate(root) and _wants_certificate(asking.unknown):
            asking.closed(_STRANGER, root)
            return
        # One that hangs up after an answer waits until the host's other listeners were met.
        await _each_part(asking, root, 0, made)


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
            asking.unsure = True
            asking.missed(checks, Reason.TIMED_OUT if isinstance(error, PeerTooSlow) else Reason.PROTOCOL)
            over = host.turns.silences >= SILENCES
        except OutOfTurns:
            over = True
        else:
            continue
        if over:
            _not_asked(asking, number)
            break
    _in_clear(asking, root)


def _in_clear(asking: Asking, root: Answer) -> None:
    """Whether imaging, or a password, crosses the network in clear here."""
    clear = asking.tls is None and (asking.imaging or root.status == UNAUTHORIZED)
    if asking.tls is None and not clear and asking.unsure:
        # Where a question was left without an answer, imaging may lie.
        asking.missed(("WEB-022",), Reason.NOT_TOLD)
    else:
        asking.saw(What.WEB_TRANSPORT, *facts(value="clear-imaging" if clear else None))


async def _go_on(asking: Asking, root: Answer, start: int) -> None:
    """The parts from `start` on, over a connection of their own."""
    try:
        async with web(asking.host, asking.tls) as connection:
            asking.web = connection
            await _each_part(asking, root, start, asking.host.made + _AT_ONCE)
    except OutOfTurns:
        _not_asked(asking, start)


def _not_asked(asking: Asking, start: int) -> None:
    asking.unsure = True
    asking.missed(tuple(check for _, some in _PARTS[start:] for check in some), asking.host.spent())


def _same(one: Answer, other: Answer) -> bool:
    return one.status == other.status and one.body == other.body


def _wants_tls(answer: Answer) -> bool:
    """Whether it speaks TLS, and says so in clear: nginx, Apache and Go do."""
    return answer.status == BAD_REQUEST and any(words in answer.body for words in _PLAIN_TO_TLS)


def _wants_certificate(answer: Answer) -> bool:
    """Whether it lets in nobody without a client certificate: nginx says so in HTTP."""
    return answer.status == BAD_REQUEST and b"SSL certificate was sent" in answer.body


async def _dicomweb(asking: Asking, root: Answer) -> None:
    for base in asking.bases:
        for path in QIDO_ROOTS:
            if await _qido(asking, base + path, root):
                return
    if not any(isinstance(one, Observation) and one.what is What.QIDO for one in asking.seen):
        asking.closed(("WEB-013", "WEB-014"), root if root.status in ASKS else asking.unknown)


async def _qido(asking: Asking, path: str, root: Answer) -> bool:
    """Search for a canary at `path`; whether DICOMweb is there."""
    answer = await asking.get(
        f"{path}/studies?StudyInstanceUID={canary_uid()}&limit=1",
        *_SEARCHED,
        headers={"Accept": "application/dicom+json", "Origin": FOREIGN},
    )
    kind = answer.headers.get("content-type", "")
    listed = answer.status == OK and "json" in kind and answer.body.lstrip()[:1] == b"["
    is_open = listed or answer.status == NO_CONTENT
    if is_open and _same(answer, asking.unknown):
        return False  # It says so to everything.
    if not is_open:
        if answer.status in ASKS and not {root.status, asking.unknown.status} & set(ASKS):
            asking.imaging = True
            asking.saw(What.QIDO, *facts(http_status=answer.status))
            asking.closed(("WEB-014",), answer)
            return True
        return False
    asking.imaging = True
    ignored = listed and answer.body.strip() not in (b"[]", b"[ ]")
    asking.saw(What.QIDO, *facts(http_status=OK, ignored_key=True if ignored else None))
    asking.saw(What.ROOT_AND_API, *facts(status=root.status, http_status=OK))
    allowed = answer.headers.get("access-control-allow-origin", "")
    asking.saw(What.CORS, *facts(value="any-origin" if allowed in ("*", FOREIGN) else None))
    metadata = await asking.get(
        f"{path}/studies/{canary_uid()}/metadata", "WEB-014", headers={"Accept": "application/dicom+json"}
    )
    asking.saw(What.WADO_RS, *facts(http_status=metadata.status))
    await _stow(asking, path)
    return True


async def _stow(asking: Asking, path: str) -> None:
    """Whether storing is said to be allowed; a server that does not say has not closed it."""
    options = await asking.get(f"{path}/studies", "WEB-016", method="OPTIONS")
    methods = f"{options.headers.get('allow', '')},{options.headers.get('access-control-allow-methods', '')}"
    told = facts(http_status=options.status)
    if methods == "," and options.status not in ASKS:
        asking.missed(("WEB-016",), Reason.NOT_TOLD, *told)
        return
    stores = options.status not in ASKS and "POST" in methods.upper()
    asking.saw(What.STOW, *told, *facts(value="open" if stores else None))


async def _wado_uri(asking: Asking, root: Answer) -> None:
    if any(isinstance(one, Observation) and one.what is What.WADO_URI for one in asking.seen):
        return
    bare = await asking.get("/wado", "WEB-015")
    if bare.status in ASKS or bare.status == asking.unknown.status:
        asking.closed(("WEB-015",), root if root.status in ASKS else bare)
        return
    uids = f"studyUID={canary_uid()}&seriesUID={canary_uid()}&objectUID={canary_uid()}"
    answer = await asking.get(f"/wado?requestType=WADO&{uids}", "WEB-015")
    if answer.status in (OK, NO_CONTENT, NOT_FOUND):
        asking.imaging = True
    asking.saw(What.WADO_URI, *facts(http_status=answer.status))


async def _arc(asking: Asking, _root: Answer) -> None:
    """dcm4chee-arc: its list of AE titles is counted, its pages are only knocked at."""
    titles = await asking.get(
        "/dcm4chee-arc/aets", "WEB-009", "WEB-010", headers={"Accept": "application/json"}
    )
    if titles.status in ASKS and not {asking.unknown.status} & set(ASKS):
        asking.closed(("WEB-009", "WEB-010"), titles)
    if titles.status != OK or b'"dicomAETitle"' not in titles.body:
        return
    asking.imaging = True
    count = titles.body.count(b'"dicomAETitle"')
    asking.saw(What.ARC_RS, *facts(http_status=OK, count=count, product="dcm4chee"))
    pages = await asking.get("/dcm4chee-arc/ui2/", "WEB-009")
    asking.saw(What.ARC_UI, *facts(http_status=pages.status))
    match = re.search(rb'"dicomAETitle"\s*:\s*"([A-Za-z0-9_-]{1,16})"', titles.body)
    if match is not None:
        await _qido(asking, f"/dcm4chee-arc/aets/{match[1].decode('ascii')}/rs", titles)


async def _conquest(asking: Asking, _root: Answer) -> None:
    answer = await asking.get("/cgi-bin/dgate?mode=top", "WEB-012")
    if answer.status == OK and b"onquest" in answer.body and b"DICOM" in answer.body:
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
    config = await asking.get("/app-config.js", "WEB-017")
    match = _OHIF_ROOT.search(config.body.decode("latin-1"))
    if match is None:
        asking.missed(("WEB-017",), Reason.NOT_TOLD)
        return
    path = _path_here(asking, match[1])
    if path is None:
        asking.missed(("WEB-017",), Reason.OUT_OF_SCOPE)
        return
    before = len(asking.seen)
    await _qido(asking, path, root)
    new = asking.seen[before:]
    found = [one for one in new if isinstance(one, Observation) and one.what is What.QIDO]
    if not found and any(isinstance(one, Miss) and "WEB-013" in one.checks for one in new):
        asking.missed(("WEB-017",), Reason.FAULT)
    else:
        asking.saw(What.OHIF, *(found[0].facts if found else ()))


def _path_here(asking: Asking, address: str) -> str | None:
    """The path of `address`, if that lies on this very listener; None elsewhere, and for what is none."""
    target = asking.host.target
    own = f"{'https' if asking.tls else 'http'}://{target.name}/"
    try:
        parts = urlsplit(urljoin(own, address))
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    here = (parts.scheme, parts.hostname, port) == (urlsplit(own).scheme, urlsplit(own).hostname, target.port)
    path = parts.path.rstrip("/")
    return path if here and is_path(path) else None


async def _files(asking: Asking, root: Answer) -> None:
    listing = b"<title>Index of" in root.body or b"Directory listing" in root.body
    if listing:
        count = len(_IMAGE_LINK.findall(root.body))
        asking.saw(What.LISTING, *facts(count=count, truncated=not root.whole))
    media = await asking.get("/DICOMDIR", "WEB-021", headers={"Range": "bytes=128-131"})
    if media.status in (OK, PARTIAL):
        body = media.body[128:132] if media.status == OK else media.body
        asking.saw(What.MEDIA, *facts(value="dicm" if body == b"DICM" else None))


async def _others(asking: Asking, _root: Answer) -> None:
    ping = await asking.get("/_ping", "WEB-032")
    if "docker" in ping.headers.get("server", "").lower() or "api-version" in ping.headers:
        asking.saw(What.DOCKER_API, *facts(http_status=ping.status))
    for prefix in ("/fhir", ""):
        study = await asking.get(
            f"{prefix}/ImagingStudy?_id={secrets.token_hex(16)}&_summary=count",
            "WEB-033",
            headers={"Accept": "application/fhir+json"},
        )
        if study.status == OK and b'"Bundle"' in study.body:
            asking.imaging = True
            asking.saw(What.FHIR, *facts(http_status=OK))
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
    if not asking.imaging or root.status != OK:
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
    (ask_orthanc, ("WEB-001", "WEB-002", "WEB-003", "WEB-004", "WEB-006", "WEB-007", "WEB-008", "WEB-034")),
    (_dicomweb, _SEARCHED),
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
