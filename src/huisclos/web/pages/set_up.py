"""The set-up: five steps, each one decision, and the recovery key, which may also be confirmed later."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.gate import Stage
from huisclos.access.nouns import Right
from huisclos.clock import timestamp
from huisclos.errors import HuisclosError, NotAdmitted, TooManyAttempts, Usage, WrongPassphrase
from huisclos.web.bodies import read_form
from huisclos.web.pages.account import faults, qr
from huisclos.web.pages.peers import refused, told_knocks
from huisclos.web.pages.person import Visit, keep_session, person, see
from huisclos.web.site import SET_UP_COOKIE, address_of, site_of
from huisclos.web.templating import page
from huisclos.web.words import words_of

TICKET_SECONDS = 15 * 60


async def set_up(request: Request) -> Response:
    """The step that comes next."""
    state = await site_of(request).set_up.state()
    ticket = request.cookies.get(SET_UP_COOKIE, "")
    if state.stage in (Stage.WHO, Stage.PASSPHRASE):
        if not ticket:
            return await page(request, "set_up.html", stage="start", fault="", code=state.console_code)
        return await _step(request, state.stage, ticket)
    return await _inside(request)


async def _step(request: Request, stage: Stage, ticket: str, fault: str = "", name: str = "") -> Response:
    values: dict[str, Any] = {"name": name, "suggested": "", "fault": fault}
    if stage is Stage.PASSPHRASE:
        try:
            values["suggested"] = await site_of(request).set_up.suggest(ticket)
        except NotAdmitted:
            return _over(see("/set-up"))
    return await page(request, "set_up.html", stage=stage.value, **values)


def _over(response: Response) -> Response:
    response.delete_cookie(SET_UP_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response


@person(Right.PEOPLE)
async def _inside(visit: Visit) -> Response:
    """Steps 3 to 5, for the owner who is logged in."""
    site = visit.site
    state = await site.set_up.state()
    words = words_of(visit.request, visit.session.actor.language)
    knocks = told_knocks(await site.peers.knocks(visit.proof), words) if state.stage is Stage.MODALITY else []
    return await page(
        visit.request,
        "set_up.html",
        visit.session,
        stage=state.stage.value,
        listening=await site.peers.listening(),
        knocks=knocks,
        fault="",
    )


async def start(request: Request) -> Response:
    """Spend the link."""
    site, form = site_of(request), await read_form(request)
    words = words_of(request)
    try:
        ticket = await site.set_up.check(
            form.get("secret", ""), form.get("code", "").strip(), address_of(request)
        )
    except (NotAdmitted, TooManyAttempts):
        state = await site.set_up.state()
        fault = words.gettext(
            "This link is used up, too old, or not whole. Start the house again for a new one."
        )
        return await page(
            request, "set_up.html", stage="start", fault=fault, code=state.console_code, status=401
        )
    response = see("/set-up")
    response.set_cookie(
        SET_UP_COOKIE, ticket, max_age=TICKET_SECONDS, path="/", secure=True, httponly=True, samesite="strict"
    )
    return response


async def who(request: Request) -> Response:
    """Step 1."""
    site, form, words = site_of(request), await read_form(request), words_of(request)
    ticket = request.cookies.get(SET_UP_COOKIE, "")
    name = form.get("name", "").strip()
    try:
        found = await site.set_up.who(ticket, name, form.get("password", ""), words.language)
    except NotAdmitted:
        return _over(see("/set-up"))
    except Usage as error:
        return await _step(request, Stage.WHO, ticket, refused(error, words), name)
    if found:
        return await _step(request, Stage.WHO, ticket, faults(found, words), name)
    return see("/set-up")


async def passphrase(request: Request) -> Response:
    """Step 2: from here on there is an owner, and the archive is unlocked."""
    site, form, words = site_of(request), await read_form(request), words_of(request)
    ticket = request.cookies.get(SET_UP_COOKIE, "")
    try:
        done = await site.set_up.finish_owner(ticket, form.get("passphrase", ""))
    except NotAdmitted:
        return _over(see("/set-up"))
    except WrongPassphrase:
        slip = words.gettext("This is nearly the one drawn for you, but not quite. Compare letter by letter.")
        return await _step(request, Stage.PASSPHRASE, ticket, slip)
    except Usage as error:
        return await _step(request, Stage.PASSPHRASE, ticket, refused(error, words))
    response: Response = _over(see("/set-up"))
    return keep_session(response, done.session, timestamp()) if done.session else response


@person(Right.PEOPLE)
async def finish(visit: Visit) -> Response:
    """Steps 4 and 5."""
    state = await visit.site.set_up.state()
    await visit.site.set_up.finish(visit.proof)
    return see("/set-up" if state.stage is Stage.MODALITY else "/")


@person(Right.PEOPLE)
async def recovery_page(visit: Visit) -> Response:
    """Type it back."""
    return await _recovery(visit, "")


async def _recovery(visit: Visit, fault: str) -> Response:
    state = await visit.site.set_up.state()
    stage = "recovery" if state.stage is Stage.RECOVERY else ""
    return await page(visit.request, "recovery.html", visit.session, key=None, stage=stage, fault=fault)


@person(Right.PEOPLE)
async def recovery_new(visit: Visit) -> Response:
    """A new recovery key, shown by this answer and never again."""
    words = words_of(visit.request, visit.session.actor.language)
    key = await visit.site.set_up.recovery(visit.proof)
    return await page(
        visit.request, "recovery.html", visit.session, key=key, qr=qr(key.line, words), stage="", fault=""
    )


@person(Right.PEOPLE)
async def recovery(visit: Visit) -> Response:
    """What was typed back."""
    form = await read_form(visit.request)
    words = words_of(visit.request, visit.session.actor.language)
    try:
        await visit.site.set_up.confirm_recovery(visit.proof, form.get("typed", "").strip())
    except WrongPassphrase:
        return await _recovery(
            visit, words.gettext("This is not the recovery key. Look for a word misread or left out.")
        )
    except HuisclosError as error:
        return await _recovery(visit, refused(error, words))
    state = await visit.site.set_up.state()
    return see("/set-up" if state.stage is Stage.MODALITY else "/state")


def routes() -> list[BaseRoute]:
    """The set-up."""
    return [
        Route("/set-up", set_up, methods=["GET"]),
        Route("/set-up/start", start, methods=["POST"]),
        Route("/set-up/who", who, methods=["POST"]),
        Route("/set-up/passphrase", passphrase, methods=["POST"]),
        Route("/set-up/finish", finish, methods=["POST"]),
        Route("/recovery", recovery_page, methods=["GET"]),
        Route("/recovery", recovery, methods=["POST"]),
        Route("/recovery/new", recovery_new, methods=["POST"]),
    ]
