"""People: who may do what, tokens, holders, and what waits for an owner."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right, Role
from huisclos.access.people import HolderKind, Invitation, Pending, PendingKind
from huisclos.errors import BadSetting, HuisclosError
from huisclos.web.bodies import read_form
from huisclos.web.pages.peers import peer_rights, refused
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of

CONSOLE: Final = "console"
"""Who asked for what waits, where it was the command line."""


@person(Right.PEOPLE)
async def people_page(visit: Visit) -> Response:
    """The whole page."""
    return await _show(visit)


async def _show(visit: Visit, told: str = "", kind: str = "good") -> Response:
    people, proof = visit.site.people, visit.proof
    words = _words(visit)
    return await page(
        visit.request,
        "people.html",
        visit.session,
        users=await people.users(proof),
        tokens=await people.tokens(proof),
        pending=[_waiting(one, words) for one in await people.pending(proof)],
        holders=await people.holders(proof),
        rotation=await people.rotation(proof),
        remove_word=removal_word(words),
        fast_readers=await people.fast_readers(proof),
        roles=role_names(words),
        role_words=role_sentences(words),
        token_rights=_token_rights(words),
        pending_words=_pending(words),
        holder_words=_holders(words),
        told=told,
        told_kind=kind,
    )


def _words(visit: Visit) -> Words:
    return words_of(visit.request, visit.session.actor.language)


def role_names(words: Words) -> dict[Role, str]:
    """What each role is called."""
    _ = words.gettext
    return {
        Role.OWNER: _("owner"),
        Role.PHYSICIAN: _("physician"),
        Role.SECRETARY: _("secretary"),
        Role.TECHNICIAN: _("technician"),
        Role.AUDITOR: _("auditor"),
    }


def role_sentences(words: Words) -> dict[Role, str]:
    """What each role may do, as a doctor reads it."""
    _ = words.gettext
    return {
        Role.OWNER: _("Everything; gives others their rights."),
        Role.PHYSICIAN: _("Finds, looks at, adds and exports images; decides doubts."),
        Role.SECRETARY: _("Finds studies and adds images; sees no picture."),
        Role.TECHNICIAN: _("Peers and the state of the house; sees no patient."),
        Role.AUDITOR: _("The journal and findings; sees no picture."),
    }


def _token_rights(words: Words) -> dict[Right, str]:
    _ = words.gettext
    return {Right.LIST: _("see the list"), Right.READ: _("read"), Right.STORE: _("store")}


def _pending(words: Words) -> dict[PendingKind, str]:
    _ = words.gettext
    return {
        PendingKind.USER: _("A person: %(subject)s (%(detail)s)"),
        PendingKind.TOKEN: _("A token for %(subject)s (%(detail)s)"),
        PendingKind.ROLE: _("Another role for %(subject)s (%(detail)s)"),
        PendingKind.PASSWORD: _("A new password for %(subject)s"),
        PendingKind.PEER: _("The peer %(subject)s (%(detail)s)"),
    }


def _waiting(one: Pending, words: Words) -> Pending:
    """A request whose role or rights, and whoever asked, are words of the reader's."""
    known: dict[str, str] = {str(role): name for role, name in role_names(words).items()}
    if one.kind is PendingKind.PEER:
        known |= {str(right): name for right, name in peer_rights(words).items()}
    else:
        known |= {str(right): name for right, name in _token_rights(words).items()}
    detail = ", ".join(known.get(part, part) for part in one.detail.split(", "))
    asked_by = words.gettext("the console") if one.asked_by == CONSOLE else one.asked_by
    return msgspec.structs.replace(one, detail=detail, asked_by=asked_by)


def _holders(words: Words) -> dict[HolderKind, str]:
    _ = words.gettext
    return {
        HolderKind.PASSPHRASE: _("passphrase"),
        HolderKind.RECOVERY: _("recovery key, on paper"),
        HolderKind.TEMPORARY: _("set-up link, until the recovery key is confirmed"),
    }


def removal_word(words: Words) -> str:
    """What is typed before a holder is taken away."""
    return words.gettext("remove")


async def _invited(visit: Visit, invitation: Invitation) -> Response:
    _ = _words(visit).gettext
    return await page(
        visit.request,
        "once.html",
        visit.session,
        heading=_("A password for %(name)s") % {"name": invitation.name},
        sentence=_("Hand it over in person or by telephone. It must be changed at the first log in."),
        secret=invitation.password,
    )


@person(Right.PEOPLE)
async def add(visit: Visit) -> Response:
    """A new account; its first password is shown once."""
    form = await read_form(visit.request)
    try:
        role = _role(form.get("role", ""))
        invitation = await visit.site.people.add(visit.proof, form.get("name", "").strip(), role)
    except HuisclosError as error:
        taken = _words(visit).gettext("Somebody has this name already: add something to tell them apart.")
        return await _show(visit, refused(error, _words(visit), taken), "bad")
    return await _invited(visit, invitation)


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise BadSetting("this is not a role") from None


def _last_owner(visit: Visit) -> str:
    return _words(visit).gettext("This is the last owner: make somebody else an owner first.")


