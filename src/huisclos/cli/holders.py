"""`huisclos holder`, `huisclos rotate`: who opens the archive, and its key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith

if TYPE_CHECKING:
    from huisclos.access.people import Holder, RotationState
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)

_LOOK_EVERY = 0.3
"""Seconds between two looks at how far a rotation is."""


@app.command("list")
def list_(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """List who opens the archive. Works locked, without whose each is, which is sealed.

    With --json: one object, `holders` (a list of `id`, `label`, `kind`, `damaged`, `created_at`,
    `user_id`, `unready`) and `rotation` (`running`, `waiting`, `done`, `total`).

    \b
    Example:
      huisclos holder list /srv/images
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> tuple[tuple[Holder, ...], RotationState]:
        return await house.console.holders(), await house.console.rotation()

    holders, rotation = unlocked_if_named(archive, work, unlock_with)
    if json:
        output.document(
            {
                "holders": [_described(holder, rotation) for holder in holders],
                "rotation": {
                    name: getattr(rotation, name) for name in ("running", "waiting", "done", "total")
                },
            }
        )
        return
    output.table(("name", "kind", "since", "", "id"), [_row(holder, rotation) for holder in holders])
    if rotation.running:
        output.say("A new archive key is in force; keys of studies are being sealed to it.")
    if rotation.waiting:
        output.say("A new archive key is due: it comes with the next unlock of each who must.")


@app.command("add")
def add(
    archive: ArchiveFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose passphrase it is.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(metavar="F", help="File with the passphrase in its first line.")
    ] = None,
    unlock_with: UnlockWith = None,
) -> None:
    """Let one more passphrase open the archive. Without --passphrase-file, one is made and printed once.

    For a passphrase in a safe, say. A person with an account opens the archive with their own password:
    they ask for it on the page Account.

    \b
    Example:
      huisclos holder add /srv/images "The safe" --passphrase-file /media/usb/safe.txt
    """
    from huisclos.cli.house import unlocked
    from huisclos.seal import generate_passphrase, tidy_passphrase
    from huisclos.wiring.secrets import read_secret_file

    given = "" if passphrase_file is None else tidy_passphrase(read_secret_file(passphrase_file, archive))
    passphrase = given or generate_passphrase()

    async def work(house: House) -> None:
        await house.console.add_holder(name, passphrase)

    unlocked(archive, work, unlock_with)
    if not given:
        output.data(passphrase)
        output.say("This passphrase is shown once: write it down now.")
    output.say("It opens the archive from now on.")


@app.command("remove")
def remove(
    archive: ArchiveFolder,
    holder: Annotated[str, typer.Argument(metavar="ID", help="The id that `holder list` shows.")],
    unlock_with: UnlockWith = None,
) -> None:
    """Take a holder away: their passphrase opens nothing from now on. Works locked.

    The archive then gets a new key, which everybody else has at once, and the keys of all studies are
    sealed to it: at the next unlock, if it is locked now. Old copies of keys/ and keyring/ still open
    with what the holder knew: destroy old backups of them.

    \b
    Example:
      huisclos holder remove /srv/images 0f1e2d3c4b5a69788796a5b4c3d2e1f0
    """
    from huisclos.cli.house import unlocked_if_named

    async def work(house: House) -> RotationState:
        await house.console.remove_holder(holder)
        output.say("Removed: this passphrase opens nothing any more.")
        return await _followed(house)

    _tell(unlocked_if_named(archive, work, unlock_with))


def rotate(archive: ArchiveFolder, unlock_with: UnlockWith = None) -> None:
    """Give the archive a new key, and seal the keys of all studies to it.

    For when a passphrase or the recovery card may have been seen: change that first. Every holder stays, and
    opens with the same passphrase as before. Killed on the way, it goes on at the next unlock.

    \b
    Example:
      huisclos rotate /srv/images
    """
    from huisclos.cli.house import unlocked

    async def work(house: House) -> RotationState:
        await house.console.rotate()
        return await _followed(house)

    _tell(unlocked(archive, work, unlock_with))


async def _followed(house: House) -> RotationState:
    import asyncio

    with output.progress("sealing keys anew") as step:
        while (state := await house.console.rotation()).running:
            step(state.done, state.total)
            await asyncio.sleep(_LOOK_EVERY)
    return state


def _tell(state: RotationState) -> None:
    if state.running or state.waiting:
        waits = output.number(len(state.unready), "holder")
        why = f"once {waits} of an older archive have unlocked" if state.unready else "at the next unlock"
        output.say(f"The archive's new key comes {why}.")
    else:
        output.say(f"A new archive key is in force; {output.number(state.done, 'key')} sealed to it.")


def _described(holder: Holder, rotation: RotationState) -> dict[str, Any]:
    sealed = {} if holder.created_at else {"label": None, "kind": None}
    told = output.plain(holder, created_at=output.moment(holder.created_at), **sealed)
    return {**told, "unready": holder.id in rotation.unready}


def _row(holder: Holder, rotation: RotationState) -> tuple[str, ...]:
    unready = "must unlock once" if holder.id in rotation.unready else ""
    told = "damaged file" if holder.damaged else unready
    if not holder.created_at:
        return "(sealed)", "", "", told, holder.id
    return holder.label, holder.kind, output.local(holder.created_at), told, holder.id
