"""Taking a study out of the house, as a folder of Part 10 files or one ZIP file that any viewer opens.

Names are numbers (PS3.10 section 8.2: eight characters of A-Z, 0-9 and _), never anything of a
person; a DICOMDIR says what lies where. What leaves is in clear and out of the house's hands: nothing
that was there is overwritten, and the receipt says what was taken. It is true at each moment, so that
whoever breaks off half way has what was read in the journal all the same.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.archive.fileset import NAME as DIRECTORY
from huisclos.archive.fileset import directory
from huisclos.archive.nouns import Manifest, ManifestEntry, Standing
from huisclos.archive.retrieve import OpenStudy
from huisclos.archive.zipped import Zip, end_length, member_length
from huisclos.dicom.heading import Heading
from huisclos.errors import Conflict, Full, NotFound, SealError, Unreachable, Unreadable

README: Final = "README.TXT"
README_ROOM: Final = 4096
"""Bytes of it, filled up with spaces: how long it is must be known before what it says."""
HELD: Final = 16 * 1024**2
"""Bytes up to which an instance of a ZIP file is read whole before its first byte leaves."""
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class Exported(Struct, frozen=True):
    """One file that was written."""

    name: str
    """Relative to the folder."""
    length: int
    digest: str
    """SHA-256 of the file, hex."""
    standing: Standing


class ExportReceipt(Struct):
    """What was taken out; also the shape of `--json`."""

    files: list[Exported] = msgspec.field(default_factory=list)
    octets: int = 0
    failed: int = 0
    """Instances that did not open as they should: not written."""
    held: int = 0
    """Instances held apart for a decision: not written unless asked for."""
    there: int = 0
    """Of the files, those that an export cut short had written already."""
    read: int = 0
    """Bytes of instances that were opened for it, also of those that were not written to their end."""
    opened: int = 0
    """Instances that were opened for it."""


class Going(Struct, frozen=True):
    """An instance that leaves, and its name on the medium."""

    entry: ManifestEntry
    name: str


def going(manifest: Manifest, *, with_held: bool = False) -> tuple[list[Going], int]:
    """What leaves, in the order of its names, and how many instances are held apart.

    Alternatives in another transfer syntax leave too. The same manifest gives the same names.
    """
    entries = sorted(
        manifest.instances, key=lambda entry: (entry.series_uid, entry.number or 0, entry.received_at)
    )
    wanted = [entry for entry in entries if with_held or entry.standing is not Standing.HELD]
    numbers: dict[str, int] = {}
    named = []
    for place, entry in enumerate(wanted, 1):
        series = numbers.setdefault(entry.series_uid, len(numbers) + 1)
        named.append(Going(entry, f"SE{series:06d}/IM{place:06d}"))
    return named, len(entries) - len(wanted)


def export_study(
    study: OpenStudy,
    to: Path,
    *,
    with_held: bool = False,
    resume: bool = False,
    receipt: ExportReceipt | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> ExportReceipt:
    """Write every instance of `study` under `to`, a folder that is new or empty, and a DICOMDIR.

    `resume`: `to` may hold what an earlier export of this study wrote; that is compared, and left as
    it is. `receipt` is filled as it goes. Raises `Conflict` if the folder holds anything else,
    `Full`, `Unreachable` if it cannot be written, `NotGranted` when the grant is over.
    """
    receipt = receipt or ExportReceipt()
    _make(to, resume=resume)
    wanted, receipt.held = going(study.manifest, with_held=with_held)
    written = []
    for done, one in enumerate(wanted, 1):
        try:
            exported = _write(study, one, to, receipt, resume=resume)
        except (SealError, NotFound):
            receipt.failed += 1
        else:
            receipt.files.append(exported)
            receipt.octets += exported.length
            written.append(one)
        progress(done, len(wanted))
    _write_directory(study, written, to)
    return receipt


class Leaving:
    """A study on its way out as one ZIP file: DICOMDIR media, and a README for whoever opens it.

    `study` may be opened anew on the way, under another grant. `receipt` is filled as it goes;
    `readme` is asked for when all else has left, and told of it. Opening it reads one heading.
    Raises as `OpenStudy.heading`.
    """

    def __init__(self, study: OpenStudy, readme: Callable[[ExportReceipt], str]) -> None:
        self.study = study
        self.receipt = ExportReceipt()
        self._readme = readme
        self._going, self.receipt.held = going(study.manifest)
        self._heading = _heading(study, self._going)
        named = [(one.entry, one.name) for one in self._going]
        self._directory = len(directory(study.manifest, self._heading, named)) if self._heading else 0
        members = [(one.name, one.entry.length, _room(one)) for one in self._going]
        for name, size in ((DIRECTORY, self._directory), (README, README_ROOM)):
            if size:
                members.append((name, size, member_length(name, size, streamed=False)))
        self.length = sum(taken for _, _, taken in members) + end_length(members)
        """Bytes of the file."""

    def pieces(self) -> Iterator[bytes]:
        """The file, in pieces of at most `HELD` bytes.

        An instance up to `HELD` that does not open as it should is left out, and the README says so.
        Of a longer one some has left by then: raises `SealError`, `NotFound`, and always `Locked`,
        `NotGranted`.
        """
        made = Zip(self.length)
        present = []
        for one in self._going:
            try:
                yield from self._member(made, one)
            except _LeftOut:
                self.receipt.failed += 1
                yield from made.gap(_room(one))
            else:
                present.append((one.entry, one.name))
        if self._heading is not None:
            found = directory(self.study.manifest, self._heading, present, length=self._directory)
            yield from made.held(DIRECTORY, found)
        said = self._readme(self.receipt).encode()[:README_ROOM]
        yield from made.held(README, said.ljust(README_ROOM))
        yield from made.end()

    def _member(self, made: Zip, one: Going) -> Iterator[bytes]:
        entry, receipt = one.entry, self.receipt
        digest = hashlib.sha256()
        if entry.length > HELD:
            yield from made.streamed(one.name, entry.length, self._read(entry, digest.update))
        else:
            try:
                content = b"".join(self._read(entry, digest.update))
            except (SealError, NotFound):
                raise _LeftOut from None
            yield from made.held(one.name, content)
        receipt.files.append(Exported(one.name, entry.length, digest.hexdigest(), entry.standing))
        receipt.octets += entry.length

    def _read(self, entry: ManifestEntry, told: Callable[[bytes], None]) -> Iterator[bytes]:
        return _counted(self.study, entry, self.receipt, told)


class _LeftOut(Exception):
    """An instance does not open as it should, and nothing of it has left."""


def _room(one: Going) -> int:
    return member_length(one.name, one.entry.length, streamed=one.entry.length > HELD)


def _counted(
    study: OpenStudy, entry: ManifestEntry, receipt: ExportReceipt, told: Callable[[bytes], None]
) -> Iterator[bytes]:
    """The bytes of an instance, counted as read before anybody has them."""
    pieces = study.read_part10(entry)
    receipt.opened += 1
    for piece in pieces:
        receipt.read += len(piece)
        told(piece)
        yield piece


def _heading(study: OpenStudy, wanted: Iterable[Going]) -> Heading | None:
    """What the instances say of patient and study: the first that can be read. None without any."""
    for one in wanted:
        with contextlib.suppress(SealError, NotFound, Unreadable):
            return study.heading(one.entry)
    return None


def _write(study: OpenStudy, one: Going, to: Path, receipt: ExportReceipt, *, resume: bool) -> Exported:
    """One file, whole or not there: what proves altered, or finds no room, half way is removed again."""
    total = hashlib.sha256()
    path = to / one.name
    pieces = _counted(study, one.entry, receipt, total.update)
    with _told():
        path.parent.mkdir(_FOLDER_MODE, exist_ok=True)
        if resume and path.exists():
            _compare(path, pieces)
            receipt.there += 1
        else:
            _create(path, pieces)
    return Exported(one.name, one.entry.length, total.hexdigest(), one.entry.standing)


def _create(path: Path, pieces: Iterable[bytes]) -> None:
    # what lies under the last name is whole, also if this process is killed: then it can be gone on with
    begun = path.with_name(path.name + ".new")
    begun.unlink(missing_ok=True)
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with contextlib.ExitStack() as undone:
        undone.callback(begun.unlink)
        with os.fdopen(descriptor, "wb") as target:
            for piece in pieces:
                target.write(piece)
        # some media know no links
        if path.exists():
            raise FileExistsError(path.name)
        begun.rename(path)
        undone.pop_all()


def _compare(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("rb") as written:
        for piece in pieces:
            if written.read(len(piece)) != piece:
                raise FileExistsError(path.name)
        if written.read(1):
            raise FileExistsError(path.name)


def _write_directory(study: OpenStudy, written: list[Going], to: Path) -> None:
    heading = _heading(study, written)
    if heading is None:
        return
    content = directory(study.manifest, heading, [(one.entry, one.name) for one in written])
    with _told():
        # only an export gone on with finds one here, its own: what it lists may have grown
        (to / DIRECTORY).unlink(missing_ok=True)
        _create(to / DIRECTORY, [content])


def _make(to: Path, *, resume: bool) -> None:
    with _told():
        to.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        if any(to.iterdir()) and not resume:
            raise Conflict(
                "the folder to export to is not empty",
                hint="name a new one, or go on with an export that was cut short: --resume",
            )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise Conflict("something is in the way of what should be exported; nothing is overwritten") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full("no room is left where the study is exported to") from error
        raise Unreachable("the folder to export to cannot be written") from error
