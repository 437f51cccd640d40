"""One tree of files read for `huisclos doors`, with progress, and its places named on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from huisclos.cli import output

if TYPE_CHECKING:
    from huisclos.doors.observation import Seen
    from huisclos.doors.rest.audit import Walk
    from huisclos.doors.rest.tally import Tally
    from huisclos.findings.nouns import Language


def walk_tree(
    root: Path,
    walk: Walk,
    workers: int,
    *,
    show: bool,
    language: Language,
    also: Callable[[Path, Tally], list[Seen]] | None = None,
) -> list[Seen]:
    """What lies at or below `root`, and on what kind of disk where something does; `also` reads the tally."""
    from concurrent.futures import ProcessPoolExecutor
    from contextlib import nullcontext
    from multiprocessing import active_children, get_context
    from signal import SIG_IGN, SIGINT, signal

    from huisclos.doors.disk import probe_disk, probe_removable
    from huisclos.doors.facts import number
    from huisclos.doors.reports.words import word
    from huisclos.doors.rest.audit import audit, observe

    alone = workers == 1 or root.is_file()
    # Ctrl-C goes to all of them: the one that hears it ends the others.
    pool = (
        nullcontext()
        if alone
        else ProcessPoolExecutor(
            workers, mp_context=get_context("fork"), initializer=signal, initargs=(SIGINT, SIG_IGN)
        )
    )
    with pool as executor, output.progress(word("reading", language)) as step:
        try:
            tally = audit(root, walk, executor, lambda done: step(done, 0))
        except KeyboardInterrupt:
            for worker in active_children():
                worker.terminate()
            raise
    said = "one-looked-at" if tally.files == 1 else "many-looked-at"
    output.say(word(said, language, number(tally.files, language), output.one_line(root)))
    if show:
        for kind, path in tally.paths:
            output.data(f"{kind:10} {output.one_line(path)}")
        name_places(walk.shown)
    # What the disk is matters where something lies on it.
    below = [probe_disk(root), *probe_removable(root)] if tally.heaps or tally.rows else []
    return observe(root, tally) + below + (also(root, tally) if also is not None else [])


def name_places(shown: dict[str, str]) -> None:
    """Which token is which place, on stderr."""
    for token, path in shown.items():
        output.say(f"{token}  {output.one_line(path)}")
