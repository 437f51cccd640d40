"""WADO-RS: studies, series, instances and their metadata (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.nouns import ManifestEntry
from huisclos.dicom.uids import EXPLICIT_LE
from huisclos.errors import InstanceNotFound, UnknownTransferSyntax
from huisclos.web.dicomweb.caller import Caller, caller_of, reading_of
from huisclos.web.dicomweb.media import ANY_SYNTAX, DICOM, Wish, json_media, takes, wishes
from huisclos.web.dicomweb.parts import Part, multipart
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import Opened, Tally, in_thread, pieces

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Asked:
    """What of a study is asked for, found."""

    caller: Caller
    opened: Opened
    entries: list[ManifestEntry]
    tally: Tally

    def url(self, entry: ManifestEntry) -> str:
        """The instance's URL as the caller names it."""
        return f"{self.study_url()}/series/{entry.series_uid}/instances/{entry.sop_instance_uid}"

    def study_url(self) -> str:
        """The study's URL as the caller names it."""
        return f"{self.caller.base}/studies/{self.caller.named(self.opened.state.study_uid)}"


async def find(request: Request) -> Asked:
    """Open the study of the path and find what of it is meant. Raises `NotFound` kinds, `Locked`.

    Lists are made of the newest manifest; a single instance is looked for in what is open, and
    in the newest manifest when it is not there, so that frames cost no further question.
    """
    caller = caller_of(request)
    path = request.path_params
    reading = reading_of(request)
    study_uid = caller.study(path["study"])
    single = "instance" in path
    opened = await reading.open(caller.proof, study_uid, caller.purpose, fresh=not single)
    try:
        entries = _meant(opened, path)
    except InstanceNotFound:
        if not single:
            raise
        opened = await reading.open(caller.proof, study_uid, caller.purpose, fresh=True)
        entries = _meant(opened, path)
    return Asked(caller, opened, entries, reading.tally(opened))


def _meant(opened: Opened, path: Mapping[str, str]) -> list[ManifestEntry]:
    series_uid = path.get("series", "")
    if "instance" in path:
        entry = opened.study.instance(path["instance"])
        if entry.series_uid != series_uid:
            raise InstanceNotFound("the series has no such instance")
        return [entry]
    if series_uid:
        opened.study.series(series_uid)
    entries = opened.study.instances(series_uid)
    if not entries:
        raise InstanceNotFound("nothing of this can be retrieved")
    return entries


async def retrieve(request: Request) -> Response:
    """Instances as Part 10 files: one as it is or in parts, several in parts."""
    asked = await find(request)
    single = "instance" in request.path_params
    for wish in wishes(request):
        if not takes(wish, DICOM):
            continue
        # a bare `*/*` of a browser or curl for one instance gets the file; the Standard's default is parts
        if single and not wish.multipart and wish.media == DICOM:
            _check_syntax(wish, asked.entries)
            return await _file(asked)
        if wish.multipart or wish.media == "*/*":
            _check_syntax(wish, asked.entries)
            return await _files(asked)
    raise NotAcceptable(
        "instances are given as DICOM files", hint='multipart/related; type="application/dicom"'
    )


def _check_syntax(wish: Wish, entries: list[ManifestEntry]) -> None:
    """Instances are given as they were sent: what asks for another transfer syntax is told so.

    Without a transfer-syntax parameter an instance comes as it is stored, in the syntax its part
    names (section 8.7.3.5.2 lets an origin server keep what it cannot change without loss).
    """
    if wish.syntax in ("", ANY_SYNTAX):
        return
    if any(entry.transfer_syntax != wish.syntax for entry in entries):
        raise UnknownTransferSyntax(
            "these instances are not held in that transfer syntax",
            hint=f"ask for transfer-syntax=*, or for frames in {EXPLICIT_LE}",
        )


@dataclass(frozen=True)
class _FilePart:
    """One Part 10 file."""

    asked: Asked
    entry: ManifestEntry

    @property
    def media(self) -> str:
        """With the transfer syntax it is in."""
        return f"{DICOM};transfer-syntax={self.entry.transfer_syntax}"

    @property
    def location(self) -> str:
        """The instance's own URL."""
        return self.asked.url(self.entry)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, unsealed piece by piece."""
        tally = self.asked.tally
        await tally.add(0, 1)
        opened = await in_thread(lambda: self.asked.opened.study.read_part10(self.entry))
        async for piece in pieces(opened):
            yield piece
            await tally.add(len(piece))


async def _file(asked: Asked) -> Response:
    part = _FilePart(asked, asked.entries[0])
    # opened here once more, so that what is wrong with it is an error and not a broken body
    await in_thread(lambda: asked.opened.study.read_part10(part.entry))
    headers = {"Content-Type": part.media, "Content-Length": str(part.entry.length)}
    return StreamingResponse(told(part.pieces(), asked.tally), headers=headers)


async def _files(asked: Asked) -> Response:
    await in_thread(lambda: asked.opened.study.read_part10(asked.entries[0]))

    async def parts() -> AsyncIterator[Part]:
        for entry in asked.entries:
            yield _FilePart(asked, entry)

    response = multipart(parts(), DICOM)
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


async def told(body: object, tally: Tally) -> AsyncIterator[bytes]:
    """A body after whose end, or break, the vault knows what was read."""
    try:
        async for piece in body:  # type: ignore[attr-defined]
            yield piece
    finally:
        await tally.end()


async def metadata(request: Request) -> Response:
    """The DICOM JSON of a study, a series or an instance, as it is read."""
    media = json_media(request)
    asked = await find(request)
    study, base = asked.opened.study, asked.study_url()
    if "instance" in request.path_params:
        text = await in_thread(lambda: study.instance_metadata(asked.entries[0], base))
        await asked.tally.add(len(text), 1)
        await asked.tally.end()
        return Response(b"[" + asked.caller.told(text) + b"]", media_type=media)
    series_uid = request.path_params.get("series", "")
    blocking = await in_thread(lambda: study.metadata(base, series_uid))
    first = await in_thread(lambda: next(blocking))

    async def body() -> AsyncIterator[bytes]:
        yield first
        await asked.tally.add(0, len(asked.entries))
        async for piece in pieces(blocking):
            yield asked.caller.told(piece)
            await asked.tally.add(len(piece))

    return StreamingResponse(told(body(), asked.tally), media_type=media)
