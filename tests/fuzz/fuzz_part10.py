"""Fuzz target: everything that reads a Part 10 file, from its preamble to its frames."""

from __future__ import annotations

import json
from typing import Final

from huisclos.dicom.bulk import find_value
from huisclos.dicom.frames import frames, opened, read_pixels
from huisclos.dicom.heading import HeadingReader, read_heading
from huisclos.dicom.json import to_json
from huisclos.dicom.part10 import read_part10
from huisclos.dicom.walk import Held
from tests import corpus
from tests.fuzz import outcomes

SEEDS: Final[list[bytes]] = [
    path.read_bytes() for path in (*corpus.files(), *corpus.bare()) if path.stat().st_size < 10_000
]


def one(data: bytes) -> str:
    """Read `data` in every way the house does: whatever comes out but a `HuisclosError` is a bug."""
    return outcomes.of((_heading, _pieces, _model, _frames), data)


def _heading(data: bytes) -> None:
    read_heading(data)


def _pieces(data: bytes) -> None:
    start = read_part10(data)
    reader = HeadingReader(start.syntax)
    for at in range(start.data_offset, len(data), 97):
        reader.feed(data[at : at + 97])
    reader.finish()


def _model(data: bytes) -> None:
    start = read_part10(data)
    plain = data[start.data_offset :]
    paths: list[str] = []

    def uri(path: str) -> str:
        paths.append(path)
        return path

    json.dumps(to_json(plain, start.syntax, uri), allow_nan=False)
    source, syntax = opened(Held(plain), start.syntax)
    for path in paths[:20]:
        find_value(source, syntax, path)


def _frames(data: bytes) -> None:
    start = read_part10(data)
    source, syntax = opened(Held(data[start.data_offset :]), start.syntax)
    frames(source, read_pixels(source, syntax))
