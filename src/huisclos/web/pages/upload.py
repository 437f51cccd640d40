"""Adding images from a browser: each file streams into the seal, nothing of it lies on disk in clear (P1)."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right, Source
from huisclos.errors import Full, HuisclosError, NotDicom, StoreError, TooLarge
from huisclos.web.bodies import PartBegun, boundary_of, events, parse_media
from huisclos.web.depositing import deposit_body, deposit_parts
from huisclos.web.pages.person import Visit, person
from huisclos.web.problems import status_of
from huisclos.web.site import Site
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of


@person(Right.STORE)
async def upload_page(visit: Visit) -> Response:
    """Where files are dropped."""
    return await page(visit.request, "upload.html", visit.session, tally=None)


@person(Right.STORE)
async def upload(visit: Visit) -> Response:
    """One file, as the page's script sends it: the body is the file."""
    source = await visit.site.keeper.stored_by(visit.proof)
    try:
        received = await deposit_body(visit.request, visit.site.receiver, source)
    except HuisclosError as error:
        words = words_of(visit.request, visit.session.actor.language)
        return JSONResponse({"outcome": "refused", "reason": reason(error, words)}, status_of(error))
    return JSONResponse({"outcome": received.outcome.value})


def reason(error: HuisclosError, words: Words) -> str:
    """Why a file was not kept, for its person."""
    _ = words.gettext
    if isinstance(error, NotDicom):
        return _("This is not a DICOM file.")
    if isinstance(error, TooLarge):
        return _("It is larger than the archive takes.")
    if isinstance(error, Full):
        return _("The disk of the archive is full.")
    if isinstance(error, StoreError):
        return _("The archive could not keep it now. Try again.")
    return _("It could not be read.")


@person(Right.STORE)
async def upload_form(visit: Visit) -> Response:
    """Several files, for a browser without scripts."""
    source = await visit.site.keeper.stored_by(visit.proof)
    counts = await _form(visit.request, visit.site, source)
    tally = {
        "stored": counts["stored"] + counts["alternative"] + counts["held"],
        "duplicate": counts["duplicate"],
        "refused": counts["refused"],
    }
    return await page(visit.request, "upload.html", visit.session, tally=tally)


async def _form(request: Request, site: Site, source: Source) -> Counter[str]:
    counts: Counter[str] = Counter()
    body = events(request, boundary_of(request.headers.get("content-type", "")))
    async for outcome in deposit_parts(body, _is_file, site.receiver, source):
        counts["refused" if isinstance(outcome, HuisclosError) else outcome.outcome.value] += 1
    return counts


def _is_file(part: PartBegun) -> bool:
    _, about = parse_media(part.headers.get("content-disposition", ""))
    return bool(about.get("filename"))


def routes() -> list[BaseRoute]:
    """Adding images."""
    return [
        Route("/upload", upload_page, methods=["GET"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/upload/form", upload_form, methods=["POST"]),
    ]
