"""Command sets: group 0000 in implicit VR little endian (PS3.7 section 6.3 and annex E).

A `Command` keeps its elements as they came, those unknown to us as well, and reads the few it is
asked for. What `read_command` accepts, `write_command` writes back to bytes that read the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from huisclos.dimse.protocol.names import AE_TITLE_LENGTH, UID_LENGTH, VERIFICATION, read_uid
from huisclos.errors import BadPDU

_ELEMENT = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")
NO_DATA_SET: Final = 0x0101
"""Command Data Set Type when no data set follows (PS3.7 table E.1-1)."""
ANY_DATA_SET: Final = 0x0001
RESPONSE: Final = 0x8000
"""The bit of Command Field that makes a response."""
_ELEMENTS_MOST: Final = 64


class Field(IntEnum):
    """Command Field, of requests; a response adds `RESPONSE` (PS3.7 table E.1-1)."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class Tag(IntEnum):
    """Elements of group 0000 (PS3.7 table E.1-1)."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS = 0x0002
    REQUESTED_SOP_CLASS = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE = 0x1000
    REQUESTED_SOP_INSTANCE = 0x1001
    EVENT_TYPE = 0x1002
    ACTION_TYPE = 0x1008
    REMAINING = 0x1020
    COMPLETED = 0x1021
    FAILED = 0x1022
    WARNINGS = 0x1023
    MOVE_ORIGINATOR = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


class Priority(IntEnum):
    """Priority of an operation (PS3.7 section 9.1.1.1.7)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


class Command:
    """One command set. Reading an element that is malformed raises `BadPDU`; an absent one is None."""

    __slots__ = ("elements",)

    def __init__(self, elements: Mapping[int, bytes]) -> None:
        self.elements = elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Command) and dict(self.elements) == dict(other.elements)

    def __hash__(self) -> int:
        return hash(tuple(self.elements.items()))

    def __repr__(self) -> str:
        # Values stay out: instance UIDs carry dates, and this is what a log would show.
        return f"Command({self.field:#06x})"

    def number(self, tag: Tag) -> int | None:
        """The value of an element of VR US."""
        raw = self.elements.get(tag)
        if raw is None or raw == b"":
            return None
        if len(raw) != _SHORT.size:
            raise BadPDU("a number of a command is not two bytes")
        return int.from_bytes(raw, "little")

    def uid(self, tag: Tag) -> str | None:
        """The value of an element of VR UI, unpadded, well formed or not (`names.is_uid`)."""
        raw = self.elements.get(tag)
        return None if raw is None else read_uid(raw)

    def text(self, tag: Tag) -> str | None:
        """The value of an element of VR AE or LO, unpadded."""
        raw = self.elements.get(tag)
        return None if raw is None else raw.decode("latin-1").strip("\0 ")

    @property
    def field(self) -> int:
        """Command Field; see `Field`."""
        return int.from_bytes(self.elements[Tag.COMMAND_FIELD], "little")

    @property
    def is_response(self) -> bool:
        """Whether it answers a request."""
        return self.field & RESPONSE != 0

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return self.number(Tag.DATA_SET_TYPE) != NO_DATA_SET

    @property
    def message_id(self) -> int:
        """Of a request, its own; of a response or a cancel, the one it speaks of."""
        speaks_of_another = self.is_response or self.field == Field.C_CANCEL
        tag = Tag.MESSAGE_ID_RESPONDED_TO if speaks_of_another else Tag.MESSAGE_ID
        return int.from_bytes(self.elements[tag], "little")

    @property
    def status(self) -> int | None:
        """Of a response; see `Status`."""
        return self.number(Tag.STATUS)

    @property
    def sop_class(self) -> str | None:
        """The SOP class affected or requested."""
        affected = self.uid(Tag.AFFECTED_SOP_CLASS)
        return self.uid(Tag.REQUESTED_SOP_CLASS) if affected is None else affected

    @property
    def sop_instance(self) -> str | None:
        """The SOP instance affected or requested."""
        affected = self.uid(Tag.AFFECTED_SOP_INSTANCE)
        return self.uid(Tag.REQUESTED_SOP_INSTANCE) if affected is None else affected


def read_command(raw: bytes | bytearray) -> Command:
    """The command set in `raw`. Raises `BadPDU` unless it is one that can be acted on.

    Elements must be of group 0000 and in order, Command Field and Command Data Set Type must be
    there and be numbers, and so must every number that tells one message from another.
    """
    elements: dict[int, bytes] = {}
    at, end, before = 0, len(raw), -1
    unpack = _ELEMENT.unpack_from
    while at < end:
        if end - at < _ELEMENT.size:
            raise BadPDU("a command set breaks off")
        group, tag, length = unpack(raw, at)
        at += 8
        if group or tag <= before or length > end - at or len(elements) == _ELEMENTS_MOST:
            raise BadPDU("a command set is not a sequence of elements of group 0000")
        elements[tag] = bytes(raw[at : at + length])
        at += length
        before = tag
    elements.pop(Tag.GROUP_LENGTH, None)
    command = Command(elements)
    if command.number(Tag.COMMAND_FIELD) is None or command.number(Tag.DATA_SET_TYPE) is None:
        raise BadPDU("a command set does not say what it is")
    speaks_of_another = command.is_response or command.field == Field.C_CANCEL
    wanted = Tag.MESSAGE_ID_RESPONDED_TO if speaks_of_another else Tag.MESSAGE_ID
    if command.number(wanted) is None or (command.is_response and command.status is None):
        raise BadPDU("a command set lacks its message id or its status")
    return command


