"""`huisclos journal`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith
from huisclos.errors import JournalBroken

if TYPE_CHECKING:
    from huisclos.access.chronicle import JournalHead, JournalLine
    from huisclos.journal.heads import Head
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)

_AT_A_TIME = 1000


@app.command("show")
def show(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """Show every entry, oldest first. With --json, one array of objects.

    \b
    Example:
      huisclos journal show /srv/images
    """
    from huisclos.cli.house import unlocked

    async def work(house: House) -> list[JournalLine]:
        lines: list[JournalLine] = []
        while some := await house.console.journal(len(lines), _AT_A_TIME):
            lines += some
        return lines

    lines = unlocked(archive, work, unlock_with)
    if json:
        output.document([output.plain(line, at=output.moment(line.at)) for line in lines])
        return
    for line in lines:
        output.data(_sentence(line))


@app.command("verify")
def verify(
    archive: ArchiveFolder,
    head: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A head kept outside the house. If the file is there, the journal must go on from it; "
            "if it is not, the head of now is written to it.",
        ),
    ] = None,
    json: AsJson = False,
    unlock_with: UnlockWith = None,
) -> None:
    """Verify the whole chain of entries. Ends with exit code 6 if it does not hold.

    \b
    Example:
      huisclos journal verify /srv/images --head /media/usb/journal.head
    """
    from huisclos.cli.files import check_outside, read_public, write_new
    from huisclos.cli.house import unlocked
    from huisclos.journal.heads import decode_head, encode_head

    anchored = None
    if head is not None and head.exists():
        anchored = decode_head(read_public(head, "the head"))
    elif head is not None:
        check_outside(head, archive, "the head of the journal")

    async def work(house: House) -> tuple[JournalHead, Head | None]:
        verified = await house.console.verify_journal(anchored)
        fresh = head is not None and anchored is None and verified.holds
        return verified, await house.console.head() if fresh else None

    verified, fresh = unlocked(archive, work, unlock_with)
    if json:
        output.document(output.plain(verified, verified_at=output.moment(verified.verified_at)))
    if not verified.holds:
        raise JournalBroken(
            f"the journal does not hold from entry {verified.broken_at} on",
            hint="keep a copy of the archive as it is; restore journal/ from a backup",
        )
    if not json:
        output.data(" ".join(verified.words))
    output.say(f"{output.number(verified.entries, 'entry', 'entries')}, and all of them hold.")
    if anchored is not None:
        output.say(f"They go on from the head in {head}: {anchored.entries} of them were there.")
    if fresh is not None and head is not None:
        write_new(head, encode_head(fresh))
        output.say(f"The head of now is in {head}: keep it outside this machine.")


def _sentence(line: JournalLine) -> str:
    who = line.actor or line.actor_kind
    who = f"token of {who}" if line.actor_kind == "token" else who
    parts = [f"{line.sequence:>6}", output.local(line.at), f"{line.act:<13}", who]
    parts += [part for part in (line.address, line.what, line.subject, line.purpose) if part]
    parts += [f"study {line.study_id}"] if line.study_id else []
    parts += [f"{count} {what}" for what, count in line.counts.items()]
    return "  ".join(parts)
