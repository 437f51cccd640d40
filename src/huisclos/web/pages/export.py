"""Taking a study out of the house: one ZIP file, unsealed as it leaves (P1) under a grant to export (P9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from starlette.responses import Response, StreamingResponse

from huisclos.access.nouns import Right
from huisclos.archive.export import ExportReceipt, Leaving
from huisclos.clock import timestamp
from huisclos.web.pages.person import Visit, person
from huisclos.web.reading import Opened, in_thread
from huisclos.web.words import Words, words_of

NAME: Final = "huisclos-images.zip"
"""What a browser keeps it under: nothing of a person, and the same for all."""
_LEFT: Final = 1.0
"""Seconds before a grant's end at which another is asked for; the vault gives none before."""


# no right is named here: who may not is refused by the vault, which also writes it down
@person()
async def export(visit: Visit) -> Response:
    """The study as DICOMDIR media in a ZIP file. Refused, and journalled, without the right to export."""
    opened = await _opened(visit)
    words = words_of(visit.request, visit.session.actor.language)
    leaving = await in_thread(lambda: Leaving(opened.study, lambda receipt: readme(receipt, words)))
    headers = {
        "Content-Type": "application/zip",
        "Content-Disposition": f'attachment; filename="{NAME}"',
        "Content-Length": str(leaving.length),
    }
    return StreamingResponse(_streamed(visit, opened, leaving), headers=headers)


async def _opened(visit: Visit) -> Opened:
    return await visit.reading.open(visit.proof, visit.id("study"), Right.EXPORT.value, fresh=True)


async def _streamed(visit: Visit, opened: Opened, leaving: Leaving) -> AsyncGenerator[bytes, None]:
    """The file's pieces; each is counted before it leaves, and what was read is told however it ends."""
    tally, receipt, blocking = visit.reading.tally(opened), leaving.receipt, leaving.pieces()
    octets = instances = 0
    try:
        while (piece := await in_thread(lambda: next(blocking, None))) is not None:
            await tally.add(receipt.read - octets, receipt.opened - instances)
            octets, instances = receipt.read, receipt.opened
            yield piece
            if opened.key.grant.until - timestamp() <= _LEFT:
                await tally.end()
                opened = await _opened(visit)
                leaving.study, tally = opened.study, visit.reading.tally(opened)
    finally:
        await tally.end()


def readme(receipt: ExportReceipt, words: Words) -> str:
    """What whoever opens the file reads, in the language of whoever took it out."""
    _ = words.gettext
    count = len(receipt.files)
    lines = [
        _("Medical images"),
        "",
        words.ngettext("%(num)s file, in DICOM format.", "%(num)s files, in DICOM format.", count)
        % {"num": words.number(count)},
        _("They are named by numbers. The file DICOMDIR says which is which: open it with a DICOM viewer."),
        "",
        _("These images are not sealed any more: whoever has this file can look at them."),
        _("Keep it as you keep a medical record, send it only sealed, and delete it when it has served."),
    ]
    if receipt.failed:
        missing = words.ngettext(
            "%(num)s image is missing: it did not open as it should.",
            "%(num)s images are missing: they did not open as they should.",
            receipt.failed,
        )
        lines += ["", missing % {"num": words.number(receipt.failed)}]
    if receipt.held:
        apart = words.ngettext(
            "%(num)s image is held apart until somebody decides, and is not here.",
            "%(num)s images are held apart until somebody decides, and are not here.",
            receipt.held,
        )
        lines += ["", apart % {"num": words.number(receipt.held)}]
    return "\r\n".join([*lines, ""])
