"""The packet record on the command line: kept while a command asks, and verified after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import output
from huisclos.cli.doors_report import own_codes

if TYPE_CHECKING:
    from huisclos.doors.assemble import Audit
    from huisclos.doors.record import Allowed

RecordFile = Annotated[
    Path | None,
    typer.Option("--record", metavar="F", help="Add each packet decision to this file, chained by hash."),
]


@contextmanager
def recorded(path: Path | None, audit: Audit, allowed: Allowed | None = None) -> Iterator[None]:
    """Until the end, only packets that are `allowed` leave, and each is in the record if there is one."""
    from huisclos.doors.record import Record, watched

    record = Record(path) if path is not None else None
    if record is None:
        with watched(None, allowed):
            yield
        return
    rights = "; ".join(f"{one.kind} {one.digest or one.by}" for one in audit.consents)
    record.write("begin", about=f"doors {audit.command}" + (f", {rights}" if rights else ""))
    try:
        with watched(record, allowed):
            yield
    finally:
        record.write("end")
        audit.record = record.head
        record.close()


def only_addresses(texts: Iterable[object]) -> Allowed:
    """Nothing but these addresses and this machine."""
    from huisclos.access.addresses import parse_address
    from huisclos.doors.record import only

    return only(frozenset(parse_address(str(text)) for text in texts))


@own_codes
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What --record wrote.")],
    head: Annotated[
        str, typer.Option(metavar="HEX", help="The report's `record`: the last line must be that one.")
    ] = "",
) -> int:
    """Verify a packet record: that no line was changed, moved or removed; show whom it asked.

    With --head, also that its end was not cut. Exit code 2 when it does not hold.

    \b
    Example:
      huisclos doors record packets.jsonl --head "$(jq -r .record report.json)"
    """
    from collections import Counter

    from huisclos.doors.record import read_record

    lines = read_record(file, head.strip())
    counted = Counter((line.what, line.to) for line, _ in lines if line.to)
    for (what, to), times in sorted(counted.items()):
        output.data(f"{what:8} {to}  {times}")
    last = lines[-1][1] if lines else "-"
    output.say(f"{output.number(len(lines), 'line')}, each follows the one before. Head: {last}")
    return 0
