"""`huisclos user`, `huisclos token`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.access.nouns import Role
from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, UnlockWith, end_of_day, words_of_list

if TYPE_CHECKING:
    from huisclos.vault.console import Added
    from huisclos.wiring.connection import House

users = typer.Typer(no_args_is_help=True)
tokens = typer.Typer(no_args_is_help=True)

_WAITS = (
    "It waits for an owner, since the archive is locked: decide on the page People, or give --unlock-with."
)


@users.callback()
def _users() -> None:
    pass


@tokens.callback()
def _tokens() -> None:
    pass


@users.command("add")
def add_user(
    archive: ArchiveFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the person is called.")],
    role: Annotated[Role, typer.Option(metavar="|".join(Role), help="What the person is in the practice.")],
    password_file: Annotated[
        Path | None, typer.Option(metavar="F", help="File with the password in its first line.")
    ] = None,
    unlock_with: UnlockWith = None,
) -> None:
    """Add a person. Without --password-file, a password is made and printed once.

    A password made here is to be handed over and changed at the first log in. Asked while the archive
    is locked, the request is recorded as pending and has no effect until an owner approves it: the
    exit code is 0, and nothing is printed on stdout.

    \b
    Example:
      huisclos user add /srv/images "Anne Martin" --role physician
    """
    from huisclos.cli.house import unlocked_if_named
    from huisclos.wiring.secrets import read_secret_file

    password = read_secret_file(password_file, archive) if password_file is not None else ""

    async def work(house: House) -> Added:
        return await house.console.add_user(name, role, password)

    added = unlocked_if_named(archive, work, unlock_with)
    if added.invitation is not None:
        output.data(added.invitation.password)
        output.say("This password is shown once; it must be changed at the first log in.")
    output.say(_WAITS if added.pending else f"Added, as {role}.")


@tokens.command("add")
def add_token(
    archive: ArchiveFolder,
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose it is; it never may more than they do.")],
    may: Annotated[str, typer.Option(metavar="LIST", help="Of read, store.")],
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Its last day.")],
    label: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    unlock_with: UnlockWith = None,
) -> None:
    """Make a token for DICOMweb: `Authorization: Bearer TOKEN`. Prints it once, alone on stdout.

    Asked while the archive is locked, it is recorded as pending: the token is printed, and opens
    nothing until an owner approves it. The exit code is 0.

    \b
    Example:
      huisclos token add /srv/images --user "Anne Martin" --may read,store --until 2027-12-31
    """
    from huisclos.access.nouns import Right
    from huisclos.cli.house import unlocked_if_named

    rights = words_of_list(may, Right, "--may")
    end = end_of_day(until)

    async def work(house: House) -> Added:
        return await house.console.add_token(user, label, rights, end)

    added = unlocked_if_named(archive, work, unlock_with)
    if added.token is not None:
        output.data(added.token.secret)
        output.say("This token is shown once.")
    if added.pending:
        output.say(_WAITS)
