"""The documentation cannot lie about the program: its reference is made from it, and kept so."""

from __future__ import annotations

import re
import runpy
from functools import cache
from typing import Any

import pytest

from huisclos.archive.verify import ProblemKind
from huisclos.settings import SETTINGS
from tests.tools import PROJECT

REFERENCE = PROJECT / "docs" / "reference"


@cache
def _generator() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / "docs" / "generate.py"))


def _page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cli.md", "exit-codes.md", "settings.md", "errors.md"])
def test_the_reference_is_what_the_program_says(name: str) -> None:
    """`make docs` would change nothing."""
    assert _generator()["PAGES"][name]() == _page(name)


def test_every_command_has_its_entry_and_an_example() -> None:
    """Each command is a section, and its example begins with it."""
    page = _page("cli.md")
    for command in _generator()["commands"]():
        _, _, section = page.partition(f"\n## {command}\n")
        assert section, command
        assert f"```sh\n{command} " in section.partition("\n## ")[0], command


def test_every_setting_has_its_entry() -> None:
    """Each setting is a row."""
    assert [setting.name for setting in SETTINGS if f"| `{setting.name}` |" not in _page("settings.md")] == []


def test_every_error_has_its_entry() -> None:
    """Each class of error is a row, and its exit code is in the table of exit codes."""
    for error in _generator()["errors_of_house"]():
        assert f"| `{error.__name__}` |" in _page("errors.md")
        assert re.search(rf"^\| {error.exit_code} \|", _page("exit-codes.md"), re.MULTILINE)


def test_every_problem_has_its_entry() -> None:
    """Each kind that `verify` names is explained."""
    assert [kind for kind in ProblemKind if f"| `{kind}` |" not in _page("json.md")] == []
