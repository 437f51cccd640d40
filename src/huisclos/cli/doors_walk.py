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


def walk_tree(
    root: Path,
    walk: Walk,
    workers: int,
    *,
    show: bool,
    also: Callable[[Path, Tally], list[Seen]] | None = None,
) -> list[Seen]:
    """What lies at or below `root`, and on what kind of disk where something does; `also` reads the tally."""
    from concurrent.futures import ProcessPoolExecutor
    from contextlib import nullcontext
    from multiprocessing import get_context

    from huisclos.doors.disk import probe_disk, probe_removable
    from huisclos.doors.rest.audit import audit, observe

    alone = workers == 1 or root.is_file()
    pool = nullcontext() if alone else ProcessPoolExecutor(workers, mp_context=get_context("fork"))
    with pool as executor, output.progress("reading") as step:
        tally = audit(root, walk, executor, lambda done: step(done, 0))
    output.say(f"{output.number(tally.files, 'file')} looked at below {root}")
    if show:
        for kind, path in tally.paths:
            output.data(f"{kind:10} {os_name(path)}")
        name_places(walk.shown)
    # What the disk is matters where something lies on it.
    below = [probe_disk(root), *probe_removable(root)] if tally.heaps or tally.rows else []
    return observe(root, tally) + below + (also(root, tally) if also is not None else [])


def os_name(path: str) -> str:
    """A path as one line, whatever characters are in it."""
    return (
        path.encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
        .encode("unicode_escape" if not path.isprintable() else "utf-8", "backslashreplace")
        .decode("utf-8", "replace")
    )


def name_places(shown: dict[str, str]) -> None:
    """Which token is which place, on stderr."""
    for token, path in shown.items():
        output.say(f"{token}  {path}")
