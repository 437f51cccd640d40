"""The named socket on which the command line reaches a served house: its user's alone, and root's."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from huisclos.errors import Conflict
from huisclos.wiring.places import Archive


def listen(archive: Archive) -> socket.socket:
    """The socket; raises `Conflict` when it cannot be made.

    The archive's lock is the caller's: a socket that lies there was left by a house that died.
    """
    path = archive.control
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        control.bind(str(path))
    except OSError as error:
        raise Conflict(f"the control socket cannot be made: {error.strerror}") from None
    path.chmod(0o600)
    with contextlib.suppress(OSError):  # on a full disk this account finds it all the same
        archive.say_control()
    control.listen(16)
    control.setblocking(False)
    return control


def accept(control: socket.socket) -> socket.socket | None:
    """The next caller, not blocking; None when there is none, or it is another user's."""
    try:
        caller, _ = control.accept()
    except OSError:
        return None
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid not in {os.geteuid(), 0}:
        caller.close()
        return None
    caller.setblocking(False)
    return caller
