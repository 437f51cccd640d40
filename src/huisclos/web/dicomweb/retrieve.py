"""WADO-RS: what of a study is asked for, and its metadata (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.nouns import ManifestEntry
from huisclos.dicom.values import Json
from huisclos.dicom.xml import to_xml
from huisclos.errors import InstanceNotFound
from huisclos.web.dicomweb.caller import Caller, caller_of, reading_of
from huisclos.web.dicomweb.media import XML, data_set_media
from huisclos.web.dicomweb.parts import Part, WrittenPart, begun, multipart
from huisclos.web.reading import Opened, Tally, in_thread

_T = TypeVar("_T")


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
    """The DICOM JSON of a study, a series or an instance, as it is read; or its XML, an instance a part."""
    media = data_set_media(request)
    asked = await find(request)
    if media == XML:
        return await _in_xml(asked, request.path_params)
    study, base, look = asked.opened.study, asked.study_url(), asked.opened.pace.look
    if "instance" in request.path_params:
        text = await look(
            lambda: study.instance_metadata(asked.entries[0], base), gone=request.is_disconnected
        )
        await asked.tally.add(len(text), 1)
        await asked.tally.end()
        return Response(b"[" + asked.caller.told(text) + b"]", media_type=media)
    series_uid = request.path_params.get("series", "")
    blocking = await in_thread(lambda: study.metadata(base, series_uid))
    first = await look(lambda: next(blocking), gone=request.is_disconnected)

    async def body() -> AsyncIterator[bytes]:
        await asked.tally.add(len(first), len(asked.entries))
        yield first
        while (piece := await look(lambda: next(blocking, None))) is not None:
            await asked.tally.add(len(piece))
            yield asked.caller.told(piece)

    return StreamingResponse(told(body(), asked.tally), media_type=media)


async def _in_xml(asked: Asked, path: Mapping[str, str]) -> Response:
    async def written() -> AsyncIterator[Part]:
        async for entry, text in described(asked, path, to_xml):
            await asked.tally.add(len(text), 1)
            yield WrittenPart(XML, f"{asked.url(entry)}/metadata", text)

    parts = await begun(written())
    if parts is None:
        raise InstanceNotFound("nothing of this can be retrieved")
    response = multipart(parts, XML)
    response.body_iterator = told(response.body_iterator, asked.tally)
    return response


async def described(
    asked: Asked, path: Mapping[str, str], made: Callable[[Json], _T]
) -> AsyncIterator[tuple[ManifestEntry, _T]]:
    """What is `made` of the DICOM JSON of each instance that is meant, in the order of the metadata.

    It is made where the JSON was read, which may be a hundred times as large, and is not held for anybody.
    """
    by_uid = {asked.caller.named(entry.sop_instance_uid): entry for entry in asked.entries}
    runs = _runs(asked, path)

    def some() -> list[tuple[str, _T]] | None:
        run = next(runs, None)
        return [(model[_INSTANCE_UID]["Value"][0], made(model)) for model in run] if run is not None else None

    while (run := await asked.opened.pace.look(some)) is not None:
        for uid, one in run:
            yield by_uid[uid], one


_INSTANCE_UID = "00080018"


def _runs(asked: Asked, path: Mapping[str, str]) -> Iterator[list[Json]]:
    study, base = asked.opened.study, asked.study_url()
    if "instance" in path:
        found = iter([study.instance_metadata(asked.entries[0], base)])
    else:
        found = study.metadata_runs(base, path.get("series", ""))
    for run in found:
        yield msgspec.json.decode(b"[" + asked.caller.told(run) + b"]")
