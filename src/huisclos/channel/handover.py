"""Handing sockets from one process to another: one small message with file descriptors (SCM_RIGHTS).

Used on control sockets only (SOCK_SEQPACKET, so that a message and its descriptors stay one).
"""

from __future__ import annotations

import array
import os
import socket
from typing import Final

import msgspec

from huisclos.errors import Unreachable, Unreadable

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of one control message."""
MAX_DESCRIPTORS: Final = 8


class Message(msgspec.Struct, frozen=True):
    """A word from the supervisor to a child, or back."""

    word: str
    about: str = ""
    text: str = ""


_decoder = msgspec.msgpack.Decoder(Message)


def send_message(sock: socket.socket, message: Message, *descriptors: int) -> None:
    """Send one message with descriptors. Raises `Unreachable`."""
    try:
        socket.send_fds(sock, [msgspec.msgpack.encode(message)], list(descriptors))
    except OSError as error:
        raise Unreachable("a process of the house is away") from error


def receive_message(sock: socket.socket) -> tuple[Message, list[socket.socket]] | None:
    """The next message and the sockets that came with it; None at the end.

    Raises `BlockingIOError` when nothing waits on a non-blocking socket, `Unreadable`.
    """
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    received, ancillary, flags, _ = sock.recvmsg(MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    sockets = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            sockets += [found for number in numbers if (found := _socket(number)) is not None]
    if not received:
        for handed in sockets:
            handed.close()
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Unreadable("a control message was cut short")
        return _decoder.decode(received), sockets
    except (msgspec.DecodeError, Unreadable) as error:
        for handed in sockets:
            handed.close()
        raise Unreadable("a control message does not decode") from error


def receive_word(sock: socket.socket) -> Message | None:
    """As `receive_message`, for who is handed nothing: what came with the message is closed."""
    heard = receive_message(sock)
    if heard is None:
        return None
    for handed in heard[1]:
        handed.close()
    return heard[0]


def _socket(number: int) -> socket.socket | None:
    """The socket of a descriptor; anything else that was handed over is closed, and none is left lying."""
    try:
        return socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None
