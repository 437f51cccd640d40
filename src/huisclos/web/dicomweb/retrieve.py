"""WADO-RS: what of a study is asked for, and its metadata (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.nouns import ManifestEntry
from huisclos.errors import InstanceNotFound
from huisclos.web.dicomweb.caller import Caller, caller_of, reading_of
from huisclos.web.dicomweb.media import json_media
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
        await asked.tally.add(len(first), len(asked.entries))
        yield first
        async for piece in pieces(blocking):
            await asked.tally.add(len(piece))
            yield asked.caller.told(piece)

    return StreamingResponse(told(body(), asked.tally), media_type=media)
