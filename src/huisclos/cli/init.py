"""`huisclos init`."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, UnlockWith
from huisclos.errors import NoSecret, Usage

_TRIES = 3


def init(
    archive: ArchiveFolder,
    holder: Annotated[
        str, typer.Option(metavar="NAME", help="Whose passphrase it is. [your login name]")
    ] = "",
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="F", help="File with the passphrase in its first line.")
    ] = None,
    recovery_file: Annotated[
        Path | None,
        typer.Option(
            metavar="F", help="New file, outside ARCHIVE, for the recovery key: an AGE-SECRET-KEY-1... line."
        ),
    ] = None,
    objects: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the sealed objects, best on the large disk."),
    ] = None,
    unlock_with: UnlockWith = None,
) -> None:
    """Make a new archive in a folder that is empty or not there yet.

    On a terminal a passphrase is made up, shown, and asked back. Otherwise it comes from
    --passphrase-file, or from the file that HUISCLOS_PASSPHRASE_FILE names. Whoever loses the
    passphrase needs the recovery key: keep it on paper, and prove it with `huisclos recovery confirm`.

    \b
    Example:
      huisclos init /srv/images --recovery-file /media/usb/recovery.txt
    """
    from huisclos.cli.founding import check_free, found_archive
    from huisclos.seal import X25519Identity
    from huisclos.vault.create import Opener
    from huisclos.vault.users import check_name

    holder = check_name(holder or getpass.getuser())
    check_free(archive)
    passphrase = _passphrase(archive, passphrase_file, unlock_with, holder)
    recovery = X25519Identity.generate()
    made = found_archive(
        archive, Opener(passphrase, holder), recovery=recovery, recovery_file=recovery_file, objects=objects
    )
    output.data(str(made.root))
    output.say(f"A new archive, opened by {holder}.")
    if recovery_file is None:
        output.say(
            f"Next: print its recovery card: huisclos recovery card {quote(str(archive))} --pdf card.pdf"
        )
        output.say(f"and prove that you can read it: huisclos recovery confirm {quote(str(archive))}")
    else:
        output.say(f"The recovery key is in {recovery_file}: move it away from this machine.")
        key = quote(str(recovery_file))
        output.say(f"Next: huisclos recovery confirm {quote(str(archive))} --recovery-file {key}")
    output.say(f"Then: huisclos serve {quote(str(archive))}")


def _passphrase(root: Path, file: Path | None, unlock_with: str | None, holder: str) -> str:
    from huisclos.access.passwords import check_password
    from huisclos.seal import tidy_passphrase
    from huisclos.wiring.secrets import VARIABLE, read_secret, read_secret_file

    if file is not None:
        secret: str | None = read_secret_file(file, root)
    elif unlock_with == "tty" or (
        unlock_with is None and not os.environ.get(VARIABLE) and sys.stdin.isatty()
    ):
        return _agree(holder)
    else:
        secret = read_secret(unlock_with, root)
    if secret is None:
        raise NoSecret(
            "a new archive needs a passphrase, and there is no terminal to agree on one",
            hint=f"--passphrase-file F, or set {VARIABLE}",
        )
    secret = tidy_passphrase(secret)
    check_password(secret, names=(holder,))
    return secret


def _agree(holder: str) -> str:
    """Show a passphrase and ask it back; or take one of the person's own."""
    from huisclos.access.passwords import check_password
    from huisclos.seal import generate_passphrase, tidy_passphrase
    from huisclos.wiring.secrets import ask

    offered = generate_passphrase()
    if sys.stdin.isatty():
        output.say(f"A passphrase for {holder}, made up for you. Write it down now:\n\n  {offered}\n")
    for _ in range(_TRIES):
        typed = tidy_passphrase(ask("Type it back, or leave it empty to choose your own"))
        if typed == offered:
            return offered
        if typed:
            output.say("That is not what is written above.")
            continue
        own = tidy_passphrase(ask("Your own passphrase"))
        try:
            check_password(own, names=(holder,))
        except Usage as error:
            output.tell(error)
            continue
        if tidy_passphrase(ask("The same again")) == own:
            return own
        output.say("These are not the same.")
    raise NoSecret("no passphrase was agreed on; nothing was made")
