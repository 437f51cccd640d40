"""Asking the cage: what the faces of the house hold of it. Imports no decoder."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import huisclos
from huisclos.cage.jobs import (
    BEGUN,
    JPEG,
    MAX_OBJECT,
    MAX_PICTURE,
    MAX_SAMPLES,
    MIDDLE,
    PNG,
    Job,
    Outcome,
    failure,
)
from huisclos.dicom.native import MAX_WHOLE
from huisclos.errors import TooLarge, Unreachable, Usage

AT_ONCE: Final = 4
"""Jobs one face has under way; more wait their turn."""
WAIT_SECONDS: Final = 45
"""From asking to the picture; the cage itself ends a job sooner."""
THUMBNAIL: Final = (256, 256)
_CONTROL: Final = 3
_MANY: Final = 65536
_HEAD: Final = 2
_PIECE: Final = 1024**2
_RETRY: Final = 0.01
_MAX_DESCRIPTION: Final = 4096
_BEGINS: Final = {JPEG: b"\xff\xd8\xff", PNG: b"\x89PNG\r\n\x1a\n"}
_FILE: Final = bytes(128) + b"DICM"
"""A transcoded file's beginning: an empty preamble, so that nothing made in the cage runs elsewhere."""
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""All there is in the zygote's environment: no thread may run beside the fork."""


def spawn_zygote() -> tuple[int, socket.socket]:
    """Start the warmed process; its pid, for the supervisor to wait on, and the control socket.

    The socket may be inherited by any number of faces: what they send does not mix. It is a new
    program, not a fork of the caller, so nothing the caller holds is in it. It ends when every
    copy of the socket is closed. Jobs sent before it is warm (about a second) wait.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = os.posix_spawn(
            sys.executable,
            _program(),
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CONTROL),
            ],
        )
    finally:
        theirs.close()
    return pid, ours


def become_zygote(control: socket.socket) -> NoReturn:
    """Turn this process into the warmed one, answering on `control`: for a process forked for it alone."""
    os.dup2(control.fileno(), _CONTROL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.closerange(_CONTROL + 1, min(os.sysconf("SC_OPEN_MAX"), _MANY))
    os.execve(sys.executable, _program(), _ENVIRONMENT)  # noqa: S606 - our own interpreter, an empty environment


def _program() -> list[str]:
    source = str(Path(huisclos.__file__).parents[1])
    program = f"import sys; sys.path.insert(0, {source!r}); from huisclos.cage.zygote import main; main()"
    return [sys.executable, "-I", "-c", program]


class Cage:
    """One face's way to the cage, over the control socket of a zygote (the port is `archive.ports.Renderer`).

    Every method raises `UnknownTransferSyntax` for what nobody here decodes, `InstanceNotFound`
    for a frame that is not there, `TooLarge` over a bound of size or time, another `Unreadable` for
    objects without a picture and broken ones, `Unreachable` when the zygote is gone.
    """

    def __init__(self, control: socket.socket, *, at_once: int = AT_ONCE) -> None:
        control.setblocking(False)
        self._control = control
        self._turns = asyncio.Semaphore(at_once)

    async def render(
        self,
        part10: bytes,
        *,
        frame: int = 0,
        window: tuple[float, float, str] | None = None,
        size: tuple[int, int] | None = None,
        media: str = JPEG,
        quality: int = 90,
        region: tuple[float, float, float, float] | None = None,
    ) -> bytes:
        """A JPEG or PNG of one frame, from 0, of a whole object or of a frame cut out of one.

        `window` is centre, width and VOI LUT function, by default what the image says; `size` the width and
        height to fit into; `region` left, top, width and height of the part shown, in the image's pixels.
        """
        if media not in _BEGINS:
            raise Usage(f"pictures are {' or '.join(_BEGINS)}")
        return await self._picture(Job("picture", frame, window, size, media, quality, region), part10)

    async def thumbnail(
        self, part10: bytes, *, frame: int = MIDDLE, size: tuple[int, int] = THUMBNAIL, quality: int = 80
    ) -> bytes:
        """A small JPEG, by default of the middle frame."""
        return await self._picture(Job("thumbnail", frame, None, size, JPEG, quality), part10)

    async def decode_frame(self, part10: bytes, *, frame: int = 0) -> bytes:
        """The samples of one frame, little endian: grey as stored, colour as RGB, samples together."""
        return await self._ask(Job("samples", frame), part10, MAX_SAMPLES)

    async def transcode(self, part10: bytes, *, transfer_syntax: str) -> bytes:
        """See `archive.ports.Renderer`."""
        if len(part10) > MAX_WHOLE:
            raise failure(Outcome.TOO_LARGE)
        file = await self._ask(Job("transcode", 0, syntax=transfer_syntax), part10, MAX_WHOLE)
        if not file.startswith(_FILE):
            raise failure(Outcome.BROKEN)
        return file

    async def describe(self) -> dict[str, bool]:
        """Which mechanisms keep a job apart, as a child found them (`confine.separation` sums them up)."""
        found = json.loads(await self._ask(Job("describe", 0), b"", _MAX_DESCRIPTION))
        return {str(name): value is True for name, value in found.items()}

    async def _picture(self, job: Job, part10: bytes) -> bytes:
        picture = await self._ask(job, part10, MAX_PICTURE)
        if not picture.startswith(_BEGINS[job.media]):
            raise failure(Outcome.BROKEN)
        return picture

    async def _ask(self, job: Job, part10: bytes, most: int) -> bytes:
        if len(part10) > MAX_OBJECT:
            raise failure(Outcome.TOO_LARGE)
        async with self._turns:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    return await self._asked(job, part10, most)
            except TimeoutError:
                raise TooLarge("the picture took longer than the cage gives it") from None

    async def _asked(self, job: Job, part10: bytes, most: int) -> bytes:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            ours.setblocking(False)
            with theirs:
                await self._hand_over(theirs)
            loop = asyncio.get_running_loop()
            # A child may answer, or end, before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                await loop.sock_sendall(ours, job.encoded())
                await loop.sock_sendall(ours, part10)
                ours.shutdown(socket.SHUT_WR)
            return await self._answer(loop, ours, most)

    async def _hand_over(self, line: socket.socket) -> None:
        while True:
            try:
                socket.send_fds(self._control, [b"job"], [line.fileno()])
            except BlockingIOError:
                await asyncio.sleep(_RETRY)
            except OSError:
                raise Unreachable("the cage is away") from None
            else:
                return

    @staticmethod
    async def _answer(loop: asyncio.AbstractEventLoop, ours: socket.socket, most: int) -> bytes:
        answer = bytearray()
        with suppress(ConnectionResetError):
            while piece := await loop.sock_recv(ours, _PIECE):
                answer += piece
                if len(answer) > most + _HEAD:
                    raise failure(Outcome.TOO_LARGE)
        if not answer.startswith(BEGUN):
            raise Unreachable("the cage is away")
        outcome = answer[1] if len(answer) >= _HEAD else Outcome.BROKEN
        if outcome != Outcome.DONE:
            raise failure(outcome)
        return bytes(memoryview(answer)[_HEAD:])
