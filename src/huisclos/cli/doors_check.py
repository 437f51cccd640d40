"""`huisclos doors check`: this machine, what is quick first, the whole within a minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from huisclos.cli import doors_box, output
from huisclos.cli.doors_house import own_doors
from huisclos.cli.doors_report import Options, begin, finish, reporting, take
from huisclos.cli.doors_walk import walk_tree

if TYPE_CHECKING:
    from huisclos.access.addresses import Address
    from huisclos.doors.assemble import Audit
    from huisclos.doors.machine import Listener
    from huisclos.doors.observation import Seen
    from huisclos.doors.target import Target

LISTENERS_SECONDS: Final = 20.0
LOGS_SECONDS: Final = 30.0
TREES_SECONDS: Final = 48.0
"""since the start: what is not looked at by then is said to be untested"""
ANSWER_SECONDS: Final = 2.0
"""that a listener of this machine has for an answer"""


@reporting
def check(
    archive: Annotated[
        Path | None, typer.Argument(metavar="ARCHIVE", help="An archive of huisclos, if there is one.")
    ] = None,
    no_box: Annotated[bool, typer.Option("--no-box", help="Ask nothing outside this machine.")] = False,
    *,
    options: Options,
) -> int:
    """Look at this machine: who listens, imaging software, disks, files in the usual places, and the box.

    With ARCHIVE, also at that house; when it is served it looks itself, and its page says the same.

    \b
    Example:
      huisclos doors check --html report.html
    """
    from huisclos.clock import steady

    audit = begin("check", options)
    begun = steady()
    if archive is not None:
        from huisclos.wiring.places import find_archive

        find_archive(archive)
    # To speak with a house takes longer than a person should wait for the first door.
    take(audit, _at_once())
    own = own_doors(archive)
    take(audit, own.seen)
    _listeners(audit, own.ports, begun + LISTENERS_SECONDS)
    if not no_box:
        _box(audit)
    _files(audit, own.trees, begun)
    doors_box.tell_drift(audit, options)
    return finish(audit, options)


def _at_once() -> Iterator[Seen]:
    """What this machine tells without waiting for anybody: configurations, disk, system, programs."""
    import os

    from huisclos.doors.config.files import Places, read_configs
    from huisclos.doors.disk import probe_disk, probe_swap
    from huisclos.doors.machine import places
    from huisclos.doors.system import probe_firewall, probe_programs, probe_support

    configs, _ = places(Path.home())
    yield from _asked_for(read_configs(configs, Places(), os.environ))
    yield probe_disk(Path.home())
    yield from probe_swap()
    yield probe_support()
    yield probe_firewall()
    yield from probe_programs()


def _asked_for(found: Iterable[Seen]) -> Iterator[Seen]:
    """A usual place that holds nothing of ours was not asked for by anybody."""
    from huisclos.doors.observation import Miss
    from huisclos.findings.nouns import Reason

    for seen in found:
        if not (isinstance(seen, Miss) and seen.reason is Reason.NOT_IDENTIFIED):
            yield seen


def _box(audit: Audit) -> None:
    """The box, by what any program may ask it; what it passes on to this machine is the Internet's."""
    from huisclos.doors.box.state import leads_here

    seen = doors_box.gateway_seen(doors_box.gateway_asked(), maker=False)
    take(audit, seen)
    audit.widen({f"127.0.0.1:{port}" for port in leads_here(seen)})


def _listeners(audit: Audit, own: frozenset[int], until: float) -> None:
    """Who listens on this machine, and what each that may be imaging lets a stranger do."""
    import asyncio

    from huisclos.doors.machine import (
        has_global_address,
        imaging,
        listeners,
        observe_listeners,
        own_address,
    )
    from huisclos.doors.reports.words import word

    found = [one for one in listeners() if one.port not in own]
    take(audit, observe_listeners(found, global_six=has_global_address()))
    asked, near = imaging(found), own_address()
    with output.progress(word("asking-here", audit.language)) as step:
        for done, one in enumerate(asked, 1):
            take(audit, asyncio.run(_ask(one, near, until)))
            step(done, len(asked))


async def _ask(one: Listener, near: Address | None, until: float) -> list[Seen]:
    """One listener, judged by what it is bound to: as from the network when it is, and over loopback."""
    from huisclos.clock import steady
    from huisclos.doors.machine import joined, reached
    from huisclos.doors.observation import Miss
    from huisclos.findings.nouns import Reason

    if steady() > until:
        return [Miss(("*",), one.target.name, Reason.BUDGET)]
    outer = one.at_network(near)
    if outer is None:
        return reached(await _answers(one.target), one.reach)
    return joined(reached(await _answers(outer), one.reach), await _answers(one.target))


async def _answers(target: Target) -> list[Seen]:
    from huisclos.doors.runner import Manners, run

    return [one async for _, seen in run([target], Manners(seconds=ANSWER_SECONDS)) for one in seen]


def _files(audit: Audit, more: tuple[Path, ...], begun: float) -> None:
    """Logs and trees of files in the usual places, as far as the time goes."""
    from huisclos.doors.logs import read_logs
    from huisclos.doors.machine import logs, places
    from huisclos.doors.rest.audit import Walk

    take(audit, _asked_for(read_logs(logs(), until=begun + LOGS_SECONDS)))
    walk = Walk(until=begun + TREES_SECONDS)
    _, trees = places(Path.home())
    for root in (*more, *trees):
        take(audit, walk_tree(root, walk, 1, show=False, language=audit.language))
