"""What is asked of the cage and what it answers, as bytes over one socket.

Asked: a length, the job as JSON, then the object until the asker stops sending. Answered: the
byte `BEGUN` once the cage is there, a byte of `Outcome`, then what was asked until the cage is gone.
The answer comes from a process that may have been taken over by what it decoded, so it says
nothing but a number from a list, and bytes that are checked: the sentences are ours.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from huisclos.errors import (
    BadQuery,
    HuisclosError,
    InstanceNotFound,
    NotDicom,
    TooLarge,
    UnknownTransferSyntax,
    Unreadable,
)

BEGUN: Final = b"\xff"
"""Said before anything is read: who hears it and nothing more knows that the object broke the cage."""
LENGTH: Final = Struct(">I")
MAX_JOB: Final = 4096
"""Bytes of a job at most."""
MAX_OBJECT: Final = 640 * 1024**2
"""Bytes of an object handed to the cage at most; of a larger one, hand over a frame cut out."""
MAX_PICTURE: Final = 64 * 1024**2
"""Bytes of a JPEG or PNG at most."""
MAX_SAMPLES: Final = 512 * 1024**2
"""Bytes of a decoded frame at most."""
MAX_SIDE: Final = 8192
"""Pixels of the longer side of a picture at most; a larger image is made smaller."""
JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
MIDDLE: Final = -1
"""As a frame: the one in the middle, which shows most of a long run."""


@dataclass(frozen=True, slots=True)
class Job:
    """One object in; out comes a picture, the samples of one frame, or the object in another syntax."""

    kind: str
    """ "picture", "thumbnail", "samples" or "transcode"."""
    frame: int
    window: tuple[float, float, str] | None = None
    """Centre and width in the units the image is measured in (after the modality LUT), and VOILUTFunction."""
    size: tuple[int, int] | None = None
    """The box to fit into, width and height in pixels, the picture's shape kept."""
    media: str = JPEG
    quality: int = 90
    region: tuple[float, float, float, float] | None = None
    """Of the source, in its pixels: left, top, width, height; a negative width or height turns it round."""
    syntax: str = ""
    """The transfer syntax to transcode to."""

    def encoded(self) -> bytes:
        """The job as it is sent."""
        content = json.dumps(asdict(self), allow_nan=False).encode()
        return LENGTH.pack(len(content)) + content

    @classmethod
    def decoded(cls, content: bytes) -> Job:
        """The job in `content`, which the house itself wrote."""
        fields = json.loads(content)
        for name in ("window", "size", "region"):
            fields[name] = tuple(fields[name]) if fields[name] is not None else None
        return cls(**fields)


class Outcome(IntEnum):
    """How a job ended."""

    DONE = 0
    NOT_DICOM = 1
    NO_PICTURE = 2
    NO_FRAME = 3
    TOO_LARGE = 4
    UNKNOWN_SYNTAX = 5
    BROKEN = 6
    NO_REGION = 7


_SAID: Final[dict[Outcome, HuisclosError]] = {
    Outcome.NOT_DICOM: NotDicom("this is not a DICOM object"),
    Outcome.NO_PICTURE: Unreadable("the instance has no picture in it"),
    Outcome.NO_FRAME: InstanceNotFound("the instance has no such frame"),
    Outcome.TOO_LARGE: TooLarge("the picture is larger than the cage takes"),
    Outcome.UNKNOWN_SYNTAX: UnknownTransferSyntax("no decoder for the instance's transfer syntax"),
    Outcome.NO_REGION: BadQuery("the region lies outside the image"),
    Outcome.BROKEN: Unreadable("the picture cannot be decoded"),
}


def failure(outcome: int) -> HuisclosError:
    """The error for an outcome that is not `DONE`; a number that is none counts as broken."""
    known = outcome if outcome in set(_SAID) else Outcome.BROKEN
    said = _SAID[Outcome(known)]
    return type(said)(said.message)


class Failed(Exception):
    """Inside the cage: the job ends with this outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome
