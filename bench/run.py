"""Run every bench of this folder, print a table, write figures.json; 1 when a goal is missed.

    python bench/run.py [NAME...]

A bench is a module with `run() -> list[dict]`, one dict for each figure: name, ours, peer, peer_name, ratio,
goal (the least ratio; None when there is none), unit, runs (what was measured, before the median).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

HERE: Final = Path(__file__).resolve().parent
FIGURES: Final = HERE / "figures.json"
FIELDS: Final = ("name", "ours", "peer", "peer_name", "ratio", "goal", "unit", "runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benches named, or all."""
    benches = discover()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(benches))
    names = parser.parse_args(arguments).names or benches
    if not set(names) <= set(benches):
        parser.error(f"there are: {', '.join(benches)}")
    figures: list[dict[str, Any]] = []
    for name in names:
        print(f"{name}...", file=sys.stderr, flush=True)
        figures += (checked(figure) for figure in importlib.import_module(f"bench.{name}").run())
    FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    Console().print(table(figures))
    return 1 if any(missed(figure) for figure in figures) else 0


def discover() -> list[str]:
    """The names of the modules here that have a `run`."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")
    return [
        name for name in names if callable(getattr(importlib.import_module(f"bench.{name}"), "run", None))
    ]


def checked(figure: dict[str, Any]) -> dict[str, Any]:
    """The figure itself; raises `ValueError` when it is not of the shape above."""
    if set(figure) != set(FIELDS):
        raise ValueError(f"a figure with {sorted(figure)} instead of {sorted(FIELDS)}")
    return figure


def missed(figure: dict[str, Any]) -> bool:
    """Whether the figure has a goal and is below it."""
    return figure["goal"] is not None and figure["ratio"] < figure["goal"]


def table(figures: Sequence[dict[str, Any]]) -> Table:
    """What is shown on the terminal."""
    shown = Table("bench", "ours", "peer", "beside", "ratio", "goal", "")
    for figure in figures:
        numbers = (f"{figure[name]} {figure['unit']}" for name in ("ours", "peer"))
        goal = "" if figure["goal"] is None else f"≥ {figure['goal']}"
        verdict = "missed" if missed(figure) else ""
        shown.add_row(figure["name"], *numbers, figure["peer_name"], str(figure["ratio"]), goal, verdict)
    return shown


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.exit(main())
