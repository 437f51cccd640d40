"""Write docs/commands.md, the reference of the command line, from the program itself.

Run from the project's root: `python packaging/reference.py`; with `--check`, write nothing and exit 1 when
the document is not what the program says.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
HEAD: Final = """\
# Commands

Made from the program by `make docs`. Data goes to stdout, speech to stderr.
"""


def main() -> int:
    """Write the document, or compare it."""
    made = reference()
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(made, encoding="utf-8")
        return 0
    there = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    sys.stdout.writelines(
        difflib.unified_diff(there.splitlines(True), made.splitlines(True), "written", "program")
    )
    return int(there != made)


def reference() -> str:
    """The document as the program would have it."""
    root = typer.main.get_command(importlib.import_module("huisclos.cli.main").app)
    return HEAD + "".join(section for section in _sections(root, "huisclos"))


def _sections(command: Any, name: str) -> Iterator[str]:
    nested = getattr(command, "commands", None)
    if nested is not None:
        for word, inner in sorted(nested.items()):
            yield from _sections(inner, f"{name} {word}")
        return
    usage = " ".join((name, *(_usage(parameter) for parameter in command.params if not parameter.hidden)))
    yield f"\n## {name}\n\n{(command.help or '').strip()}\n\n```\n{usage}\n```\n"
    rows = [
        f"- `{_usage(parameter).strip('[]')}`: {parameter.help}\n"
        for parameter in command.params
        if _explained(parameter)
    ]
    if rows:
        yield "\n" + "".join(rows)


def _explained(parameter: Any) -> bool:
    return bool(getattr(parameter, "help", None)) and not getattr(parameter, "hidden", False)


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        word = parameter.metavar or parameter.name.upper()
        word = f"{word}..." if parameter.nargs != 1 else word
    else:
        word = max(parameter.opts, key=len)
        word += "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return word if parameter.required else f"[{word}]"


if __name__ == "__main__":
    sys.exit(main())
