"""The set-up: five steps, each one decision, and the recovery key, which may also be confirmed later."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.gate import Stage
from huisclos.access.nouns import Right
from huisclos.clock import timestamp
from huisclos.errors import HuisclosError, NotAdmitted, TooManyAttempts, Usage, WrongPassphrase
from huisclos.seal import is_word, split_words
from huisclos.web.bodies import read_form
from huisclos.web.pages.account import faults, qr
from huisclos.web.pages.peers import for_machines, refused, told_knocks
from huisclos.web.pages.person import Visit, keep_session, person, see
from huisclos.web.site import SET_UP_COOKIE, address_of, site_of
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of

TICKET_SECONDS = 15 * 60
CARD_WORDS = 25
"""32 bytes and a checksum, 11 bits a word."""
LEAVING = """\
umask 077
for h in keys/holders/*.age; do age -d -i /dev/shm/recovery.txt $h; done 2>/dev/null \\
  | grep -o 'AGE-SECRET-KEY-1[0-9A-Z]*' > /dev/shm/archive.txt
age -d -i /dev/shm/archive.txt keyring/ab/STUDY.age > /dev/shm/study.txt
age -d -i /dev/shm/study.txt objects/ab/STUDY/IMAGE.dcm.age > image.dcm
rm /dev/shm/recovery.txt /dev/shm/archive.txt /dev/shm/study.txt"""
"""What the printed card says to somebody who has the folder and the stock `age` program alone."""


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
    try:  # at the first step too: a ticket of before a restart must not stand in the way of a fresh link
        suggested = await site_of(request).set_up.suggest(ticket)
    except NotAdmitted:
        return _over(see("/set-up"))
    return await page(request, "set_up.html", stage=stage.value, name=name, suggested=suggested, fault=fault)


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
    peers = await site.peers.peers(visit.proof) if state.stage is Stage.DONE else ()
    return await page(
        visit.request,
        "set_up.html",
        visit.session,
        stage=state.stage.value,
        listening=for_machines(await site.peers.listening()),
        knocks=knocks,
        peers=peers,
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


async def _recovery(visit: Visit, fault: str, typed: str = "") -> Response:
    stage = await _recovery_stage(visit)
    return await page(
        visit.request, "recovery.html", visit.session, key=None, stage=stage, fault=fault, typed=typed
    )


async def _recovery_stage(visit: Visit) -> str:
    """The step that a new archive is at; empty where a card is made later."""
    return "recovery" if (await visit.site.set_up.state()).stage is Stage.RECOVERY else ""


def _misread(typed: str, words: Words) -> str:
    """Where to look in what was typed back from the card."""
    if not typed.upper().startswith("AGE-SECRET-KEY"):
        parts = split_words(typed)
        strange = [place for place, part in enumerate(parts, 1) if not is_word(part)]
        if strange:
            told = words.gettext("Word %(number)d was misread: no card has such a word.")
            return told % {"number": strange[0]}
        if len(parts) != CARD_WORDS:
            told = words.gettext("The card has %(due)d words, and %(typed)d were typed.")
            return told % {"due": CARD_WORDS, "typed": len(parts)}
    return words.gettext("This is not the recovery key. Look for a word misread or left out.")


@person(Right.PEOPLE)
async def recovery_new(visit: Visit) -> Response:
    """A new recovery key, shown by this answer and never again."""
    words = words_of(visit.request, visit.session.actor.language)
    key = await visit.site.set_up.recovery(visit.proof)
    return await page(
        visit.request, "recovery.html", visit.session,
        key=key, qr=qr(key.line, words), now=timestamp(), commands=LEAVING,
        stage=await _recovery_stage(visit), fault="",
    )  # fmt: skip


@person(Right.PEOPLE)
async def recovery(visit: Visit) -> Response:
    """What was typed back."""
    form = await read_form(visit.request)
    words = words_of(visit.request, visit.session.actor.language)
    typed = form.get("typed", "").strip()
    try:
        await visit.site.set_up.confirm_recovery(visit.proof, typed)
    except WrongPassphrase:
        return await _recovery(visit, _misread(typed, words), typed)
    except HuisclosError as error:
        return await _recovery(visit, refused(error, words), typed)
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
