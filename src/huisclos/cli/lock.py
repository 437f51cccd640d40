"""`huisclos unlock`, `huisclos lock`: the archive that is being served."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, UnlockWith
from huisclos.errors import NoSecret, NotFound

if TYPE_CHECKING:
    from huisclos.access.gate import Unlocked
    from huisclos.wiring.connection import House
    from huisclos.wiring.places import Archive


def unlock(archive: ArchiveFolder, unlock_with: UnlockWith = None) -> None:
    """Unlock the archive that is being served.

    Says what was received in the dark. Ends with exit code 4 when nobody serves it.

    \b
    Example:
      huisclos unlock /srv/images --unlock-with file:/run/keys/passphrase
    """
    from huisclos.cli.house import as_it_stands, names_secret
    from huisclos.wiring.secrets import read_secret

    found = _served(archive)
    if unlock_with is None and not names_secret(None) and sys.stdin.isatty():
        unlock_with = "tty"
    secret = read_secret(unlock_with, found.root)
    if secret is None:
        raise NoSecret(
            "nothing says how to unlock the archive", hint="--unlock-with tty, file:PATH or env:NAME"
        )

    async def work(house: House) -> tuple[Unlocked, bool]:
        state = await house.gate.state()
        # also where nothing is left to unlock: a wrong passphrase is better known today than after a restart
        return await house.gate.unlock(secret, "", ""), state.locked

    unlocked, was_locked = as_it_stands(archive, work)
    output.say(told(unlocked) if was_locked else "The archive was unlocked already.")


def lock(archive: ArchiveFolder) -> None:
    """Lock the archive that is being served.

    Every session ends; what is received from then on waits, sealed. Ends with exit code 4 when nobody
    serves it: an archive that nobody serves is locked.

    \b
    Example:
      huisclos lock /srv/images
    """
    from huisclos.cli.house import as_it_stands
    from huisclos.wiring.connection import CONSOLE_PROOF

    _served(archive)

    async def work(house: House) -> bool:
        state = await house.gate.state()
        await house.gate.lock(CONSOLE_PROOF)
        return state.locked

    output.say("The archive was locked already." if as_it_stands(archive, work) else "Locked.")


def told(unlocked: Unlocked) -> str:
    """What an unlocking came to, in sentences."""
    lines = [f"Unlocked by {unlocked.label}."]
    for receipt in unlocked.received:
        objects = output.number(receipt.objects, "instance")
        lines.append(
            f"Received while locked: {objects} from {receipt.label}, last {output.local(receipt.last_at)}."
        )
    if unlocked.pending:
        lines.append(
            f"{output.number(unlocked.pending, 'request')} made while locked: decide on the page People, "
            "or with `huisclos pending`."
        )
    return "\n".join(lines)


def _served(archive: ArchiveFolder) -> Archive:
    from huisclos.wiring.connection import is_served
    from huisclos.wiring.places import find_archive

    found = find_archive(archive)
    if not is_served(found):
        raise NotFound("nobody serves this archive", hint=f"start it: huisclos serve {quote(str(archive))}")
    return found
