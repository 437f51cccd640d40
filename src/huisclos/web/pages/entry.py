"""Coming and going: first page, log in, screen lock, log out, language, locking the archive."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right
from huisclos.access.sessions import Session
from huisclos.clock import timestamp
from huisclos.errors import NotAdmitted, TooManyAttempts, Unreachable
from huisclos.web.bodies import read_form
from huisclos.web.pages.person import Visit, drop_session, keep_session, person, see
from huisclos.web.site import LANGUAGE_COOKIE, address_of, origin_of, session_proof, site_of
from huisclos.web.templating import fragment, page
from huisclos.web.words import LANGUAGES, words_of

HOMES: Final = (
    (Right.LIST, "/studies"),
    (Right.PEERS, "/peers"),
    (Right.JOURNAL, "/journal"),
    (Right.STATE, "/state"),
)
_YEAR: Final = 31_536_000


async def home(request: Request) -> Response:
    """The page where a person's work is; the set-up while there is no owner."""
    site = site_of(request)
    glance = await site.house.glance()
    if glance.locked and not glance.by_link:
        return see(origin_of(request, site.origins.gate) + "/")
    if not glance.set_up:
        return see("/set-up")
    return await _home(request)


@person()
async def _home(visit: Visit) -> Response:
    return see(home_of(visit.session))


def home_of(session: Session) -> str:
    """Where a role begins its day."""
    for right, address in HOMES:
        if session.actor.may(right):
            return address
    return "/account"


async def login_page(request: Request) -> Response:
    """The log in page."""
    return await page(request, "login.html", fault="", name="")


async def login(request: Request) -> Response:
    """Name and password; a code may be asked for next."""
    site, form = site_of(request), await read_form(request)
    name = form.get("name", "").strip()
    try:
        done = await site.door.login(name, form.get("password", ""), address_of(request))
    except (NotAdmitted, TooManyAttempts) as error:
        fault = _fault(request, error)
        return await page(request, "login.html", fault=fault, name=name, status=401)
    if done.session is None:
        return await page(request, "code.html", ticket=done.ticket, fault="")
    return _in(done.session)


async def login_code(request: Request) -> Response:
    """The second step."""
    site, form = site_of(request), await read_form(request)
    ticket, code = form.get("ticket", ""), form.get("code", "").strip()
    try:
        session = await site.door.finish_login(ticket, code, address_of(request))
    except (NotAdmitted, TooManyAttempts) as error:
        fault = _fault(request, error, code=code)
        return await page(request, "code.html", ticket=ticket, fault=fault, status=401)
    return _in(session)


def _in(session: Session) -> Response:
    address = "/account" if session.must_change_password else home_of(session)
    return keep_session(see(address), session, timestamp())


def _fault(request: Request, error: Exception, *, code: str | None = None) -> str:
    _ = words_of(request).gettext
    if isinstance(error, TooManyAttempts):
        return _(
            "Too many attempts: each one is waited for longer, up to five minutes. Wait, then try again."
        )
    if code is not None and any(map(str.isalpha, code)):
        return _("This is none of your recovery codes, or it was used before: each opens once.")
    if code is not None:
        return _(
            "This is not the code, or it was used already. "
            "They change every 30 seconds: wait for the next one."
        )
    return _("This name and this password do not go together.")


async def confirm_page(request: Request) -> Response:
    """The locked screen. A session that is not idle goes on to its page, unless its own screen locked."""
    site = site_of(request)
    try:
        session = await site.door.session(session_proof(request), active=False)
    except NotAdmitted:
        return see("/login")
    if not session.idle and "idle" not in request.query_params:
        return see(home_of(session))
    return await page(request, "confirm.html", _asleep(session), fault="")


def _asleep(session: Session) -> Session:
    return Session(session.secret, session.actor, session.until, idle=True)


async def confirm(request: Request) -> Response:
    """The password once more."""
    site, form = site_of(request), await read_form(request)
    proof = session_proof(request)
    try:
        session = await site.door.session(proof, active=False)
    except NotAdmitted:
        return see("/login")
    try:
        woken = await site.door.confirm(proof, form.get("password", ""))
    except (NotAdmitted, TooManyAttempts) as error:
        return await page(request, "confirm.html", _asleep(session), fault=_fault(request, error), status=401)
    return see(home_of(woken))


@person()
async def awake(visit: Visit) -> Response:
    """Its person did something on a page that asked for nothing else."""
    del visit
    return Response(status_code=204)


async def logout(request: Request) -> Response:
    """End the session here and in the browser."""
    site, proof = site_of(request), session_proof(request)
    await site.door.logout(proof)
    request.app.state.reading.forget(proof)
    return drop_session(see("/login"))


async def language(request: Request) -> Response:
    """Choose a language: for the account when there is one, else for this browser."""
    site, form = site_of(request), await read_form(request)
    wanted = form.get("language", "")
    response = see("/login")
    if wanted not in LANGUAGES:
        return response
    try:
        session = await site.door.session(session_proof(request), active=True)
        await site.door.set_language(session_proof(request), wanted)
        response = see("/account" if not session.idle else "/confirm")
    except NotAdmitted:
        pass
    response.set_cookie(
        LANGUAGE_COOKIE, wanted, max_age=_YEAR, path="/", secure=True, httponly=True, samesite="strict"
    )
    return response


async def line(request: Request) -> Response:
    """The state of the house, for the top of a page that stays open."""
    try:
        glance = await site_of(request).house.glance()
    except Unreachable:
        glance = None
    return fragment(request, "_line.html", glance=glance)


@person(Right.LOCK)
async def lock_page(visit: Visit) -> Response:
    """What locking means, before it is done."""
    return await page(visit.request, "lock.html", visit.session)


@person(Right.LOCK)
async def lock(visit: Visit) -> Response:
    """Lock at once."""
    await visit.site.gate.lock(visit.proof)
    visit.reading.forget(visit.proof)
    return drop_session(RedirectResponse(origin_of(visit.request, visit.site.origins.gate) + "/", 303))


def routes() -> list[BaseRoute]:
    """Coming and going."""
    return [
        Route("/", home),
        Route("/login", login_page, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        Route("/login/code", login_code, methods=["POST"]),
        Route("/confirm", confirm_page, methods=["GET"]),
        Route("/confirm", confirm, methods=["POST"]),
        Route("/awake", awake, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/language", language, methods=["POST"]),
        Route("/line", line),
        Route("/lock", lock_page, methods=["GET"]),
        Route("/lock", lock, methods=["POST"]),
    ]
