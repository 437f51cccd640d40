"""`huisclos user`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huisclos.access.nouns import Role
from huisclos.cli import output
from huisclos.cli.options import WAITS, ArchiveFolder, AsJson, UnlockWith

if TYPE_CHECKING:
    from huisclos.access.people import User
    from huisclos.vault.console import Added
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)

Named = Annotated[
    str, typer.Argument(metavar="NAME", help="The person's name, or the id that `user list` shows.")
]
NewRole = Annotated[Role, typer.Option(metavar="|".join(Role), help="What the person is in the practice.")]
PasswordFile = Annotated[
    Path | None, typer.Option(metavar="F", help="File with the password in its first line.")
]


@app.command("add")
def add_user(
    archive: ArchiveFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the person is called.")],
    role: NewRole,
    password_file: PasswordFile = None,
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
    _hand_over(added, f"Added, as {role}.")


@app.command("list")
def list_(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """List the people. Works locked, without their names, which are sealed.

    With --json: a list of objects with `id`, `name`, `role`, `totp`, `holder`, `created_at`,
    `last_login_at`, `invited`; while the archive is locked, what is sealed is null.

    \b
    Example:
      huisclos user list /srv/images --json
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> tuple[User, ...]:
        return await house.console.users()

    people = unlocked_if_named(archive, work, unlock_with)
    if json:
        output.document([_described(user) for user in people])
    elif people:
        headings = ("name", "role", "last here", "", "id")
        output.table(headings, [_row(user) for user in people])
    else:
        output.say("Nobody has an account yet.")


@app.command("role")
def role(archive: ArchiveFolder, name: Named, role: NewRole, unlock_with: UnlockWith = None) -> None:
    """Give a person another role. Takes effect at once, in sessions under way too.

    Asked while the archive is locked, it is recorded as pending and has no effect until an owner
    approves it; the exit code is 0.

    \b
    Example:
      huisclos user role /srv/images "Anne Martin" --role owner
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> Added:
        return await house.console.set_role(name, role)

    changed = unlocked_if_named(archive, work, unlock_with)
    output.say(WAITS if changed.pending else f"From now on: {role}.")


@app.command("reset")
def reset(
    archive: ArchiveFolder, name: Named, password_file: PasswordFile = None, unlock_with: UnlockWith = None
) -> None:
    """Give a person a new password. Without --password-file, one is made and printed once.

    Their sessions end, and their second factor goes. A holder is one no more: the new password opens no
    archive until the person asks for it. Asked while the archive is locked, it is recorded as pending and
    has no effect until an owner approves it; the exit code is 0.

    \b
    Example:
      huisclos user reset /srv/images "Anne Martin"
    """
    from huisclos.cli.house import unlocked_if_named
    from huisclos.wiring.secrets import read_secret_file

    password = read_secret_file(password_file, archive) if password_file is not None else ""

    async def work(house: House) -> Added:
        return await house.console.reset_password(name, password)

    _hand_over(unlocked_if_named(archive, work, unlock_with), "The password is another one from now on.")


@app.command("remove")
def remove(archive: ArchiveFolder, name: Named, unlock_with: UnlockWith = None) -> None:
    """Remove a person: account, sessions and tokens end at once. The last owner stays.

    Works locked, with the id in the place of the name.

    \b
    Example:
      huisclos user remove /srv/images "Anne Martin"
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> None:
        await house.console.remove_user(name)

    unlocked_if_named(archive, work, unlock_with)
    output.say("Removed.")


def _hand_over(added: Added, done: str) -> None:
    if added.invitation is not None:
        output.data(added.invitation.password)
        output.say("This password is shown once; it must be changed at the first log in.")
    output.say(WAITS if added.pending else done)


def _described(user: User) -> dict[str, Any]:
    times = {name: output.moment(getattr(user, name)) for name in ("created_at", "last_login_at")}
    told = output.plain(user, **times)
    sealed = () if user.name else ("name", "totp", "last_login_at", "invited")
    return {**told, **dict.fromkeys(sealed)}


def _row(user: User) -> tuple[str, ...]:
    told = [
        word
        for word, holds in (
            ("code", user.totp),
            ("opens the archive", user.holder),
            ("invited", user.invited),
        )
        if holds
    ]
    here = output.local(user.last_login_at) if user.name else "(sealed)"
    return user.name or "(sealed)", user.role, here, ", ".join(told), user.id
