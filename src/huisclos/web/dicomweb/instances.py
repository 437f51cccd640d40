"""WADO-RS: studies, series and instances as Part 10 files (PS3.18 section 10.4).

Each instance is given in the first transfer syntax of those asked for that it can be given in: as it
is stored, or in Explicit VR Little Endian, made in the cage. What cannot be given is told, before
the first byte where that is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from huisclos.archive.hands import by_hand
from huisclos.archive.nouns import ManifestEntry
from huisclos.archive.retrieve import LONGEST_PIECE
from huisclos.dicom.native import can_be_native
from huisclos.dicom.uids import EXPLICIT_LE, transfer_syntax
from huisclos.errors import HuisclosError, TooLarge, UnknownTransferSyntax, Unreadable
from huisclos.web.dicomweb.caller import reading_of, site_of_service
from huisclos.web.dicomweb.media import ANY_SYNTAX, DICOM, Wish, takes, wishes
from huisclos.web.dicomweb.parts import Announced, Part, in_pieces, multipart
from huisclos.web.dicomweb.retrieve import Asked, find, told
from huisclos.web.problems import NotAcceptable
from huisclos.web.reading import Reading, in_thread, pieces
from huisclos.web.site import Site

AHEAD: Final = 2 * 1024**2
"""Bytes unsealed by a thread at one time: to send for it costs 0.1 ms, as much as to unseal 200 KB."""
MOST_AHEAD: Final = 64
"""Instances begun with at one time."""
FEW: Final = 16
"""Answers under way up to which they are read ahead: hundreds, to slow clients, would hold gigabytes."""
_HINT: Final = f"transfer-syntax=* gives what is stored; {EXPLICIT_LE} is made of most"


@dataclass(frozen=True)
class _Way:
    """How one instance is given."""

    entry: ManifestEntry
    transcoded: bool
    stored: bool
    """As it is stored; after `transcoded`, when that fails."""


async def retrieve(request: Request) -> Response:
    """Instances as Part 10 files: one alone or in parts, several in parts."""
    asked = await find(request)
    giving = _Giving(asked, site_of_service(request), reading_of(request))
    refused: Unreadable | None = None
    for in_parts, syntaxes in _forms(wishes(request), single="instance" in request.path_params).items():
        ways = [way for entry in asked.entries if (way := _way(entry, syntaxes))]
        try:
            if not ways:
                raise UnknownTransferSyntax("this is not held in that transfer syntax", hint=_HINT)
            return await (giving.files(ways) if in_parts else giving.file(ways[0]))
        except (UnknownTransferSyntax, TooLarge) as error:
            refused = refused or error
    raise refused or NotAcceptable(
        "instances are given as DICOM files", hint='multipart/related; type="application/dicom"'
    )


def _forms(wanted: Sequence[Wish], *, single: bool) -> dict[bool, list[str]]:
    """Whether in parts, and in which transfer syntaxes, best first."""
    found: dict[bool, list[str]] = {}
    for wish in wanted:
        # a bare `*/*` of a browser or curl gets the Standard's default, which is parts
        in_parts = wish.multipart or wish.media == "*/*"
        if takes(wish, DICOM) and (in_parts or single):
            found.setdefault(in_parts, []).append(wish.syntax)
    return found


def _way(entry: ManifestEntry, syntaxes: Sequence[str]) -> _Way | None:
    """How an instance is given to whom takes `syntaxes`, best first; None if it cannot be.

    Named none, it is Explicit VR Little Endian, but for what is held in lossy compressed form only
    (section 8.7.3): that is given as it is stored, and so is what cannot be decoded.
    """
    held = transfer_syntax(entry.transfer_syntax)
    able = can_be_native(held.uid, entry.length)
    transcoded = False
    for syntax in syntaxes:
        if syntax in (ANY_SYNTAX, held.uid) or (syntax == "" and (held.uid == EXPLICIT_LE or held.lossy)):
            return _Way(entry, transcoded, stored=True)
        transcoded = transcoded or (able and syntax in ("", EXPLICIT_LE))
        if syntax == "":
            return _Way(entry, transcoded, stored=True)
    return _Way(entry, transcoded, stored=False) if transcoded else None


def _media_of(entry: ManifestEntry) -> str:
    return f"{DICOM};transfer-syntax={entry.transfer_syntax}"


@dataclass(frozen=True)
class _StoredPart:
    """One Part 10 file as it is stored, its first piece unsealed."""

    asked: Asked
    entry: ManifestEntry
    first: bytes
    rest: Iterator[bytes]
    """Blocks."""

    @property
    def media(self) -> str:
        """With the transfer syntax it is in."""
        return _media_of(self.entry)

    @property
    def location(self) -> str:
        """The instance's own URL."""
        return self.asked.url(self.entry)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file, unsealed piece by piece."""
        tally = self.asked.tally
        self.asked.opened.study.check()  # it was read before, and the archive may be locked by now
        await tally.add(len(self.first), 1)
        yield self.first
        if len(self.first) < self.entry.length:
            async for piece in pieces(self.rest):
                await tally.add(len(piece))
                yield piece


@dataclass(frozen=True)
class _MadePart:
    """One Part 10 file that the cage made."""

    asked: Asked
    entry: ManifestEntry
    content: bytes
    media: str = f"{DICOM};transfer-syntax={EXPLICIT_LE}"

    @property
    def location(self) -> str:
        """The instance's own URL."""
        return self.asked.url(self.entry)

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """The file."""
        await self.asked.tally.add(len(self.content), 1)
        for piece in in_pieces(self.content):
            yield piece


