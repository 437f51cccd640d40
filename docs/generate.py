"""Write docs/reference/: commands, exit codes, settings and errors, from the program itself.

Run from anywhere: `python docs/generate.py`; with `--check`, write nothing and end with 1 when a page is not
what the program says.
"""

from __future__ import annotations

import difflib
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer.main

import huisclos
from huisclos.cli import output
from huisclos.cli.main import program
from huisclos.errors import HuisclosError
from huisclos.settings import SETTINGS
from huisclos.web import openapi

FOLDER: Final = Path(__file__).resolve().parent / "reference"
_MADE: Final = "Made from the program by `make docs`.\n"
_STARTS_PROGRAMS: Final = ("__main__", "migrations.env")
"""Modules that do something when imported."""


def main() -> int:
    """Write the pages, or compare them."""
    check = "--check" in sys.argv[1:]
    off = 0
    for name, make in PAGES.items():
        page, made = FOLDER / name, make()
        there = page.read_text(encoding="utf-8") if page.exists() else ""
        if not check:
            page.write_text(made, encoding="utf-8")
        elif there != made:
            off = 1
            lines = (there.splitlines(keepends=True), made.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, f"{name}, written", f"{name}, program"))
    return off


def cli() -> str:
    """Every command."""
    head = (
        f"# Commands\n\n{_MADE}Data goes to stdout, speech to stderr; with `--json`, stdout is one document\n"
        "([its fields](json.md)). Errors are one sentence and a hint; see [exit codes](exit-codes.md).\n"
    )
    return head + "".join(_sections(typer.main.get_command(program()), "huisclos"))


def exit_codes() -> str:
    """The table of exit codes."""
    families = [one for one in errors_of_house() if HuisclosError in one.__bases__ and one.exit_code > 1]
    rows = [
        ("0", "It is done; or it is recorded as pending, since the archive is locked: stderr says so."),
        ("1", "Anything else. With a traceback, it is a bug."),
        *((str(one.exit_code), _family(one)) for one in sorted(families, key=lambda one: one.exit_code)),
        (str(output.INTERRUPTED), "Ctrl-C."),
        (str(output.CUT_OFF), "Nobody reads stdout any more."),
    ]
    special = (
        "\nSome commands end with the code of a family without an error of it:\n\n"
        "| command | code | when |\n|---|---|---|\n"
        "| `import` | 5 | a DICOM file was refused; what is not DICOM is left out, no failure |\n"
        "| `export` | 6 | an instance did not open as it should; the others were written |\n"
        "| `verify` | 6 | something on disk is not what was accepted |\n"
        "| `journal verify` | 6 | the chain does not hold, or does not go on from the head that was given |\n"
        "| `unlock`, `lock` | 4 | nobody serves the archive (then it is locked) |\n"
        "| `serve`, `run`, `demo` | 0 | told to end, by a signal or Ctrl-C |\n"
    )
    table = _table(("code", "meaning"), rows)
    return f"# Exit codes\n\n{_MADE}A code that is not listed means failure.\n\n{table}{special}"


def settings() -> str:
    """The table of settings."""
    rows = [(f"`{one.name}`", one.unit, _default(one.default), one.sentence) for one in SETTINGS]
    said = (
        "They stand in `ARCHIVE/huisclos.toml`; an unknown name is an error. None of them opens the house.\n"
    )
    return f"# Settings\n\n{_MADE}{said}\n{_table(('name', 'unit', 'default', 'meaning'), rows)}"


def errors() -> str:
    """The table of errors."""
    found = sorted(errors_of_house(), key=lambda one: (one.exit_code, len(one.__mro__), one.__name__))
    rows = [
        (f"`{one.__name__}`", f"`{one.kind}`", str(one.exit_code), one.__bases__[0].__name__, _sentence(one))
        for one in found
    ]
    said = (
        "`kind` is how the `type` of a problem document ends, over HTTP. No message holds a name, an\n"
        "identifier or a UID taken from an image.\n"
    )
    return (
        f"# Errors\n\n{_MADE}{said}\n{_table(('class', 'kind', 'exit code', 'a kind of', 'meaning'), rows)}"
    )


def interface() -> str:
    """The HTTP interface for programs."""
    return json.dumps(openapi.document(), indent=1) + "\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli,
    "exit-codes.md": exit_codes,
    "settings.md": settings,
    "errors.md": errors,
    "openapi.json": interface,
}


def errors_of_house() -> list[type[HuisclosError]]:
    """Every class of error, wherever it is defined."""
    for module in pkgutil.walk_packages(huisclos.__path__, "huisclos."):
        if not module.name.endswith(_STARTS_PROGRAMS) and ".migrations." not in module.name:
            importlib.import_module(module.name)
    return list(_below(HuisclosError))


def commands() -> list[str]:
    """Every command as it is typed."""
    return [name for name, _ in _leaves(typer.main.get_command(program()), "huisclos")]


def _below(parent: type[HuisclosError]) -> Iterator[type[HuisclosError]]:
    for one in parent.__subclasses__():
        if one.__module__.startswith("huisclos."):
            yield one
            yield from _below(one)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    nested = getattr(command, "commands", None)
    if nested is None:
        yield name, command
        return
    for word, inner in nested.items():
        yield from _leaves(inner, f"{name} {word}")


def _sections(root: Any, program: str) -> Iterator[str]:
    for name, command in _leaves(root, program):
        text, _, example = command.help.partition("\b\nExample:\n")
        named = [one for one in command.params if one.name != "help"]
        usage = " ".join((name, *(_usage(one) for one in named)))
        yield f"\n## {name}\n\n{text.strip()}\n\n```\n{_wrapped(usage)}\n```\n"
        if rows := [(f"`{_cell(_bare(one))}`", _cell(one.help)) for one in named if one.help]:
            yield f"\n{_table(('', ''), rows)}"
        yield f"\nExample:\n\n```sh\n{example.strip()}\n```\n"


def _bare(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.upper()
    if parameter.param_type_name == "argument":
        return f"{word}..." if parameter.nargs != 1 else str(word)
    option = max(parameter.opts, key=len)
    if parameter.is_flag:
        return str(option)
    return f"{option} {word}"


def _usage(parameter: Any) -> str:
    word = _bare(parameter)
    return word if parameter.required else f"[{word}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _wrapped(usage: str, width: int = 100) -> str:
    """Broken between parameters, never within one."""
    lines, rest = [""], usage.replace("] [", "]\0[").replace(" [", "\0[").replace(" --", "\0--")
    for part in rest.split("\0"):
        if len(lines[-1]) + len(part) > width:
            lines.append("   ")
        lines[-1] += f" {part}" if lines[-1] else part
    return "\n".join(lines)


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (headings, ("---",) * len(headings), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _default(value: object) -> str:
    return "none" if value in ("", ()) else f"{value:,}" if isinstance(value, int) else str(value)


def _family(family: type[HuisclosError]) -> str:
    members = ", ".join(f"`{one.__name__}`" for one in _below(family))
    return f"{_sentence(family)} `{family.__name__}`: {members}"


def _sentence(error: type[HuisclosError]) -> str:
    return (error.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
