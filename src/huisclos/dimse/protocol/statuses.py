"""The statuses of DIMSE responses (PS3.7 annex C; PS3.4 sections B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4)."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Status(IntEnum):
    """What a response can say; a range of the Standard is named by its first number."""

    SUCCESS = 0x0000
    """PS3.7 C.1.1"""
    ATTRIBUTE_LIST_ERROR = 0x0107
    """warning; PS3.7 C.4.2"""
    PROCESSING_FAILURE = 0x0110
    """PS3.7 C.5.21"""
    DUPLICATE_INSTANCE = 0x0111
    """PS3.7 C.5.8"""
    NO_SUCH_INSTANCE = 0x0112
    """PS3.7 C.5.16"""
    INVALID_INSTANCE = 0x0117
    """PS3.7 C.5.12"""
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """PS3.7 C.5.6"""
    NOT_AUTHORIZED = 0x0124
    """PS3.7 C.5.9"""
    DUPLICATE_INVOCATION = 0x0210
    """PS3.7 C.5.7"""
    UNRECOGNIZED_OPERATION = 0x0211
    """PS3.7 C.5.25"""
    MISTYPED_ARGUMENT = 0x0212
    """PS3.7 C.5.15"""
    RESOURCE_LIMITATION = 0x0213
    """PS3.7 C.5.22"""
    OUT_OF_RESOURCES = 0xA700
    """refused; PS3.4 tables B.2-1 and C.4-1"""
    UNABLE_TO_COUNT = 0xA701
    """refused; PS3.4 table C.4-2"""
    UNABLE_TO_PERFORM = 0xA702
    """refused; PS3.4 table C.4-2"""
    MOVE_DESTINATION_UNKNOWN = 0xA801
    """refused; PS3.4 table C.4-2"""
    DOES_NOT_MATCH_SOP_CLASS = 0xA900
    """error; PS3.4 tables B.2-1 and C.4-1"""
    COERCION = 0xB000
    """warning: elements were changed, or not every sub-operation went well; PS3.4 tables B.2-1, C.4-2"""
    ELEMENTS_DISCARDED = 0xB006
    """warning; PS3.4 table B.2-1"""
    WARNED_OF_SOP_CLASS = 0xB007
    """warning: the data set does not match its SOP class, and was kept; PS3.4 table B.2-1"""
    CANNOT_UNDERSTAND = 0xC000
    """error; PS3.4 tables B.2-1 and C.4-1"""
    CANCEL = 0xFE00
    """PS3.7 C.3.1"""
    PENDING = 0xFF00
    """PS3.7 C.2.1"""
    PENDING_WITH_WARNING = 0xFF01
    """some optional keys were not looked at; PS3.4 table C.4-1"""


class Category(Enum):
    """The five kinds of status (PS3.7 annex C)."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"
    PENDING = "pending"


_WARNINGS: Final = 0xB
"""The first digit of the services' warnings (PS3.4 annexes B and C)."""
_ALONE: Final = {
    0x0000: Category.SUCCESS,
    0x0001: Category.WARNING,
    0x0107: Category.WARNING,
    0x0116: Category.WARNING,
    0xFE00: Category.CANCEL,
    0xFF00: Category.PENDING,
    0xFF01: Category.PENDING,
}


def category(status: int) -> Category:
    """The kind of any status a peer can send; one the Standard does not know is a failure."""
    if status >> 12 == _WARNINGS:
        return Category.WARNING
    return _ALONE.get(status, Category.FAILURE)