def write_command(command: Command) -> bytes:
    """The bytes of `command`, its group length first."""
    body = b"".join([_ELEMENT.pack(0, tag, len(raw)) + raw for tag, raw in sorted(command.elements.items())])
    return _ELEMENT.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body


def us(number: int) -> bytes:
    """The value `number` as VR US."""
    return _SHORT.pack(number)


def ui(uid: str) -> bytes:
    """The value `uid` as VR UI, padded to even length with NUL (PS3.5 section 9.1)."""
    raw = uid[:UID_LENGTH].encode("latin-1")
    return raw + b"\0" if len(raw) % 2 else raw


def ae(title: str) -> bytes:
    """The value `title` as VR AE, padded to even length with a space."""
    raw = title[:AE_TITLE_LENGTH].encode("ascii")
    return raw + b" " if len(raw) % 2 else raw


def respond(request: Command, status: int, *, data_set: bool = False) -> Command:
    """The response to `request`, naming the SOP class and instance that it names (PS3.7 chapters 9, 10)."""
    given = request.elements
    elements: dict[int, bytes] = {
        Tag.COMMAND_FIELD: us(request.field | RESPONSE),
        Tag.MESSAGE_ID_RESPONDED_TO: given[Tag.MESSAGE_ID],
        Tag.DATA_SET_TYPE: us(ANY_DATA_SET if data_set else NO_DATA_SET),
        Tag.STATUS: us(status),
    }
    sop_class = given.get(Tag.AFFECTED_SOP_CLASS, given.get(Tag.REQUESTED_SOP_CLASS))
    if sop_class is not None:
        elements[Tag.AFFECTED_SOP_CLASS] = sop_class
    sop_instance = given.get(Tag.AFFECTED_SOP_INSTANCE, given.get(Tag.REQUESTED_SOP_INSTANCE))
    if sop_instance is not None:
        elements[Tag.AFFECTED_SOP_INSTANCE] = sop_instance
    return Command(elements)


def echo_request(message_id: int) -> Command:
    """C-ECHO-RQ (PS3.7 section 9.3.5.1)."""
    return _request(Field.C_ECHO, message_id, VERIFICATION, data_set=False)


def store_request(
    message_id: int, sop_class: str, sop_instance: str, *, priority: Priority = Priority.MEDIUM
) -> Command:
    """C-STORE-RQ (PS3.7 section 9.3.1.1)."""
    return _request(
        Field.C_STORE,
        message_id,
        sop_class,
        {Tag.PRIORITY: us(priority), Tag.AFFECTED_SOP_INSTANCE: ui(sop_instance)},
    )


def find_request(message_id: int, sop_class: str, *, priority: Priority = Priority.MEDIUM) -> Command:
    """C-FIND-RQ (PS3.7 section 9.3.2.1)."""
    return _request(Field.C_FIND, message_id, sop_class, {Tag.PRIORITY: us(priority)})


def get_request(message_id: int, sop_class: str, *, priority: Priority = Priority.MEDIUM) -> Command:
    """C-GET-RQ (PS3.7 section 9.3.3.1)."""
    return _request(Field.C_GET, message_id, sop_class, {Tag.PRIORITY: us(priority)})


def move_request(
    message_id: int, sop_class: str, destination: str, *, priority: Priority = Priority.MEDIUM
) -> Command:
    """C-MOVE-RQ to the AE title `destination` (PS3.7 section 9.3.4.1)."""
    return _request(
        Field.C_MOVE,
        message_id,
        sop_class,
        {Tag.PRIORITY: us(priority), Tag.MOVE_DESTINATION: ae(destination)},
    )


def cancel_request(message_id: int) -> Command:
    """C-CANCEL-RQ of the request `message_id` (PS3.7 section 9.3.2.3)."""
    return Command(
        {
            Tag.COMMAND_FIELD: us(Field.C_CANCEL),
            Tag.MESSAGE_ID_RESPONDED_TO: us(message_id),
            Tag.DATA_SET_TYPE: us(NO_DATA_SET),
        }
    )


def _request(
    field: Field,
    message_id: int,
    sop_class: str,
    more: Mapping[int, bytes] | None = None,
    *,
    data_set: bool = True,
) -> Command:
    return Command(
        {
            Tag.AFFECTED_SOP_CLASS: ui(sop_class),
            Tag.COMMAND_FIELD: us(field),
            Tag.MESSAGE_ID: us(message_id),
            Tag.DATA_SET_TYPE: us(ANY_DATA_SET if data_set else NO_DATA_SET),
            **(more or {}),
        }
    )
