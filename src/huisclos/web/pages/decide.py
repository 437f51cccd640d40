"""What the house will not settle by itself: one card per doubt, side by side, with undo."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Grant, Right
from huisclos.archive.compare import compare
from huisclos.archive.nouns import FINAL, Choice, Doubt, ManifestEntry, Side
from huisclos.errors import BadQuery, InstanceNotFound, NotFound, NotGranted
from huisclos.web.bodies import read_form
from huisclos.web.dicomweb.rendered import THUMBNAIL, Viewport, picture
from huisclos.web.pages.doubts import card, told_differences, told_pixels, told_rest
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.reading import Opened, in_thread
from huisclos.web.templating import fragment, page
from huisclos.web.words import Words, words_of

PURPOSE: Final = "decide"
SHOWN: Final = 25
"""Cards on the page; the others come up as these are decided."""
REMEMBERED: Final = 50
"""Decisions on the page."""
_QUALITY: Final = 80


@person(Right.DECIDE)
async def decide_page(visit: Visit) -> Response:
    """Open cards, then what was decided."""
    return await _show(visit)


async def _show(visit: Visit, told: str = "", kind: str = "good") -> Response:
    grant, words = await _grant(visit), _words(visit)
    waiting = await visit.site.catalog.doubts(grant)
    settled = sorted(
        await visit.site.catalog.doubts(grant, decided=True), key=lambda doubt: -doubt.decided_at
    )
    return await page(
        visit.request,
        "decide.html",
        visit.session,
        cards=[card(doubt, words) for doubt in waiting[:SHOWN]],
        more=max(0, len(waiting) - SHOWN),
        decided=[card(doubt, words) for doubt in settled[:REMEMBERED]],
        final=FINAL,
        told=told,
        told_kind=kind,
    )


@person(Right.DECIDE)
async def one_page(visit: Visit) -> Response:
    """One card alone, with what differs."""
    doubt = await visit.site.catalog.doubt(await _grant(visit), visit.id("doubt"))
    words = _words(visit)
    told = card(doubt, words)
    shown = told.compared and visit.session.actor.may(Right.READ)
    return await page(
        visit.request,
        "doubt.html",
        visit.session,
        card=told,
        **(await _compared(visit, doubt, words) if shown else {"rows": None, "pixels": "", "rest": ""}),
    )


@person(Right.DECIDE)
async def decide(visit: Visit) -> Response:
    """Settle one, or undo."""
    form = await read_form(visit.request)
    try:
        choice = Choice(form["choice"]) if form.get("choice") else None
    except ValueError:
        raise BadQuery("this is not one of the choices") from None
    grant = await _grant(visit)
    doubt = await visit.site.catalog.doubt(grant, visit.id("doubt"))
    if choice in FINAL and choice in doubt.choices:
        return await _decide_sender(visit, grant, doubt, choice, form.get("word", ""))
    await visit.site.keeper.deciding(visit.proof, choice)
    await visit.site.catalog.decide(grant, doubt.id, choice)
    return see("/decide")


async def _decide_sender(visit: Visit, grant: Grant, doubt: Doubt, choice: Choice, word: str) -> Response:
    """Admit a sender or refuse it: the vault does it, and only then the card says so."""
    _, title = _words(visit).gettext, doubt.left.source
    words = _words(visit)
    if choice is Choice.REFUSE and word.strip() != title.strip():
        told = _("The name typed is another one: nothing was destroyed. To refuse %(title)s, type its name.")
        return await _show(visit, told % {"title": title}, "bad")
    try:
        if choice is Choice.ADMIT:
            await visit.site.quarantine.admit(visit.proof, doubt.left.source_id)
            told = _("%(title)s is admitted. What it sent is being put into its studies.") % {"title": title}
        else:
            gone = await visit.site.quarantine.discard(visit.proof, doubt.left.source_id)
            told = words.ngettext(
                "%(title)s is refused, and %(num)s image was destroyed.",
                "%(title)s is refused, and %(num)s images were destroyed.",
                gone,
            ) % {"title": title, "num": words.number(gone)}
    except NotFound:
        return await _show(visit, _("Nothing waits of %(title)s any more.") % {"title": title}, "warn")
    with contextlib.suppress(NotFound):  # the scribe was quicker: what waits no more has no card
        await visit.site.catalog.decide(grant, doubt.id, choice)
    return await _show(visit, told)


@person(Right.DECIDE, active=False)
async def compared(visit: Visit) -> Response:
    """What differs between the two: a piece of the page, read under a grant for each study."""
    doubt = await visit.site.catalog.doubt(await _grant(visit), visit.id("doubt"))
    values = await _compared(visit, doubt, _words(visit))
    return fragment(visit.request, "_compared.html", visit.session, **values)


async def _compared(visit: Visit, doubt: Doubt, words: Words) -> dict[str, Any]:
    first, one = await _open(visit, doubt.left)
    second, two = await _open(visit, doubt.right)
    found = await in_thread(lambda: compare(first.study.data_set(one), second.study.data_set(two)))
    for opened, entry in ((first, one), (second, two)):
        tally = visit.reading.tally(opened)
        await tally.add(entry.length, 1)
        await tally.end()
    return {
        "rows": told_differences(found, card(doubt, words), words),
        "pixels": told_pixels(found.pixels, words, found.cut),
        "rest": told_rest(found, words),
    }


@person(Right.DECIDE, active=False)
async def pictured(visit: Visit) -> Response:
    """A small picture of one side, made in the cage."""
    doubt = await visit.site.catalog.doubt(await _grant(visit), visit.id("doubt"))
    side = doubt.left if visit.id("side") == "first" else doubt.right
    opened, entry = await _open(visit, side)
    content = await picture(
        visit.site,
        opened,
        entry,
        max(0, entry.frames // 2),
        viewport=Viewport((THUMBNAIL, THUMBNAIL)),
        quality=_QUALITY,
    )
    tally = visit.reading.tally(opened)
    await tally.add(len(content), 1)
    await tally.end()
    return Response(content, media_type="image/jpeg")


async def _open(visit: Visit, side: Side) -> tuple[Opened, ManifestEntry]:
    """The study of one side, and the instance that stands for it.

    Raises `NotGranted` for whoever sees no pixels, `StudyNotFound`, `InstanceNotFound`.
    """
    if not visit.session.actor.may(Right.READ):
        raise NotGranted("your role does not allow this", hint="ask a physician")
    if not side.study_uid:
        raise InstanceNotFound("there is nothing to look at on this side")
    opened = await visit.reading.open(visit.proof, side.study_uid, PURPOSE, fresh=True, right=Right.DECIDE)
    if side.instance_id:
        return opened, opened.study.listed(side.instance_id)
    entries = opened.study.instances()
    shown = [entry for entry in entries if entry.rows and entry.columns]
    if not shown:
        raise InstanceNotFound("there is no picture on this side")
    return opened, shown[len(shown) // 2]


async def _grant(visit: Visit) -> Grant:
    return await visit.reading.grant(visit.proof, Right.DECIDE, PURPOSE)


def _words(visit: Visit) -> Words:
    return words_of(visit.request, visit.session.actor.language)


def routes() -> list[BaseRoute]:
    """Deciding."""
    return [
        Route("/decide", decide_page, methods=["GET"]),
        Route("/decide/{doubt}", one_page, methods=["GET"]),
        Route("/decide/{doubt}", decide, methods=["POST"]),
        Route("/decide/{doubt}/compared", compared, methods=["GET"]),
        Route("/decide/{doubt}/{side}", pictured, methods=["GET"]),
    ]
