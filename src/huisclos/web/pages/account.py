"""What a person does to their own account."""

from __future__ import annotations

import segno
from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right
from huisclos.access.sessions import PasswordFault
from huisclos.errors import NotAdmitted, TooManyAttempts
from huisclos.web.bodies import read_form
from huisclos.web.pages.people import role_names, role_sentences
from huisclos.web.pages.person import Visit, person
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of


@person()
async def account_page(visit: Visit) -> Response:
    """The whole page."""
    return await _show(visit)


async def _show(visit: Visit, told: str = "", kind: str = "good") -> Response:
    words, actor = _words(visit), visit.session.actor
    # nothing is told to whoever came with a password that somebody else has seen
    due = visit.session.must_change_password
    account = None if due else await visit.site.door.account(visit.proof)
    return await page(
        visit.request,
        "account.html",
        visit.session,
        account=account,
        name=actor.name,
        role_word=role_names(words)[actor.role].capitalize() if actor.role else "",
        role_may=role_sentences(words)[actor.role] if actor.role else "",
        told=told,
        told_kind=kind,
        status=200,
    )


def _words(visit: Visit) -> Words:
    return words_of(visit.request, visit.session.actor.language)


def faults(found: tuple[PasswordFault, ...], words: Words) -> str:
    """Why a password is not taken, and what would be."""
    _ = words.gettext
    texts = {
        PasswordFault.TOO_SHORT: _("This is too short."),
        PasswordFault.TOO_LONG: _("This is longer than 256 characters."),
        PasswordFault.GUESSABLE: _(
            "This is a known one, or follows a known pattern. "
            "Take words that have nothing to do with each other."
        ),
        PasswordFault.SAME_AS_BEFORE: _("This is the one you have now."),
    }
    return " ".join(texts[fault] for fault in found)


@person()
async def password(visit: Visit) -> Response:
    """Another password."""
    form, words = await read_form(visit.request), _words(visit)
    try:
        found = await visit.site.door.change_password(visit.proof, form.get("old", ""), form.get("new", ""))
    except (NotAdmitted, TooManyAttempts):
        return await _show(visit, words.gettext("The password you have now is another one."), "bad")
    if found:
        return await _show(visit, faults(found, words), "bad")
    visit.session = await visit.site.door.session(visit.proof, active=True)
    return await _show(visit, words.gettext("The password is changed. Your other sessions are ended."))


@person(Right.PEOPLE)
async def holder(visit: Visit) -> Response:
    """Let this person's password open the archive from now on, beside what opens it already."""
    form, words = await read_form(visit.request), _words(visit)
    try:
        await visit.site.door.confirm(visit.proof, form.get("old", ""))
    except (NotAdmitted, TooManyAttempts):
        return await _show(visit, words.gettext("The password you have now is another one."), "bad")
    found = await visit.site.people.add_holder(visit.proof, form.get("passphrase", ""))
    if found:
        return await _show(visit, faults(found, words), "bad")
    visit.session = await visit.site.door.session(visit.proof, active=True)
    return await _show(visit, words.gettext("It opens the archive at the gate, and logs you in."))


@person()
async def begin_totp(visit: Visit) -> Response:
    """A fresh secret, as a picture for the telephone."""
    return await _enrol(visit, "")


async def _enrol(visit: Visit, fault: str) -> Response:
    enrolment = await visit.site.door.begin_totp(visit.proof)
    return await page(
        visit.request, "totp.html", visit.session,
        enrolment=enrolment, qr=qr(enrolment.uri, _words(visit)), fault=fault,
    )  # fmt: skip


def qr(text: str, words: Words) -> Markup:
    """A QR code as SVG, without a style of its own."""
    made = segno.make(text, micro=False, error="m")
    title = words.gettext("QR code")
    drawn = made.svg_inline(title=title, omitsize=True, svgclass=None, lineclass=None, border=1, unit=None)
    return Markup(drawn)  # noqa: S704 - made by the library from modules; the text is not in it


@person()
async def confirm_totp(visit: Visit) -> Response:
    """In force once a code was typed back."""
    form = await read_form(visit.request)
    try:
        codes = await visit.site.door.confirm_totp(visit.proof, form.get("code", "").replace(" ", ""))
    except (NotAdmitted, TooManyAttempts):
        return await _enrol(
            visit, _words(visit).gettext("That was not the code. Scan again: the picture is a new one.")
        )
    return await page(visit.request, "codes.html", visit.session, codes=codes)


@person()
async def drop_totp(visit: Visit) -> Response:
    """Take the second factor away."""
    form, words = await read_form(visit.request), _words(visit)
    try:
        await visit.site.door.drop_totp(visit.proof, form.get("password", ""))
    except (NotAdmitted, TooManyAttempts):
        return await _show(visit, words.gettext("The password you have now is another one."), "bad")
    return await _show(visit, words.gettext("The second factor is taken away."))


@person()
async def others(visit: Visit) -> Response:
    """End this person's other sessions."""
    await visit.site.door.logout_others(visit.proof)
    return await _show(visit, _words(visit).gettext("The other sessions are ended."))


def routes() -> list[BaseRoute]:
    """The account."""
    return [
        Route("/account", account_page, methods=["GET"]),
        Route("/account/password", password, methods=["POST"]),
        Route("/account/holder", holder, methods=["POST"]),
        Route("/account/totp", begin_totp, methods=["POST"]),
        Route("/account/totp/confirm", confirm_totp, methods=["POST"]),
        Route("/account/totp/drop", drop_totp, methods=["POST"]),
        Route("/account/others", others, methods=["POST"]),
    ]
