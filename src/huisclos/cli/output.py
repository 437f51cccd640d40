"""The terminal rules.

- Data goes to stdout: what a script would read, and nothing else. With `--json` it is one JSON document.
- Speech goes to stderr: what a person would read. Progress is shown there, on a terminal only.
- An error is one sentence, and where there is something to do, a hint. A traceback is a bug.
- Times are local and plain for people; in JSON they are UTC, ISO 8601, or null for never.
- Whoever stops reading ends the program without a word.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TextIO

import msgspec
import typer

from huisclos.errors import HuisclosError

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""
CUT_OFF: Final = 141
"""Exit code when nobody reads stdout any more: 128 + SIGPIPE."""

_UNITS: Final = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))

Step = Callable[[int, int], None]
"""Told how many of how many are done; 0 of 0 while the number is not known."""


def data(text: str) -> None:
    """One line, or several, on stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _nobody_reads()


def raw(pieces: Iterable[bytes]) -> None:
    """A document on stdout, piece by piece, its last line ended."""
    piece = b"\n"
    try:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"" if piece.endswith(b"\n") else b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _nobody_reads()


def _nobody_reads() -> NoReturn:
    # The interpreter flushes stdout once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(CUT_OFF) from None


def document(value: object) -> None:
    """A JSON document on stdout."""
    data(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def fitted(text: str, stream: TextIO, indent: int = 0) -> str:
    """Broken between words where `stream` is a terminal, each line going on where it began, or at `indent`.

    What a file or another program reads stays one line a sentence.
    """
    if not stream.isatty():
        return text
    width = max(40, min(shutil.get_terminal_size().columns, 100) - 1)
    return "\n".join(
        "\n".join(
            textwrap.wrap(
                line,
                width,
                subsequent_indent=" " * (indent or len(line) - len(line.lstrip(" "))),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
        for line in text.splitlines()
    )


def say(text: str) -> None:
    """A sentence on stderr."""
    print(text, file=sys.stderr, flush=True)


def tell(error: HuisclosError) -> None:
    """An error and its hint."""
    complain(error.message, error.hint)


def complain(message: str, hint: str = "") -> None:
    """One sentence on stderr, and what to do about it."""
    say(f"huisclos: {one_line(message)}")
    if hint:
        say(f"  hint: {one_line(hint)}")


def one_line(text: object) -> str:
    """A path as it can be shown: its name may hold line ends, and bytes that are no text."""
    return "".join(
        one if one == " " or one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in str(text)
    )


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Rows in columns on stdout."""
    widths = [max(len(row[at]) for row in (headings, *rows)) for at in range(len(headings))]
    for row in (headings, *rows):
        data("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """A bar on stderr if it is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def moment(seconds: float) -> str | None:
    """A time for JSON: UTC, ISO 8601; None for never."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


def local(seconds: float) -> str:
    """A time for people, in this machine's zone."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}" if seconds else "never"


def size(octets: int) -> str:
    """A number of bytes for people."""
    for unit, factor in _UNITS:
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}"
    return f"{octets} B"


def number(count: int, one: str, many: str = "") -> str:
    """`1 study`, `2 studies`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def plain(struct: msgspec.Struct, **other: Any) -> dict[str, Any]:
    """The fields of a struct as a dictionary, `other` in the place of some."""
    return {**msgspec.structs.asdict(struct), **other}


def language_of_system(environment: Mapping[str, str] = os.environ) -> str:
    """`fr` where the system speaks French, else `en`."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "fr" if environment[name].lower().startswith("fr") else "en"
    return "en"
