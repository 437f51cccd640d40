"""`huisclos token`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from huisclos.cli import output
from huisclos.cli.options import WAITS, ArchiveFolder, AsJson, UnlockWith, end_of_day, words_of_list

if TYPE_CHECKING:
    from huisclos.access.people import Token
    from huisclos.vault.console import Added
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)


@app.command("add")
def add_token(
    archive: ArchiveFolder,
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose it is; it never may more than they do.")],
    may: Annotated[str, typer.Option(metavar="LIST", help="Of read, store; list alone shows no pixels.")],
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

    rights = words_of_list(may, (Right.READ, Right.STORE, Right.LIST), "--may")
    end = end_of_day(until)

    async def work(house: House) -> Added:
        return await house.console.add_token(user, label, rights, end)

    added = unlocked_if_named(archive, work, unlock_with)
    if added.token is not None:
        output.data(added.token.secret)
        output.say("This token is shown once.")
    if added.pending:
        output.say(WAITS)


@app.command("list")
def list_(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """List the tokens that have not ended. Works locked, without the names of their users.

    With --json: a list of objects with `id`, `user_id`, `user_name`, `label`, `may`, `created_at`,
    `until`, `last_used_at`; `last_used_at` is since the archive was started.

    \b
    Example:
      huisclos token list /srv/images --json
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> tuple[Token, ...]:
        return await house.console.tokens()

    tokens = unlocked_if_named(archive, work, unlock_with)
    if json:
        output.document([_described(token) for token in tokens])
    elif tokens:
        headings = ("for", "user", "may", "last day", "last used", "id")
        output.table(headings, [_row(token) for token in tokens])
    else:
        output.say("There is no token.")


@app.command("remove")
def remove(
    archive: ArchiveFolder,
    token: Annotated[str, typer.Argument(metavar="ID", help="The id that `token list` shows.")],
) -> None:
    """End a token at once. Works locked.

    \b
    Example:
      huisclos token remove /srv/images 0f1e2d3c4b5a69788796a5b4c3d2e1f0
    """
    from huisclos.cli.house import as_it_stands

    async def work(house: House) -> None:
        await house.console.remove_token(token)

    as_it_stands(archive, work)
    output.say("The token opens nothing any more.")


def _described(token: Token) -> dict[str, Any]:
    times = {name: output.moment(getattr(token, name)) for name in ("created_at", "until", "last_used_at")}
    return output.plain(token, may=sorted(token.may), user_name=token.user_name or None, **times)


def _row(token: Token) -> tuple[str, ...]:
    # the end is the midnight after its last day
    last_day = output.local(token.until - 1)[:10]
    user, may = token.user_name or f"user {token.user_id[:8]}", ",".join(sorted(token.may))
    return token.label, user, may, last_day, output.local(token.last_used_at), token.id
