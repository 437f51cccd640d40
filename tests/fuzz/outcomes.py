"""What came of an input, in few words that are the same for inputs that went the same way."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from huisclos.errors import HuisclosError, Unreadable


class AllRefused(Unreadable):
    """Every reader refused the input; the message says where each did."""


def of(readers: Iterable[Callable[[bytes], object]], data: bytes) -> str:
    """Give `data` to each reader; raises `AllRefused` when none takes it."""
    came = [_of(read, data) for read in readers]
    told = "; ".join(came)
    if "read" not in came:
        raise AllRefused(told)
    return told


def _of(read: Callable[[bytes], object], data: bytes) -> str:
    try:
        read(data)
    except HuisclosError as error:
        return told(error)
    return "read"


def told(error: BaseException) -> str:
    """The class of an error, and the line of ours it comes from."""
    return f"{type(error).__name__} at {_place(error)}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "huisclos" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the end"