@dataclass(frozen=True)
class _Giving:
    """One answer in the making."""

    asked: Asked
    site: Site
    reading: Reading

    async def file(self, way: _Way) -> Response:
        """One instance as the body. Raises `UnknownTransferSyntax`, `TooLarge`."""
        part = await self._part(way, stored=way.stored)
        length = len(part.content) if isinstance(part, _MadePart) else part.entry.length
        headers = {"Content-Type": part.media, "Content-Length": str(length)}
        return StreamingResponse(told(part.pieces(), self.asked.tally), headers=headers)

    async def files(self, ways: Sequence[_Way]) -> Response:
        """Instances in parts, one at a time; 206 if some are left out (section 10.4.3, table 10.4.3-1)."""
        count = len(self.asked.entries)
        # an instance that turns out broken among others is given as stored: no image goes missing in silence
        begun = await self._some(ways, stored=ways[0].stored or count > 1)

        async def parts() -> AsyncIterator[Part]:
            ready, rest = begun, ways[len(begun) :]
            with self.reading.sending():
                while ready:
                    ahead = self._ahead(rest)
                    try:
                        for part in ready:
                            yield part
                        ready = await (ahead or self._some(rest, stored=True))
                        rest = rest[len(ready) :]
                    finally:
                        if ahead is not None:
                            ahead.cancel()
                            ahead.add_done_callback(_looked_at)

        # made in the cage, an instance has another length, which is known when it is made
        announced = (
            () if any(way.transcoded for way in ways) else [self._announced(way.entry) for way in ways]
        )
        response = multipart(parts(), DICOM, announced)
        if len(ways) < count:
            response.status_code = 206
            left = f"{count - len(ways)} of {count} instances are not held in that transfer syntax"
            response.headers["Warning"] = f'299 - "{left}"'
        response.body_iterator = told(response.body_iterator, self.asked.tally)
        return response

    def _ahead(self, rest: Sequence[_Way]) -> asyncio.Task[Sequence[_StoredPart | _MadePart]] | None:
        """The next are read while others are sent; what the cage makes is whole in memory, one at a time."""
        if not rest or rest[0].transcoded or not self._few:
            return None
        return asyncio.create_task(self._some(rest, stored=True))

    @property
    def _few(self) -> bool:
        return self.reading.answers <= FEW

    def _announced(self, entry: ManifestEntry) -> Announced:
        return Announced(_media_of(entry), self.asked.url(entry), entry.length)

    async def _part(self, way: _Way, *, stored: bool) -> _StoredPart | _MadePart:
        """As the first of `_some`."""
        return (await self._some([way], stored=stored))[0]

    async def _some(self, ways: Sequence[_Way], *, stored: bool) -> Sequence[_StoredPart | _MadePart]:
        """The next instances, ready to be sent: what is wrong is an error here and not a broken body.

        One that the cage makes, or as many of those given as stored as are worth a thread's attention.
        """
        if not ways:
            return []
        if ways[0].transcoded:
            entry = ways[0].entry
            try:
                return [_MadePart(self.asked, entry, await self._made(entry))]
            except Unreadable as error:
                if not stored:
                    kind = TooLarge if isinstance(error, TooLarge) else UnknownTransferSyntax
                    raise kind(error.message, hint=_HINT) from None
            return await self._begun([entry])
        return await self._begun(_together(ways, AHEAD if self._few else 0))

    async def _begun(self, entries: Sequence[ManifestEntry]) -> Sequence[_StoredPart]:
        def begin() -> list[_StoredPart]:
            parts: list[_StoredPart] = []
            for entry in entries:
                try:
                    rest = self.asked.opened.study.read_part10(entry)
                    parts.append(_StoredPart(self.asked, entry, next(rest, b""), rest))
                except HuisclosError:
                    # asked for again when it is its turn: those before it are sent
                    if not parts:
                        raise
                    break
            return parts

        # a hand is there and back in a quarter of the time of a thread of the framework's
        return await by_hand(self.site.receiver.executor, begin)

    async def _made(self, entry: ManifestEntry) -> bytes:
        study = self.asked.opened.study
        async with self.reading.whole:
            whole = await in_thread(lambda: b"".join(study.read_part10(entry)))
            return await self.site.renderer.transcode(whole, transfer_syntax=EXPLICIT_LE)


def _together(ways: Sequence[_Way], most: int) -> list[ManifestEntry]:
    """The entries of the next instances given as stored, of which `most` bytes are begun with, or one."""
    entries: list[ManifestEntry] = []
    octets = 0
    for way in ways:
        octets += min(way.entry.length, LONGEST_PIECE)
        if way.transcoded or (entries and (octets > most or len(entries) == MOST_AHEAD)):
            break
        entries.append(way.entry)
    return entries


def _looked_at(task: asyncio.Task[Sequence[_StoredPart | _MadePart]]) -> None:
    """What was read ahead for a client that went away leaves no unheard error."""
    if not task.cancelled():
        task.exception()
