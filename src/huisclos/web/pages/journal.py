"""The journal, as sentences, filtered by who, about whom and when."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.chronicle import JournalAsked
from huisclos.access.nouns import Right
from huisclos.errors import BadQuery, HuisclosError
from huisclos.web.bodies import read_form
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.pages.sentences import told_lines
from huisclos.web.templating import fragment, page
from huisclos.web.words import Words, words_of

SIZE: Final = 100
MAX_OFFSET: Final = 100_000_000
MAX_TEXT: Final = 200
NOBODY: Final = "-"
_ISO_DAY: Final = re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])")


@person(Right.JOURNAL)
async def journal_page(visit: Visit) -> Response:
    """The newest entries."""
    head = await visit.site.chronicle.head(visit.proof)
    values = await _entries(visit, {})
    return await page(visit.request, "journal.html", visit.session, head=head, **values)


@person(Right.JOURNAL)
async def entries(visit: Visit) -> Response:
    """The entries of a choice: a piece of the page for its script, else the page."""
    values = await _entries(visit, dict(await read_form(visit.request)))
    if visit.piece:
        return fragment(visit.request, "_journal.html", visit.session, **values)
    head = await visit.site.chronicle.head(visit.proof)
    return await page(visit.request, "journal.html", visit.session, head=head, **values)


async def _entries(visit: Visit, form: dict[str, str]) -> dict[str, Any]:
    words = words_of(visit.request, visit.session.actor.language)
    since, until = _day(form.get("day", ""), words)
    text = form.get("offset", "0")
    offset = min(int(text), MAX_OFFSET) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004
    about = form.get("patient", "").strip()[:MAX_TEXT]
    study_ids = await _about(visit, about) if about else ()
    asked = JournalAsked(form.get("actor", ""), "", since, until, offset, SIZE, study_ids)
    read = await visit.site.chronicle.entries(visit.proof, asked)
    studies = await _studies(visit, tuple({line.study_id for line in read.lines if line.study_id}))
    return {
        "lines": told_lines(read.lines, words, studies),
        "actors": read.actors,
        "total": read.total,
        "offset": offset,
        "size": SIZE,
        "chosen": {"actor": form.get("actor", ""), "patient": about, "day": form.get("day", "")},
    }


async def _about(visit: Visit, text: str) -> tuple[str, ...]:
    """The studies that these words find, by their random ids; one that nobody has where they find none."""
    grant = await visit.reading.grant(visit.proof, Right.JOURNAL, "journal")
    try:
        return await visit.site.catalog.found_by(grant, text) or (NOBODY,)
    except BadQuery:
        return (NOBODY,)


async def _studies(visit: Visit, study_ids: tuple[str, ...]) -> dict[str, str]:
    """Short descriptions, for whoever may know of studies; without them the sentences say "a study"."""
    if not study_ids:
        return {}
    try:
        grant = await visit.reading.grant(visit.proof, Right.JOURNAL, "journal")
        known = await visit.site.catalog.resolve(grant, study_ids)
    except HuisclosError:
        return {}
    words = words_of(visit.request, visit.session.actor.language)
    return {study_id: _said(said, words) for study_id, said in known.items()}


def _said(said: str, words: Words) -> str:
    """A study in a sentence: first whose it is, or that nobody knows; its day as its reader writes it."""
    nameless = not said or _ISO_DAY.match(said)
    whole = ", ".join(filter(None, (words.gettext("No name"), said))) if nameless else said
    return _ISO_DAY.sub(lambda day: words.dicom_date(day[0].replace("-", "")), whole)


def _day(text: str, words: Words) -> tuple[float, float]:
    try:
        return words.midnight(text), words.midnight(text, 1)
    except ValueError:
        return 0.0, 0.0


@person(Right.JOURNAL)
async def verify(visit: Visit) -> Response:
    """Verify the whole chain now; the page then says what was found."""
    await visit.site.chronicle.verify(visit.proof)
    return see("/journal")


def routes() -> list[BaseRoute]:
    """The journal."""
    return [
        Route("/journal", journal_page, methods=["GET"]),
        Route("/journal/entries", entries, methods=["POST"]),
        Route("/journal/verify", verify, methods=["POST"]),
    ]
