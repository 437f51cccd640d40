"""The few calls into the C library that Python does not offer."""

from __future__ import annotations

import ctypes
import platform
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
MACHINE: Final = platform.machine()
"""As the kernel names it: "x86_64", "aarch64"."""


def prctl(option: int, *arguments: int) -> int:
    """Ask the kernel about this process, or change it; negative when it refuses."""
    given = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    return int(_LIBC.prctl(ctypes.c_int(option), *given))


def syscall(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | ctypes.Structure | None) -> int:
    """Any system call by number; negative when the kernel refuses or has it not."""
    given = [_argument(one) for one in arguments]
    return int(_LIBC.syscall(ctypes.c_long(number), *given))


def _argument(one: int | ctypes.Array[ctypes.c_char] | ctypes.Structure | None) -> object:
    if one is None or isinstance(one, int):
        return ctypes.c_void_p(one) if one is None else ctypes.c_long(one)
    return ctypes.byref(one)