def _last_of_all(visit: Visit) -> str:
    return _words(visit).gettext(
        "This is the last owner, or the last whose passphrase opens the archive: "
        "give that to somebody else first."
    )


def _last_holder(words: Words) -> str:
    return words.gettext("No other passphrase would open this archive: let somebody else open it first.")


def _overtaken(visit: Visit) -> str:
    return _words(visit).gettext(
        "It cannot be put in force: this is the last owner, or what was asked for is there already."
    )


@person(Right.PEOPLE)
async def set_role(visit: Visit) -> Response:
    """Another role, at once."""
    form = await read_form(visit.request)
    try:
        await visit.site.people.set_role(visit.proof, visit.id("user"), _role(form.get("role", "")))
    except HuisclosError as error:
        return await _show(visit, refused(error, _words(visit), _last_owner(visit)), "bad")
    return see("/people")


@person(Right.PEOPLE)
async def reset(visit: Visit) -> Response:
    """A new password, shown once."""
    try:
        invitation = await visit.site.people.reset(visit.proof, visit.id("user"))
    except HuisclosError as error:
        return await _show(visit, refused(error, _words(visit)), "bad")
    return await _invited(visit, invitation)


@person(Right.PEOPLE)
async def remove(visit: Visit) -> Response:
    """Take an account away, with its sessions and tokens."""
    try:
        await visit.site.people.remove(visit.proof, visit.id("user"))
    except HuisclosError as error:
        return await _show(visit, refused(error, _words(visit), _last_of_all(visit)), "bad")
    return see("/people")


@person(Right.PEOPLE)
async def add_token(visit: Visit) -> Response:
    """A token; its secret is shown once."""
    form = await read_form(visit.request)
    words = _words(visit)
    may = frozenset(right for right, name in ((Right.READ, "read"), (Right.STORE, "store")) if form.get(name))
    try:
        until = _end_of(form.get("until", ""), words)
        made = await visit.site.people.add_token(
            visit.proof, form.get("user", ""), form.get("label", "").strip(), may, until
        )
    except HuisclosError as error:
        return await _show(visit, refused(error, words), "bad")
    return await page(
        visit.request,
        "once.html",
        visit.session,
        heading=words.gettext("The token"),
        sentence=words.gettext("Put it where the program asks for a bearer token."),
        secret=made.secret,
    )


def _end_of(day: str, words: Words) -> float:
    try:
        return words.midnight(day, 1)
    except ValueError:
        raise BadSetting("this is not a day") from None


@person(Right.PEOPLE)
async def remove_token(visit: Visit) -> Response:
    """End a token."""
    await visit.site.people.remove_token(visit.proof, visit.id("token"))
    return see("/people")


@person(Right.PEOPLE)
async def approve(visit: Visit) -> Response:
    """Put a request in force."""
    try:
        invitation = await visit.site.people.approve(visit.proof, visit.id("pending"))
    except HuisclosError as error:
        return await _show(visit, refused(error, _words(visit), _overtaken(visit)), "bad")
    return await _invited(visit, invitation) if invitation else see("/people")


@person(Right.PEOPLE)
async def refuse(visit: Visit) -> Response:
    """Drop a request."""
    await visit.site.people.refuse(visit.proof, visit.id("pending"))
    return see("/people")


@person(Right.PEOPLE)
async def confirm_reading(visit: Visit) -> Response:
    """Whoever was stopped by the reading budget goes on."""
    try:
        await visit.site.people.confirm_reading(visit.proof, visit.id("reader"))
    except HuisclosError as error:
        return await _show(visit, refused(error, _words(visit)), "bad")
    return see("/people")


@person(Right.PEOPLE)
async def remove_holder(visit: Visit) -> Response:
    """Take a holder away, once the word was typed: the archive then gets a new key."""
    words = _words(visit)
    wanted, typed = removal_word(words), (await read_form(visit.request)).get("word", "")
    if typed.strip().casefold() != wanted.casefold():
        told = words.gettext("Nothing was removed: type the word “%(word)s” to remove a holder.")
        return await _show(visit, told % {"word": wanted}, "bad")
    try:
        await visit.site.people.remove_holder(visit.proof, visit.id("holder"))
    except HuisclosError as error:
        return await _show(visit, refused(error, words, _last_holder(words)), "bad")
    return see("/people")


def routes() -> list[BaseRoute]:
    """People."""
    return [
        Route("/people", people_page, methods=["GET"]),
        Route("/people/add", add, methods=["POST"]),
        Route("/people/tokens/add", add_token, methods=["POST"]),
        Route("/people/tokens/{token}/remove", remove_token, methods=["POST"]),
        Route("/people/pending/{pending}/approve", approve, methods=["POST"]),
        Route("/people/pending/{pending}/refuse", refuse, methods=["POST"]),
        Route("/people/readers/{reader}/confirm", confirm_reading, methods=["POST"]),
        Route("/people/holders/{holder}/remove", remove_holder, methods=["POST"]),
        Route("/people/{user}/role", set_role, methods=["POST"]),
        Route("/people/{user}/reset", reset, methods=["POST"]),
        Route("/people/{user}/remove", remove, methods=["POST"]),
    ]
