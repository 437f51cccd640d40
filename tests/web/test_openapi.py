"""The description of the interface for programs, and the interface."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.routing import Mount, Route

from huisclos.web import openapi
from huisclos.web.app import house_routes
from huisclos.web.dicomweb.caller import PREFIX
from tests.tools import PROJECT


def _of_service() -> set[tuple[str, str]]:
    service = next(one for one in house_routes() if isinstance(one, Mount) and one.path == PREFIX)
    return {
        (PREFIX + route.path.replace(":path", ""), method.lower())
        for route in service.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_references, value.values()))
    return found | {value["$ref"]} if "$ref" in value else found


def test_every_route_is_described() -> None:
    """All that programs may ask, and of the pages what takes files in and out."""
    described = {
        (path, method) for path, methods in openapi.document()["paths"].items() for method in methods
    }
    asked_by_pages = {("/upload", "get"), ("/upload", "post"), ("/studies/{study}/export", "post")}
    assert described == _of_service() | asked_by_pages
    pages = {(route.path, method.lower()) for route in house_routes() if isinstance(route, Route)
             for method in route.methods or ()}  # fmt: skip
    assert described - _of_service() <= pages


def test_it_holds_together() -> None:
    """References lead somewhere, paths name their parameters, operations have names of their own."""
    document = openapi.document()
    for reference in _references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            inside = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert inside == set(re.findall(r"{(\w+)}", path))
    assert len(names) == len(set(names))


def test_what_is_written_is_what_is_served() -> None:
    """The document in docs/reference is the program's."""
    written = PROJECT / "docs" / "reference" / "openapi.json"
    assert json.loads(written.read_text()) == openapi.document()
