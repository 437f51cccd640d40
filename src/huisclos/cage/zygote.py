"""The warmed process from which each job's cage is forked (P8).

It imports and tries every decoder on pictures of its own, gives up all it can, and then only
passes sockets on: what is asked, and the object, go straight from the asker to the child. A
child costs a fork instead of a second of imports, serves one job, and ends.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from huisclos import confine
from huisclos.cage.jobs import BEGUN, JPEG, LENGTH, MAX_JOB, MAX_OBJECT, PNG, Failed, Job, Outcome
from huisclos.cage.picture import Array, answer
from huisclos.cage.rewrite import Piece
from huisclos.cage.transcode import transcoded
from huisclos.clock import steady

CONTROL: Final = 3
"""The file descriptor of the control socket: each message is one job's socket."""
CPU_SECONDS: Final = 20
WALL_SECONDS: Final = 30
MEMORY: Final = 1536 * 1024**2
"""Bytes of address space a job may take beyond what the warmed process has."""
JOBS: Final = max(os.cpu_count() or 1, 2)
"""Children at once; further jobs wait in the control socket."""
_NOBODY: Final = 65534
_CHUNK: Final = 1024**2
_DENIED: Final = (
    *confine.EXEC,
    *confine.SPY,
    *confine.NETWORK,
    *confine.KERNEL,
    *confine.IDENTITY,
    *confine.FILES,
)


@dataclass(slots=True)
class _Child:
    pid: int
    watch: int
    """A descriptor that is ready when it has ended."""
    line: int
    """Its job's socket: hangs up when the asker has gone."""
    until: float


def main(control: int = CONTROL) -> None:
    """Serve until no asker is left."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _give_up()
    gc.collect()
    gc.freeze()
    Zygote(control, pages * os.sysconf("SC_PAGE_SIZE") + MEMORY).serve()


def warm() -> None:
    """Run each decoder and encoder once: later there is nothing left to import, and no file in reach."""
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    for syntax in (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless):
        _try(_sample(grey, "MONOCHROME2", syntax))
    colour = np.zeros((32, 32, 3), np.uint8)
    for syntax in (ExplicitVRLittleEndian, JPEGBaseline8Bit):
        _try(_sample(colour, "RGB", syntax))


def _try(part10: bytes) -> None:
    for media in (JPEG, PNG):
        answer(Job("picture", 0, (2000.0, 4000.0, "LINEAR"), (16, 16), media), part10)
    answer(Job("thumbnail", 0), part10)
    answer(Job("samples", 0), part10)
    transcoded(part10, ExplicitVRLittleEndian)


def _sample(pixels: Array, photometric: str, syntax: UID) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, UID("2.25.1")
    set_pixel_data(dataset, pixels, photometric, pixels.dtype.itemsize * 8, generate_instance_uid=False)
    if syntax == JPEGBaseline8Bit:
        coded = BytesIO()
        Image.fromarray(pixels).save(coded, "JPEG")
        dataset.PixelData = encapsulate([coded.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _give_up() -> None:
    """All that neither this process nor its children need; none of it can be taken back."""
    os.environ.clear()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    confine.no_core()
    confine.non_dumpable()
    confine.no_new_privs()
    confine.landlock(connect_tcp=(), bind_tcp=(), scope_signals=True)
    confine.seccomp_deny(_DENIED)


class Zygote:
    """Forks a child for each socket that comes over the control socket, and ends those that overrun."""

    def __init__(self, control: int, memory: int) -> None:
        self._control = socket.socket(fileno=control)
        self._memory = memory
        self._children: list[_Child] = []

    def serve(self) -> None:
        """Serve until no asker is left; then end what still runs."""
        while True:
            ready = self._wait()
            for child in list(self._children):
                self._look_after(child, ready)
            if self._control.fileno() in ready and not self._begin():
                break
        for child in list(self._children):
            self._end(child)

    def _wait(self) -> set[int]:
        """The descriptors something happened on; none if a child's time is over."""
        poll = select.poll()
        if len(self._children) < JOBS:
            poll.register(self._control, select.POLLIN)
        for child in self._children:
            poll.register(child.watch, select.POLLIN)
            poll.register(child.line, 0)
        first = min((child.until for child in self._children), default=None)
        wait = None if first is None else max(first - steady(), 0) * 1000 + 1
        return {descriptor for descriptor, _ in poll.poll(wait)}

    def _look_after(self, child: _Child, ready: set[int]) -> None:
        # Gone, nobody there to be answered, or over its time.
        if child.watch in ready or child.line in ready or steady() >= child.until:
            self._end(child)

    def _end(self, child: _Child) -> None:
        try:
            os.kill(child.pid, signal.SIGKILL)
        finally:
            os.waitpid(child.pid, 0)
            os.close(child.watch)
            os.close(child.line)
            self._children.remove(child)

    def _begin(self) -> bool:
        """Fork a child for the next job; false when no asker is left."""
        message, lines, _, _ = socket.recv_fds(self._control, 16, 1)
        if not message:
            return False
        for line in lines:
            pid = os.fork()
            if pid == 0:
                _be_the_cage(line, self._memory)
            watch = os.pidfd_open(pid)
            self._children.append(_Child(pid, watch, line, steady() + WALL_SECONDS))
        return True


def _be_the_cage(line: int, memory: int) -> NoReturn:
    """In the child: give up the rest, do the one job, end. Whatever goes wrong ends the process too."""
    try:
        confine.die_with_parent(signal.SIGKILL)
        confine.close_all_but(line)
        confine.limit(memory=memory, cpu_seconds=CPU_SECONDS, file_bytes=0, open_files=line + 1, processes=0)
        mechanisms = confine.describe()
        mechanisms["seccomp"] = confine.seccomp_allow(confine.COMPUTE)
        _write(line, BEGUN)
        outcome, pieces = _done(line, mechanisms)
        _write(line, bytes([outcome]))
        for piece in pieces:
            _write(line, piece)
    finally:
        os._exit(0)


def _done(line: int, mechanisms: dict[str, bool]) -> tuple[Outcome, Sequence[Piece]]:
    try:
        (length,) = LENGTH.unpack(_read(line, LENGTH.size))
        job = Job.decoded(_read(line, min(length, MAX_JOB)))
        if job.kind == "describe":
            return Outcome.DONE, [json.dumps(mechanisms).encode()]
        content = _read(line, MAX_OBJECT)
        if job.kind == "transcode":
            return Outcome.DONE, transcoded(content, job.syntax)
        return Outcome.DONE, [answer(job, content)]
    except Failed as failed:
        return failed.outcome, ()
    except MemoryError:
        return Outcome.TOO_LARGE, ()


def _read(line: int, most: int) -> bytes:
    """Up to `most` bytes, fewer only at the end."""
    pieces, left = [], most
    while left:
        piece = os.read(line, min(left, _CHUNK))
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _write(line: int, content: Piece) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(line, view[:_CHUNK]) :]
