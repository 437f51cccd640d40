"""Errors as answers: one problem document (RFC 9457) for programs, one sentence with a way out for people.

A `HuisclosError` is mapped once, by its class, most specific first; `type` ends in its `kind`.
Whatever is not one is a bug: the answer says so and nothing else, and what is logged are places in
our own code, never the message, which may hold what a patient is called.
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huisclos.errors import (
    Conflict,
    Full,
    HouseOpen,
    HuisclosError,
    Locked,
    NotAdmitted,
    NotFound,
    PeerError,
    Refused,
    SealError,
    StoreError,
    TooLarge,
    TooManyAttempts,
    UnknownTransferSyntax,
    Unreadable,
    Usage,
)

MEDIA: Final = "application/problem+json"
TYPE: Final = "urn:huisclos:problem:"
RETRY_SECONDS: Final = "30"
METHODS: Final = ("GET", "HEAD", "POST")
"""Methods there are here at all; what one address takes of them, its route says."""
CHALLENGE: Final = ("WWW-Authenticate", 'Bearer realm="huisclos"')
"""What each 401 says it wants (RFC 9110 section 11.6.1); a browser shows the page all the same."""

STATUS: Final[tuple[tuple[type[HuisclosError], int], ...]] = (
    (Locked, 503),
    (NotAdmitted, 401),
    (TooManyAttempts, 429),
    (Refused, 403),
    (NotFound, 404),
    (TooLarge, 413),
    (UnknownTransferSyntax, 406),
    (Unreadable, 400),
    (Usage, 400),
    (SealError, 500),
    (Full, 507),
    (Conflict, 409),
    (StoreError, 503),
    (PeerError, 502),
    (HouseOpen, 500),
)
"""Most specific first: the first class that fits gives the status."""
_BY_KIND: Final = {
    "misdirected": 421,
    "not-same-origin": 403,
    "method-not-allowed": 405,
    "unsupported-media": 415,
    "not-acceptable": 406,
}
_log = logging.getLogger("huisclos.web")


class Problem(msgspec.Struct, omit_defaults=True):
    """The one shape of an error."""

    type: str
    title: str
    status: int
    hint: str = ""


class NotAcceptable(HuisclosError):
    """None of the media types asked for can be given (RFC 9110 section 15.5.7)."""

    kind = "not-acceptable"


class UnsupportedMedia(HuisclosError):
    """The body is of a kind, or packed in a way, that is not taken (RFC 9110 section 15.5.16)."""

    kind = "unsupported-media"


class Bug(HuisclosError):
    """Something of ours failed."""

    kind = "bug"


class MethodUnknown(HuisclosError):
    """A method that nothing here answers to."""

    kind = "method-not-allowed"


_HTTP: Final[dict[int, type[HuisclosError]]] = {404: NotFound, 405: MethodUnknown, 406: NotAcceptable}


def status_of(error: HuisclosError) -> int:
    """The HTTP status of an error."""
    if error.kind in _BY_KIND:
        return _BY_KIND[error.kind]
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return 500


def document(error: HuisclosError) -> Response:
    """The problem document."""
    status = status_of(error)
    body = Problem(TYPE + error.kind, error.message, status, error.hint)
    headers: dict[str, str] = {}
    if status == 405:  # noqa: PLR2004 - RFC 9110 section 15.5.6 asks for the header
        headers["Allow"] = ", ".join(METHODS)
    if status == 401:  # noqa: PLR2004 - RFC 9110 section 11.6.1 asks for the header
        headers.update([CHALLENGE])
    if isinstance(error, (Locked, StoreError)) and status == 503:  # noqa: PLR2004
        headers["Retry-After"] = RETRY_SECONDS
    return Response(msgspec.json.encode(body), status, headers, media_type=MEDIA)


def wants_page(request: Request) -> bool:
    """Whether a person reads the answer, and not a program."""
    return request.method in ("GET", "POST") and "text/html" in request.headers.get("accept", "")


async def respond(request: Request, error: HuisclosError) -> Response:
    """The answer to whoever asked: a page for people where the application has one, else the document."""
    page = getattr(request.app.state, "problem_page", None)
    if page is not None and wants_page(request):
        made: Response = await page(request, error)
        return made
    return document(error)


async def on_error(request: Request, error: Exception) -> Response:
    """The handler of every `HuisclosError` raised below."""
    assert isinstance(error, HuisclosError)  # noqa: S101 - registered for this class only
    return await respond(request, error)


async def on_http(request: Request, error: Exception) -> Response:
    """The framework's own refusals, in our one shape."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    known = _HTTP.get(error.status_code, HuisclosError)
    answer = await respond(request, known(error.detail))
    answer.status_code = error.status_code
    answer.headers.update(error.headers or {})
    return answer


async def on_bug(request: Request, error: Exception) -> Response:
    """The answer where nobody caught an error; `Catch` logs it, and answers where even this fails."""
    del error
    return await respond(request, _bug())


def _bug() -> Bug:
    return Bug("something went wrong in the house", hint="try again")


class Catch:
    """The outermost layer: what nobody caught becomes one sentence, and a list of places in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application below."""
        begun = ended = False

        async def noting(message: Message) -> None:
            nonlocal begun, ended
            begun = begun or message["type"] == "http.response.start"
            ended = ended or (message["type"] == "http.response.body" and not message.get("more_body"))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            return  # in the middle of its own request: nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - one of the three places: a bug must not show what it holds
            self._tell(error)
            if not begun:
                # no page: it may be what failed
                await document(_bug())(scope, receive, send)
            elif not ended:
                # the only honest end of a body that cannot be finished is one the client sees as broken
                raise BrokenAnswer from None

    def _tell(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        places = ", ".join(f"{frame.name}:{frame.lineno}" for frame in frames[-6:])
        kind = error.kind if isinstance(error, HuisclosError) else type(error).__name__
        _log.error("%s at %s", kind, places)


class BrokenAnswer(Exception):
    """An answer could not be finished; the connection is cut."""
