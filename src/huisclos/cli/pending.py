"""`huisclos pending`: what was asked for in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith

if TYPE_CHECKING:
    from huisclos.access.people import Invitation
    from huisclos.vault.console import Waiting
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)

Request = Annotated[str, typer.Argument(metavar="ID", help="The id that `pending list` shows.")]


@app.command("list")
def list_(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """List what was asked for while the archive was locked, and waits for an owner.

    Works locked, without saying what it is, since requests are sealed. With --json: a list of objects with
    `id`, `asked_at`, `kind` (user, token, role, password, peer), `subject`, `detail`, `asked_by`.

    \b
    Example:
      huisclos pending list /srv/images
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> tuple[Waiting, ...]:
        return await house.console.pending()

    waiting = unlocked_if_named(archive, work, unlock_with)
    if json:
        output.document([_described(one) for one in waiting])
    elif waiting:
        headings = ("asked at", "what", "for", "", "by", "id")
        output.table(headings, [_row(one) for one in waiting])
    else:
        output.say("Nothing waits for an owner.")


@app.command("approve")
def approve(archive: ArchiveFolder, request: Request, unlock_with: UnlockWith = None) -> None:
    """Put a request in force, as an owner. Needs the archive unlocked.

    When a password was made for somebody, it is printed once, alone on stdout.

    \b
    Example:
      huisclos pending approve /srv/images 0f1e2d3c4b5a69788796a5b4c3d2e1f0
    """
    from huisclos.cli.house import unlocked

    async def work(house: House) -> Invitation | None:
        return await house.console.approve(request)

    invitation = unlocked(archive, work, unlock_with)
    if invitation is not None:
        output.data(invitation.password)
        output.say("This password is shown once; it must be changed at the first log in.")
    output.say("Approved: it is in force.")


@app.command("refuse")
def refuse(archive: ArchiveFolder, request: Request) -> None:
    """Drop a request: it never has any effect. Works locked.

    \b
    Example:
      huisclos pending refuse /srv/images 0f1e2d3c4b5a69788796a5b4c3d2e1f0
    """
    from huisclos.cli.house import as_it_stands

    async def work(house: House) -> None:
        await house.console.refuse(request)

    as_it_stands(archive, work)
    output.say("Refused.")


def _described(waiting: Waiting) -> dict[str, Any]:
    asked = waiting.asked
    return {
        "id": waiting.id,
        "asked_at": output.moment(waiting.asked_at),
        "kind": asked.kind if asked is not None else None,
        "subject": asked.subject if asked is not None else None,
        "detail": asked.detail if asked is not None else None,
        "asked_by": asked.asked_by if asked is not None else None,
    }


def _row(waiting: Waiting) -> tuple[str, ...]:
    asked = waiting.asked
    told = (
        ("(sealed)", "", "", "")
        if asked is None
        else (asked.kind, asked.subject, asked.detail, asked.asked_by)
    )
    return output.local(waiting.asked_at), *told, waiting.id
