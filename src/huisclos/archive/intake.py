"""The two ways an instance arrives, as one: bytes in, Part 10 bytes out, the heading on the way.

Over the network comes a bare data set, and the file meta is ours (`NetworkIntake`). By STOW-RS,
upload or import comes a file (`FileIntake`): it is kept byte for byte, and only what old media
left out is put in front, so that what lies sealed is a Part 10 file always (P6). Both are pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, Protocol

from huisclos.dicom.heading import Heading, HeadingReader
from huisclos.dicom.part10 import MAGIC, MAX_META, PREAMBLE, file_meta, read_part10
from huisclos.dicom.uids import TransferSyntax, clean_uid, transfer_syntax
from huisclos.errors import BadIdentifier, NotDicom, TooLarge, Unreadable

MAX_BARE_HEAD: Final = 16 * 1024**2
"""Bytes held back at most while a data set without file meta is read for the UIDs its meta needs."""
_LOOK: Final = MAX_META + 4096
_STEP: Final = 16 * 1024
Piece = bytes | memoryview
"""Some bytes as they come; nothing is copied that need not be kept."""
LATE: Final = 1024**2
"""Bytes that wait to be hashed at most: an instance of the usual size is hashed while the disk works."""
_OF_ITS_OWN: Final = b"huisclos study of its own\0"


class Intake(Protocol):
    """Turns what arrives into a Part 10 file. Raises `NotDicom`, `BadIdentifier`, `TooLarge`."""

    data_set_offset: int
    """Where the data set begins in the file that `push` and `finish` give; true once `heading` is there."""

    @property
    def heading(self) -> Heading | None:
        """As soon as it is complete."""

    @property
    def looked_inside(self) -> bool:
        """False if the heading had to be made up from what came beside the data set."""

    def push(self, piece: Piece) -> Iterator[Piece]:
        """Bytes of the Part 10 file that are ready; a view is gone once the next is asked for."""

    def finish(self) -> Iterator[Piece]:
        """The rest; `heading` is there after it."""

    def digest(self) -> bytes:
        """SHA-256 of the data set, 32 bytes."""

    @property
    def syntax(self) -> TransferSyntax:
        """How the data set is encoded."""


class _DataSet:
    """Reads heading and digest from a data set as it passes; keeps what it cannot read.

    `sop_class` and `sop_instance` are what came beside the data set: if they are there, an
    unreadable data set gets a heading made of them, in a study of its own.
    """

    def __init__(self, syntax: TransferSyntax, sop_class: str, sop_instance: str) -> None:
        self._syntax = syntax
        self._named = (sop_class, sop_instance)
        self._reader: HeadingReader | None = HeadingReader(syntax)
        self._hash = hashlib.sha256()
        self._late: list[bytes] = []
        self._late_length = 0
        self.heading: Heading | None = None
        self.looked_inside = True

    def push(self, piece: bytes) -> None:
        """Take the next bytes; up to `LATE` of them are kept, to be hashed when the digest is asked for."""
        if self._late_length + len(piece) > LATE:
            self._hash_late()
            self._hash.update(piece)
        else:
            self._late.append(piece)
            self._late_length += len(piece)
        self._look(piece)

    def _look(self, piece: Piece) -> None:
        at = 0
        # the heading is over after a few kilobytes: no more is copied for it
        while self._reader is not None and at < len(piece):
            try:
                self._known(self._reader.feed(bytes(piece[at : at + _STEP])))
            except Unreadable as error:
                self._unreadable(error)
            at += _STEP

    def finish(self) -> None:
        if self._reader is not None:
            try:
                self._known(self._reader.finish())
            except Unreadable as error:
                self._unreadable(error)

    def digest(self) -> bytes:
        self._hash_late()
        return self._hash.digest()

    def _hash_late(self) -> None:
        for piece in self._late:
            self._hash.update(piece)
        self._late.clear()

    def _known(self, heading: Heading | None) -> None:
        if heading is not None:
            self.heading, self._reader = heading, None

    def _unreadable(self, error: Unreadable) -> None:
        if not all(self._named):
            raise error
        self.heading, self._reader = _heading_of_its_own(self._syntax, *self._named), None
        self.looked_inside = False


class NetworkIntake:
    """A data set that comes by C-STORE, with the UIDs of its command.

    It is never refused for being unreadable: the UIDs of the command name it. Raises
    `BadIdentifier` at the end if the data set names another instance or class than the command.
    """

    def __init__(self, sop_class: str, sop_instance: str, transfer_syntax_uid: str, calling: str) -> None:
        self._sop_class, self._sop_instance = clean_uid(sop_class), clean_uid(sop_instance)
        if not self._sop_class or not self._sop_instance:
            raise BadIdentifier("the command does not name an instance")
        self._meta = file_meta(self._sop_class, self._sop_instance, transfer_syntax_uid, calling)
        self._begun = False
        self.syntax = transfer_syntax(transfer_syntax_uid)
        self._data = _DataSet(self.syntax, self._sop_class, self._sop_instance)
        self.data_set_offset = len(self._meta)

    @property
    def heading(self) -> Heading | None:
        """See `Intake`."""
        return self._data.heading

    @property
    def looked_inside(self) -> bool:
        """See `Intake`."""
        return self._data.looked_inside

    def push(self, piece: Piece) -> Iterator[Piece]:
        """See `Intake`."""
        if not self._begun:
            self._begun = True
            yield self._meta
        kept = bytes(piece)
        self._data.push(kept)
        yield kept

    def finish(self) -> Iterator[bytes]:
        """See `Intake`."""
        if not self._begun:
            yield self._meta
        self._data.finish()
        heading = self._data.heading
        if heading is None or heading.instance_uid != self._sop_instance:
            raise BadIdentifier("the data set is another instance than its command says")
        if heading.sop_class_uid != self._sop_class:
            raise BadIdentifier("the data set is of another SOP class than its command says")

    def digest(self) -> bytes:
        """See `Intake`."""
        return self._data.digest()


class FileIntake:
    """A file as it lies on a medium or in a request, with or without preamble and file meta."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._data: _DataSet | None = None
        self._bare: _DataSet | None = None
        self._syntax: TransferSyntax | None = None
        self.data_set_offset = 0

    @property
    def heading(self) -> Heading | None:
        """See `Intake`."""
        return self._data.heading if self._data is not None else None

    @property
    def looked_inside(self) -> bool:
        """See `Intake`."""
        return self._data is not None and self._data.looked_inside

    @property
    def syntax(self) -> TransferSyntax:
        """See `Intake`."""
        if self._syntax is None:
            raise NotDicom("this is not a DICOM file")
        return self._syntax

    def push(self, piece: Piece) -> Iterator[Piece]:
        """See `Intake`."""
        if self._data is not None:
            self._data.push(bytes(piece))
            yield piece
        elif self._bare is not None:
            yield from self._hold_back(self._bare, piece)
        elif not self._held and len(piece) >= _LOOK:
            yield from self._look(piece)
        else:
            self._held += piece
            if len(self._held) >= _LOOK:
                yield from self._look(self._taken())

    def finish(self) -> Iterator[Piece]:
        """See `Intake`."""
        if self._data is None and self._bare is None:
            yield from self._look(self._taken())
        if self._bare is not None and self._data is None:
            self._bare.finish()
            yield from self._with_meta(self._bare)
        if self._data is not None:
            self._data.finish()

    def digest(self) -> bytes:
        """See `Intake`."""
        if self._data is None:
            raise NotDicom("this is not a DICOM file")
        return self._data.digest()

    def _taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def _look(self, held: Piece) -> Iterator[Piece]:
        start = read_part10(bytes(held[:_LOOK]))
        self._syntax = start.syntax
        data = _DataSet(start.syntax, clean_uid(start.sop_class_uid), clean_uid(start.sop_instance_uid))
        if start.data_offset == 0:
            self._bare = data
            yield from self._hold_back(data, held)
            return
        missing = _missing_front(bytes(held[: PREAMBLE + len(MAGIC)]))
        self._data, self.data_set_offset = data, len(missing) + start.data_offset
        data.push(bytes(memoryview(held)[start.data_offset :]))
        if missing:
            yield missing
        yield held

    def _hold_back(self, data: _DataSet, piece: Piece) -> Iterator[bytes]:
        """A data set without meta waits until its own UIDs are known."""
        self._held += piece
        data.push(bytes(piece))
        if data.heading is not None:
            yield from self._with_meta(data)
        elif len(self._held) > MAX_BARE_HEAD:
            raise TooLarge("a data set without file meta, whose UIDs do not come within its bound")

    def _with_meta(self, data: _DataSet) -> Iterator[bytes]:
        heading = data.heading
        if heading is None:
            raise NotDicom("this is not a DICOM file")
        meta = file_meta(heading.sop_class_uid, heading.instance_uid, self.syntax.uid, "")
        self._data, self.data_set_offset = data, len(meta)
        yield meta
        held = bytes(self._held)
        self._held.clear()
        yield held


def _missing_front(head: bytes) -> bytes:
    """Preamble and prefix, where a file has its meta and lacks these (PS3.10 section 7.1)."""
    if head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC:
        return b""
    return bytes(PREAMBLE) if head.startswith(MAGIC) else bytes(PREAMBLE) + MAGIC


def _heading_of_its_own(syntax: TransferSyntax, sop_class: str, sop_instance: str) -> Heading:
    """A heading for a data set that cannot be read: a study and a series of its own.

    Their UIDs follow from the instance's, so that the same instance sent again is a duplicate
    and not another study (PS3.5 section B.2: 2.25 and 128 bits).
    """
    return Heading(
        transfer_syntax_uid=syntax.uid,
        specific_character_set="",
        study_uid=_uid_from(b"study\0" + sop_instance.encode()),
        series_uid=_uid_from(b"series\0" + sop_instance.encode()),
        instance_uid=sop_instance,
        sop_class_uid=sop_class,
    )


def _uid_from(seed: bytes) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(_OF_ITS_OWN + seed).digest()[:16], 'big')}"
