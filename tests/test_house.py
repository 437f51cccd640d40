"""The house's numbers and walls, as far as a linter does not keep them (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.tools import PROJECT, need

MAX_FILE: Final = 600
"""Lines of a file; above 400 a reviewer asks whether a wall is missing."""
MAX_FUNCTION: Final = 80
"""Lines of a function, its docstring included; above 40 a reviewer asks."""

LAZY: Final = ("cli", "stores", "database")
"""Rooms that import inside functions: commands load lazily, an adapter's library is an extra."""

CATCHES_ALL: Final = {"doors": 1, "web": 1, "reception": 1}
"""Rooms with one place where whatever was not foreseen becomes data: the probe runner, the web middleware,
the DIMSE handler."""

PURE: Final = ("access", "breach", "dicom", "dimse.protocol", "doors.rules", "findings", "journal", "seal")
"""Rooms that are handed bytes, time and randomness, and touch nothing."""

WALL_CLOCK: Final = {
    ("date", "today"),
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("time", "ctime"),
    ("time", "time"),
    ("time", "time_ns"),
}
"""Calls that read the wall clock; only clock.py makes them."""

UNFINISHED: Final = re.compile(
    "|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", "raise NotImplemented" + "Error"))
)
HOSTS: Final = re.compile(
    "|".join(
        ("py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", r"deb\.deb" + r"ian\.org")
    )
)
"""Package registries: what we install is pinned by name, version and digest, never by where it lies."""
HOMES: Final = re.compile(
    r"(?<![\w.~$])/(?:" + "|".join(("wo" + "rk", "fa" + "rm", "ro" + "ot", r"ho" + r"me/\w+")) + r")/\w"
)
"""Paths of one machine."""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(PROJECT / "src" / "huisclos").parts[0].removesuffix(".py")


def _where(path: Path, node: ast.AST | None = None) -> str:
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(PROJECT)}{'' if line is None else f':{line}'}"


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short() -> None:
    """No file is longer than a reader holds in mind."""
    lengths = {
        _where(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in _sources("src", "tests", "bench")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE} == {}


def test_functions_are_short() -> None:
    """No function is longer than a screen."""
    long = [
        f"{_where(path, node)} {node.name}: {node.end_lineno - node.lineno + 1}"
        for path in _sources("src", "tests", "bench", "packaging")
        for node in _functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    ]
    assert long == []


def test_imports_stand_at_the_top() -> None:
    """What a room leans on is read in its first lines; the rooms that load lazily are named."""
    hidden = [
        _where(path, inner)
        for path in _sources("src")
        if _room(path) not in LAZY
        for node in _functions(path)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def _catches_all(handler: ast.ExceptHandler) -> bool:
    names = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if handler.type
        else {"Exception"}
    )
    tidies_up = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return bool(names & {"Exception", "BaseException"}) and not tidies_up


def test_errors_are_caught_by_name() -> None:
    """Only three named places turn whatever happens into data; tidying up and raising again is free."""
    caught: dict[str, list[str]] = {}
    for path in _sources("src"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node):
                caught.setdefault(_room(path), []).append(_where(path, node))
    assert {room: places for room, places in caught.items() if len(places) > CATCHES_ALL.get(room, 0)} == {}


def test_only_the_clock_reads_the_clock() -> None:
    """Time is handed in everywhere else, so that a test can hand in any."""
    found = [
        _where(path, node)
        for path in _sources("src")
        if _room(path) != "clock"
        for node in ast.walk(_tree(path))
        if _reads_the_clock(node)
    ]
    assert found == []


def _reads_the_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" and any(("time", alias.name) in WALL_CLOCK for alias in node.names)
    if not isinstance(node, ast.Attribute):
        return False
    owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    return (owner, node.attr) in WALL_CLOCK


def test_public_things_say_what_they_are() -> None:
    """Each public module, class and function of the house has a docstring."""
    silent = [
        f"{_where(path)} {getattr(node, 'name', '')}".strip()
        for path in _sources("src")
        for node in (_tree(path), *_tree(path).body)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not getattr(node, "name", "").startswith("_")
        and "migrations" not in path.parts  # Alembic names what is in there
        and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_tests_say_what_they_hold() -> None:
    """Each test's docstring is the sentence that its failure makes false."""
    silent = [
        _where(path, node)
        for path in _sources("tests")
        for node in _functions(path)
        if node.name.startswith("test_") and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_nothing_is_left_unfinished() -> None:
    """The source holds no note to come back."""
    left = [
        f"{_where(path)}:{number}"
        for path in _sources("src")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert left == []


def test_pure_rooms_are_under_contract() -> None:
    """Each pure room that exists stands in the import contract that keeps it pure."""
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
    (purity,) = [contract for contract in contracts if contract["id"] == "pure"]
    source = PROJECT / "src" / "huisclos"
    there = {
        room
        for room in PURE
        if any(source.joinpath(*room.split(".")).with_suffix(end).exists() for end in ("", ".py"))
    }
    assert {f"huisclos.{room}" for room in there} == set(purity["source_modules"])


def _tracked() -> list[Path]:
    need("git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (PROJECT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file() and path.name != "LICENSE"]


def test_no_registry_and_no_machine_is_named() -> None:
    """What is tracked works anywhere: no registry's host, no path of one machine."""
    found = []
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if HOSTS.search(line) or HOMES.search(line) or str(PROJECT) in line:
                found.append(f"{path.relative_to(PROJECT)}:{number}")
    assert found == []


def test_tracked_files_are_small() -> None:
    """Nothing heavy is tracked: what is large is made or installed."""
    assert [str(path.relative_to(PROJECT)) for path in _tracked() if path.stat().st_size > 1_000_000] == []
