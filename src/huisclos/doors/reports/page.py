"""The report as one HTML page that needs no network, and as a PDF."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import typst
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from huisclos.doors.reports.view import view
from huisclos.findings.report import Report

HERE: Final = Path(__file__).parent


def to_html(report: Report) -> str:
    """The page: nothing in it is fetched, nothing in it runs."""
    return render("report.html", view(report))


def to_pdf(report: Report) -> bytes:
    """The typeset document."""
    made: bytes = typst.compile(
        (HERE / "report.typ").read_bytes(), sys_inputs={"report": json.dumps(view(report))}
    )
    return made


def render(template: str, values: dict[str, Any]) -> str:
    """A template of this folder."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
