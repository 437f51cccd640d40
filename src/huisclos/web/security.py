"""What each response carries and what each request must show, on every origin.

One ASGI layer around each application. A state change needs `Sec-Fetch-Site: same-origin` and an
exact `Origin` (both set by the browser, neither by a page), unless it shows a token, which no
browser adds by itself. Reads with a session must come from the same origin too, unless the person
navigates: the viewer's and the gate's origins are other ports of this host, and cookies do not
know ports.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huisclos.errors import HuisclosError, NotAdmitted
from huisclos.web.dicomweb.caller import PREFIX
from huisclos.web.problems import CHALLENGE, METHODS, MethodUnknown, UnsupportedMedia, document
from huisclos.web.site import Origins

SAFE: Final = frozenset({"GET", "HEAD"})

PAGES_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self' {viewer} {gate}; base-uri 'none'; frame-ancestors 'none'"
)
"""No script and no style but our own files. Opening a study posts here and is sent on to the viewer, locking
to the gate: a browser holds `form-action` against where a form ends."""
VIEWER_CSP: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""The viewer puts styles into its elements; its scripts and its data come from its own origin."""
WORKER_CSP: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval'; connect-src 'self'"
)
"""For the viewer's workers, which decode images: their WebAssembly glue makes functions of strings. A worker
goes by the policy of its own script, so the page itself stays without `unsafe-eval`."""

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), usb=(), interest-cohort=()",
}
_YEAR: Final = 31_536_000


class Misdirected(HuisclosError):
    """The request names a host this house does not answer to (RFC 9110 section 15.5.20)."""

    kind = "misdirected"


class NotSameOrigin(HuisclosError):
    """A request that changes something came from somewhere else than our own pages."""

    kind = "not-same-origin"


class Guard:
    """The layer around an application; `port` is the one its browsers name."""

    def __init__(
        self, app: ASGIApp, origins: Origins, port: int, *, csp: str, isolated: bool = False
    ) -> None:
        self._app = app
        self._origins = origins
        self._port = port
        self._csp = csp
        self._isolated = isolated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the request, and dress the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                self._dress(response, headers)
                if message["status"] == HTTPStatus.UNAUTHORIZED:
                    response.setdefault(*CHALLENGE)
            await send(message)

        try:
            self._judge(scope["method"], scope["path"], headers)
        except HuisclosError as error:
            await document(error)(scope, receive, dressed)
            return
        await self._app(scope, receive, dressed)

    def _judge(self, method: str, path: str, headers: Headers) -> None:
        hosts = headers.getlist("host")
        name, port = _split(hosts[0] if len(hosts) == 1 else "")
        if name not in self._origins.names or port not in (self._port, None):
            raise Misdirected("this house does not answer to that name", hint="use the address it printed")
        if method not in METHODS:
            raise MethodUnknown("nothing here answers to this method")
        if any(one.strip().lower() not in ("", "identity") for one in _codings(headers)):
            # what is unpacked is larger than what came, and nobody has said by how much
            raise UnsupportedMedia("bodies are taken as they are", hint="send it without Content-Encoding")
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        bearer = headers.get("authorization", "").lower().startswith("bearer ")
        if method in SAFE:
            navigates = headers.get("sec-fetch-mode") == "navigate"
            if site not in (None, "same-origin", "none") and not navigates:
                raise NotSameOrigin("this was asked from another origin")
            return
        if site is None and origin is None and f"{path}/".startswith(f"{PREFIX}/"):
            # no browser: nothing is shown unasked for, so this cannot be forged, and only lacks a token. A
            # page goes by its cookie, whatever token stands beside it: there this is no excuse
            if bearer:
                return
            raise NotAdmitted("a token is needed here", hint="Authorization: Bearer TOKEN")
        # a browser leaves the port out of both when it is 443
        if site != "same-origin" or origin != f"https://{hosts[0].lower()}":
            raise NotSameOrigin("this was not sent from a page of this house", hint="open the page again")

    def _dress(self, response: MutableHeaders, request: Headers) -> None:
        for name, value in _ALWAYS.items():
            response.setdefault(name, value)
        if self._isolated:
            response["Cross-Origin-Embedder-Policy"] = "require-corp"
        host = request.get("host", "")
        name, _ = _split(host)
        base = f"https://{f'[{name}]' if ':' in name else name}:"
        policy = self._csp
        for place, port in (("{viewer}", self._origins.viewer), ("{gate}", self._origins.gate)):
            policy = policy.replace(place, f"{base}{port}" if name else "")
        response.setdefault("Content-Security-Policy", policy)
        # our addresses hold random ids only, and a form posted under `no-referrer` hides its origin from us
        response.setdefault("Referrer-Policy", "same-origin")
        response.setdefault("Cache-Control", "no-store")
        if _remembers(name):
            response["Strict-Transport-Security"] = f"max-age={_YEAR}"


def _codings(headers: Headers) -> list[str]:
    """The content codings of a body (RFC 9110 section 8.4)."""
    return ",".join(headers.getlist("content-encoding")).split(",")


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of a Host header; an empty name when it is not one."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if not bracket:
            return "", None
    else:
        name, colon, rest = host.partition(":")
        rest = colon + rest
    if rest and not (rest[0] == ":" and rest[1:].isascii() and rest[1:].isdigit() and len(rest) <= 6):  # noqa: PLR2004 - `:65535`
        return "", None
    return name.lower(), int(rest[1:]) if rest else None


def _remembers(name: str) -> bool:
    # HSTS binds every port of a name: on localhost it would break other people's servers
    return bool(name) and name != "localhost" and not name.replace(".", "").isdigit() and ":" not in name
