"""seccomp filters (seccomp(2)): system calls a process gives up, for good."""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Iterable
from struct import pack
from typing import Final

from huisclos.confine.kernel import MACHINE, syscall
from huisclos.confine.syscalls import NUMBERS

_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SET_FILTER: Final = 1
_ALL_THREADS: Final = 1
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_REFUSE: Final = _ERRNO | errno.EPERM
_ABSENT: Final = _ERRNO | errno.ENOSYS
_X32: Final = 0x40000000
"""On x86-64, calls of the x32 kind have this bit: the same calls by other numbers."""
_MAX: Final = 4096

# The filter is a program for the kernel's packet filter, over struct seccomp_data.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_EXECUTABLE: Final = 4
"""PROT_EXEC, in the third argument of mmap and mprotect."""
_THREAD: Final = 0x00010000
"""CLONE_THREAD, in the first argument of clone."""
PROCESSES: Final = "processes"
"""In a list of names to refuse: starting processes; threads stay possible."""

LOCAL_SOCKETS: Final = "local sockets"
"""In a list of names to refuse: making a socket that reaches other programs of this machine by a path.

Pairs stay possible, and so do those that others hand over.
"""


def seccomp_deny(names: Iterable[str]) -> bool:
    """Refuse these system calls (EPERM) from now on, in all threads and all this process starts.

    Names are those of `syscalls`, `PROCESSES`, and `LOCAL_SOCKETS`. Needs `no_new_privs` first. Whether it is
    in force; raises `KeyError` for a name the table does not know, never for the kernel.
    """
    program = []
    for name in names:
        if name == PROCESSES:
            program += _no_processes()
        elif name == LOCAL_SOCKETS:
            program += _no_local_sockets()
        elif (number := _number(name)) is not None:
            program += [_jump(_EQUAL, number, 0, 1), _give(_REFUSE)]
    return _install([*program, _give(_ALLOW)])


def seccomp_allow(names: Iterable[str]) -> bool:
    """Refuse every system call but these; memory can no longer be made executable. Else as `seccomp_deny`."""
    program = []
    for name in names:
        number = _number(name)
        if number is None:
            continue
        if name in ("mmap", "mprotect"):
            program += [
                _jump(_EQUAL, number, 0, 4),
                _load(_ARGUMENTS + 2 * 8),
                _jump(_ANY_BIT, _EXECUTABLE, 0, 1),
                _give(_REFUSE),
                _give(_ALLOW),
            ]
        else:
            program += [_jump(_EQUAL, number, 0, 1), _give(_ALLOW)]
    return _install([*program, _give(_REFUSE)])


def _no_processes() -> list[bytes]:
    program = []
    for name in ("fork", "vfork"):
        number = _number(name)
        if number is not None:
            program += [_jump(_EQUAL, number, 0, 1), _give(_REFUSE)]
    # A filter cannot look into what clone3 points at: without it the C library uses clone.
    program += [_jump(_EQUAL, _known("clone3"), 0, 1), _give(_ABSENT)]
    program += [
        _jump(_EQUAL, _known("clone"), 0, 4),
        _load(_ARGUMENTS),
        _jump(_ANY_BIT, _THREAD, 1, 0),
        _give(_REFUSE),
        _load(_NR),
    ]
    return program


def _no_local_sockets() -> list[bytes]:
    return [
        _jump(_EQUAL, _known("socket"), 0, 4),
        _load(_ARGUMENTS),
        _jump(_EQUAL, socket.AF_UNIX, 0, 1),
        _give(_REFUSE),
        _load(_NR),  # another kind of socket: what else the list says of the call is still to be asked
    ]


def _number(name: str) -> int | None:
    """The number of a call on this machine; None where this machine has no such call."""
    if not any(name in table for table in NUMBERS.values()):
        raise KeyError(name)
    return NUMBERS.get(MACHINE, {}).get(name)


def _known(name: str) -> int:
    return NUMBERS.get(MACHINE, {}).get(name, _X32)


def _load(offset: int) -> bytes:
    return pack("=HBBI", _LOAD, 0, 0, offset)


def _jump(test: int, value: int, if_true: int, if_false: int) -> bytes:
    return pack("=HBBI", test, if_true, if_false, value)


def _give(answer: int) -> bytes:
    return pack("=HBBI", _RETURN, 0, 0, answer)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _install(body: list[bytes]) -> bool:
    if MACHINE not in _SECCOMP:
        return False
    start = [_load(_ARCH), _jump(_EQUAL, _AUDIT[MACHINE], 1, 0), _give(_KILL), _load(_NR)]
    if MACHINE == "x86_64":
        start += [_jump(_AT_LEAST, _X32, 0, 1), _give(_REFUSE)]
    code = b"".join((*start, *body))
    if len(start) + len(body) > _MAX:
        return False
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(start) + len(body), ctypes.addressof(held))
    return syscall(_SECCOMP[MACHINE], _SET_FILTER, _ALL_THREADS, program) == 0
