"""Finding and looking: the study list, a patient, a study, thumbnails, the way to the viewer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from huisclos.access.chronicle import JournalAsked
from huisclos.access.nouns import Right
from huisclos.archive.nouns import Level, Query, SeriesRow, StudyPage
from huisclos.dicom.charsets import display_name
from huisclos.errors import BadQuery, HuisclosError, InstanceNotFound
from huisclos.web.bodies import read_form
from huisclos.web.dicomweb.rendered import THUMBNAIL, Viewport, picture
from huisclos.web.pages.export import export
from huisclos.web.pages.person import Visit, person
from huisclos.web.pages.sentences import told_lines
from huisclos.web.site import origin_of
from huisclos.web.templating import fragment, page
from huisclos.web.words import Words, words_of

SIZE: Final = 50
"""Studies on one page."""
MAX_TEXT: Final = 200
MAX_OFFSET: Final = 100_000_000
LOOKED: Final = 20
_SHOWN_WITHOUT_IMAGE: Final = frozenset({"SR", "ECG"})
"""What the viewer shows though it has no pixels: it writes reports out, and draws waveforms."""
_SHOWN_OVER_OTHERS: Final = frozenset({"SEG"})
"""What has pixels, and is shown only over the images it was made from."""


@person(Right.LIST)
async def studies(visit: Visit) -> Response:
    """The list, newest first."""
    found = await _find(visit, "", 0)
    return await page(
        visit.request, "studies.html", visit.session,
        found=found, text="", offset=0, size=SIZE, name_of=display_name,
    )  # fmt: skip


@person(Right.LIST)
async def search(visit: Visit) -> Response:
    """What matches the words typed: a piece of the page for its script, else the page."""
    form = await read_form(visit.request)
    text = form.get("text", "").strip()[:MAX_TEXT]
    offset = _offset(form.get("offset", ""))
    found = await _find(visit, text, offset)
    values: dict[str, Any] = {
        "found": found,
        "text": text,
        "offset": offset,
        "size": SIZE,
        "name_of": display_name,
    }
    if visit.piece:
        return fragment(visit.request, "_studies.html", visit.session, **values)
    return await page(visit.request, "studies.html", visit.session, **values)


async def _find(visit: Visit, text: str, offset: int) -> StudyPage:
    grant = await visit.reading.grant(visit.proof, Right.LIST, "list")
    query = Query(Level.STUDY, text=text, fuzzy=True, offset=offset, limit=SIZE)
    try:
        return await visit.site.catalog.studies(grant, query)
    except BadQuery:
        # more words than a search takes: no study has them all
        return StudyPage(0, ())


def _offset(text: str) -> int:
    return min(int(text), MAX_OFFSET) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004


@person(Right.LIST)
async def study(visit: Visit) -> Response:
    """One study: who, when, what, and who has looked."""
    grant = await visit.reading.grant(visit.proof, Right.LIST, "list")
    view = await visit.site.catalog.study(grant, visit.id("study"))
    words = words_of(visit.request, visit.session.actor.language)
    return await page(
        visit.request,
        "study.html",
        visit.session,
        study=view.study,
        series=view.series,
        sex=_sex(view.study.sex, words),
        viewer=visit.site.viewer is not None,
        shown=any(map(_is_shown, view.series)),
        holds=_held(view.series, words),
        looked=await _looked(visit, view.study.study_id),
        name_of=display_name,
    )


def _is_shown(series: SeriesRow) -> bool:
    """Whether the viewer makes anything of a series by itself."""
    if series.modality in _SHOWN_OVER_OTHERS:
        return False
    return bool(series.cover) or series.modality in _SHOWN_WITHOUT_IMAGE


def _held(series: Iterable[SeriesRow], words: Words) -> str:
    """What a study holds that is no image, in words."""
    _ = words.gettext
    named = {
        "RTSTRUCT": _("contours for radiotherapy"),
        "RTPLAN": _("a radiotherapy plan"),
        "RTRECORD": _("a record of radiotherapy"),
        "SEG": _("a segmentation of other images"),
        "PR": _("display settings of other images"),
        "KO": _("a selection of other images"),
        "REG": _("an alignment of other images"),
        "DOC": _("a document"),
    }
    other = _("%(kind)s without images")
    kinds = dict.fromkeys(one.modality for one in series)
    return ", ".join(named.get(kind, other % {"kind": kind or _("data")}) for kind in kinds)


def _sex(code: str, words: Words) -> str:
    _ = words.gettext
    return {"F": _("female"), "M": _("male"), "O": _("other")}.get(code, "")


async def _looked(visit: Visit, study_id: str) -> list[dict[str, object]] | None:
    """The journal's lines on this study, for whoever may know them."""
    if not (visit.session.actor.may(Right.READ) or visit.session.actor.may(Right.JOURNAL)):
        return None
    try:
        read = await visit.site.chronicle.entries(visit.proof, JournalAsked(study_id=study_id, limit=LOOKED))
    except HuisclosError:
        # the page is about the study: that its lines cannot be read does not take it away
        return None
    words = words_of(visit.request, visit.session.actor.language)
    return told_lines(read.lines, words, {study_id: words.gettext("this study")})


