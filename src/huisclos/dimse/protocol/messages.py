"""Messages from fragments and fragments from messages (PS3.8 annex E, PS3.7 section 6.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import RESPONSE, Field, read_command
from huisclos.dimse.protocol.events import AcceptedContext, CommandReceived, DataReceived
from huisclos.dimse.protocol.items import INVALID_PARAMETER, UNEXPECTED_PARAMETER
from huisclos.dimse.protocol.pdus import Kind
from huisclos.dimse.protocol.reader import Fragment
from huisclos.errors import BadPDU

_P_DATA: Final = struct.Struct(">BxIIBB")
_PDV_HEADER: Final = 6
_PDV_COUNTED: Final = 2
_COMMAND, _LAST = 1, 2
NO_CONTEXT: Final = 0
"""No presentation context has this number: they are odd."""


class Assembler:
    """Puts fragments together; a message's fragments come one after the other (PS3.8 annex E.1)."""

    __slots__ = ("_bounds", "_command", "_command_context", "_data_context", "_left", "contexts")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.contexts: dict[int, AcceptedContext] = {}
        self._command = bytearray()
        self._command_context = NO_CONTEXT
        self._data_context = NO_CONTEXT
        self._left = 0

    @property
    def at_rest(self) -> bool:
        """Whether what was taken ended with a message."""
        return not (self._command_context or self._data_context)

    def take(self, fragment: Fragment) -> CommandReceived | DataReceived | None:
        """The event that `fragment` makes, if any. Raises `BadPDU` for one that cannot come now."""
        context_id, command, last, piece = fragment
        if command:
            return self._take_command(fragment)
        if context_id != self._data_context:
            raise BadPDU("data that no command announced", reason=UNEXPECTED_PARAMETER)
        self._left -= len(piece)
        if self._left < 0:
            raise BadPDU("a data set is over its bound", reason=INVALID_PARAMETER)
        if last:
            self._data_context = NO_CONTEXT
        elif not piece:
            return None
        return DataReceived(context_id, piece, last)

    def _take_command(self, fragment: Fragment) -> CommandReceived | None:
        if self._data_context:
            raise BadPDU("a command where data was announced", reason=UNEXPECTED_PARAMETER)
        context = self.contexts.get(fragment.context_id)
        if context is None:
            raise BadPDU("a presentation context that was not accepted", reason=INVALID_PARAMETER)
        if self._command_context not in (NO_CONTEXT, context.id):
            raise BadPDU("fragments of two messages at once", reason=UNEXPECTED_PARAMETER)
        self._command_context = context.id
        self._command += fragment.piece
        if len(self._command) > self._bounds.command_length:
            raise BadPDU("a command set is over its bound", reason=INVALID_PARAMETER)
        if not fragment.last:
            return None
        command = read_command(self._command)
        self._command.clear()
        self._command_context = NO_CONTEXT
        if command.has_data_set:
            self._data_context = context.id
            stores = command.field & ~RESPONSE == Field.C_STORE
            self._left = self._bounds.object_length if stores else self._bounds.identifier_length
        return CommandReceived(context, command)


def fragments(
    context_id: int, message: memoryview, *, command: bool, last: bool, pdu_length: int
) -> Iterator[bytes | memoryview]:
    """P-DATA-TF PDUs that carry `message`, one fragment each, none over `pdu_length` bytes.

    Headers and pieces of `message` in turn; with `last`, the last fragment ends the message.
    """
    room = pdu_length - _PDV_HEADER
    at, end = 0, len(message)
    while True:
        piece = message[at : at + room]
        at += len(piece)
        done = at == end
        flags = (_COMMAND if command else 0) | (_LAST if last and done else 0)
        length = len(piece)
        yield _P_DATA.pack(Kind.P_DATA_TF, length + _PDV_HEADER, length + _PDV_COUNTED, context_id, flags)
        yield piece
        if done:
            return
