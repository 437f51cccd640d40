"""`huisclos recovery`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, RecoveryFile, UnlockWith
from huisclos.errors import BadSetting, NoSecret

if TYPE_CHECKING:
    from huisclos.access.gate import RecoveryKey
    from huisclos.wiring.connection import House
    from huisclos.wiring.places import Archive

app = typer.Typer(no_args_is_help=True)


@app.command("confirm")
def confirm(archive: ArchiveFolder, recovery_file: RecoveryFile = None) -> None:
    """Prove that the recovery key is at hand: from then on the archive may listen beyond loopback.

    Works locked: the key itself opens the archive. Without --recovery-file, on a terminal, its words
    are asked for.

    \b
    Example:
      huisclos recovery confirm /srv/images --recovery-file /media/usb/recovery.txt
    """
    from huisclos.cli.house import as_it_stands
    from huisclos.wiring.secrets import ask, read_secret_file

    if recovery_file is None and not sys.stdin.isatty():
        raise NoSecret("the recovery key is needed", hint="--recovery-file F")
    typed = (
        read_secret_file(recovery_file, archive)
        if recovery_file is not None
        else ask("The words of the card")
    )

    async def work(house: House) -> None:
        await house.console.confirm_recovery(typed)

    as_it_stands(archive, work)
    output.say("The recovery key is right, and confirmed. Put it back where nobody but you finds it.")


@app.command("card")
def card(
    archive: ArchiveFolder,
    pdf: Annotated[Path, typer.Option(metavar="F", help="New file for the card, outside ARCHIVE.")],
    lang: Annotated[str, typer.Option(metavar="fr|en", help="Its language. [that of the system]")] = "",
    recovery_file: RecoveryFile = None,
    unlock_with: UnlockWith = None,
) -> None:
    """Make the card to print: the key as words and as QR code, and what to do when all is lost.

    One page of A4. Takes the key from the unlocked archive, or from --recovery-file. Print it, keep it
    in a safe, and delete the file.

    \b
    Example:
      huisclos recovery card /srv/images --pdf /media/usb/card.pdf --lang fr
    """
    from huisclos import clock
    from huisclos.cli.card import render_card
    from huisclos.cli.files import check_outside, write_new
    from huisclos.cli.house import unlocked
    from huisclos.wiring.places import find_archive

    found = find_archive(archive)
    check_outside(pdf, found.root, "the recovery card")
    if lang not in {"", "fr", "en"}:
        raise BadSetting("--lang is fr or en")

    async def work(house: House) -> RecoveryKey:
        return await house.console.recovery_key()

    key = (
        _from_file(recovery_file, found)
        if recovery_file is not None
        else unlocked(archive, work, unlock_with)
    )
    today = clock.now().astimezone().date()
    write_new(pdf, render_card(key, str(found.root), today, lang or output.language_of_system()))
    output.data(str(pdf))
    output.say("Print it, put it in a safe, and delete the file: whoever has this page opens the archive.")


def _from_file(recovery_file: Path, archive: Archive) -> RecoveryKey:
    """The key of the file, once it was found to open this archive. Raises `WrongPassphrase`."""
    from huisclos.errors import WrongPassphrase
    from huisclos.vault.holders import Holders
    from huisclos.vault.recovery import read_typed, shown
    from huisclos.wiring.secrets import read_secret_file

    identity = read_typed(read_secret_file(recovery_file, archive.root))
    try:
        Holders(archive.store).open(str(identity))
    except WrongPassphrase:
        raise WrongPassphrase("this is not the recovery key of this archive") from None
    return shown(identity)
