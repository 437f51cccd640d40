"""What the house will not settle by itself: one card per doubt, side by side, with undo."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right
from huisclos.archive.nouns import Choice, DoubtKind
from huisclos.dicom.charsets import display_name
from huisclos.errors import BadQuery
from huisclos.web.bodies import read_form
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of


@person(Right.DECIDE)
async def decide_page(visit: Visit) -> Response:
    """Open cards, then what was decided."""
    grant = await visit.reading.grant(visit.proof, Right.DECIDE, "decide")
    words = words_of(visit.request, visit.session.actor.language)
    listed = await visit.site.catalog.doubts(grant)
    settled = await visit.site.catalog.doubts(grant, decided=True)
    return await page(
        visit.request,
        "decide.html",
        visit.session,
        open=[doubt for doubt in listed if doubt.decided is None],
        decided=[doubt for doubt in settled if doubt.decided is not None],
        titles=_titles(words),
        explained=_explained(words),
        choices=_choices(words),
        name_of=display_name,
    )


@person(Right.DECIDE)
async def decide(visit: Visit) -> Response:
    """Settle one, or undo."""
    chosen = (await read_form(visit.request)).get("choice", "")
    try:
        choice = Choice(chosen) if chosen else None
    except ValueError:
        raise BadQuery("this is not one of the choices") from None
    grant = await visit.reading.grant(visit.proof, Right.DECIDE, "decide")
    await visit.site.keeper.deciding(visit.proof, choice)
    await visit.site.catalog.decide(grant, visit.id("doubt"), choice)
    return see("/decide")


def _titles(words: Words) -> dict[DoubtKind, str]:
    _ = words.gettext
    return {
        DoubtKind.SAME_UID_OTHER_CONTENT: _("Two images claim to be the same one"),
        DoubtKind.SAME_ID_OTHER_PERSON: _("One patient number, two persons"),
        DoubtKind.NOT_LOOKED_INSIDE: _("An image that could not be looked into"),
        DoubtKind.QUARANTINE: _("Sent by a machine that is not approved yet"),
        DoubtKind.UNATTESTED: _("An image the archive does not remember accepting"),
    }


def _explained(words: Words) -> dict[DoubtKind, str]:
    _ = words.gettext
    return {
        DoubtKind.SAME_UID_OTHER_CONTENT: _(
            "They have the same number and other content: a correction, or an error of the machine. "
            "The first answers until you decide; the other is kept apart."
        ),
        DoubtKind.SAME_ID_OTHER_PERSON: _(
            "The same patient number came with another name, birth date or sex. "
            "They are kept as two patients until you decide."
        ),
        DoubtKind.NOT_LOOKED_INSIDE: _(
            "It is built in a way no machine should build one. It is kept sealed, exactly as it came."
        ),
        DoubtKind.QUARANTINE: _(
            "It is kept apart and not found by searches until an owner approves the sender."
        ),
        DoubtKind.UNATTESTED: _(
            "It lies among the sealed objects, and neither manifest nor journal mentions it."
        ),
    }


def _choices(words: Words) -> dict[Choice, str]:
    _ = words.gettext
    return {
        Choice.KEEP_FIRST: _("The first answers"),
        Choice.KEEP_SECOND: _("The second answers"),
        Choice.SAME_PERSON: _("The same person"),
        Choice.OTHER_PERSON: _("Two persons"),
        Choice.ACCEPT: _("Accept it"),
        Choice.LEAVE: _("Leave it as it is"),
    }


def routes() -> list[BaseRoute]:
    """Deciding."""
    return [
        Route("/decide", decide_page, methods=["GET"]),
        Route("/decide/{doubt}", decide, methods=["POST"]),
    ]
