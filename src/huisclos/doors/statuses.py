"""What the status of a DIMSE answer says of a door: the caller was served, or refused, or neither."""

from __future__ import annotations

from enum import Enum
from typing import Final

from huisclos.dimse.protocol.statuses import Category, Status, category


class Word(Enum):
    """What was said."""

    SERVED = "served"
    REFUSED = "refused"
    """not this, or not to us"""
    BUSY = "busy"
    """not now"""
    UNTOLD = "untold"
    """it failed over something else"""


_REFUSALS: Final = frozenset(
    (
        Status.NO_SUCH_INSTANCE,
        Status.SOP_CLASS_NOT_SUPPORTED,
        Status.NOT_AUTHORIZED,
        Status.UNRECOGNIZED_OPERATION,
    )
)
_BUSY: Final = frozenset((Status.OUT_OF_RESOURCES, Status.RESOURCE_LIMITATION))
_RETRIEVE_FAILED: Final = frozenset(
    (
        Status.UNABLE_TO_COUNT,
        Status.UNABLE_TO_PERFORM,
        Status.MOVE_DESTINATION_UNKNOWN,
        Status.DOES_NOT_MATCH_SOP_CLASS,
    )
)
_UNABLE: Final = 0xC
"""the first digit of "unable to process" (PS3.4 tables C.4-1 to C.4-3)"""


def word(status: int, *, retrieve: bool) -> Word:
    """What `status`, a final one, says of whoever asked (PS3.7 annex C, PS3.4 tables C.4-1 to C.4-3).

    A retrieve that could not be carried out was tried: the peer looked, and did not refuse the caller. A
    search that could not may as well have been turned away.
    """
    if category(status) in (Category.SUCCESS, Category.WARNING):
        return Word.SERVED
    if status in _REFUSALS:
        return Word.REFUSED
    if status in _BUSY:
        return Word.BUSY
    tried = status in _RETRIEVE_FAILED or status >> 12 == _UNABLE
    return Word.SERVED if retrieve and tried else Word.UNTOLD
