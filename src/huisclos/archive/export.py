"""Taking a study out of the house, as a folder of Part 10 files that any viewer opens.

Names are numbers (PS3.10 section 8.2: eight characters of A-Z, 0-9 and _), never anything of a
person. What is written is in clear and out of the house's hands: nothing that was there is
overwritten, and the receipt says what was written.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from huisclos.archive.nouns import ManifestEntry, Standing
from huisclos.archive.retrieve import OpenStudy
from huisclos.errors import Conflict, Full, NotFound, SealError, Unreachable

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


def export_study(
    study: OpenStudy,
    to: Path,
    *,
    with_held: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> ExportReceipt:
    """Write every instance of `study` under `to`, a folder that is new or empty.

    Alternatives in another transfer syntax are written too. Raises `Conflict` if the folder holds
    anything, `Full`, `Unreachable` if it cannot be written, `NotGranted` when the grant is over.
    """
    receipt = ExportReceipt()
    _make_empty(to)
    entries = sorted(
        study.manifest.instances, key=lambda entry: (entry.series_uid, entry.number or 0, entry.received_at)
    )
    wanted = [entry for entry in entries if with_held or entry.standing is not Standing.HELD]
    receipt.held = len(entries) - len(wanted)
    numbers: dict[str, int] = {}
    for done, entry in enumerate(wanted, 1):
        series = numbers.setdefault(entry.series_uid, len(numbers) + 1)
        name = f"SE{series:06d}/IM{done:06d}"
        try:
            exported = _write(study, entry, to, name)
        except (SealError, NotFound):
            receipt.failed += 1
        else:
            receipt.files.append(exported)
            receipt.octets += exported.length
        progress(done, len(wanted))
    return receipt


def _write(study: OpenStudy, entry: ManifestEntry, to: Path, name: str) -> Exported:
    """One file, whole or not there: what proves altered, or finds no room, half way is removed again."""
    total = hashlib.sha256()
    path = to / name
    pieces = study.read_part10(entry)
    with _told():
        path.parent.mkdir(_FOLDER_MODE, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with contextlib.ExitStack() as undone:
            undone.callback(path.unlink)
            with os.fdopen(descriptor, "wb") as target:
                for piece in pieces:
                    total.update(piece)
                    target.write(piece)
            undone.pop_all()
    return Exported(name, entry.length, total.hexdigest(), entry.standing)


def _make_empty(to: Path) -> None:
    with _told():
        to.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        if any(to.iterdir()):
            raise Conflict("the folder to export to is not empty", hint="name a new one")


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
