"""`huisclos import`, `huisclos export`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith
from huisclos.errors import SealError, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from huisclos.archive.export import ExportReceipt
    from huisclos.archive.importing import Imported, ImportReceipt
    from huisclos.wiring.connection import House

NOT_OURS: Final = frozenset({"this is not a DICOM file", "a link is not followed"})
"""Reasons for leaving a file out that are no failure: media hold viewers, pictures and notes as well."""


def import_(
    archive: ArchiveFolder,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Folders, files, zip files, DICOMDIR media.")
    ],
    json: AsJson = False,
    unlock_with: UnlockWith = None,
) -> int:
    """Take in DICOM files, folders, zip files and media.

    Begin it again to go on where it was cut short. What is here already is not written twice. While
    the archive is locked, what is taken in waits, sealed. Files that are not DICOM are left out,
    which is no failure; the exit code is 5 if a DICOM file was refused.

    \b
    Example:
      huisclos import /srv/images /media/cdrom
    """
    receipt = take_in(archive, paths, unlock_with)
    refused = refusals(receipt)
    if json:
        output.document(receipt)
    else:
        print_receipt(receipt, len(refused))
    for one in refused:
        output.say(f"refused: {output.one_line(one.name)}: {one.refusal}")
    return Unreadable.exit_code if refused else 0


def take_in(
    archive: Path,
    paths: list[Path],
    unlock_with: str | None,
    told: Callable[[Imported], None] = lambda _: None,
) -> ImportReceipt:
    """Everything at `paths`, with progress; unlocked if a passphrase is named, else as the house stands.

    `told` hears of each file as it is done.
    """
    from huisclos.access.nouns import ActorKind, Source
    from huisclos.archive.importing import import_paths
    from huisclos.archive.receive import Receiver
    from huisclos.cli.house import meet_finder_if_open, unlocked_if_named

    source = Source(ActorKind.CONSOLE, "console", "import")

    async def work(house: House) -> ImportReceipt:
        await meet_finder_if_open(house)
        done = 0
        with output.progress("importing") as step:

            def report(one: Imported) -> None:
                nonlocal done
                done += 1
                told(one)
                step(done, 0)

            receiver = Receiver(house.store, house.catalog, house.keeper)
            return await import_paths(paths, receiver, source, report=report)

    return unlocked_if_named(archive, work, unlock_with)


def refusals(receipt: ImportReceipt) -> list[Imported]:
    """What was refused and is a failure."""
    return [one for one in receipt.refused if one.refusal not in NOT_OURS]


def export(
    archive: ArchiveFolder,
    study: Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder, new or empty, for the files in clear.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an export of this study that was cut short.")
    ] = False,
    json: AsJson = False,
    unlock_with: UnlockWith = None,
) -> int:
    """Write a study in clear, as DICOM files with a DICOMDIR.

    A folder that any viewer opens. That it was asked for is in the journal before the first byte is
    read, and what was read is there however the export ends. With --resume, files that are there
    already are compared, and the others written. Ends with exit code 6 if an instance did not open
    as it should: that one is not written.

    \b
    Example:
      huisclos export /srv/images --study 1.2.826.0.1.3680043.8.498.1 --to /media/usb/study
    """
    from huisclos.cli.house import unlocked
    from huisclos.cli.taking import take_out

    async def work(house: House) -> ExportReceipt:
        return await take_out(house, study, to, resume=resume)

    receipt = unlocked(archive, work, unlock_with)
    if json:
        output.document(receipt)
    else:
        for file in receipt.files:
            output.data(f"{file.digest}  {file.name}")
    output.say(
        f"{output.number(len(receipt.files), 'file')}, {output.size(receipt.octets)}, in clear in {to}."
    )
    if receipt.there:
        output.say(f"{output.number(receipt.there, 'file')} of these had been written before.")
    if receipt.held:
        output.say(f"{output.number(receipt.held, 'instance')} held apart for a decision: not written.")
    if receipt.failed:
        output.complain(
            f"{output.number(receipt.failed, 'instance')} did not open as it should",
            f"see: huisclos verify {quote(str(archive))}",
        )
        return SealError.exit_code
    return 0


def print_receipt(receipt: ImportReceipt, refused: int) -> None:
    """The receipt on stdout."""
    output.data(f"files         {receipt.files}")
    output.data(f"stored        {receipt.stored}, {output.size(receipt.octets)}")
    output.data(f"here already  {receipt.duplicates}")
    if receipt.alternatives:
        output.data(f"alternatives  {receipt.alternatives}")
    if receipt.held:
        output.data(f"to decide     {receipt.held}")
    if receipt.batched:
        output.data(f"wait sealed   {receipt.batched}, until the archive is unlocked")
    output.data(f"not DICOM     {len(receipt.refused) - refused}")
    output.data(f"refused       {refused}")
    output.data(f"digest        {receipt.digest}")
