"""From bytes, however they are cut, to PDUs and fragments of messages (PS3.8 sections 9.3.1 and 9.3.5).

The hot path of the room. Data is never gathered: each `Fragment` is a view into the bytes that
were fed, so that a PDU of any length, and an instance of any size, costs no memory here. Only
control PDUs are gathered, and only once their announced length has been found within bounds.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.items import INVALID_PARAMETER
from huisclos.dimse.protocol.pdus import HEADER, AbortReason, Kind
from huisclos.errors import BadPDU

_PDV = struct.Struct(">IBB")
_PDV_COUNTED: Final = 2
"""bytes of the PDV header that its own length counts (context, message control header)"""
_COMMAND, _LAST = 1, 2
"""bits of the message control header (PS3.8 annex E.2)"""
_NOTHING: Final = memoryview(b"")


class Fragment(NamedTuple):
    """A piece of a message as it arrived; `last` only on the final piece of its last fragment."""

    context_id: int
    command: bool
    last: bool
    piece: memoryview
    """valid until the next `feed`"""


class Control(NamedTuple):
    """A whole PDU other than P-DATA-TF, without its header."""

    kind: int
    body: bytes


class Reader:
    """Cuts what it is fed; after it has raised, there is no place to go on from."""

    __slots__ = (
        "_at", "_body", "_body_left", "_bounds", "_context_id", "_end", "_flags", "_head",
        "_in_pdv", "_kind", "_pdu_left", "_pdv_left", "_view",
    )  # fmt: skip

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._view, self._at, self._end = _NOTHING, 0, 0
        self._head = bytearray()
        self._body: bytearray | None = None
        self._body_left = self._kind = 0
        self._in_pdv = False
        self._pdu_left = self._pdv_left = self._context_id = self._flags = 0

    def feed(self, data: memoryview) -> None:
        """Take the next bytes; all the bytes before must have been read, until `read` gave None."""
        assert self._at == self._end, "fed before what came first was read"  # noqa: S101
        self._view, self._at, self._end = data, 0, len(data)

    @property
    def at_rest(self) -> bool:
        """Whether all that was fed was read, and ended with a PDU."""
        return not (
            self._in_pdv or self._pdu_left or self._head or self._body is not None or self._at < self._end
        )

    def read(self) -> Fragment | Control | None:
        """The next piece, or None when more bytes are needed. Raises `BadPDU`."""
        while True:
            if self._in_pdv:
                return self._read_fragment()
            if self._body is not None:
                return self._read_body()
            if self._at == self._end:
                return None
            if self._pdu_left:
                if not self._read_pdv_header():
                    return None
            elif not self._read_pdu_header():
                return None

    def _read_fragment(self) -> Fragment | None:
        at, left = self._at, self._pdv_left
        here = self._end - at
        if here >= left:
            self._at = at + left
            self._in_pdv = False
            flags = self._flags
            return Fragment(
                self._context_id, flags & _COMMAND != 0, flags & _LAST != 0, self._view[at : at + left]
            )
        if here == 0:
            return None
        self._at = self._end
        self._pdv_left = left - here
        return Fragment(self._context_id, self._flags & _COMMAND != 0, False, self._view[at : self._end])

    def _read_body(self) -> Control | None:
        body = self._body
        assert body is not None  # noqa: S101
        piece = self._view[self._at : self._at + self._body_left]
        body += piece
        self._at += len(piece)
        self._body_left -= len(piece)
        if self._body_left:
            return None
        self._body = None
        return Control(self._kind, bytes(body))

    def _read_pdv_header(self) -> bool:
        header = self._take_six()
        if header is None:
            return False
        length, self._context_id, self._flags = _PDV.unpack(header)
        # The fragment and its header lie within the PDU, and what is left holds another or nothing.
        left = self._pdu_left - length - (_PDV.size - _PDV_COUNTED)
        if length < _PDV_COUNTED or left < 0 or 0 < left < _PDV.size:
            raise BadPDU("a fragment and its PDU do not agree on their lengths", reason=INVALID_PARAMETER)
        self._pdu_left = left
        self._pdv_left = length - _PDV_COUNTED
        self._in_pdv = True
        return True

    def _read_pdu_header(self) -> bool:
        header = self._take_six()
        if header is None:
            return False
        kind, length = HEADER.unpack(header)
        if kind == Kind.P_DATA_TF:
            if not _PDV.size <= length <= self._bounds.pdu_length:
                raise BadPDU("a P-DATA-TF PDU is out of bounds", reason=INVALID_PARAMETER)
            self._pdu_left = length
            return True
        if not Kind.ASSOCIATE_RQ <= kind <= Kind.ABORT:
            raise BadPDU("a PDU of unknown type", reason=AbortReason.UNRECOGNIZED_PDU)
        most = self._bounds.associate_length if kind <= Kind.ASSOCIATE_AC else 4
        if length > most:
            raise BadPDU("a PDU is longer than its type may be", reason=INVALID_PARAMETER)
        self._kind, self._body_left, self._body = kind, length, bytearray()
        return True

    def _take_six(self) -> bytes | bytearray | memoryview | None:
        """Six bytes, the length of both headers, even when they were cut in two."""
        at = self._at
        if not self._head and self._end - at >= _PDV.size:
            self._at = at + _PDV.size
            return self._view[at : at + _PDV.size]
        piece = self._view[at : at + _PDV.size - len(self._head)]
        self._head += piece
        self._at = at + len(piece)
        if len(self._head) < _PDV.size:
            return None
        header, self._head = self._head, bytearray()
        return header
