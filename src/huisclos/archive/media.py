"""What lies on the media people bring: folders, zip files, DICOMDIR (PS3.10, PS3.12).

Everything is read as a stream and nothing is unpacked to disk. Names found inside are shown to the
person who asked and used for nothing else; what a DICOMDIR refers to is opened only below the
DICOMDIR's own folder, whatever it says (CVE-2026-32711 is a reference that leads out of it).
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from msgspec import Struct

from huisclos.dicom.part10 import MAX_META, read_part10
from huisclos.dicom.walk import walk
from huisclos.errors import HuisclosError, NotDicom, TooLarge, Unreadable

MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage: the SOP class of a DICOMDIR (PS3.4 annex B)."""
MAX_MEMBERS: Final = 1_000_000
"""Members of one zip file at most."""
MAX_RATIO: Final = 200
"""Unpacked bytes for each packed one, over `FREE`: images do not shrink like that, bombs do."""
FREE: Final = 64 * 1024**2
MAX_DIRECTORY: Final = 256 * 1024**2
"""Bytes of a DICOMDIR at most."""
_REFERENCE: Final = 0x00041500
"""ReferencedFileID (PS3.3 section F.3.2.2)."""
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_LONGEST_REFERENCE: Final = 8 * 17
"""Eight components (PS3.10 section 8.2), each twice as long as allowed, for media that are generous."""
_DICOMDIR: Final = "DICOMDIR"
_ENCRYPTED: Final = 0x1
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, RuntimeError, ValueError,
    IndexError, OverflowError,
)  # fmt: skip
"""What the library raises over a zip file that lies: places beyond 64 bits, a member without a name..."""
_PIECE: Final = 256 * 1024
_OPENING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class Item(Struct, frozen=True):
    """One thing to take in, or the reason why it is not."""

    name: str
    """As the person named it; shown to them, kept nowhere."""
    pieces: Callable[[], Iterator[bytes]] | None
    """Its bytes, piece by piece; raises `Unreadable`."""
    refusal: str = ""
    """Why it is not taken; empty if it is."""


def items(paths: list[Path]) -> Iterator[Item]:
    """All that lies at the paths a person named, in a steady order. A link they name is followed.

    Begin to read an item before asking for the next: a zip file is closed behind its last member.
    """
    for path in paths:
        if path.is_dir():
            yield from _folder(path)
        else:
            yield from _named(path)


def _folder(folder: Path) -> Iterator[Item]:
    closed: list[OSError] = []
    for at, folders, names in os.walk(folder, onerror=closed.append):
        folders.sort()
        for name in sorted(names):
            path = Path(at) / name
            if path.is_symlink():
                yield Item(str(path), None, "a link is not followed")
            else:
                yield from _file(path, follow_directory=False)
    for error in closed:
        yield Item(str(error.filename), None, "the folder cannot be read")


def _named(path: Path) -> Iterator[Item]:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        yield Item(str(path), None, "there is nothing at this path")
        return
    yield from _file(real, name=str(path), follow_directory=True)


def _file(path: Path, *, name: str = "", follow_directory: bool) -> Iterator[Item]:
    shown = name or str(path)
    try:
        with _opened(path) as source:
            first = source.read(MAX_META + 4096)
    except OSError:
        yield Item(shown, None, "it cannot be read")
    except Unreadable as error:
        yield Item(shown, None, error.message)
    else:
        if first.startswith(_ZIP):
            yield from _zip(path, shown)
        elif not _is_directory(first):
            yield Item(shown, lambda: _pieces(path))
        elif follow_directory:
            yield from _referenced(path, shown)


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path) as source:
            while piece := source.read(_PIECE):
                yield piece
    except OSError:
        raise NotDicom("it cannot be read") from None


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    """A file opened for reading; never a pipe, a device, or a link that took its place."""
    descriptor = os.open(path, _OPENING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotDicom("it is no ordinary file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _is_directory(first: bytes) -> bool:
    try:
        return read_part10(first).sop_class_uid == MEDIA_DIRECTORY
    except HuisclosError:
        return False


def _zip(path: Path, shown: str) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                yield Item(shown, None, f"a zip file of more than {MAX_MEMBERS} members")
                return
            for member in members:
                if not member.is_dir() and PurePosixPath(member.filename).name.upper() != _DICOMDIR:
                    yield _member(archive, member, f"{shown}/{member.filename}")
    except _DAMAGED:
        yield Item(shown, None, "the zip file is damaged")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shown: str) -> Item:
    if member.flag_bits & _ENCRYPTED:
        return Item(shown, None, "it is encrypted")
    return Item(shown, lambda: _unpacked(archive, member))


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    given = 0
    most = max(FREE, member.compress_size * MAX_RATIO)
    try:
        with archive.open(member) as source:
            while piece := source.read(_PIECE):
                if not given and piece.startswith(_ZIP):
                    raise NotDicom("a zip file within a zip file is not opened")
                given += len(piece)
                if given > most:
                    raise TooLarge("it unpacks to far more than an image does")
                yield piece
    except _DAMAGED:
        raise NotDicom("it does not unpack") from None


def _referenced(path: Path, shown: str) -> Iterator[Item]:
    """The files a DICOMDIR refers to, below its own folder only."""
    root = path.parent
    try:
        references = _references(path)
    except HuisclosError:
        yield Item(shown, None, "the DICOMDIR cannot be read")
        return
    for parts in references:
        found = _below(root, parts)
        name = f"{root}/{'/'.join(parts)}"
        if found is None:
            yield Item(name, None, "the DICOMDIR refers to a file that is not below its folder")
        else:
            yield from _file(found, name=name, follow_directory=False)


def _references(path: Path) -> list[list[str]]:
    with _opened(path) as source:
        content = source.read(MAX_DIRECTORY + 1)
    if len(content) > MAX_DIRECTORY:
        raise TooLarge(f"a DICOMDIR of more than {MAX_DIRECTORY} bytes")
    start = read_part10(content[: MAX_META + 4096])
    data = content[start.data_offset :]
    values = [
        data[element.offset : element.offset + element.length]
        for element in walk(data, start.syntax)
        if element.tag == _REFERENCE and element.length <= _LONGEST_REFERENCE
    ]
    texts = dict.fromkeys(value.decode("ascii", "replace").strip(" \0") for value in values)
    return [[part.strip(" ") for part in text.split("\\")] for text in texts if text]


def _below(root: Path, parts: list[str]) -> Path | None:
    """The file that a reference names; None unless it is an ordinary one below `root`.

    Each component is looked up among the names that are there, upper or lower case, with or
    without ISO 9660's version number: nothing in it is ever handed to the system as a path.
    """
    at = root
    for part in parts:
        try:
            names = {path.name.split(";")[0].rstrip(".").upper(): path for path in at.iterdir()}
        except OSError:
            return None
        found = names.get(part.upper())
        if found is None or found.is_symlink():
            return None
        at = found
    return at if at.is_file() else None
