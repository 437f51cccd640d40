"""Fuzz target: the multipart parser takes any bytes, in any pieces, and the pieces do not matter."""

from __future__ import annotations

from huisclos.errors import HuisclosError
from huisclos.web.bodies import Multipart, PartBegun, PartData, PartEnded

SEEDS = [
    b"\x05--edge\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--edge--\r\n",
    b"\x01preamble\r\n--edge \r\n\r\n\r\n--edge\r\na: b\r\n c\r\n\r\n--edgy\r\n--edge--",
]

PIECES = 2000
"""Most pieces of one body: a larger one is fed in larger pieces."""


def one(data: bytes) -> str:
    """The first byte is the length of the pieces; the rest is the body."""
    body = data[1:]
    piece = max((data[0] if data else 0) % 64 + 1, len(body) // PIECES)
    seen = _read([body])
    assert seen == _read([body[at : at + piece] for at in range(0, len(body), piece)])
    kinds = (item if isinstance(item, str) else type(item).__name__ for item in seen)
    return " ".join(dict.fromkeys(kinds)) or "nothing"


def _read(pieces: list[bytes]) -> list[object]:
    parser = Multipart("edge")
    seen: list[object] = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                if isinstance(event, PartData) and seen and isinstance(seen[-1], bytes):
                    seen[-1] += event.data
                elif isinstance(event, PartData):
                    seen.append(event.data)
                elif isinstance(event, PartBegun):
                    seen.append(tuple(event.headers.items()))
                elif isinstance(event, PartEnded):
                    seen.append("end")
        parser.end()
    except HuisclosError as error:
        # How much of a part was given out before what is wrong behind it came depends on the pieces.
        if seen and isinstance(seen[-1], bytes):
            seen.pop()
        seen.append(type(error).__name__)
    return seen
