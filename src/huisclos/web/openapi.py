"""The HTTP interface for programs, as an OpenAPI 3.1 document.

Made from the routes themselves: a route without an entry in the tables below is an error here, and in
the test that compares the document in docs/reference with what this gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.routing import BaseRoute, Route

from huisclos import __version__
from huisclos.web.dicomweb.caller import PREFIX
from huisclos.web.dicomweb.media import DICOM, JSON, OCTETS, XML
from huisclos.web.dicomweb.query import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from huisclos.web.dicomweb.rendered import JPEG, PNG
from huisclos.web.dicomweb.routes import routes
from huisclos.web.problems import MEDIA, TYPE
from huisclos.web.site import SESSION_COOKIE

Json = dict[str, Any]

_ALWAYS: Final = (400, 401, 403, 404, 405, 406, 413, 415, 421, 429, 500, 503)
"""What any of them may answer besides its own; docs/conformance-statement.md says when."""
_PARTS: Final = "multipart/related"

_DESCRIBED: Final = {"200": (JSON, "application/json", f'{_PARTS}; type="{XML}"')}
_SEARCHED: Final = {**_DESCRIBED, "204": ()}
_FILES: Final = {"200": (_PARTS, DICOM), "206": (_PARTS, DICOM)}
_PICTURE: Final = {"200": (JPEG, PNG)}
_VALUE: Final = {"200": (_PARTS, OCTETS), "206": (_PARTS, OCTETS), "416": ()}
_VALUES: Final = {"200": (_PARTS,)}
_PIXELS: Final = {"200": (_PARTS,), "206": (_PARTS,)}
_FRAMES: Final = {"200": (_PARTS, OCTETS, "image/*", "video/*")}
_STORED: Final = {"200": (JSON, XML), "202": (JSON, XML), "409": (JSON, XML), "400": (JSON, XML)}

_KINDS: Final[tuple[tuple[str, str, str, Mapping[str, tuple[str, ...]]], ...]] = (
    (r".*/metadata", "retrieveMetadata", "The DICOM JSON, or XML, of what is there", _DESCRIBED),
    (r".*/rendered", "render", "A picture, made in the cage", _PICTURE),
    (r".*/thumbnail", "thumbnail", "A small picture, made in the cage", _PICTURE),
    (r".*/frames/{frames}", "retrieveFrames", "Frames of an instance", _FRAMES),
    (r".*/bulkdata/{path}", "retrieveBulkData", "One value of an instance", _VALUE),
    (r".*/bulkdata", "retrieveAllBulkData", "All values that metadata gives by address", _VALUES),
    (r".*/pixeldata", "retrievePixelData", "All frames of what is there", _PIXELS),
    (r".*/(studies|series|instances)", "search", "What matches", _SEARCHED),
    (r".*/{(study|series|instance)}", "retrieve", "Instances as DICOM files", _FILES),
)
"""Path, name, sentence, answers of each kind of reading; the first that fits counts."""

_PATH: Final[Mapping[str, Json]] = {
    "study": {"type": "string", "description": "Study Instance UID"},
    "series": {"type": "string", "description": "Series Instance UID"},
    "instance": {"type": "string", "description": "SOP Instance UID"},
    "frames": {"type": "string", "description": "Frame numbers from 1, with commas"},
    "path": {"type": "string", "description": "Where in the data set, as a BulkDataURI says"},
}
_TEXT: Final = {"type": "string"}
_QUERY: Final[Mapping[str, Mapping[str, Json]]] = {
    "search": {
        "limit": {"type": "integer", "minimum": 0, "default": DEFAULT_LIMIT, "maximum": MAX_LIMIT},
        "offset": {"type": "integer", "minimum": 0, "default": 0, "maximum": MAX_OFFSET},
        "fuzzymatching": {"type": "boolean", "default": False},
        "includefield": _TEXT,
        "sort": _TEXT,
        "PatientName": _TEXT,
        "PatientID": _TEXT,
        "PatientBirthDate": _TEXT,
        "StudyDate": _TEXT,
        "StudyInstanceUID": _TEXT,
        "AccessionNumber": _TEXT,
        "ModalitiesInStudy": _TEXT,
    },
    "render": {
        "viewport": _TEXT,
        "window": _TEXT,
        "quality": {"type": "integer", "minimum": 1, "maximum": 100},
    },
}


def document() -> Json:
    """The whole document."""
    paths: dict[str, Json] = {}
    for path, method in served(routes()):
        paths.setdefault(path, {})[method] = _storing(path) if method == "post" else _reading(path)
    paths |= _by_session()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "huisclos",
            "version": __version__,
            "summary": "DICOMweb of an archive that seals everything it receives",
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": "https://localhost:8443"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "huisclos token add"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
            "schemas": {"problem": _problem(), "dataSet": _data_set()},
            "responses": {"problem": {"description": "Why not (RFC 9457)", "content": _told()}},
        },
    }


def _by_session() -> dict[str, Json]:
    """What the pages' own scripts and forms ask, from their own origin only: not for programs."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    outcome = {
        "type": "object",
        "required": ["outcome"],
        "properties": {"outcome": {"type": "string"}, "reason": {"type": "string"}},
    }
    refused = {"application/json": {"schema": outcome}, **_told()}
    upload: Json = {
        "operationId": "upload",
        "summary": "Store one file, as the page that adds images does",
        "requestBody": {"required": True, "content": {OCTETS: binary}},
        "responses": _responses({}),
    }
    for status in ("400", "413", "503", "507"):
        upload["responses"][status] = {"description": "Why it was not kept", "content": refused}
    upload["responses"]["200"] = {
        "description": "What came of it",
        "content": {"application/json": {"schema": outcome}},
    }
    export: Json = {
        "operationId": "export",
        "summary": "Take a study out, as DICOMDIR media in one ZIP file",
        "parameters": [{"name": "study", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": _responses({})
        | {"200": {"description": "The file", "content": {"application/zip": binary}}},
    }
    page: Json = {
        "operationId": "uploadPage",
        "summary": "The page that adds images",
        "responses": {
            "200": {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}},
            "303": {"description": "To the page where one logs in"},
        }
        | {str(status): {"$ref": "#/components/responses/problem"} for status in _ALWAYS},
    }
    session: Json = {"security": [{"session": []}]}
    return {
        "/upload": {"get": page | session, "post": upload | session},
        "/studies/{study}/export": {"post": export | session},
    }


def served(found: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Path and method of each route of the service, as OpenAPI writes them."""
    for route in found:
        if isinstance(route, Route):
            path = PREFIX + route.path.replace(":path", "")
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield path, method.lower()


def _reading(path: str) -> Json:
    for pattern, kind, sentence, answers in _KINDS:
        if re.fullmatch(pattern, path):
            return {
                "operationId": _named(kind, path),
                "summary": sentence,
                "parameters": [*_in_path(path), *_in_query(kind)],
                "responses": _responses(answers),
            }
    raise LookupError(f"no kind of reading fits {path}")


def _storing(path: str) -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "operationId": _named("store", path),
        "summary": "Store instances; each is sealed as it arrives",
        "parameters": _in_path(path),
        "requestBody": {"required": True, "content": {DICOM: binary, f'{_PARTS}; type="{DICOM}"': binary}},
        "responses": _responses(_STORED),
    }


def _named(kind: str, path: str) -> str:
    words = [word for word in re.findall(r"[a-z]+", path.removeprefix(PREFIX)) if word != "path"]
    return kind + "".join(word.title() for word in dict.fromkeys(words))


def _in_path(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(kind: str) -> list[Json]:
    of = _QUERY.get("render" if kind == "thumbnail" else kind, {})
    return [{"name": name, "in": "query", "schema": schema} for name, schema in of.items()]


def _responses(own: Mapping[str, tuple[str, ...]]) -> Json:
    responses: Json = {str(status): {"$ref": "#/components/responses/problem"} for status in _ALWAYS}
    for status, media in own.items():
        content = {one: _of(one) for one in media}
        if status in responses:
            content |= _told()
        responses[status] = {"description": _DONE[status], "content": content}
    return dict(sorted(responses.items()))


_DONE: Final = {
    "200": "All of it", "202": "Some of it, or with warnings",
    "204": "Nothing matches, asked for as XML", "206": "A part of it",
    "400": "Nothing to store, or a request that cannot be read", "409": "None of it", "416": "Beyond its end",
}  # fmt: skip


def _of(media: str) -> Json:
    if media not in (JSON, "application/json"):
        return {"schema": {"type": "string", "format": "binary"}}
    one = {"$ref": "#/components/schemas/dataSet"}
    return {"schema": {"anyOf": [one, {"type": "array", "items": one}]}}


def _told() -> Json:
    return {MEDIA: {"schema": {"$ref": "#/components/schemas/problem"}}}


def _problem() -> Json:
    return {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "pattern": f"^{TYPE}[a-z-]+$"},
            "title": {"type": "string", "minLength": 1},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "hint": {"type": "string"},
        },
        "additionalProperties": False,
    }


def _data_set() -> Json:
    element = {"type": "object", "required": ["vr"], "properties": {"vr": {"type": "string"}}}
    return {
        "type": "object",
        "patternProperties": {"^[0-9A-F]{8}$": element},
        "additionalProperties": False,
    }
