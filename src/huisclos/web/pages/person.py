"""Who is in front of the page: every page but the first ones begins here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from huisclos.access.nouns import Proof, Right
from huisclos.access.sessions import Session
from huisclos.errors import NotAdmitted, NotGranted
from huisclos.web.reading import Reading
from huisclos.web.site import SESSION_COOKIE, Site, session_proof, site_of

Page = Callable[["Visit"], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

MUST_CHANGE = ("/account", "/logout", "/language", "/line", "/awake")
"""What is open to whoever must first choose a password."""


class Visit:
    """One request of a person who is logged in."""

    def __init__(self, request: Request, session: Session) -> None:
        self.request = request
        self.session = session
        self.site: Site = site_of(request)
        self.proof: Proof = session_proof(request)

    @property
    def reading(self) -> Reading:
        """What this process has open."""
        return cast(Reading, self.request.app.state.reading)

    @property
    def piece(self) -> bool:
        """Whether a script asked, for a piece of a page."""
        return "x-piece" in self.request.headers

    def id(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


def person(*rights: Right, active: bool = True) -> Callable[[Page], Endpoint]:
    """A page for whoever is logged in and has one of `rights` (any, when none is named).

    `active` is False for what a page asks by itself: it must not keep an abandoned screen awake.
    Without a session the log in page comes; on an idle one, the page that asks for the password.
    """

    def decorate(page: Page) -> Endpoint:
        @wraps(page)
        async def endpoint(request: Request) -> Response:
            piece = "x-piece" in request.headers
            try:
                session = await site_of(request).door.session(session_proof(request), active=active)
            except NotAdmitted:
                if piece or request.method != "GET":
                    raise
                return RedirectResponse("/login", 303)
            if session.idle:
                if piece:
                    raise NotAdmitted("the screen is locked", hint="type your password again")
                return RedirectResponse("/confirm", 303)
            if session.must_change_password and not request.url.path.startswith(MUST_CHANGE):
                return RedirectResponse("/account", 303)
            if rights and not any(session.actor.may(right) for right in rights):
                raise NotGranted("your role does not allow this", hint="ask an owner of the archive")
            return await page(Visit(request, session))

        return endpoint

    return decorate


def see(address: str) -> RedirectResponse:
    """Send the browser on, with GET, after a change."""
    return RedirectResponse(address, 303)


def keep_session(response: Response, session: Session, now: float) -> Response:
    """Put the session into the browser: for as long as it lives, and out of reach of any script."""
    response.set_cookie(
        SESSION_COOKIE,
        session.secret,
        max_age=max(0, int(session.until - now)),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return response


def drop_session(response: Response) -> Response:
    """Take the session out of the browser, and all it kept of us."""
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
