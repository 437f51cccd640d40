"""The frames of a channel, pure: bytes in, frames out.

A frame is a 4-byte big-endian length, then msgpack of `Frame`. Both ends are processes of the
house, forked from one image; the length is bounded all the same, since a face that was taken
over must not be able to grow the vault.
"""

from __future__ import annotations

from typing import Final

import msgspec

from huisclos.errors import TooLarge, Unreadable

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes. The largest legitimate frame is a page of 10,000 instances, about 15 MB of DICOM JSON."""

_LENGTH: Final = 4
CALL: Final = 0
REPLY: Final = 1
FAULT: Final = 2


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One message: a call, its reply, or the error it came to."""

    kind: int
    number: int
    """Matches a reply to its call."""
    name: str
    """The method called; the error's class in a fault; empty in a reply."""
    body: bytes
    """msgpack of the request or reply struct; of [message, hint] in a fault."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """The frame as it goes on the wire. Raises `TooLarge`."""
    packed = _encoder.encode(frame)
    if len(packed) > MAX_FRAME:
        raise TooLarge("a message between processes is over its bound", hint="ask for fewer results at once")
    return len(packed).to_bytes(4, "big") + packed


class FrameReader:
    """Cuts a byte stream into frames; holds at most one frame that is not whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that `received` completes. Raises `TooLarge`, `Unreadable`: the channel must close."""
        self._held += received
        frames: list[Frame] = []
        start, end = 0, len(self._held)
        while end - start >= _LENGTH:
            length = int.from_bytes(self._held[start : start + _LENGTH], "big")
            if length > MAX_FRAME:
                raise TooLarge("a message between processes is over its bound")
            if end - start - _LENGTH < length:
                break
            whole = bytes(self._held[start + _LENGTH : start + _LENGTH + length])
            start += _LENGTH + length
            try:
                frames.append(_decoder.decode(whole))
            except msgspec.DecodeError as error:
                raise Unreadable("a message between processes does not decode") from error
        del self._held[:start]
        return frames
