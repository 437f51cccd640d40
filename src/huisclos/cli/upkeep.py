"""`huisclos verify`, `huisclos reindex`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith
from huisclos.errors import SealError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from huisclos.archive.reindex import Reindexed
    from huisclos.archive.verify import Problem, Verification
    from huisclos.wiring.connection import House

_AT_A_TIME = 1000


def verify(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> int:
    """Read and check every object.

    To its last byte, against manifests, index and keys. Ends with exit code 6 if anything is wrong.
    With --json: `studies`, `objects`, `octets`, `batched` and `problems`, a list of objects with
    `kind`, `study_id`, `batch_id`, `instance_id`, `place`.

    \b
    Example:
      huisclos verify /srv/images --json
    """
    from huisclos.archive.verify import Verifier
    from huisclos.cli.house import unlocked

    async def work(house: House) -> Verification:
        with _processes() as executor, output.progress("verifying") as step:
            verifier = Verifier(
                house.store,
                house.house_catalog,
                house.house_keys,
                await house.console.verify_key(),
                receipts=partial(_receipts, house),
                executor=executor,
                progress=step,
            )
            found = await verifier.run()
        await house.console.verified(len(found.problems), found.objects)
        return found

    found = unlocked(archive, work, unlock_with)
    if json:
        output.document(found)
    else:
        _print_problems(found.problems)
    output.say(f"{_amounts(found)} read, {output.size(found.octets)}.")
    if found.batched:
        output.say(f"{output.number(found.batched, 'object')} in batches, not settled yet.")
    if found.problems:
        output.complain(
            f"{output.number(len(found.problems), 'problem')} found",
            "keep a copy as it is; then restore what is named from a backup",
        )
        return SealError.exit_code
    output.say("All is as it was accepted.")
    return 0


def reindex(archive: ArchiveFolder, json: AsJson = False, unlock_with: UnlockWith = None) -> None:
    """Rebuild the index from the objects.

    Objects, manifests and keys are the truth, the index is derived. Says what could not be attested:
    it is listed under "to decide". Decisions stay as they were.

    \b
    Example:
      huisclos reindex /srv/images
    """
    from huisclos.archive.reindex import reindex as rebuild
    from huisclos.cli.house import unlocked

    async def work(house: House) -> Reindexed:
        with _processes() as executor, output.progress("reindexing") as step:
            found = await rebuild(
                house.store,
                house.house_catalog,
                house.house_keys,
                await house.console.verify_key(),
                executor=executor,
                progress=step,
            )
        await house.console.reindexed(found.objects, found.unattested)
        return found

    found = unlocked(archive, work, unlock_with, rebuilding=True)
    if json:
        output.document(found)
    else:
        _print_problems(found.problems)
    output.say(f"{_amounts(found)} indexed.")
    if found.unattested:
        output.say(f'{found.unattested} of them are in no manifest: see them under "to decide".')


async def _receipts(house: House) -> dict[str, int]:
    """How many objects the journal says came into each study, by its id."""
    from huisclos.archive.receipts import Receipts

    receipts = Receipts()
    read = 0
    while lines := await house.console.journal(read, _AT_A_TIME):
        read += len(lines)
        receipts.add(lines)
    return receipts.came()


def _amounts(found: Verification | Reindexed) -> str:
    return f"{output.number(found.objects, 'object')} in {output.number(found.studies, 'study', 'studies')}"


def _processes() -> Executor:
    """A pool of processes that were forked from nothing that holds a secret."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    from signal import SIG_IGN, SIGINT, signal

    # Ctrl-C goes to all of them: the one that hears it ends the others.
    return ProcessPoolExecutor(
        mp_context=get_context("forkserver"), initializer=signal, initargs=(SIGINT, SIG_IGN)
    )


def _print_problems(problems: list[Problem]) -> None:
    for problem in problems:
        where = (
            problem.place or f"study {problem.study_id}"
            if not problem.batch_id
            else f"batch {problem.batch_id}"
        )
        instance = f", instance {problem.instance_id}" if problem.instance_id else ""
        output.data(f"{problem.kind}: {where}{instance}")