@person(Right.LIST)
async def patient(visit: Visit) -> Response:
    """Every study of this one's patient; the address names a study, never a patient."""
    grant = await visit.reading.grant(visit.proof, Right.LIST, "list")
    view = await visit.site.catalog.study(grant, visit.id("study"))
    found = await visit.site.catalog.patient(grant, view.study.study_uid)
    return await page(
        visit.request, "patient.html", visit.session,
        study=view.study, found=found, text="", offset=0, size=1000, name_of=display_name,
        sex=_sex(view.study.sex, words_of(visit.request, visit.session.actor.language)),
    )  # fmt: skip


@person(Right.READ, active=False)
async def thumbnail(visit: Visit) -> Response:
    """A small picture for a series, by random ids alone."""
    opened = await visit.reading.open(visit.proof, visit.id("study"), "thumbnail")
    series_id = visit.id("series")
    series = next((one for one in opened.study.manifest.series if one.series_id == series_id), None)
    if series is None:
        raise InstanceNotFound("the study has no such series")
    entries = opened.study.instances(series.series_uid)
    pictured = [entry for entry in entries if entry.rows and entry.columns] or entries
    if not pictured:
        raise InstanceNotFound("the series has no picture")
    content = await picture(
        visit.site,
        opened,
        pictured[len(pictured) // 2],
        0,
        viewport=Viewport((THUMBNAIL, THUMBNAIL)),
        quality=80,
    )
    tally = visit.reading.tally(opened)
    await tally.add(len(content), 1)
    await tally.end()
    return Response(content, media_type="image/jpeg")


@person(Right.READ)
async def view(visit: Visit) -> Response:
    """Open the viewer on this study: a ticket for its origin, in the fragment, which no server sees.

    The language goes with it: the viewer's origin has no cookie that would tell.
    """
    grant = await visit.reading.grant(visit.proof, Right.LIST, "list")
    found = (await visit.site.catalog.study(grant, visit.id("study"))).study
    ticket = await visit.site.door.begin_viewing(visit.proof, found.study_id, found.study_uid)
    origin = origin_of(visit.request, visit.site.origins.viewer)
    language = words_of(visit.request, visit.session.actor.language).language
    return RedirectResponse(f"{origin}/open#{ticket}.{language}", 303)


def routes() -> list[BaseRoute]:
    """Finding and looking."""
    return [
        Route("/studies", studies, methods=["GET"]),
        Route("/studies/search", search, methods=["POST"]),
        Route("/studies/{study}", study, methods=["GET"]),
        Route("/studies/{study}/patient", patient, methods=["GET"]),
        Route("/studies/{study}/view", view, methods=["POST"]),
        Route("/studies/{study}/export", export, methods=["POST"]),
        Route("/studies/{study}/series/{series}/thumbnail", thumbnail, methods=["GET"]),
    ]
